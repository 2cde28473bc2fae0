package stdio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/isolrun/isol/internal/fault"
)

// A relay that waits holds a small buffer, so that an idle container costs
// little; one whose reads fill it borrows a large one while the flow lasts.
const (
	smallBuffer = 4 << 10
	largeBuffer = 128 << 10
)

var largeBuffers = sync.Pool{New: func() any { b := make([]byte, largeBuffer); return &b }}

// buffer chooses between the two sizes.
type buffer struct {
	small []byte
	large *[]byte
}

func (b *buffer) bytes() []byte {
	if b.large != nil {
		return *b.large
	}
	if b.small == nil {
		b.small = make([]byte, smallBuffer)
	}
	return b.small
}

// saw adapts the buffer to a read of n bytes.
func (b *buffer) saw(n int) {
	switch {
	case b.large == nil && n == smallBuffer:
		b.large = largeBuffers.Get().(*[]byte)
	case b.large != nil && n < smallBuffer:
		b.release()
	}
}

func (b *buffer) release() {
	if b.large != nil {
		largeBuffers.Put(b.large)
		b.large = nil
	}
}

// output relays one output of the process.
type output struct {
	name     string
	sink     io.WriteCloser
	log      *slog.Logger
	steps    atomic.Uint64 // counts reads and writes that have ended: progress
	writing  atomic.Bool   // waiting for the reader, not for the process
	draining atomic.Bool   // write in pieces of pace, so that a slow reader shows as progress
	pace     pace          // the relay's own
	done     chan struct{} // closed when the relay has ended
	pipe     *pipeSink     // the sink, if it is a pipe that can be dialled again
}

// pace chooses how much is written at once while somebody waits for the end. A
// reader must show within [StallLimit] that it takes what it is given, so it
// gets little; as long as it takes that at once it gets twice as much the next
// time, since what a program has left in a socket can be megabytes.
type pace struct{ piece int }

const (
	drainPiece = 4 << 10                // the least
	drainQuick = 100 * time.Millisecond // at once
)

// next is how many of n bytes to write.
func (p *pace) next(n int) int {
	p.piece = max(p.piece, drainPiece)
	return min(n, p.piece)
}

// took adapts to how long the last piece took.
func (p *pace) took(d time.Duration) {
	if d > drainQuick {
		p.piece = drainPiece
	} else {
		p.piece = min(2*p.piece, largeBuffer)
	}
}

func newOutput(name string, to io.WriteCloser, log *slog.Logger) *output {
	pipe, _ := to.(*pipeSink)
	return &output{name: name, sink: to, pipe: pipe, log: log.With("stream", name), done: make(chan struct{})}
}

// relay copies until the end of r. When the sink fails for good the rest is
// read and thrown away, so that the process does not block.
func (o *output) relay(r io.Reader) {
	defer close(o.done)
	defer func() { _ = o.sink.Close() }()
	var buf buffer
	defer buf.release()
	discard := false
	for {
		b := buf.bytes()
		n, err := r.Read(b)
		o.steps.Add(1)
		if n > 0 && !discard {
			if werr := o.deliver(b[:n]); werr != nil {
				discard = true
				o.log.Warn("the reader of an output is gone: the rest is thrown away", "error", werr)
			}
		}
		if err != nil {
			if !endOfStream(err) {
				o.log.Warn("reading an output of the process failed", "error", err)
			}
			return
		}
		buf.saw(n)
	}
}

