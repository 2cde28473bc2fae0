package stdio

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isolrun/isol/internal/fault"
)

const loggerURI = "binary:///C:/logger.exe"

// connect is what every logger does first.
func (p *fakeLogger) connect(t *testing.T, c LoggerCommand) (out, errs, wait net.Conn) {
	conns := make([]net.Conn, 3)
	for i, path := range c.pipes {
		conn, err := p.sys.Dial(context.Background(), path)
		if err != nil {
			t.Error(err)
			return
		}
		conns[i] = conn
	}
	return conns[0], conns[1], conns[2]
}

// Both ways of saying "ready" must work: containerd's package writes a byte and
// closes, loggers for runhcs may only close. Then both outputs arrive.
func TestLoggerGetsBothOutputs(t *testing.T) {
	for name, ready := range map[string]func(net.Conn){
		"byte":  func(c net.Conn) { _, _ = c.Write([]byte{0}); _ = c.Close() },
		"close": func(c net.Conn) { _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := newFakeSystem()
				var gotOut, gotErr string
				sys.loggers = func(c LoggerCommand, p *fakeLogger) {
					out, errs, wait := p.connect(t, c)
					ready(wait)
					done := readAll(out)
					b, _ := io.ReadAll(errs)
					gotOut, gotErr = <-done, string(b)
				}
				s := open(t, sys, nil, Config{ID: "c1", Stdout: loggerURI, Stderr: loggerURI})
				s.Relay(nil, strings.NewReader("out"), strings.NewReader("err"))
				if err := s.Drain(t.Context(), 0); err != nil {
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if gotOut != "out" || gotErr != "err" {
					t.Errorf("the logger read %q and %q", gotOut, gotErr)
				}
				if n := sys.pipes(); n != 0 {
					t.Errorf("%d pipes are still served", n)
				}
			})
		})
	}
}

// A terminal has no error output, but its logger waits for the end of both:
// with one left open the exit event of every `run -t` came ten seconds late.
func TestLoggerOfTerminalEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newFakeSystem()
		var got string
		sys.loggers = func(c LoggerCommand, p *fakeLogger) {
			out, errs, wait := p.connect(t, c)
			_ = wait.Close()
			done := readAll(out)
			_, _ = io.ReadAll(errs)
			got = <-done
		}
		s := open(t, sys, nil, Config{ID: "c1", Stdout: loggerURI, Terminal: true})
		start := time.Now()
		s.Relay(nil, strings.NewReader("out"), nil)
		if err := s.Drain(t.Context(), 0); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); got != "out" || took >= time.Second {
			t.Errorf("the logger read %q, its end took %v", got, took)
		}
	})
}

func TestLoggerThatFails(t *testing.T) {
	cases := []struct {
		name  string
		run   func(t *testing.T, c LoggerCommand, p *fakeLogger)
		start error
		kind  fault.Kind
		says  string
		took  time.Duration
	}{
		{
			name: "is not there", start: &fs.PathError{Op: "exec", Path: `C:\logger.exe`, Err: fs.ErrNotExist},
			kind: fault.NotFound, says: `start logger C:\logger.exe`,
		},
		{
			name: "dies before it is ready",
			run:  func(_ *testing.T, _ LoggerCommand, p *fakeLogger) { p.err = errors.New("exit status 3") },
			kind: fault.FailedPrecondition, says: "it ended before it was ready: exit status 3",
		},
		{
			name: "dies after its connections",
			run: func(t *testing.T, c LoggerCommand, p *fakeLogger) {
				p.connect(t, c)
				p.err = errors.New("exit status 4")
			},
			kind: fault.FailedPrecondition, says: "exit status 4",
		},
		{
			name: "dies and its wait pipe closes first",
			run: func(t *testing.T, c LoggerCommand, p *fakeLogger) {
				_, _, wait := p.connect(t, c)
				_ = wait.Close()
				time.Sleep(readyGrace / 2)
				p.err = errors.New("exit status 5")
			},
			kind: fault.FailedPrecondition, says: "exit status 5", took: readyGrace / 2,
		},
		{
			name: "never says that it is ready",
			run: func(t *testing.T, c LoggerCommand, p *fakeLogger) {
				p.connect(t, c)
				<-p.killed
			},
			kind: fault.DeadlineExceeded, says: "CONTAINER_WAIT within 10s", took: LoggerLimit,
		},
		{
			name: "never connects",
			run:  func(_ *testing.T, _ LoggerCommand, p *fakeLogger) { <-p.killed },
			kind: fault.DeadlineExceeded, says: "CONTAINER_WAIT within 10s", took: LoggerLimit,
		},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := newFakeSystem()
				sys.noStart = tc.start
				sys.loggers = func(c LoggerCommand, p *fakeLogger) { tc.run(t, c, p) }
				start := time.Now()
				_, err := (&Opener{System: sys}).Open(t.Context(), Config{ID: "c1", Stdout: loggerURI})
				if !fault.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("error %v (%v), want %v with %q", err, fault.KindOf(err), tc.kind, tc.says)
				}
				if took := time.Since(start); took != tc.took {
					t.Errorf("took %v, want %v", took, tc.took)
				}
				synctest.Wait()
				if n := sys.pipes(); n != 0 {
					t.Errorf("%d pipes are still served", n)
				}
			})
		})
	}
}

// A logger that dies while the container runs must be seen in the log, and the
// container must run on.
func TestLoggerThatDiesLaterIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, log := newFakeSystem(), &logBuffer{}
		sys.loggers = func(c LoggerCommand, p *fakeLogger) {
			out, errs, wait := p.connect(t, c)
			_ = wait.Close()
			_, _ = out.Read(make([]byte, 1))
			_, _ = out.Close(), errs.Close()
			p.err = errors.New("exit status 9")
		}
		s := open(t, sys, log, Config{ID: "c1", Stdout: loggerURI})
		s.Relay(nil, io.LimitReader(zeroes{}, 1<<20), nil)
		if err := s.Drain(t.Context(), 0); err != nil {
			t.Errorf("the process had to wait for a dead logger: %v", err)
		}
		synctest.Wait()
		if !strings.Contains(log.String(), "the logger died") || !strings.Contains(log.String(), "exit status 9") {
			t.Errorf("nobody was told:\n%s", log)
		}
		if err := s.Close(); err == nil || !strings.Contains(err.Error(), "exit status 9") {
			t.Errorf("Close: %v", err)
		}
	})
}

// A logger that hangs after its last byte must not hold the delete for ever.
func TestLoggerThatDoesNotEndIsKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newFakeSystem()
		sys.loggers = func(c LoggerCommand, p *fakeLogger) {
			_, _, wait := p.connect(t, c)
			_ = wait.Close()
			<-p.killed
		}
		s := open(t, sys, nil, Config{ID: "c1", Stdout: loggerURI})
		start := time.Now()
		if err := s.Close(); !fault.Is(err, fault.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(start); took != LoggerLimit {
			t.Errorf("took %v", took)
		}
	})
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }
