package cri

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/isolrun/isol/test/lab"
)

// Client calls the containerd of a lab.
type Client struct {
	runtime.RuntimeServiceClient
	runtime.ImageServiceClient

	lab   *lab.Lab
	lines *lines
}

// Start starts a client in a lab that has CRI (lab.Config.CRI). It ends with
// Close, or with the lab.
func Start(l *lab.Lab) (*Client, error) {
	// It lives as long as the lab, not as the call that starts it.
	program, err := l.StartDialog(context.Background(), lab.CallerExe, lab.ContainerdPipe)
	if err != nil {
		return nil, fmt.Errorf("cri: %w", err)
	}
	c := &lines{program: program, calls: map[uint64]*call{}}
	go c.read()
	return &Client{
		RuntimeServiceClient: runtime.NewRuntimeServiceClient(c),
		ImageServiceClient:   runtime.NewImageServiceClient(c),
		lab:                  l, lines: c,
	}, nil
}

// Close gives up the calls that run and ends the program.
func (c *Client) Close() error { return c.lines.program.Close() }

// lines is the exchange with the program: gRPC's client connection, in lines.
type lines struct {
	program *lab.Dialog // its input is guarded by mu

	mu    sync.Mutex
	next  uint64           // guarded by mu
	calls map[uint64]*call // guarded by mu; nil when the program has ended
	ended error            // guarded by mu; why
}

var _ grpc.ClientConnInterface = (*lines)(nil)

// call is a call that runs. Its answers wait in the order in which they came.
type call struct {
	id      uint64
	wake    chan struct{} // has one when answers have come
	mu      sync.Mutex
	answers []answer // guarded by mu
}

// put adds an answer. It never waits: one slow reader must not hold up the others.
func (k *call) put(a answer) {
	k.mu.Lock()
	k.answers = append(k.answers, a)
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// get waits for the next answer.
func (k *call) get(ctx context.Context) (answer, error) {
	for {
		k.mu.Lock()
		if len(k.answers) > 0 {
			a := k.answers[0]
			k.answers = k.answers[1:]
			k.mu.Unlock()
			return a, nil
		}
		k.mu.Unlock()
		select {
		case <-k.wake:
		case <-ctx.Done():
			return answer{}, status.FromContextError(ctx.Err()).Err()
		}
	}
}

// failure is what the last answer of a call says of its end.
func (a answer) failure() error {
	if a.Code == 0 {
		return nil
	}
	return status.Error(codes.Code(a.Code), a.Error)
}

// read hands out answers until the program has ended.
func (c *lines) read() {
	in := bufio.NewReader(c.program.Out)
	var err error
	for {
		var line []byte
		if line, err = in.ReadBytes('\n'); err != nil {
			break
		}
		var a answer
		if err = json.Unmarshal(line, &a); err != nil {
			err = fmt.Errorf("answer %q: %w", line, err)
			break
		}
		c.mu.Lock()
		k := c.calls[a.ID]
		if a.End {
			delete(c.calls, a.ID)
		}
		c.mu.Unlock()
		if k != nil {
			k.put(a)
		}
	}
	_, _ = io.Copy(io.Discard, in) // a program that can't write does not end
	r, waited := c.program.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = status.Errorf(codes.Unavailable, "cri: the program in the lab has ended: %v, exit code %d, %v: %s", err, r.ExitCode, waited, r.Stderr)
	s := status.Convert(c.ended)
	for _, k := range c.calls {
		k.put(answer{ID: k.id, Code: uint32(s.Code()), Error: s.Message(), End: true})
	}
	c.calls = nil
}

// start sends the first request of a call.
func (c *lines) start(r request) (*call, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		return nil, c.ended
	}
	c.next++
	r.ID = c.next
	k := &call{id: r.ID, wake: make(chan struct{}, 1)}
	if err := c.sendLocked(r); err != nil {
		return nil, err
	}
	c.calls[r.ID] = k
	return k, nil
}

// send sends a further request of a call.
func (c *lines) send(r request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sendLocked(r)
}

func (c *lines) sendLocked(r request) error {
	line, err := json.Marshal(r)
	if err == nil {
		_, err = c.program.In.Write(append(line, '\n'))
	}
	if err != nil {
		return status.Errorf(codes.Unavailable, "cri: %v", err)
	}
	return nil
}

// cancelOn gives a call up when the context ends, until stop is called. The
// call's end is still its last answer: what was cancelled has been undone then.
func (c *lines) cancelOn(ctx context.Context, k *call) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = c.send(request{ID: k.id, Cancel: true}) })
}

// Invoke implements grpc.ClientConnInterface. When ctx ends, the call is
// cancelled at containerd and Invoke returns as soon as its client there has.
func (c *lines) Invoke(ctx context.Context, method string, in, out any, _ ...grpc.CallOption) error {
	k, err := c.begin(method, in)
	if err != nil {
		return err
	}
	defer c.cancelOn(ctx, k)()
	a, err := k.get(context.WithoutCancel(ctx))
	if err == nil {
		err = a.failure()
	}
	if err != nil {
		return fromContext(ctx, err)
	}
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(a.Message, out.(proto.Message))
}

// fromContext is err, or DeadlineExceeded where it is the cancellation that an
// ended deadline has made.
func fromContext(ctx context.Context, err error) error {
	if status.Code(err) == codes.Canceled && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return status.Error(codes.DeadlineExceeded, status.Convert(err).Message())
	}
	return err
}

// begin starts a call of CRI.
func (c *lines) begin(method string, in any) (*call, error) {
	text, err := protojson.Marshal(in.(proto.Message))
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "cri: %v", err)
	}
	return c.start(request{Method: method, Message: text})
}

// NewStream implements grpc.ClientConnInterface for streams of the server.
func (c *lines) NewStream(ctx context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return &serverStream{ctx: ctx, lines: c, method: method}, nil
}

// serverStream is a call with many answers.
type serverStream struct {
	ctx    context.Context
	lines  *lines
	method string
	call   *call
	stop   func() bool
}

// SendMsg sends the one request.
func (s *serverStream) SendMsg(m any) (err error) {
	if s.call, err = s.lines.begin(s.method, m); err == nil {
		s.stop = s.lines.cancelOn(s.ctx, s.call)
	}
	return err
}

// RecvMsg waits for the next answer; io.EOF is the end.
func (s *serverStream) RecvMsg(m any) error {
	a, err := s.call.get(s.ctx)
	if err != nil {
		return err
	}
	if a.End {
		s.stop()
		if err := a.failure(); err != nil {
			return err
		}
		return io.EOF
	}
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(a.Message, m.(proto.Message))
}

// Header returns nothing: the program does not hand it on.
func (s *serverStream) Header() (metadata.MD, error) { return nil, nil }

// Trailer returns nothing: the program does not hand it on.
func (s *serverStream) Trailer() metadata.MD { return nil }

// CloseSend has nothing to do: the request was all.
func (s *serverStream) CloseSend() error { return nil }

// Context is that of the call.
func (s *serverStream) Context() context.Context { return s.ctx }
