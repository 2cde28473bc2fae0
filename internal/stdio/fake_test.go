package stdio

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
)

// fakeSystem is an operating system whose pipes are net.Pipes. A pipe exists
// while somebody serves it.
type fakeSystem struct {
	mu      sync.Mutex
	served  map[string]*fakeListener
	dials   int
	loggers func(c LoggerCommand, p *fakeLogger) // body of a logger's process
	noStart error
}

func newFakeSystem() *fakeSystem { return &fakeSystem{served: map[string]*fakeListener{}} }

func (s *fakeSystem) Dial(ctx context.Context, path string) (net.Conn, error) {
	s.mu.Lock()
	s.dials++
	l := s.served[path]
	s.mu.Unlock()
	if l == nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.gone:
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *fakeSystem) Listen(path string) (net.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.served[path] != nil {
		return nil, errors.New("pipe exists")
	}
	l := &fakeListener{sys: s, path: path, conns: make(chan net.Conn), gone: make(chan struct{})}
	s.served[path] = l
	return l, nil
}

func (s *fakeSystem) Lost(err error) bool { return errors.Is(err, io.ErrClosedPipe) }

func (s *fakeSystem) StartLogger(c LoggerCommand) (LoggerProcess, error) {
	if s.noStart != nil {
		return nil, s.noStart
	}
	p := &fakeLogger{sys: s, ended: make(chan struct{}), killed: make(chan struct{})}
	go func() {
		defer close(p.ended)
		s.loggers(c, p)
	}()
	return p, nil
}

func (s *fakeSystem) pipes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.served)
}

// serve serves a pipe as a client does and returns its listener.
func (s *fakeSystem) serve(t *testing.T, path string) *fakeListener {
	t.Helper()
	l, err := s.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	return l.(*fakeListener)
}

type fakeListener struct {
	sys   *fakeSystem
	path  string
	conns chan net.Conn
	gone  chan struct{}
	once  sync.Once
}

func (l *fakeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.gone:
		return nil, net.ErrClosed
	}
}

func (l *fakeListener) Close() error {
	l.once.Do(func() {
		l.sys.mu.Lock()
		delete(l.sys.served, l.path)
		l.sys.mu.Unlock()
		close(l.gone)
	})
	return nil
}

func (l *fakeListener) Addr() net.Addr { return nil }

// fakeLogger is a logger's process.
type fakeLogger struct {
	sys    *fakeSystem
	ended  chan struct{}
	killed chan struct{}
	once   sync.Once
	err    error
}

func (p *fakeLogger) Wait() error { <-p.ended; return p.err }

func (p *fakeLogger) Kill() error { p.once.Do(func() { close(p.killed) }); return nil }

// logBuffer collects a log.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// closer counts what a relay does with the process's input.
type inputSink struct {
	mu     sync.Mutex
	got    strings.Builder
	closed chan struct{}
	fail   error
}

func newInputSink() *inputSink { return &inputSink{closed: make(chan struct{})} }

func (s *inputSink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return 0, s.fail
	}
	return s.got.Write(p)
}

func (s *inputSink) Close() error { close(s.closed); return nil }

func (s *inputSink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.String()
}
