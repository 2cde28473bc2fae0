package gcs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/isolrun/isol/internal/hcs"
)

// call is a request whose response has not come.
type call struct {
	proc Procedure
	resp response
	done chan struct{} // closed when err is set
	err  error
	then func(error) // runs on the reader's goroutine before done is closed, may be nil
}

func (c *call) finish(err error) {
	c.err = err
	if c.then != nil {
		c.then(err)
	}
	close(c.done)
}

// bridge frames requests, matches responses and hands out notifications.
type bridge struct {
	conn   io.ReadWriteCloser
	log    *slog.Logger
	notify func(ContainerNotification)
	out    chan []byte
	linger time.Duration // from the break of the stream to the death of the bridge
	broken chan struct{} // closed when the stream is of no more use
	dead   chan struct{} // closed when the bridge is dead; err is set before
	breaks sync.Once     // closes broken

	mu     sync.Mutex
	nextID int64
	calls  map[int64]*call             // nil once dead; a nil call is one that was given up
	late   map[int64]func(body []byte) // what to do with the response to a call that was given up
	err    error
	cause  error       // why the stream broke, nil if it has not
	timer  *time.Timer // of linger, nil before the stream has broken
}

// newBridge takes conn over. notify runs on the reader's goroutine and must not block.
func newBridge(conn io.ReadWriteCloser, log *slog.Logger, linger time.Duration, notify func(ContainerNotification)) *bridge {
	b := &bridge{
		conn: conn, log: log, notify: notify, linger: linger,
		out:    make(chan []byte),
		broken: make(chan struct{}),
		dead:   make(chan struct{}),
		calls:  map[int64]*call{},
		late:   map[int64]func([]byte){},
	}
	go b.write()
	go b.read()
	return b
}

// errClosed is the reason of a bridge that isol itself closed.
var errClosed = errors.New("the guest connection was closed")

// close kills the bridge. It is idempotent; the first reason stays.
func (b *bridge) close(reason error) {
	b.mu.Lock()
	if b.calls == nil {
		b.mu.Unlock()
		return
	}
	calls := b.calls
	b.calls = nil
	b.err = fmt.Errorf("%w: %w", hcs.ErrDisconnected, reason)
	if b.timer != nil {
		b.timer.Stop()
	}
	b.mu.Unlock()

	b.breaks.Do(func() { close(b.broken) })
	close(b.dead)
	// The stream is of no more use whatever Close says of it.
	_ = b.conn.Close()
	for _, c := range calls {
		if c != nil {
			c.finish(b.err)
		}
	}
}

// broke takes note that the stream has ended. Calls go on waiting for linger, in
// which somebody may find out why, and call close.
func (b *bridge) broke(reason error) {
	b.mu.Lock()
	if b.cause == nil {
		b.cause = reason
	}
	b.mu.Unlock()
	b.breaks.Do(func() { close(b.broken) })
	if b.linger <= 0 {
		b.close(reason)
		return
	}
	_ = b.conn.Close() // lets go whoever writes
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.calls != nil && b.timer == nil {
		b.timer = time.AfterFunc(b.linger, func() { b.close(reason) })
	}
}

// reason returns why the bridge died. It must be called only after dead is closed.
func (b *bridge) reason() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// send issues a request and returns at once, with the error if the bridge is
// dead or req cannot be encoded. then, if not nil, learns the outcome.
func (b *bridge) send(ctx context.Context, proc Procedure, req any, resp response, then func(error)) (int64, *call, error) {
	if ctx.Err() != nil {
		return 0, nil, contextError(ctx)
	}
	body, err := json.Marshal(req)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %w", hcs.ErrInvalidDocument, err)
	}
	c := &call{proc: proc, resp: resp, done: make(chan struct{}), then: then}
	b.mu.Lock()
	if b.calls == nil {
		defer b.mu.Unlock()
		return 0, nil, b.err
	}
	b.nextID++
	id := b.nextID
	b.calls[id] = c
	b.mu.Unlock()

	frame, err := Frame{Type: proc.Request(), ID: id, Body: body}.Append(make([]byte, 0, headerSize+len(body)))
	if err != nil {
		b.forget(id)
		return 0, nil, fmt.Errorf("%w: %w", hcs.ErrInvalidDocument, err)
	}
	select {
	case b.out <- frame:
		return id, c, nil
	case <-b.dead:
		return 0, nil, b.reason()
	case <-ctx.Done():
		b.forget(id)
		return 0, nil, contextError(ctx)
	}
}

