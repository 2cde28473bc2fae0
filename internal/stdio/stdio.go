// Package stdio connects the streams of a container's process to where the
// client wants them: named pipes that the client serves, or a logger process.
//
// # States of a set of streams
//
//	      Open                    Relay                    Drain
//	(-) ────────▶ open ────────────────────▶ relaying ─────────────▶ drained
//	               │                            │                       │
//	               └──────────── Close ─────────┴───────────────────────┴──▶ closed
//
// Open makes every connection that the client asked for, so that a wrong path
// fails the create, not the start. Nothing is read from the client's stdin
// before Relay, so nothing can get lost between the two.
//
// # What happens when the client goes away
//
// An output whose pipe breaks (containerd restarted) is dialled again with
// growing pauses, for [Config.RetryTimeout] (0: for ever). Meanwhile the bytes
// stay where they are: in one buffer of the relay and in the process's own
// pipe. So memory is bounded, nothing is dropped, and a process that writes
// much waits. When the timeout has passed, output is thrown away from then on
// and said so in the log: a process must not hang because nobody reads it.
// Stdin is not dialled again: a client that went away and one that closed its
// input look the same, and end the process's input.
//
// # Draining
//
// After the process has exited its output is relayed until its end. As long as
// bytes move, [Streams.Drain] waits. It gives up when nothing has moved for
// [IdleLimit] while waiting for the process (a grandchild may hold the pipe for
// ever), [StallLimit] while waiting for the reader, or [LostLimit] while the
// reader has gone. The caller's context is the cap over all of it: what a dead
// process has left is at most a full pipe and a full buffer, so what still moves
// when the cap is reached comes from a grandchild that goes on writing.
//
// # Concurrency
//
// One goroutine per stream. All methods of [Streams] may be called from any
// goroutine. No lock is held across a read or a write.
package stdio

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/isolrun/isol/internal/fault"
)

// The limits of [Streams.Drain], of a dial, and of a logger.
const (
	// IdleLimit is how long an exited process's output may stay silent before
	// it counts as ended. As runhcs does: 1 s after exit.
	IdleLimit = time.Second
	// StallLimit is how long a reader may take nothing while an exited
	// process's output waits for it.
	StallLimit = 10 * time.Second
	// LostLimit is how long an exited process's output waits for a reader that
	// has gone: long enough for one that is just coming back, short enough for
	// the end of a container whose client will not (ctr run -d).
	LostLimit = 2 * time.Second
	// DialLimit bounds the first dial of a pipe. The client serves its pipes
	// before it asks for the task, so a dial only waits if the pipe is busy.
	DialLimit = 10 * time.Second
	// LoggerLimit bounds a logger's start and its end. As runhcs does: 10 s.
	LoggerLimit = 10 * time.Second
	// closeStdinGrace is how long CloseStdin waits for bytes that the client
	// has written but that have not yet come through.
	closeStdinGrace = 500 * time.Millisecond
)

// Config says whose streams they are and where they go. Stdin, Stdout and
// Stderr are as the client sent them: empty for none, `\\.\pipe\name`, or, for
// the outputs, `binary:///C:/path/logger.exe?arg=value`.
type Config struct {
	ID, ExecID            string // ExecID is empty for the task's init process
	Namespace             string
	Stdin, Stdout, Stderr string
	Terminal              bool
	RetryTimeout          time.Duration // 0: dial a lost reader for ever
}

// System is what the package needs of the operating system.
type System interface {
	// Dial connects to a pipe that somebody serves. A pipe that nobody serves
	// is an error that matches fs.ErrNotExist, at once.
	Dial(ctx context.Context, path string) (net.Conn, error)
	// Listen serves a pipe that only administrators and this user may open.
	Listen(path string) (net.Listener, error)
	// Lost reports whether a write failed because the reader has gone, so that
	// dialling again makes sense.
	Lost(err error) bool
	// StartLogger runs a logger. It must not end with the context of a request.
	StartLogger(cmd LoggerCommand) (LoggerProcess, error)
}

// Opener opens streams. Its fields are set before the first use; Log may be nil.
type Opener struct {
	System System
	Log    *slog.Logger
}

// Native returns the System of this machine. Where there are no named pipes,
// every call of it fails and says so.
func Native() System { return native() }

// Streams are the connections of one process to its client.
type Streams struct {
	cfg     Config
	log     *slog.Logger
	ctx     context.Context // ends at Close: stops dialling
	cancel  context.CancelFunc
	stdin   *input
	outputs [2]*output // stdout, stderr; nil where there is none
	logger  *logger    // nil unless the outputs go to a logger

	relayOnce sync.Once
	closeOnce sync.Once
	closeErr  error
	outDone   chan struct{} // closed when every output's relay has ended
}

