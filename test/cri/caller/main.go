// Command caller speaks CRI to a containerd on the machine that it runs on, as
// the kubelet does, for a test that runs elsewhere. It reads requests and
// writes answers, each a line of JSON:
//
//	> {"id":1,"method":"/runtime.v1.RuntimeService/Version","message":{}}
//	< {"id":1,"message":{"runtimeName":"containerd","runtimeVersion":"v2.4.2"},"end":true}
//
// A request with a method starts a call; its message is that of CRI in
// protobuf's JSON. One with open connects to the URL that Exec or Attach
// answered, in SPDY, the protocol in which the API server asks a node:
//
//	> {"id":2,"open":{"url":"http://127.0.0.1:49152/exec/x","stdin":true,"stdout":true,"stderr":true}}
//	> {"id":2,"input":"aGVsbG8="}
//	> {"id":2,"endInput":true}
//	< {"id":2,"stdout":"aGVsbG8="}
//	< {"id":2,"exit":0,"end":true}
//
// Requests under one id belong to one call, which {"cancel":true} gives up. Calls
// run at the same time; the answer with end is a call's last, and its code is
// that of gRPC. The program ends when its input does, and ends its calls then.
//
// It is a module of its own: the SPDY client brings a dozen modules that
// nothing else of isol needs. Its peer, with the same two types, is the package
// in the folder above.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// maxMessage is what the kubelet takes of one answer.
const maxMessage = 16 << 20

// request is a line of the input.
type request struct {
	ID       uint64          `json:"id"`
	Method   string          `json:"method,omitempty"`
	Message  json.RawMessage `json:"message,omitempty"`
	Open     *target         `json:"open,omitempty"`
	Input    []byte          `json:"input,omitempty"`
	EndInput bool            `json:"endInput,omitempty"`
	Resize   *size           `json:"resize,omitempty"`
	Cancel   bool            `json:"cancel,omitempty"`
}

// target is a streaming URL and the streams that it was asked for with.
type target struct {
	URL      string `json:"url"`
	Stdin    bool   `json:"stdin,omitempty"`
	Stdout   bool   `json:"stdout,omitempty"`
	Stderr   bool   `json:"stderr,omitempty"`
	Terminal bool   `json:"terminal,omitempty"`
}

// size is that of a terminal, as the streaming protocol spells it.
type size struct {
	Width  uint16
	Height uint16
}

// answer is a line of the output.
type answer struct {
	ID      uint64          `json:"id"`
	Message json.RawMessage `json:"message,omitempty"`
	Stdout  []byte          `json:"stdout,omitempty"`
	Stderr  []byte          `json:"stderr,omitempty"`
	Exit    int             `json:"exit,omitempty"`
	Code    uint32          `json:"code,omitempty"`
	Error   string          `json:"error,omitempty"`
	End     bool            `json:"end,omitempty"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, `usage: caller \\.\pipe\containerd-containerd < REQUESTS`)
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "caller:", err)
		os.Exit(1)
	}
}

// run answers requests until there are no more.
func run(endpoint string, in io.Reader, out io.Writer) error {
	conn, err := grpc.NewClient("passthrough:///containerd",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		// A containerd that has restarted is to be found at once.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.2, MaxDelay: 250 * time.Millisecond},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.WaitForReady(true)),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dial(ctx, endpoint) }))
	if err != nil {
		return err
	}
	c := &caller{conn: conn, out: json.NewEncoder(out), calls: map[uint64]*call{}}
	err = c.read(in)
	c.end()
	return errors.Join(err, conn.Close())
}

// caller is the calls that run.
type caller struct {
	conn *grpc.ClientConn
	all  sync.WaitGroup // calls

	mu    sync.Mutex
	calls map[uint64]*call // guarded by mu
	out   *json.Encoder    // guarded by mu
}

// call is a call that runs.
type call struct {
	id     uint64
	cancel context.CancelFunc
	wake   chan struct{} // has one when input has come

	mu    sync.Mutex
	input []request // to a stream, in order; guarded by mu
}

// push adds input. It never waits: what is behind it may be a cancel.
func (k *call) push(r request) {
	k.mu.Lock()
	k.input = append(k.input, r)
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// pull takes the input that has come.
func (k *call) pull() []request {
	k.mu.Lock()
	defer k.mu.Unlock()
	input := k.input
	k.input = nil
	return input
}

// read starts calls and hands requests on to those that run.
func (c *caller) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var r request
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("request %q: %w", line, err)
		}
		switch {
		case r.Method != "":
			c.start(r, func(ctx context.Context, k *call) answer { return c.invoke(ctx, k, r) })
		case r.Open != nil:
			c.start(r, func(ctx context.Context, k *call) answer { return c.stream(ctx, k, *r.Open) })
		default:
			c.pass(r)
		}
	}
}

// start runs f as a call whose last answer it returns.
func (c *caller) start(r request, f func(context.Context, *call) answer) {
	ctx, cancel := context.WithCancel(context.Background())
	k := &call{id: r.ID, cancel: cancel, wake: make(chan struct{}, 1)}
	c.mu.Lock()
	c.calls[k.id] = k
	c.mu.Unlock()
	c.all.Go(func() {
		last := f(ctx, k)
		cancel()
		c.mu.Lock()
		delete(c.calls, k.id)
		c.mu.Unlock()
		last.End = true
		c.answer(k, last)
	})
}

// pass hands a request to the call that it belongs to. One for a call that has
// ended is late, not wrong.
func (c *caller) pass(r request) {
	c.mu.Lock()
	k := c.calls[r.ID]
	c.mu.Unlock()
	switch {
	case k == nil:
	case r.Cancel:
		k.cancel()
	default:
		k.push(r)
	}
}

// answer writes a line.
func (c *caller) answer(k *call, a answer) {
	a.ID = k.id
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.out.Encode(a); err != nil {
		fmt.Fprintln(os.Stderr, "caller: the test does not read:", err)
		os.Exit(1)
	}
}

// end gives up all calls and waits for them.
func (c *caller) end() {
	c.mu.Lock()
	for _, k := range c.calls {
		k.cancel()
	}
	c.mu.Unlock()
	c.all.Wait()
}

// failed is the last answer of a call that failed.
func failed(err error) answer {
	s := status.Convert(err)
	return answer{Code: uint32(s.Code()), Error: s.Message()}
}
