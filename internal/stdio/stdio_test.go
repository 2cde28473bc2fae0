package stdio

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isolrun/isol/internal/fault"
)

const (
	inPipe  = `\\.\pipe\c1-stdin`
	outPipe = `\\.\pipe\c1-stdout`
	errPipe = `\\.\pipe\c1-stderr`
)

func open(t *testing.T, sys *fakeSystem, log *logBuffer, cfg Config) *Streams {
	t.Helper()
	o := &Opener{System: sys}
	if log != nil {
		o.Log = log.logger()
	}
	s, err := o.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// accept takes the shim's connection in the background, as a client does.
func accept(l *fakeListener) <-chan net.Conn {
	ch := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			ch <- c
		}
	}()
	return ch
}

// readAll reads a client's end to its end in the background.
func readAll(c net.Conn) <-chan string {
	ch := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(c)
		ch <- string(b)
	}()
	return ch
}

// What a process writes must come out whole, in order, on the right pipe, and
// then end.
func TestOutputReachesTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newFakeSystem()
		outConn, errConn := accept(sys.serve(t, outPipe)), accept(sys.serve(t, errPipe))
		s := open(t, sys, nil, Config{ID: "c1", Stdout: outPipe, Stderr: errPipe})
		if s.HasStdin() || !s.HasStdout() || !s.HasStderr() {
			t.Fatalf("streams wanted: stdin %v stdout %v stderr %v", s.HasStdin(), s.HasStdout(), s.HasStderr())
		}
		big := strings.Repeat("0123456789abcdef", 64<<10) // far beyond both buffer sizes
		out, errs := readAll(<-outConn), readAll(<-errConn)
		s.Relay(nil, strings.NewReader(big), strings.NewReader("oops"))
		if err := s.Drain(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if got := <-out; got != big {
			t.Errorf("stdout: %d bytes came, want %d", len(got), len(big))
		}
		if got := <-errs; got != "oops" {
			t.Errorf("stderr: %q", got)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A containerd that restarts must find all output that was written meanwhile.
func TestOutputWaitsForAReaderThatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newFakeSystem()
		first := sys.serve(t, outPipe)
		conn := accept(first)
		s := open(t, sys, nil, Config{ID: "c1", Stdout: outPipe})
		process, w := io.Pipe()
		s.Relay(nil, process, nil)
		client := <-conn
		go func() { _, _ = io.WriteString(w, "before ") }()
		b := make([]byte, 7)
		if _, err := io.ReadFull(client, b); err != nil {
			t.Fatal(err)
		}
		_ = client.Close()
		_ = first.Close()
		var blocked atomic.Bool
		blocked.Store(true)
		go func() {
			_, _ = io.WriteString(w, "during ")
			_, _ = io.WriteString(w, "after")
			blocked.Store(false)
			_ = w.Close()
		}()
		time.Sleep(20 * time.Minute)
		if !blocked.Load() {
			t.Error("the process did not wait while nobody read: its output piled up or was dropped")
		}
		sys.mu.Lock()
		dials := sys.dials
		sys.mu.Unlock()
		if dials < 10 || dials > 100 {
			t.Errorf("%d dials in 20 minutes: the pauses do not grow from 200 ms to 1 min", dials)
		}
		got := readAll(<-accept(sys.serve(t, outPipe)))
		if err := s.Drain(t.Context(), 0); err != nil {
			t.Error(err)
		}
		if text := <-got; text != "during after" {
			t.Errorf("after the restart came %q", text)
		}
		_ = s.Close()
	})
}

// When the retry timeout has passed, a process must run on, not hang on a full
// pipe.
func TestOutputIsThrownAwayAfterTheRetryTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, log := newFakeSystem(), &logBuffer{}
		l := sys.serve(t, outPipe)
		conn := accept(l)
		s := open(t, sys, log, Config{ID: "c1", Stdout: outPipe, RetryTimeout: 3 * time.Second})
		_ = (<-conn).Close()
		_ = l.Close()
		start := time.Now()
		s.Relay(nil, strings.NewReader(strings.Repeat("x", 1<<20)), nil)
		<-s.outDone
		if took := time.Since(start); took < 3*time.Second || took > 5*time.Second {
			t.Errorf("gave up after %v, want 3 s", took)
		}
		if !strings.Contains(log.String(), "nobody served "+`\\\\.\\pipe\\c1-stdout`+" for 3s") {
			t.Errorf("the log does not say what was lost and why:\n%s", log)
		}
		_ = s.Close()
	})
}

