package stdio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/isolrun/isol/internal/fault"
)

// LoggerCommand is a logger to run. Its environment holds nothing but what
// runhcs gives loggers: CONTAINER_ID, CONTAINER_NAMESPACE, and the pipes to
// read in CONTAINER_STDOUT, CONTAINER_STDERR and, to say that it is ready, to
// write a byte to or close, CONTAINER_WAIT.
type LoggerCommand struct {
	Path string
	Args []string
	Env  []string

	pipes [3]string // stdout, stderr, wait
}

// LoggerProcess is a running logger.
type LoggerProcess interface {
	// Wait returns when the logger has ended, with an error unless it ended
	// with code 0. It is called once.
	Wait() error
	// Kill ends the logger.
	Kill() error
}

// logger is a running logger and the pipes that the shim serves for it.
type logger struct {
	cmd   LoggerCommand
	proc  LoggerProcess
	conns [2]net.Conn // stdout, stderr
	log   *slog.Logger
	done  chan struct{} // closed when the process has ended
	err   error         // how it ended; read after done

	mu      sync.Mutex
	closing bool // guarded by mu: the end is expected
}

// connectLogger starts the logger and waits until it is ready for both outputs.
func (s *Streams) connectLogger(ctx context.Context, sys System, p plan) error {
	l, err := startLogger(ctx, sys, *p.logger, s.log)
	if err != nil {
		return fault.Wrap(err, "start logger", p.logger.Path)
	}
	s.logger = l
	for i := range l.conns {
		if i == 1 && s.cfg.Terminal {
			// A console has one output: the logger waits for the end of both.
			return l.conns[i].Close()
		}
		s.outputs[i] = newOutput(outputNames[i], l.conns[i], s.log)
	}
	return nil
}

// startLogger serves the three pipes, runs the program and waits until it has
// taken the outputs and said that it is ready.
func startLogger(ctx context.Context, sys System, cmd LoggerCommand, log *slog.Logger) (_ *logger, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, LoggerLimit, fault.New(fault.DeadlineExceeded,
		"it did not take its outputs and write to or close CONTAINER_WAIT within %v", LoggerLimit))
	defer cancel()
	var listeners []net.Listener
	defer func() {
		for _, ln := range listeners {
			_ = ln.Close()
		}
	}()
	for _, path := range cmd.pipes {
		ln, err := sys.Listen(path)
		if err != nil {
			return nil, fault.New(fault.Unavailable, "serve %s: %w", path, err)
		}
		listeners = append(listeners, ln)
	}
	proc, err := sys.StartLogger(cmd)
	if err != nil {
		return nil, &fault.Error{Kind: dialKind(err), Err: err, Hint: "the URI must name a program on this machine"}
	}
	l := &logger{cmd: cmd, proc: proc, log: log, done: make(chan struct{})}
	go l.watch()
	conns, err := l.acceptAll(ctx, listeners)
	if err != nil {
		l.abandon()
		return nil, err
	}
	copy(l.conns[:], conns)
	return l, nil
}

// acceptAll waits for the logger's connections, and for its byte or end of
// stream on the third.
func (l *logger) acceptAll(ctx context.Context, listeners []net.Listener) ([]net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		i    int
		conn net.Conn
		err  error
	}
	results := make(chan result, len(listeners))
	for i, ln := range listeners {
		go func() {
			c, err := ln.Accept()
			if err == nil && i == len(listeners)-1 {
				err = l.awaitReady(ctx, c)
			}
			results <- result{i, c, err}
		}()
	}
	conns := make([]net.Conn, len(listeners))
	fail := func(got int, err error) ([]net.Conn, error) {
		cancel()
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
		for _, ln := range listeners {
			_ = ln.Close()
		}
		for ; got < len(listeners); got++ {
			if r := <-results; r.conn != nil {
				_ = r.conn.Close()
			}
		}
		return nil, err
	}
	for got := range listeners {
		select {
		case r := <-results:
			conns[r.i] = r.conn
			if r.err != nil {
				return fail(got+1, r.err)
			}
		case <-l.done:
			return fail(got, fault.New(fault.FailedPrecondition, "it ended before it was ready: %s", l.ending()))
		case <-ctx.Done():
			return fail(got, context.Cause(ctx))
		}
	}
	_ = conns[2].Close()
	return conns[:2], nil
}

// readyGrace is how long a logger that closed CONTAINER_WAIT without a byte
// must live to count as ready.
const readyGrace = 100 * time.Millisecond

// awaitReady waits for a byte or the end of the wait pipe. containerd's loggers
// write a byte and close, those made for runhcs may only close; but so does one
// that dies, hence the grace.
func (l *logger) awaitReady(ctx context.Context, c net.Conn) error {
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Now()) })
	defer stop()
	_, err := c.Read(make([]byte, 1))
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("read CONTAINER_WAIT: %w", err)
	}
	select {
	case <-l.done:
		return fault.New(fault.FailedPrecondition, "it ended before it was ready: %s", l.ending())
	case <-time.After(readyGrace):
		return nil
	}
}

// watch notes the logger's end and reports one that nobody asked for.
func (l *logger) watch() {
	l.err = l.proc.Wait()
	close(l.done)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closing {
		l.log.Error("the logger died: what the process writes from now on is lost",
			"logger", l.cmd.Path, "ended", l.ending())
	}
}

// ending says how the logger ended; only after done is closed.
func (l *logger) ending() string {
	if l.err == nil {
		return "exit code 0"
	}
	return l.err.Error()
}

func (l *logger) expectEnd() {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
}

// abandon kills a logger that never became ready.
func (l *logger) abandon() {
	l.expectEnd()
	if err := l.proc.Kill(); err != nil {
		l.log.Warn("killing a logger failed", "logger", l.cmd.Path, "error", err)
	}
}

// close waits for the logger's end; its pipes have been closed before. One
// that does not end in time is killed.
func (l *logger) close() error {
	l.expectEnd()
	select {
	case <-l.done:
	case <-time.After(LoggerLimit):
		l.abandon()
		return fault.New(fault.DeadlineExceeded, "the logger %s did not end within %v of its last byte and was killed", l.cmd.Path, LoggerLimit)
	}
	if l.err != nil {
		return fault.New(fault.Unknown, "the logger %s failed: %w", l.cmd.Path, l.err)
	}
	return nil
}
