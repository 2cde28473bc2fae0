package service

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/wire"
)

// Exporter gives the ends of a process's pipes to the process that asked for
// them: as handles that are valid there.
type Exporter interface {
	// Export returns the handles in the process pid, 0 for pipes that there
	// are not. A failure leaves none behind.
	Export(pid uint32, stdio hcsemu.Stdio) (in, out, errs uint64, err error)
}

// Machines are the virtual machines behind the emulator, as a test sees and
// disturbs them (test/hcsemu/vm). Answers are for JSON.
type Machines interface {
	// List describes those that run and those that ran.
	List() any
	// Do carries out a verb on a running one.
	Do(ctx context.Context, verb, id string) (any, error)
}

// Config is what a Server needs.
type Config struct {
	Emulator *hcsemu.Emulator
	Exporter Exporter
	Machines Machines // nil: machines have no guests
	Log      *slog.Logger
}

// Server serves connections. All methods may be called from any goroutine.
type Server struct {
	config   Config
	handlers map[string]handler
	admin    map[string]adminHandler
	stopped  chan struct{} // closed when an administrator asks to stop
	stopOnce sync.Once
	conns    sync.WaitGroup

	mu      sync.Mutex
	callers map[uint32]*caller // by process id; guarded by mu
	links   map[uint64]*link   // by token; guarded by mu
}

// caller is the session of one process, shared by the DLLs it has loaded.
type caller struct {
	client *hcsemu.Client
	links  int // guarded by Server.mu
}

// New returns a server of the emulator.
func New(config Config) *Server {
	s := &Server{
		config:   config,
		handlers: handlers(),
		stopped:  make(chan struct{}),
		callers:  map[uint32]*caller{},
		links:    map[uint64]*link{},
	}
	s.admin = s.adminHandlers()
	return s
}

// Serve accepts connections until ctx ends or an administrator asks to stop.
// It closes the listener, ends all connections and returns when they have ended.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.conns.Wait()
	defer cancel()
	go func() {
		select {
		case <-ctx.Done():
		case <-s.stopped:
		}
		_ = listener.Close() // Accept returns; nothing else is of interest
	}()
	for {
		conn, err := listener.Accept()
		if err != nil {
			select {
			case <-ctx.Done():
				return nil
			case <-s.stopped:
				return nil
			default:
				return err
			}
		}
		s.conns.Add(1)
		go func() {
			defer s.conns.Done()
			s.ServeConn(ctx, conn)
		}()
	}
}

// Stop makes Serve return.
func (s *Server) Stop() { s.stopOnce.Do(func() { close(s.stopped) }) }

// ServeConn serves one connection until it ends or ctx does, and closes it.
func (s *Server) ServeConn(ctx context.Context, conn io.ReadWriteCloser) {
	// The connection ends before its calls do: callers of a service that stops
	// lose it, and are not told that they gave their calls up.
	calls, cancel := context.WithCancel(context.WithoutCancel(ctx))
	hangUp := func() {
		_ = conn.Close() // ends reads and writes
		cancel()
	}
	stop := context.AfterFunc(ctx, hangUp)
	defer hangUp()
	defer stop()
	err := s.converse(calls, conn)
	if err != nil && !errors.Is(err, io.EOF) && ctx.Err() == nil {
		s.config.Log.Info("connection ended", "err", err)
	}
}

// converse reads the hello and lets the role's loop do the rest.
func (s *Server) converse(ctx context.Context, conn io.ReadWriteCloser) error {
	first, err := wire.Read(conn)
	if err != nil {
		return err
	}
	hello, err := wire.ParseHello(first)
	var l *link
	if err == nil {
		l, err = s.join(hello, conn)
	}
	if err != nil {
		_ = wire.Write(conn, wire.Reply{Call: first.ID, Result: uint32(hcsemu.ENotSupported)}.Frame()) // best effort
		return err
	}
	if hello.Role == wire.RoleEvents {
		if err := wire.Write(conn, wire.Reply{Call: hello.Token}.Frame()); err != nil {
			return err
		}
		return l.sendEvents(ctx, conn)
	}
	defer s.leave(l)
	if err := wire.Write(conn, wire.Reply{Call: hello.Token}.Frame()); err != nil {
		return err
	}
	return l.takeCalls(ctx)
}

// join finds the link of an events connection, or makes one for a calls connection.
func (s *Server) join(hello wire.Hello, conn io.ReadWriteCloser) (*link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.links[hello.Token]
	switch {
	case hello.Role == wire.RoleEvents && l == nil:
		return nil, errors.New("events connection without calls connection")
	case hello.Role == wire.RoleCalls && l != nil:
		return nil, errors.New("token is in use")
	case l != nil:
		return l, nil
	}
	l = newLink(s, hello, conn)
	s.links[hello.Token] = l
	return l, nil
}

// client returns the session of the link's process in the view of its DLL,
// and makes one if this is its first call.
func (s *Server) client(l *link) *hcsemu.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.callers[l.hello.PID]
	if c == nil {
		exe := l.hello.Exe[strings.LastIndexAny(l.hello.Exe, `\/`)+1:]
		c = &caller{client: s.config.Emulator.Connect(hcsemu.Caller{PID: l.hello.PID, Exe: exe})}
		s.callers[l.hello.PID] = c
	}
	if !l.counted {
		l.counted = true
		c.links++
	}
	if strings.EqualFold(l.hello.DLL, "vmcompute.dll") {
		return c.client.As(hcsemu.VMCompute)
	}
	return c.client
}

// leave undoes join after a calls connection has ended.
func (s *Server) leave(l *link) {
	s.mu.Lock()
	delete(s.links, l.hello.Token)
	var last *hcsemu.Client
	if c := s.callers[l.hello.PID]; c != nil && l.counted {
		c.links--
		if c.links == 0 {
			delete(s.callers, l.hello.PID)
			last = c.client
		}
	}
	s.mu.Unlock()
	l.close()
	if last != nil {
		last.Disconnect()
	}
}