// Closing must end a relay that waits for a reader that never comes back.
func TestCloseEndsARedial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newFakeSystem()
		l := sys.serve(t, outPipe)
		conn := accept(l)
		s := open(t, sys, nil, Config{ID: "c1", Stdout: outPipe})
		_ = (<-conn).Close()
		_ = l.Close()
		s.Relay(nil, strings.NewReader("x"), nil)
		time.Sleep(time.Hour)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		<-s.outDone
		if err := s.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

func TestDrain(t *testing.T) {
	cases := []struct {
		name   string
		write  func(w io.WriteCloser) // what still comes after the exit
		read   func(c net.Conn)       // what the client does
		least  time.Duration
		most   time.Duration
		reason string // of the error; empty: all delivered
	}{
		{
			name:  "output that ends is delivered at once",
			write: func(w io.WriteCloser) { _, _ = io.WriteString(w, "bye"); _ = w.Close() },
			read:  func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
			most:  100 * time.Millisecond,
		},
		{
			name:  "a silent grandchild that holds the pipe does not hold the exit",
			write: func(io.WriteCloser) {},
			read:  func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
			least: time.Second, most: 1200 * time.Millisecond,
			reason: "stdout: still open but silent 1s",
		},
		{
			name: "output that keeps coming is waited for",
			write: func(w io.WriteCloser) {
				for range 60 {
					time.Sleep(900 * time.Millisecond)
					_, _ = io.WriteString(w, "more")
				}
				_ = w.Close()
			},
			read:  func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
			least: 53 * time.Second, most: 55 * time.Second,
		},
		{
			name:  "a reader that stands still is given up",
			write: func(w io.WriteCloser) { _, _ = io.WriteString(w, "unread"); _ = w.Close() },
			read:  func(net.Conn) {},
			least: StallLimit, most: StallLimit + time.Second,
			reason: "stdout: its reader took nothing for 10s",
		},
		{
			name:  "a reader that takes little at a time is waited for",
			write: func(w io.WriteCloser) { _, _ = w.Write(make([]byte, 3*drainPiece)); _ = w.Close() },
			read: func(c net.Conn) {
				b := make([]byte, drainPiece)
				for range 3 {
					time.Sleep(8 * time.Second)
					_, _ = io.ReadFull(c, b)
				}
			},
			least: 24 * time.Second, most: 25 * time.Second,
		},
		{
			name: "a slow reader is waited for",
			write: func(w io.WriteCloser) {
				_, _ = w.Write(make([]byte, 20))
				_ = w.Close()
			},
			read: func(c net.Conn) {
				b := make([]byte, 20)
				time.Sleep(8 * time.Second)
				_, _ = io.ReadFull(c, b)
			},
			least: 8 * time.Second, most: 9 * time.Second,
		},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := newFakeSystem()
				conn := accept(sys.serve(t, outPipe))
				s := open(t, sys, nil, Config{ID: "c1", Stdout: outPipe})
				process, w := io.Pipe()
				s.Relay(nil, process, nil)
				go tc.read(<-conn)
				go tc.write(w)
				start := time.Now()
				err := s.Drain(t.Context(), 0)
				took := time.Since(start)
				if took < tc.least || took > tc.most {
					t.Errorf("took %v, want %v to %v", took, tc.least, tc.most)
				}
				if tc.reason == "" && err != nil {
					t.Errorf("error: %v", err)
				}
				if tc.reason != "" && (!fault.Is(err, fault.DeadlineExceeded) || !strings.Contains(err.Error(), tc.reason)) {
					t.Errorf("error %v, want DeadlineExceeded with %q", err, tc.reason)
				}
				_ = process.Close() // as the pod does with the process's streams
				_ = s.Close()
			})
		})
	}
}

