package logs

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// listener hands out connections that a test dials.
type listener struct {
	net.Listener // nil: nothing else of it is called
	conns        chan net.Conn
}

func newListener() *listener { return &listener{conns: make(chan net.Conn)} }

func (l *listener) dial() net.Conn {
	ours, theirs := net.Pipe()
	l.conns <- theirs
	return ours
}

func (l *listener) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l *listener) Close() error { close(l.conns); return nil }

// containerd dials after the first lines are written, and again after it was
// restarted: it must miss none of the first, and get all from then on.
func TestPipeReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListener()
		p := NewPipe(l)
		fmt.Fprintln(p, "early")
		first := bufio.NewReader(l.dial())
		want := func(r *bufio.Reader, line string) {
			t.Helper()
			if got, err := r.ReadString('\n'); err != nil || got != line+"\n" {
				t.Errorf("read %q, %v, want %q", got, err, line)
			}
		}
		want(first, "early")
		go fmt.Fprintln(p, "one")
		want(first, "one")
		second := bufio.NewReader(l.dial())
		if _, err := first.ReadByte(); err != io.EOF {
			t.Errorf("the reader before is still held: %v", err)
		}
		synctest.Wait()
		go fmt.Fprintln(p, "two")
		want(second, "two")
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if _, err := second.ReadByte(); err != io.EOF {
			t.Errorf("the reader is held after the end: %v", err)
		}
		fmt.Fprintln(p, "nobody hears")
	})
}

// A reader that hangs must not make a container wait for ever, and no reader
// must not make the shim grow.
func TestPipeNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListener()
		p := NewPipe(l)
		for range 1000 {
			fmt.Fprintf(p, "%100d\n", 0)
		}
		if len(p.early) > maxEarly {
			t.Errorf("%d bytes are kept for a reader that never came", len(p.early))
		}
		for _, when := range []string{"with the first lines", "later"} {
			conn := l.dial()
			time.Sleep(2 * readerLimit) // the first lines are given up
			fmt.Fprintln(p, "hung")     // returns, though nobody reads
			if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%s: a reader that hangs is held: %v", when, err)
			}
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}
