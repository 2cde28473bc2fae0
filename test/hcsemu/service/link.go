package service

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/wire"
)

// link is one DLL of one process: its calls connection and, once there, its
// events connection.
type link struct {
	server  *Server
	hello   wire.Hello
	counted bool // in caller.links; guarded by Server.mu

	writeMu sync.Mutex // one reply at a time
	conn    io.ReadWriteCloser
	work    sync.WaitGroup
	ended   chan struct{} // closed by close

	mu      sync.Mutex
	handles map[uint64]hcsemu.Handle      // the client's number to the core's; guarded by mu
	calls   map[uint64]context.CancelFunc // under way; guarded by mu
	cancels map[uint64]func()             // subscriptions by handle; guarded by mu
	queue   []wire.Event                  // not sent yet; guarded by mu
	queued  chan struct{}                 // holds one token while queue may have something
}

func newLink(s *Server, hello wire.Hello, conn io.ReadWriteCloser) *link {
	return &link{
		server: s, hello: hello, conn: conn,
		ended:   make(chan struct{}),
		handles: map[uint64]hcsemu.Handle{},
		calls:   map[uint64]context.CancelFunc{},
		cancels: map[uint64]func(){},
		queued:  make(chan struct{}, 1),
	}
}

// takeCalls reads requests until the connection ends; then it cancels the
// calls that are under way and waits for them.
func (l *link) takeCalls(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer l.work.Wait()
	defer cancel()
	for {
		f, err := wire.Read(l.conn)
		if err != nil {
			return err
		}
		request, err := wire.ParseRequest(f)
		if err != nil {
			return err
		}
		l.begin(ctx, request)
	}
}

// begin decodes a request and starts its call.
func (l *link) begin(ctx context.Context, request wire.Request) {
	work, err := l.prepare(request)
	if err != nil {
		l.reply(request.Call, nil, err)
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	l.mu.Lock()
	l.calls[request.Call] = cancel
	l.mu.Unlock()
	l.work.Add(1)
	go func() {
		defer l.work.Done()
		outs, err := work(ctx)
		l.mu.Lock()
		delete(l.calls, request.Call)
		l.mu.Unlock()
		cancel()
		l.reply(request.Call, outs, err)
	}()
}

// prepare finds the function and lets it decode its arguments.
func (l *link) prepare(request wire.Request) (work, error) {
	args := wire.NewArgs(request.Args)
	if strings.HasPrefix(request.Name, adminPrefix) {
		do := l.server.admin[request.Name]
		if do == nil {
			return nil, unknown(request.Name)
		}
		return do(args)
	}
	do := l.server.handlers[request.Name]
	if do == nil {
		return nil, unknown(request.Name)
	}
	w := do(&call{link: l, client: l.server.client(l), function: request.Name}, args)
	if err := args.End(); err != nil {
		return nil, &hcsemu.Error{Code: hcsemu.EInvalidArg, Message: request.Name + ": " + err.Error()}
	}
	return w, nil
}

func unknown(name string) error {
	return &hcsemu.Error{Code: hcsemu.ENotImpl, Message: fmt.Sprintf("the emulator's service has no function %q", name)}
}

// reply sends the outcome of a call. The first value of every reply is the
// document: the error's, or the call's own answer.
func (l *link) reply(id uint64, outs []wire.Value, err error) {
	r := wire.Reply{Call: id, Outs: outs}
	if err != nil {
		r.Result = uint32(hcsemu.CodeOf(err))
		r.Outs = []wire.Value{optional(hcsemu.ResultDocument(err))}
	}
	b, err := wire.Append(nil, r.Frame())
	if err != nil { // an answer too large for a frame
		r = wire.Reply{Call: id, Result: uint32(hcsemu.EUnexpected), Outs: []wire.Value{{}}}
		if b, err = wire.Append(nil, r.Frame()); err != nil {
			return
		}
	}
	l.writeMu.Lock()
	defer l.writeMu.Unlock()
	_, _ = l.conn.Write(b) // if this fails the reading side ends the connection
}

// optional is a string, or null for the empty one.
func optional(s string) wire.Value {
	if s == "" {
		return wire.Value{}
	}
	return wire.String(s)
}

// reserve makes number stand for a handle of the core before the call that
// fills it.
func (l *link) reserve(number uint64, client *hcsemu.Client) hcsemu.Handle {
	h := client.Reserve()
	l.put(number, h)
	return h
}

func (l *link) put(number uint64, h hcsemu.Handle) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handles[number] = h
}

// handle returns what number stands for; the core refuses 0, which no number
// of an open handle stands for.
func (l *link) handle(number uint64) hcsemu.Handle {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.handles[number]
}

// remove returns what number stood for and forgets it and its subscription.
func (l *link) remove(number uint64) hcsemu.Handle {
	l.mu.Lock()
	h, cancel := l.handles[number], l.cancels[number]
	delete(l.handles, number)
	delete(l.cancels, number)
	l.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	return h
}

// cancelCall ends a call of this link that is under way.
func (l *link) cancelCall(id uint64) {
	l.mu.Lock()
	cancel := l.calls[id]
	l.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// push queues an event for the events connection. It never blocks: the core
// calls it while it delivers.
func (l *link) push(ev wire.Event) {
	l.mu.Lock()
	l.queue = append(l.queue, ev)
	l.mu.Unlock()
	select {
	case l.queued <- struct{}{}:
	default:
	}
}

// sendEvents sends what is queued until the connection or the link ends.
func (l *link) sendEvents(ctx context.Context, conn io.ReadWriteCloser) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		// The client sends nothing here: a read ends when the connection does.
		_, _ = io.Copy(io.Discard, conn)
		cancel()
	}()
	for {
		l.mu.Lock()
		events := l.queue
		l.queue = nil
		l.mu.Unlock()
		for _, ev := range events {
			if err := wire.Write(conn, ev.Frame()); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-l.ended:
			return nil
		case <-l.queued:
		}
	}
}

// close ends the link's subscriptions and its events connection. Handles go
// with the process's session.
func (l *link) close() {
	close(l.ended)
	l.mu.Lock()
	cancels := l.cancels
	l.cancels = nil
	l.handles = map[uint64]hcsemu.Handle{}
	l.mu.Unlock()
	for _, cancel := range cancels {
		cancel()
	}
}