// What a guest's sockets still hold when its process ends is megabytes: in pieces
// of drainPiece they would reach the client at a fraction of the speed.
func TestDrainIsFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 8 << 20
		sys := newFakeSystem()
		conn := accept(sys.serve(t, outPipe))
		s := open(t, sys, nil, Config{ID: "c1", Stdout: outPipe})
		process, w := io.Pipe()
		s.Relay(nil, process, nil)
		reads, got := 0, make(chan int)
		go func() {
			c, total, b := <-conn, 0, make([]byte, largeBuffer)
			for {
				n, err := c.Read(b)
				if err != nil {
					break
				}
				reads++
				total += n
			}
			got <- total
		}()
		go func() {
			synctest.Wait() // until Drain waits
			_, _ = w.Write(make([]byte, size))
			_ = w.Close()
		}()
		if err := s.Drain(t.Context(), 0); err != nil {
			t.Error(err)
		}
		_ = s.Close()
		if total := <-got; total != size {
			t.Errorf("%d bytes arrived, want %d", total, size)
		}
		if most := 2 * size / largeBuffer; reads > most {
			t.Errorf("%d MiB came in %d pieces, want at most %d", size>>20, reads, most)
		}
	})
}

// The end of a container whose client has gone for good (ctr run -d) must not
// be held up; one whose client is just coming back must keep its last words,
// however long the pauses between the dials have grown.
func TestDrainWithoutAReader(t *testing.T) {
	for name, back := range map[string]bool{"gone for good": false, "coming back": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := newFakeSystem()
				l := sys.serve(t, outPipe)
				conn := accept(l)
				s := open(t, sys, nil, Config{ID: "c1", Stdout: outPipe})
				_ = (<-conn).Close()
				_ = l.Close()
				s.Relay(nil, strings.NewReader("last words"), nil)
				time.Sleep(time.Hour)
				start := time.Now()
				var got <-chan string
				if back {
					got = readNext(accept(sys.serve(t, outPipe)))
				}
				err := s.Drain(t.Context(), 0)
				took := time.Since(start)
				if back && (err != nil || took > time.Second || <-got != "last words") {
					t.Errorf("coming back: %v after %v", err, took)
				}
				if !back && (!fault.Is(err, fault.DeadlineExceeded) || took < LostLimit || took > LostLimit+time.Second) {
					t.Errorf("gone: %v after %v", err, took)
				}
				_ = s.Close()
			})
		})
	}
}

func readNext(conn <-chan net.Conn) <-chan string {
	ch := make(chan string, 1)
	go func() { ch <- <-readAll(<-conn) }()
	return ch
}

// A drain that the caller gives up, or that the close overtakes, must end.
func TestDrainEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newFakeSystem()
		conn := accept(sys.serve(t, outPipe))
		s := open(t, sys, nil, Config{ID: "c1", Stdout: outPipe})
		if err := s.Drain(t.Context(), 0); err != nil {
			t.Errorf("a drain of what never relayed: %v", err)
		}
		s = open(t, sys, nil, Config{ID: "c1"})
		if err := s.Drain(t.Context(), 0); err != nil {
			t.Errorf("a drain without streams: %v", err)
		}
		<-conn
		conn = accept(sys.served[outPipe])
		s = open(t, sys, nil, Config{ID: "c1", Stdout: outPipe})
		<-conn
		process, w := io.Pipe()
		s.Relay(nil, process, nil)
		go func() {
			for {
				if _, err := io.WriteString(w, "x"); err != nil {
					return
				}
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := s.Drain(ctx, 0); !fault.Is(err, fault.DeadlineExceeded) {
			t.Errorf("caller's deadline: %v", err)
		}
		go func() { time.Sleep(time.Second); _ = s.Close() }()
		if err := s.Drain(t.Context(), 0); !fault.Is(err, fault.Canceled) {
			t.Errorf("closed: %v", err)
		}
		_ = process.Close()
		<-s.outDone
	})
}