func (o *output) deliver(b []byte) error {
	o.writing.Store(true)
	defer o.writing.Store(false)
	for len(b) > 0 {
		piece, draining := b, o.draining.Load()
		if draining {
			piece = b[:o.pace.next(len(b))]
		}
		began := time.Now()
		n, err := o.sink.Write(piece)
		o.steps.Add(1)
		if draining {
			o.pace.took(time.Since(began))
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// close gives up the sink; a relay in a write ends.
func (o *output) close() error {
	err := o.sink.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func endOfStream(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) || closedFile(err)
}

// drain waits for the outputs' ends as Streams.Drain says. It looks at each
// output's steps ten times per quiet time and restarts the clock of those that
// have made one.
func (s *Streams) drain(ctx context.Context, quiet time.Duration) error {
	tick := time.NewTicker(quiet / 10)
	defer tick.Stop()
	now := time.Now()
	clocks := [2]clock{{since: now}, {since: now}}
	for _, out := range s.outputs {
		if out != nil {
			out.expectEnd()
		}
	}
	for {
		select {
		case <-s.outDone:
			return nil
		case <-ctx.Done():
			return fault.Wrap(context.Cause(ctx), "drain output", s.cfg.ID)
		case <-s.ctx.Done():
			return fault.New(fault.Canceled, "drain output %s: the streams were closed", s.cfg.ID)
		case now := <-tick.C:
			for i, out := range s.outputs {
				if out == nil || out.ended() {
					continue
				}
				writing := out.writing.Load() // before steps: a write that ends in between counts as a step
				if err := out.overdue(writing, clocks[i].still(out.steps.Load(), now), quiet); err != nil {
					return fault.Wrap(err, "drain output", s.cfg.ID)
				}
			}
		}
	}
}

// clock measures for how long a counter has stood still.
type clock struct {
	seen  uint64
	since time.Time
}

func (c *clock) still(count uint64, now time.Time) time.Duration {
	if count != c.seen {
		c.seen, c.since = count, now
	}
	return now.Sub(c.since)
}

// expectEnd prepares the relay for somebody who waits for its end.
func (o *output) expectEnd() {
	o.draining.Store(true)
	if o.pipe != nil {
		o.pipe.hurryOnce.Do(func() { close(o.pipe.hurry) })
	}
}

func (o *output) ended() bool {
	select {
	case <-o.done:
		return true
	default:
		return false
	}
}

// overdue returns an error if the output has stood still for too long.
func (o *output) overdue(writing bool, still, quiet time.Duration) error {
	switch {
	case writing && o.pipe != nil && o.pipe.lost.Load():
		if still >= LostLimit {
			return fault.New(fault.DeadlineExceeded, "%s: its reader has gone and did not come back within %v", o.name, LostLimit)
		}
	case writing && still >= StallLimit:
		return fault.New(fault.DeadlineExceeded, "%s: its reader took nothing for %v", o.name, StallLimit)
	case !writing && still >= quiet:
		return fault.New(fault.DeadlineExceeded,
			"%s: still open but silent %v after the process ended, another process may hold it", o.name, quiet)
	}
	return nil
}

// pipeSink writes to a pipe that the client serves and dials it again when the
// client has gone. Only the relay calls Write; Close may come from anywhere.
type pipeSink struct {
	ctx     context.Context
	sys     System
	path    string
	timeout time.Duration
	log     *slog.Logger

	lost      atomic.Bool   // the reader has gone
	hurry     chan struct{} // closed when somebody waits for the end: dial often
	hurryOnce sync.Once

	mu     sync.Mutex
	conn   net.Conn // guarded by mu
	closed bool     // guarded by mu
}

// Write writes all of p, over as many connections as it takes.
func (s *pipeSink) Write(p []byte) (int, error) {
	done := 0
	for {
		conn, err := s.current()
		if err != nil {
			return done, err
		}
		n, err := conn.Write(p[done:])
		done += n
		if err == nil && done == len(p) {
			return done, nil
		}
		if err == nil {
			err = io.ErrShortWrite
		}
		if !s.sys.Lost(err) {
			return done, err
		}
		s.log.Warn("lost the reader of an output, dialling it again", "pipe", s.path, "error", err)
		s.lost.Store(true)
		if err := s.redial(conn); err != nil {
			return done, err
		}
		s.lost.Store(false)
		s.log.Info("found the reader of an output again", "pipe", s.path)
	}
}

func (s *pipeSink) current() (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, net.ErrClosed
	}
	return s.conn, nil
}

// The pauses between dials: doubled each time, with some chance so that many
// shims do not dial a new containerd in step. As runhcs does: 200 ms to 1 min.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = time.Minute
)

func (s *pipeSink) redial(old net.Conn) error {
	_ = old.Close()
	ctx := s.ctx
	if s.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.timeout,
			fmt.Errorf("nobody served %s for %v", s.path, s.timeout))
		defer cancel()
	}
	hurry := s.hurry
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		conn, err := s.sys.Dial(ctx, s.path)
		if err == nil {
			return s.adopt(conn)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-hurry:
			hurry, pause = nil, firstPause/2 // doubled above
		case <-time.After(pause/2 + rand.N(pause)): // 0.5 to 1.5 of the pause
		}
	}
}

func (s *pipeSink) adopt(conn net.Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.Join(net.ErrClosed, conn.Close())
	}
	s.conn = conn
	return nil
}

// Close closes the connection; it is idempotent.
func (s *pipeSink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.conn.Close()
}

// input relays the client's input to the process.
type input struct {
	conn net.Conn
	log  *slog.Logger
	end  chan struct{} // closed by finish
	once sync.Once
}

func newInput(c net.Conn, log *slog.Logger) *input {
	return &input{conn: c, log: log.With("stream", "stdin"), end: make(chan struct{})}
}

// relay copies to w until the client's end, then ends the process's input.
func (in *input) relay(w io.WriteCloser) {
	defer in.close()
	var buf buffer
	defer buf.release()
	for {
		b := buf.bytes()
		n, err := in.read(b)
		if n > 0 {
			if _, werr := w.Write(b[:n]); werr != nil {
				if !endOfStream(werr) {
					in.log.Debug("the process takes no more input", "error", werr)
				}
				return
			}
		}
		if err != nil {
			break
		}
		buf.saw(n)
	}
	if err := w.Close(); err != nil && !endOfStream(err) {
		in.log.Debug("ending the process's input failed", "error", err)
	}
}

// read reads what the client wrote. After finish it ends when the client's
// pipe does, or when nothing has come for closeStdinGrace: the client calls
// CloseIO while its last bytes may still be on their way.
func (in *input) read(b []byte) (int, error) {
	select {
	case <-in.end:
		_ = in.conn.SetReadDeadline(time.Now().Add(closeStdinGrace))
	default:
	}
	n, err := in.conn.Read(b)
	if err == nil || n > 0 {
		return n, nil
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, err
	}
	return 0, io.EOF // the grace is over
}

func (in *input) finish() {
	in.once.Do(func() {
		close(in.end)
		_ = in.conn.SetReadDeadline(time.Now().Add(closeStdinGrace))
	})
}

func (in *input) close() { _ = in.conn.Close() }
