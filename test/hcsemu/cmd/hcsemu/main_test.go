package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/service"
)

// rig is an emulator whose service the commands reach over memory.
type rig struct {
	t        *testing.T
	emulator *hcsemu.Emulator
	dial     dialer
}

func newRig(t *testing.T) *rig {
	t.Helper()
	e := hcsemu.New(hcsemu.Config{TrustNames: true})
	t.Cleanup(e.Close)
	server := service.New(service.Config{Emulator: e, Log: slog.New(slog.DiscardHandler)})
	l := &memory{conns: make(chan net.Conn), closed: make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(t.Context(), l) }()
	t.Cleanup(func() {
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return &rig{t: t, emulator: e, dial: l.dial}
}

// memory is a listener that is dialed in the same process.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *memory) dial(ctx context.Context) (io.ReadWriteCloser, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *memory) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memory) Close() error   { close(l.closed); return nil }
func (l *memory) Addr() net.Addr { return nil }

// run runs a command and returns what it printed.
func (m *rig) run(args ...string) (string, error) {
	var out bytes.Buffer
	err := query(args[0], args[1:], &out, m.dial)
	return out.String(), err
}

// ok runs a command that must succeed.
func (m *rig) ok(args ...string) string {
	m.t.Helper()
	out, err := m.run(args...)
	if err != nil {
		m.t.Fatalf("hcsemu %v: %v", args, err)
	}
	return out
}

// leak leaves a network namespace behind.
func (m *rig) leak() {
	m.t.Helper()
	c := m.emulator.Connect(hcsemu.Caller{PID: 7, Exe: "shim.exe"})
	_, err := c.CreateNetworkObject(m.t.Context(), hcsemu.Namespace, 0, "11111111-2222-3333-4444-555555555555",
		`{"Type":"Host","SchemaVersion":{"Major":2,"Minor":0}}`)
	if err != nil {
		m.t.Fatal(err)
	}
}

// An empty ledger is silence and success; a leak is shown and is an exit code of its own.
func TestLedger(t *testing.T) {
	m := newRig(t)
	if out := m.ok("ledger"); out != "" {
		t.Errorf("empty ledger prints %q", out)
	}
	if out := m.ok("ledger", "--json", "--all"); strings.TrimSpace(out) != "[]" {
		t.Errorf("empty ledger as JSON is %q", out)
	}
	m.leak()
	out, err := m.run("ledger")
	if !errors.Is(err, errLeaked) || !strings.Contains(out, "namespace 11111111") || !strings.Contains(out, "shim.exe 7") {
		t.Errorf("ledger with a leak: %v\n%s", err, out)
	}
}

// Calls come one to a line, as the record has them.
func TestCalls(t *testing.T) {
	m := newRig(t)
	m.leak()
	out := m.ok("calls", "--function", "HcnCreateNamespace")
	if strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, "{") {
		t.Errorf("calls: %q", out)
	}
	if out := m.ok("calls", "--exe", "other.exe"); out != "" {
		t.Errorf("calls of another program: %q", out)
	}
}

// A fault plan is set, added to and cleared, and a wrong one is refused.
func TestFaults(t *testing.T) {
	m := newRig(t)
	file := filepath.Join(t.TempDir(), "plan.json")
	write := func(plan string) {
		if err := os.WriteFile(file, []byte(plan), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	enumerate := func() hcsemu.HRESULT {
		_, err := m.emulator.Connect(hcsemu.Caller{}).EnumerateSystems(t.Context(), "")
		return hcsemu.CodeOf(err)
	}
	write(`[{"function":"HcsEnumerateComputeSystems","action":"fail","code":"0x80070005","times":-1}]`)
	m.ok("faults", file)
	if got := enumerate(); got != hcsemu.EAccessDenied {
		t.Errorf("with the plan: %v", got)
	}
	m.ok("faults", "clear")
	if got := enumerate(); got != hcsemu.OK {
		t.Errorf("after clear: %v", got)
	}
	m.ok("faults", "add", file)
	if got := enumerate(); got != hcsemu.EAccessDenied {
		t.Errorf("with the plan added: %v", got)
	}
	write(`[{"function":"*","action":"explode"}]`)
	if _, err := m.run("faults", file); err == nil || !strings.Contains(err.Error(), "explode") {
		t.Errorf("a wrong plan: %v", err)
	}
	for _, args := range [][]string{{"faults"}, {"faults", "a", "b"}, {"faults", "/none"}} {
		if _, err := m.run(args...); err == nil {
			t.Errorf("hcsemu %v succeeded", args)
		}
	}
}

// The small commands reach the emulator.
func TestSmallCommands(t *testing.T) {
	m := newRig(t)
	m.ok("ping")
	m.ok("disconnect")
	if _, err := m.emulator.Connect(hcsemu.Caller{}).EnumerateSystems(t.Context(), ""); !errors.Is(err, hcsemu.EServiceNotAvailable) {
		t.Errorf("after disconnect: %v", err)
	}
	m.ok("restore")
	if out := m.ok("hanging", "none"); strings.TrimSpace(out) != "0" {
		t.Errorf("hanging: %q", out)
	}
	if out := m.ok("release", "none"); strings.TrimSpace(out) != "0" {
		t.Errorf("release: %q", out)
	}
	if _, err := m.run("crash", "none"); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("crash of an unknown system: %v", err)
	}
}

// stop returns when the service has gone; then no command finds one.
func TestStop(t *testing.T) {
	m := newRig(t)
	m.ok("stop")
	for _, args := range [][]string{{"ping", "--timeout", "50ms"}, {"stop"}, {"ledger"}, {"calls"}} {
		if _, err := m.run(args...); err == nil {
			t.Errorf("hcsemu %v found a service", args)
		}
	}
}

// A mistyped command line says what was wrong with it.
func TestWrongCommandLines(t *testing.T) {
	for want, args := range map[string][]string{
		"which command": {},
		"no command":    {"fly"},
		"1 arguments":   {"ledger", "x"},
		"want 1":        {"crash"},
		"not defined":   {"calls", "--fly"},
		"--build 5":     {"serve", "--build", "5"},
		"--edition":     {"serve", "--edition", "home"},
		"0 arguments":   {"release"},
		"invalid value": {"ping", "--timeout", "soon"},
		"fault plan":    {"serve", "--faults", "/none"},
	} {
		err := run(args, strings.NewReader(""), io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("hcsemu %v: %v, want %q", args, err, want)
		}
	}
}

// The flags of serve make the machine that they describe.
func TestServeOptions(t *testing.T) {
	plan := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(plan, []byte(`[{"function":"*","action":"kill","nth":3}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := parseServe([]string{"--build", "26100", "--edition", "client", "--hypervisor=false", "--cpus", "4", "--faults", plan})
	if err != nil {
		t.Fatal(err)
	}
	if o.machine.Build != 26100 || o.machine.Edition != hcsemu.Desktop || o.machine.Hypervisor || o.machine.CPUs != 4 || len(o.faults) != 1 {
		t.Errorf("options %+v", o)
	}
}
