package service

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/wire"
)

// patience bounds a failing test; a passing one does not wait.
const patience = 20 * time.Second

// bench is a service with an emulated machine whose programs are scripted.
type bench struct {
	t        *testing.T
	emulator *hcsemu.Emulator
	server   *Server
	exporter *exporter
	tokens   uint64
}

func newBench(t *testing.T) *bench {
	t.Helper()
	e := hcsemu.New(hcsemu.Config{TrustNames: true})
	t.Cleanup(e.Close)
	b := &bench{t: t, emulator: e, exporter: &exporter{}}
	b.server = New(Config{Emulator: e, Exporter: b.exporter, Log: slog.New(slog.DiscardHandler)})
	return b
}

// exporter takes the streams of scripted processes in place of a process's handles.
type exporter struct {
	err error

	mu    sync.Mutex
	stdio []hcsemu.Stdio
}

// Export implements Exporter: the handles count the streams.
func (x *exporter) Export(_ uint32, stdio hcsemu.Stdio) (in, out, errs uint64, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err != nil {
		return 0, 0, 0, x.err
	}
	x.stdio = append(x.stdio, stdio)
	n := uint64(len(x.stdio)) * 10
	if stdio.In != nil {
		in = n + 1
	}
	if stdio.Out != nil {
		out = n + 2
	}
	if stdio.Err != nil {
		errs = n + 3
	}
	return in, out, errs, nil
}

func (x *exporter) last() hcsemu.Stdio {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.stdio[len(x.stdio)-1]
}

// front plays one DLL of one process.
type front struct {
	*bench
	client *wire.Client
	token  uint64
	conn   net.Conn
	ended  chan struct{} // closed when the service has let go of the connection
	last   uint64        // handle
}

// connect opens a connection that the service serves.
func (b *bench) connect() (net.Conn, chan struct{}) {
	near, far := net.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.server.ServeConn(context.Background(), far)
	}()
	b.t.Cleanup(func() {
		_ = near.Close()
		b.await("the connection's end", ended)
	})
	return near, ended
}

func (b *bench) front(pid uint32, dll string) *front {
	b.t.Helper()
	conn, ended := b.connect()
	b.tokens++
	f := &front{bench: b, token: b.tokens, conn: conn, ended: ended}
	var err error
	f.client, err = wire.NewClient(conn, wire.Hello{Token: f.token, PID: pid, DLL: dll, Exe: `C:\bin\shim.exe`})
	b.ok(err)
	return f
}

// events opens the front's events connection.
func (f *front) events() net.Conn {
	f.t.Helper()
	conn, _ := f.connect()
	f.ok(wire.Write(conn, wire.Hello{Token: f.token, Role: wire.RoleEvents}.Frame()))
	if _, err := wire.Read(conn); err != nil {
		f.t.Fatal(err)
	}
	return conn
}

// event reads the next event.
func (f *front) event(conn net.Conn) wire.Event {
	f.t.Helper()
	f.ok(conn.SetReadDeadline(time.Now().Add(patience)))
	frame, err := wire.Read(conn)
	f.ok(err)
	ev, err := wire.ParseEvent(frame)
	f.ok(err)
	return ev
}

// call makes a call and checks its code; it returns the outs.
func (f *front) call(want hcsemu.HRESULT, name string, args ...wire.Value) []wire.Value {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	reply, err := f.client.Call(ctx, name, args...)
	f.ok(err)
	if hcsemu.HRESULT(reply.Result) != want {
		f.t.Errorf("%s: 0x%08x %+v, want 0x%08x", name, reply.Result, reply.Outs, uint32(want))
	}
	return reply.Outs
}

// handle is a number for a call that makes a handle.
func (f *front) handle() wire.Value {
	f.last++
	return wire.Number(f.last)
}

// system makes a running container.
func (f *front) system(id string) wire.Value {
	f.t.Helper()
	h := f.handle()
	f.call(hcsemu.OK, "HcsCreateComputeSystem", h, wire.String(id), wire.String(f.document()))
	f.call(hcsemu.OK, "HcsStartComputeSystem", h, wire.Value{})
	return h
}

func (b *bench) document() string {
	return b.encode(schema.ComputeSystem{
		Owner: "test", SchemaVersion: schema.V21(), ShouldTerminateOnLastHandleClosed: true,
		Container: &schema.Container{Storage: &schema.Storage{
			Path:   `\\?\Volume{11111111-2222-3333-4444-555555555555}\`,
			Layers: []schema.Layer{{ID: "22222222-2222-3333-4444-555555555555", Path: `C:\layers\1`}},
		}},
	})
}

func (b *bench) encode(v any) string {
	b.t.Helper()
	raw, err := json.Marshal(v)
	b.ok(err)
	return string(raw)
}

func (b *bench) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) await(what string, done <-chan struct{}) {
	b.t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		b.t.Fatalf("%s has not come after %v", what, patience)
	}
}

// nothingLeft checks the ledger.
func (b *bench) nothingLeft() {
	b.t.Helper()
	if l := b.emulator.Ledger(); !l.Empty() {
		b.t.Errorf("left behind:\n%s", l)
	}
}

func drain(r io.Reader) (string, error) {
	raw, err := io.ReadAll(r)
	return string(raw), err
}

var errNoHandles = errors.New("the caller has gone")