// call issues a request and waits for its response or the end of ctx. late, if
// not nil, gets a response that comes after that, on a goroutine of its own:
// it undoes what the guest has done for nobody.
func (b *bridge) call(ctx context.Context, proc Procedure, req any, resp response, late func(body []byte)) error {
	id, c, err := b.send(ctx, proc, req, resp, nil)
	if err != nil {
		return err
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		if b.giveUp(id, late) {
			return contextError(ctx)
		}
		<-c.done // the response came in the same moment
		return c.err
	}
}

// contextError says what the end of ctx means to a caller: a passed deadline
// is the guest's silence.
func contextError(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", hcs.ErrTimeout, context.Cause(ctx))
	}
	return context.Cause(ctx)
}

// giveUp keeps the id of a call reserved, until its response comes and goes to
// late. It reports false if the response has come.
func (b *bridge) giveUp(id int64, late func([]byte)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.calls[id]; c == nil {
		return false
	}
	b.calls[id] = nil
	if late != nil {
		b.late[id] = late
	}
	return true
}

// forget frees the id of a request that was never sent.
func (b *bridge) forget(id int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.calls, id)
}

func (b *bridge) write() {
	for {
		select {
		case frame := <-b.out:
			if _, err := b.conn.Write(frame); err != nil {
				b.broke(fmt.Errorf("write to the guest: %w", err))
				return
			}
		case <-b.dead:
			return
		}
	}
}

func (b *bridge) read() {
	r := bufio.NewReader(b.conn)
	for {
		f, err := ReadFrame(r)
		if err != nil {
			if err == io.EOF {
				err = errors.New("the guest closed the connection")
			}
			b.broke(err)
			return
		}
		b.receive(f)
	}
}

// receive handles one whole frame. Nothing in a frame's body can break the
// framing, so nothing here kills the bridge.
func (b *bridge) receive(f Frame) {
	switch f.Type & kindMask {
	case kindResponse:
		b.receiveResponse(f)
	case kindNotify:
		var n ContainerNotification
		if f.Type != NotifyContainer {
			b.log.Warn("guest sent a notification of unknown type, dropped", "type", uint32(f.Type))
		} else if err := json.Unmarshal(f.Body, &n); err != nil {
			b.log.Error("guest sent a notification that cannot be decoded, dropped", "error", err)
		} else {
			b.notify(n)
		}
	default:
		b.log.Warn("guest sent a message that is neither response nor notification, dropped", "type", uint32(f.Type))
	}
}

func (b *bridge) receiveResponse(f Frame) {
	b.mu.Lock()
	c, known := b.calls[f.ID]
	late := b.late[f.ID]
	delete(b.calls, f.ID)
	delete(b.late, f.ID)
	b.mu.Unlock()
	switch {
	case !known:
		b.log.Warn("guest answered a call that was never made, dropped", "id", f.ID, "type", uint32(f.Type))
	case c == nil:
		b.log.Debug("guest answered a call that was given up", "id", f.ID, "procedure", f.Type.Procedure())
		if late != nil {
			go late(f.Body)
		}
	case f.Type != c.proc.Response():
		c.finish(fmt.Errorf("%w: the guest answered %v with %v", hcs.ErrUnknown, c.proc, f.Type.Procedure()))
	default:
		if err := json.Unmarshal(f.Body, c.resp); err != nil {
			c.finish(fmt.Errorf("%w: the guest's answer cannot be decoded: %w", hcs.ErrUnknown, err))
			return
		}
		c.finish(nil)
	}
}