// Open connects what cfg asks for. Errors: InvalidArgument for a path of
// another kind, FailedPrecondition for a terminal with stderr, NotFound for a
// pipe that nobody serves, DeadlineExceeded, and for a logger what went wrong.
// On an error nothing stays open.
func (o *Opener) Open(ctx context.Context, cfg Config) (*Streams, error) {
	plan, err := decide(cfg)
	if err != nil {
		return nil, err
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Streams{cfg: cfg, log: log.With("id", cfg.ID, "exec", cfg.ExecID), outDone: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.connect(ctx, o.System, plan); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// connect makes the connections of plan; what it made before an error is
// closed by Close.
func (s *Streams) connect(ctx context.Context, sys System, p plan) error {
	dialing, cancel := context.WithTimeout(ctx, DialLimit)
	defer cancel()
	if p.stdin != "" {
		c, err := dial(dialing, sys, "stdin", p.stdin)
		if err != nil {
			return err
		}
		s.stdin = newInput(c, s.log)
	}
	if p.logger != nil {
		return s.connectLogger(ctx, sys, p)
	}
	for i, path := range []string{p.stdout, p.stderr} {
		if path == "" {
			continue
		}
		c, err := dial(dialing, sys, outputNames[i], path)
		if err != nil {
			return err
		}
		s.outputs[i] = newOutput(outputNames[i], &pipeSink{
			ctx: s.ctx, sys: sys, path: path, conn: c, timeout: s.cfg.RetryTimeout, log: s.log, hurry: make(chan struct{}),
		}, s.log)
	}
	return nil
}

var outputNames = [...]string{"stdout", "stderr"}

func dial(ctx context.Context, sys System, stream, path string) (net.Conn, error) {
	c, err := sys.Dial(ctx, path)
	if err == nil {
		return c, nil
	}
	return nil, &fault.Error{
		Kind: dialKind(err), Op: "connect " + stream, Subject: path, Err: err,
		Hint: "the client must serve this pipe before it asks for the task",
	}
}

// HasStdin reports whether the client gives the process an input.
func (s *Streams) HasStdin() bool { return s.stdin != nil }

// HasStdout reports whether the client wants the process's standard output.
func (s *Streams) HasStdout() bool { return s.outputs[0] != nil }

// HasStderr reports whether the client wants the process's standard error.
func (s *Streams) HasStderr() bool { return s.outputs[1] != nil }

// Relay starts copying between the process and the client and returns at once.
// Only the first call does anything. An end is nil where the process has no
// such stream; then the client's end stays unused. The relay closes stdin,
// which must end the process's input, when the client's input is at its end
// or after CloseStdin; closing stdout and stderr is the caller's.
func (s *Streams) Relay(stdin io.WriteCloser, stdout, stderr io.Reader) {
	s.relayOnce.Do(func() { s.relay(stdin, stdout, stderr) })
}

func (s *Streams) relay(stdin io.WriteCloser, stdout, stderr io.Reader) {
	if s.stdin != nil && stdin != nil {
		go s.stdin.relay(stdin)
	}
	var wg sync.WaitGroup
	for i, r := range []io.Reader{stdout, stderr} {
		out := s.outputs[i]
		switch {
		case out == nil:
		case r == nil:
			close(out.done)
		default:
			wg.Go(func() { out.relay(r) })
		}
	}
	go func() { wg.Wait(); close(s.outDone) }()
}

// CloseStdin ends the process's input: what the client has already written
// still reaches the process. It returns at once, is remembered until Relay,
// and is idempotent. The error is always nil.
func (s *Streams) CloseStdin() error {
	if s.stdin != nil {
		s.stdin.finish()
	}
	return nil
}

// Drain returns when all output of an exited process has reached the client.
// It gives up as the package comment says, where quiet takes the place of
// [IdleLimit] unless it is 0, with a DeadlineExceeded error that names the
// stream; or when ctx ends. Without Relay it returns nil at once.
func (s *Streams) Drain(ctx context.Context, quiet time.Duration) error {
	relayed := true
	s.relayOnce.Do(func() { relayed = false; close(s.outDone) })
	if !relayed {
		return nil
	}
	if quiet <= 0 {
		quiet = IdleLimit
	}
	return s.drain(ctx, quiet)
}

// Close ends the relays and gives up every connection. The caller closes the
// process's own streams first, or a relay may stay in a read until then. With
// a logger it waits for the logger's end, at most [LoggerLimit]. It is
// idempotent.
func (s *Streams) Close() error {
	s.closeOnce.Do(func() {
		s.cancel()
		if s.stdin != nil {
			s.stdin.close()
		}
		for _, out := range s.outputs {
			if out != nil {
				s.closeErr = errors.Join(s.closeErr, out.close())
			}
		}
		if s.logger != nil {
			s.closeErr = errors.Join(s.closeErr, s.logger.close())
		}
	})
	return s.closeErr
}
