package wire

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
)

// serve answers hello with result and then each request by f, until f gives nil.
func serve(t *testing.T, conn net.Conn, result uint32, f func(Request) *Frame) {
	t.Helper()
	hello, err := Read(conn)
	if err != nil {
		t.Error(err)
		return
	}
	if err := Write(conn, Reply{Call: hello.ID, Result: result}.Frame()); err != nil {
		t.Error(err)
	}
	for {
		frame, err := Read(conn)
		if err != nil {
			return
		}
		request, err := ParseRequest(frame)
		if err != nil {
			t.Error(err)
		}
		answer := f(request)
		if answer == nil {
			_ = conn.Close()
			return
		}
		if err := Write(conn, answer); err != nil {
			return // the test has closed its end
		}
	}
}

func client(t *testing.T, f func(Request) *Frame) *Client {
	t.Helper()
	near, far := net.Pipe()
	go serve(t, far, 0, f)
	c, err := NewClient(near, Hello{Token: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// A call gets its own reply, whatever the service thinks of it.
func TestClientCall(t *testing.T) {
	c := client(t, func(r Request) *Frame { return Reply{Call: r.Call, Result: 0x80070005, Outs: r.Args}.Frame() })
	reply, err := c.Call(t.Context(), "f", Number(7))
	if err != nil || reply.Result != 0x80070005 || len(reply.Outs) != 1 || reply.Outs[0].Number != 7 {
		t.Errorf("Call = %+v, %v", reply, err)
	}
}

// A service that goes away must not leave a caller waiting.
func TestClientLost(t *testing.T) {
	c := client(t, func(Request) *Frame { return nil })
	if _, err := c.Call(t.Context(), "f"); !errors.Is(err, ErrLost) {
		t.Errorf("call during the loss: %v, want ErrLost", err)
	}
	if _, err := c.Call(t.Context(), "f"); !errors.Is(err, ErrLost) {
		t.Errorf("call after the loss: %v, want ErrLost", err)
	}
}

// A call that hangs ends with its context.
func TestClientContext(t *testing.T) {
	c := client(t, func(Request) *Frame { return Reply{Call: 999}.Frame() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Call(ctx, "f"); !errors.Is(err, context.Canceled) {
		t.Errorf("Call = %v, want context.Canceled", err)
	}
}

// A front of another version must hear why it is refused.
func TestClientRefused(t *testing.T) {
	near, far := net.Pipe()
	go serve(t, far, 0x80070032, func(Request) *Frame { return nil })
	if _, err := NewClient(near, Hello{}); err == nil || !strings.Contains(err.Error(), "0x80070032") {
		t.Errorf("NewClient = %v, want the service's code", err)
	}
	_ = far.Close()
	near, far = net.Pipe()
	_ = far.Close()
	if _, err := NewClient(near, Hello{}); err == nil {
		t.Error("NewClient on a dead connection succeeded")
	}
}
