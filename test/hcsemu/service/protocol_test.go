package service

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/wire"
)

// Every function that a DLL front asks for has a handler: a missing one would
// be seen only by the program that needs it.
func TestFrontsAreServed(t *testing.T) {
	files, err := filepath.Glob("../dll/src/*.c")
	if err != nil || len(files) == 0 {
		t.Fatalf("sources of the fronts: %v, %v", files, err)
	}
	asked := regexp.MustCompile(`(?:request_begin\(&r, |layer_begin\(&r, |_call\(|close_handle\(|set_callback\(|register_callback\(|wait_for_exit\(|TEXTS\()L"(\w+)"`)
	table, count := handlers(), 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range asked.FindAllStringSubmatch(string(text), -1) {
			count++
			if table[m[1]] == nil && !notServed[m[1]] {
				t.Errorf("%s asks for %s, which has no handler", filepath.Base(file), m[1])
			}
		}
	}
	if count < 80 {
		t.Errorf("%d requests found in the sources: the pattern no longer fits them", count)
	}
}

// notServed are answered with E_NOTIMPL on purpose.
var notServed = map[string]bool{"HcsCreateEmptyGuestStateFile": true, "HcsCreateEmptyRuntimeStateFile": true}

// What a front does wrong is answered with a sentence, and the next call works.
func TestWrongRequests(t *testing.T) {
	b := newBench(t)
	f := b.front(7, "computecore.dll")
	outs := f.call(hcsemu.ENotImpl, "HcsFly")
	if !strings.Contains(outs[0].Text, "HcsFly") {
		t.Errorf("unknown function: %s", outs[0].Text)
	}
	outs = f.call(hcsemu.EInvalidArg, "HcsEnumerateComputeSystems", wire.Number(1))
	if !strings.Contains(outs[0].Text, "argument 1") {
		t.Errorf("wrong argument: %s", outs[0].Text)
	}
	f.call(hcsemu.EInvalidArg, "HcsEnumerateComputeSystems")
	f.call(hcsemu.EInvalidArg, "HcsEnumerateComputeSystems", wire.Value{}, wire.Value{})
	f.call(hcsemu.ENotImpl, "hcsemu.Fly", wire.Value{})
	f.call(hcsemu.EInvalidArg, AdminLedger)
	f.call(hcsemu.OK, "HcsEnumerateComputeSystems", wire.Value{})
}

// A connection that does not begin as it should is refused and ended.
func TestWrongHello(t *testing.T) {
	b := newBench(t)
	taken := b.front(7, "computecore.dll")
	cases := map[string]*wire.Frame{
		"no hello":             wire.Reply{Call: 1}.Frame(),
		"version":              {Kind: wire.KindHello, Code: 99},
		"events without calls": wire.Hello{Token: 4711, Role: wire.RoleEvents}.Frame(),
		"token in use":         wire.Hello{Token: taken.token, Role: wire.RoleCalls}.Frame(),
	}
	for name, hello := range cases {
		t.Run(name, func(t *testing.T) {
			conn, ended := b.connect()
			b.ok(wire.Write(conn, hello))
			reply, err := wire.Read(conn)
			if err != nil || int32(reply.Code) >= 0 {
				t.Errorf("answer %+v, %v; want a refusal", reply, err)
			}
			b.await("the connection's end", ended)
		})
	}
}

// A frame that is not a request ends the connection: there is no next frame to find.
func TestRubbishEndsConnection(t *testing.T) {
	for name, rubbish := range map[string][]byte{
		"not a frame":   {1, 2, 3, 4, 5, 6, 7, 8},
		"not a request": frame(t, wire.Event{}.Frame()),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			f := b.front(7, "computecore.dll")
			f.system("c1")
			_, _ = f.conn.Write(rubbish) // fails once the service has seen enough
			b.await("the connection's end", f.ended)
			b.nothingLeft()
		})
	}
}

func frame(t *testing.T, f *wire.Frame) []byte {
	t.Helper()
	b, err := wire.Append(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// pipeListener accepts what a test hands it.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return nil }

// The service ends when it is told to, or with its context, and lets nobody hang.
func TestServeEnds(t *testing.T) {
	for name, end := range map[string]func(*Server, context.CancelFunc){
		"stop":    func(s *Server, _ context.CancelFunc) { s.Stop(); s.Stop() },
		"context": func(_ *Server, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
			served := make(chan error, 1)
			go func() { served <- b.server.Serve(ctx, l) }()
			near, far := net.Pipe()
			l.conns <- far
			client, err := wire.NewClient(near, wire.Hello{Token: 1, PID: 1})
			b.ok(err)
			end(b.server, cancel)
			if err := <-served; err != nil {
				t.Errorf("Serve = %v", err)
			}
			if _, err := client.Call(t.Context(), AdminLedger, wire.Value{}); err == nil {
				t.Error("a connection outlived the service")
			}
		})
	}
}

// A listener that fails by itself is an error.
func TestServeFails(t *testing.T) {
	b := newBench(t)
	l := &pipeListener{closed: make(chan struct{})}
	b.ok(l.Close())
	if err := b.server.Serve(t.Context(), brokenListener{l}); err == nil {
		t.Error("Serve = nil, want the listener's error")
	}
}

type brokenListener struct{ net.Listener }

func (brokenListener) Close() error { return nil }