func TestStdin(t *testing.T) {
	cases := []struct {
		name   string
		client func(c net.Conn, s *Streams)
		want   string
		limit  time.Duration // within which the process's input must have ended
	}{
		{
			name: "bytes written before the relay starts arrive, then the end",
			client: func(c net.Conn, _ *Streams) {
				_, _ = io.WriteString(c, "early")
				_ = c.Close()
			},
			want: "early",
		},
		{
			name: "CloseIO that overtakes the last bytes does not cut them",
			client: func(c net.Conn, s *Streams) {
				_, _ = io.WriteString(c, "first ")
				_ = s.CloseStdin()
				time.Sleep(100 * time.Millisecond)
				_, _ = io.WriteString(c, "last")
				_ = c.Close()
			},
			want: "first last", limit: time.Second,
		},
		{
			name: "CloseIO ends the input though the client keeps its pipe open",
			client: func(c net.Conn, s *Streams) {
				_, _ = io.WriteString(c, "all")
				_ = s.CloseStdin()
				_ = s.CloseStdin()
			},
			want: "all", limit: time.Second,
		},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := newFakeSystem()
				conn := accept(sys.serve(t, inPipe))
				s := open(t, sys, nil, Config{ID: "c1", Stdin: inPipe})
				client := <-conn
				go tc.client(client, s)
				synctest.Wait() // the client's first write waits for the relay
				process := newInputSink()
				start := time.Now()
				s.Relay(process, nil, nil)
				<-process.closed
				if took := time.Since(start); tc.limit > 0 && took > tc.limit {
					t.Errorf("the input ended after %v", took)
				}
				if process.String() != tc.want {
					t.Errorf("the process read %q, want %q", process, tc.want)
				}
				_ = s.Close()
				_ = client.Close()
			})
		})
	}
}

// A process that reads no more must not leave a relay behind, and its client
// must see that nobody reads.
func TestStdinOfAProcessThatReadsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newFakeSystem()
		conn := accept(sys.serve(t, inPipe))
		s := open(t, sys, nil, Config{ID: "c1", Stdin: inPipe})
		client := <-conn
		process := newInputSink()
		process.fail = errors.New("broken")
		s.Relay(process, nil, nil)
		_, _ = io.WriteString(client, "x")
		synctest.Wait()
		if _, err := client.Write([]byte("y")); err == nil {
			t.Error("the client's write succeeded though nobody reads")
		}
		_ = s.Close()
	})
}

// An idle stream must not hold a large buffer, a busy one should.
func TestBufferAdapts(t *testing.T) {
	var b buffer
	if n := len(b.bytes()); n != smallBuffer {
		t.Errorf("first buffer: %d", n)
	}
	b.saw(10)
	if n := len(b.bytes()); n != smallBuffer {
		t.Errorf("after a small read: %d", n)
	}
	b.saw(smallBuffer)
	if n := len(b.bytes()); n != largeBuffer {
		t.Errorf("after a full read: %d", n)
	}
	b.saw(smallBuffer)
	if n := len(b.bytes()); n != largeBuffer {
		t.Errorf("while the flow lasts: %d", n)
	}
	b.saw(1)
	if n := len(b.bytes()); n != smallBuffer {
		t.Errorf("after the flow: %d", n)
	}
}

// Open that fails half-way must leave nothing connected.
func TestOpenIsATransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newFakeSystem()
		in, out := accept(sys.serve(t, inPipe)), accept(sys.serve(t, outPipe))
		_, err := (&Opener{System: sys}).Open(t.Context(), Config{ID: "c1", Stdin: inPipe, Stdout: outPipe, Stderr: errPipe})
		if !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), errPipe) {
			t.Errorf("error %v, want NotFound naming %s", err, errPipe)
		}
		for _, c := range []net.Conn{<-in, <-out} {
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Error("a connection stayed open")
			}
		}
	})
}

func BenchmarkRelay(b *testing.B) {
	chunk := bytes.Repeat([]byte("x"), 64<<10)
	b.SetBytes(int64(len(chunk)))
	sys := newFakeSystem()
	l, _ := sys.Listen(outPipe)
	conn := accept(l.(*fakeListener))
	s, err := (&Opener{System: sys}).Open(b.Context(), Config{ID: "c1", Stdout: outPipe})
	if err != nil {
		b.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, <-conn) }()
	process, w := io.Pipe()
	s.Relay(nil, process, nil)
	for b.Loop() {
		if _, err := w.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
	_ = w.Close()
	_ = s.Drain(b.Context(), 0)
	_ = s.Close()
}
