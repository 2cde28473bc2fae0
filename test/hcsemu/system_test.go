package hcsemu

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/isolrun/isol/internal/hcs/schema"
)

// gateRunner lets a test hold a system in the middle of its start.
type gateRunner struct {
	*Scripted
	entered, leave chan struct{}
	err            error
}

func (g *gateRunner) NewSilo(ctx context.Context, spec SiloSpec) (Silo, error) {
	if g.entered != nil {
		g.entered <- struct{}{}
		<-g.leave
	}
	if g.err != nil {
		return nil, g.err
	}
	return g.Scripted.NewSilo(ctx, spec)
}

// inState brings a system "c" to a state and returns a handle to it.
func inState(b *bench, state string, g *gateRunner) Handle {
	b.t.Helper()
	ctx := context.Background()
	h := b.create("c")
	if state == "Created" {
		return h
	}
	if state == "Starting" {
		g.entered, g.leave = make(chan struct{}), make(chan struct{})
		started := make(chan error, 1)
		go func() { started <- b.StartSystem(ctx, h, "") }()
		<-g.entered
		b.t.Cleanup(func() { close(g.leave); <-started })
		return h
	}
	b.ok(b.StartSystem(ctx, h, ""))
	switch state {
	case "Stopping":
		p := b.run(h, "ignore")
		line(b.t, p.Stdio.Out) // it listens now
		b.ok(b.ShutDownSystem(ctx, h, ""))
	case "Stopped":
		exited := b.watch(h)
		b.ok(b.TerminateSystem(ctx, h, ""))
		next(b.t, exited, EventSystemExited)
	}
	return h
}

// A shim acts on the code that it gets in each state; a wrong one makes it leak
// a container or report a live one as gone.
func TestEveryCallInEveryState(t *testing.T) {
	states := []string{"Created", "Starting", "Running", "Stopping", "Stopped"}
	calls := []struct {
		name string
		call func(b *bench, h Handle) error
		want [5]HRESULT // by state
	}{
		{"start", func(b *bench, h Handle) error { return b.StartSystem(context.Background(), h, "") },
			[5]HRESULT{OK, EInvalidState, EInvalidState, EInvalidState, ESystemAlreadyStopped}},
		{"shut down", func(b *bench, h Handle) error { return b.ShutDownSystem(context.Background(), h, "") },
			[5]HRESULT{EInvalidState, EInvalidState, OK, OK, ESystemAlreadyStopped}},
		{"terminate", func(b *bench, h Handle) error { return b.TerminateSystem(context.Background(), h, "") },
			[5]HRESULT{OK, OK, OK, OK, ESystemAlreadyStopped}},
		{"properties", func(b *bench, h Handle) error {
			_, err := b.SystemProperties(context.Background(), h, `{"PropertyTypes":["Statistics","ProcessList"]}`)
			return err
		}, [5]HRESULT{OK, OK, OK, OK, ESystemAlreadyStopped}},
		{"modify", func(b *bench, h Handle) error {
			return b.ModifySystem(context.Background(), h, `{"ResourcePath":"Container/Memory/SizeInMB","RequestType":"Update","Settings":512}`)
		}, [5]HRESULT{OK, OK, OK, EInvalidState, ESystemAlreadyStopped}},
		{"map directory", func(b *bench, h Handle) error {
			return b.ModifySystem(context.Background(), h, `{"ResourcePath":"Container/MappedDirectories","RequestType":"Add","Settings":{"HostPath":"C:\\a","ContainerPath":"C:\\b"}}`)
		}, [5]HRESULT{EInvalidState, EInvalidState, OK, EInvalidState, ESystemAlreadyStopped}},
		{"create process", func(b *bench, h Handle) error {
			_, err := b.CreateProcess(context.Background(), CreateProcess{System: h, Parameters: params("exit 0")})
			return err
		}, [5]HRESULT{EInvalidState, EInvalidState, OK, EInvalidState, ESystemAlreadyStopped}},
		{"open process", func(b *bench, h Handle) error {
			_, err := b.OpenProcess(context.Background(), h, 4)
			return err
		}, [5]HRESULT{EElementNotFound, EElementNotFound, EElementNotFound, EElementNotFound, ESystemAlreadyStopped}},
		{"pause", func(b *bench, h Handle) error { return b.PauseSystem(context.Background(), h, "") },
			[5]HRESULT{ENotSupported, ENotSupported, ENotSupported, ENotSupported, ENotSupported}},
		{"open", func(b *bench, h Handle) error {
			_, err := b.OpenSystem(context.Background(), "c")
			return err
		}, [5]HRESULT{OK, OK, OK, OK, ESystemNotFound}},
		{"create again", func(b *bench, h Handle) error {
			_, err := b.CreateSystem(context.Background(), CreateSystem{ID: "c", Document: b.containerDoc()})
			return err
		}, [5]HRESULT{ESystemAlreadyExists, ESystemAlreadyExists, ESystemAlreadyExists, ESystemAlreadyExists, OK}},
		{"close", func(b *bench, h Handle) error { return b.CloseSystem(h) },
			[5]HRESULT{OK, OK, OK, OK, OK}},
	}
	for i, state := range states {
		for _, c := range calls {
			t.Run(state+"/"+c.name, func(t *testing.T) {
				g := &gateRunner{Scripted: NewScripted()}
				b := newBench(t, Config{Runner: g})
				h := inState(b, state, g)
				if state == "Starting" && c.name == "terminate" {
					// ends when the start has come back: see TestTerminateDuringStart
					defer func() { g.entered = nil }()
				}
				b.code(c.name, c.call(b, h), c.want[i])
			})
		}
	}
}

// The whole life of a container as the shim drives it leaves nothing behind.
func TestLifeOfAContainer(t *testing.T) {
	b := newBench(t, Config{})
	ctx := t.Context()
	h := b.create("c")
	exited := b.watch(h)
	b.ok(b.StartSystem(ctx, h, ""))
	p := b.run(h, "cmd /c exit 7")
	ended := b.watch(p.Handle)
	if code := b.exitCode(ended); code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
	b.ok(b.CloseProcess(p.Handle))
	b.ok(b.ShutDownSystem(ctx, h, ""))
	ev := next(t, exited, EventSystemExited)
	if want := `{"Status":0,"ExitType":"GracefulExit"}`; ev.Data != want || ev.Status != OK {
		t.Errorf("exit data %s, status %#x, want %s and 0", ev.Data, uint32(ev.Status), want)
	}
	b.ok(b.CloseSystem(h))
	b.cleanEnd()
}

func TestShutdownEndsProcessesThatDoNotListen(t *testing.T) {
	b := newBench(t, Config{})
	h := b.start("c")
	exited := b.watch(h)
	p := b.run(h, "ping -t localhost")
	ended := b.watch(p.Handle)
	b.ok(b.ShutDownSystem(t.Context(), h, ""))
	if code := b.exitCode(ended); code != exitControlSent {
		t.Errorf("exit code %#x, want %#x", code, exitControlSent)
	}
	next(t, exited, EventSystemExited)
}

// A program that ignores the shutdown keeps the container until it is terminated.
func TestTerminateOverrulesShutdown(t *testing.T) {
	b := newBench(t, Config{})
	h := inState(b, "Stopping", nil)
	exited := b.watch(h)
	if l := b.e.Ledger(); l[len(l)-2].Detail != "Stopping" && l[len(l)-1].Detail != "Stopping" {
		t.Errorf("the ledger does not show the system as stopping:\n%s", l)
	}
	b.ok(b.TerminateSystem(t.Context(), h, ""))
	if ev := next(t, exited, EventSystemExited); ev.Data != `{"Status":0,"ExitType":"ForcedExit"}` {
		t.Errorf("exit data %s", ev.Data)
	}
}

func TestTerminateDuringStart(t *testing.T) {
	g := &gateRunner{Scripted: NewScripted(), entered: make(chan struct{}), leave: make(chan struct{})}
	b := newBench(t, Config{Runner: g})
	h := b.create("c")
	exited := b.watch(h)
	started := make(chan error, 1)
	go func() { started <- b.StartSystem(context.Background(), h, "") }()
	<-g.entered
	b.ok(b.TerminateSystem(t.Context(), h, ""))
	close(g.leave)
	b.code("start", <-started, ETerminatedDuringStart)
	next(t, exited, EventSystemExited)
}

func TestStartThatFailsLeavesTheSystemCreated(t *testing.T) {
	g := &gateRunner{Scripted: NewScripted(), err: errors.New("no job objects left")}
	b := newBench(t, Config{Runner: g})
	h := b.create("c")
	b.code("start", b.StartSystem(t.Context(), h, ""), EFail)
	g.err = nil
	b.ok(b.StartSystem(t.Context(), h, ""))
}

// A crash is told apart from an orderly end, and every process's end comes first.
func TestCrashTellsProcessesThenSystem(t *testing.T) {
	b := newBench(t, Config{})
	h := b.start("c")
	p := b.run(h, "ping -t localhost")
	events := make(chan Event, 8)
	for _, handle := range []Handle{h, p.Handle} {
		_, err := b.Subscribe(handle, func(ev Event) { events <- ev })
		b.ok(err)
	}
	b.ok(b.CrashSystem(t.Context(), h, ""))
	next(t, events, EventProcessExited)
	ev := next(t, events, EventSystemExited)
	var status schema.SystemExitStatus
	b.ok(json.Unmarshal([]byte(ev.Data), &status))
	if status.ExitType != schema.ExitUnexpectedExit || ev.Status != 0xC0370106 || HRESULT(uint32(status.Status)) != ev.Status {
		t.Errorf("exit data %s, status %#x", ev.Data, uint32(ev.Status))
	}
	b.code("crash of nothing", b.e.Crash("nobody"), ESystemNotFound)
}

func TestLastHandle(t *testing.T) {
	keep := func(doc *schema.ComputeSystem) { doc.ShouldTerminateOnLastHandleClosed = false }
	for _, tt := range []struct {
		name  string
		edits []func(*schema.ComputeSystem)
		lives bool
	}{
		{"terminates the system where the document says so", nil, false},
		{"leaves it running where not", []func(*schema.ComputeSystem){keep}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, Config{})
			h := b.create("c", tt.edits...)
			other := b.e.Connect(Caller{PID: 12, Exe: "other.exe"})
			second, err := other.OpenSystem(t.Context(), "c")
			b.ok(err)
			b.ok(b.CloseSystem(h))
			if _, err := other.SystemProperties(t.Context(), second, ""); err != nil {
				t.Errorf("the system went with the first of two handles: %v", err)
			}
			b.ok(other.CloseSystem(second))
			_, err = b.OpenSystem(t.Context(), "c")
			if lives := err == nil; lives != tt.lives {
				t.Errorf("lives: %v, want %v", lives, tt.lives)
			}
		})
	}
}

// A shim that is killed leaves nothing that its documents asked to end with it.
func TestDeathOfAClient(t *testing.T) {
	b := newBench(t, Config{})
	shim := b.e.Connect(Caller{PID: 20, Exe: "shim.exe"})
	h, err := shim.CreateSystem(t.Context(), CreateSystem{ID: "c", Document: b.containerDoc()})
	b.ok(err)
	b.ok(shim.StartSystem(t.Context(), h, ""))
	_, err = shim.CreateProcess(t.Context(), CreateProcess{System: h, Parameters: params("ping -t localhost")})
	b.ok(err)
	shim.Disconnect()
	shim.Disconnect() // again is harmless
	eventually(t, "an empty ledger after the client's death", func() bool {
		l := b.e.Ledger().Leaks()
		return len(l) == 1 && l[0].Kind == "prepared layer"
	})
	b.code("call of a dead client", shim.StartSystem(t.Context(), h, ""), EServiceDisconnect)
	_, err = shim.OpenSystem(t.Context(), "c")
	b.code("open by a dead client", err, EServiceDisconnect)
	b.cleanEnd()
}

// What a dead client did not flag stays, and the ledger names it.
func TestDeathOfAClientWithoutTheFlagLeaks(t *testing.T) {
	b := newBench(t, Config{})
	shim := b.e.Connect(Caller{PID: 20, Exe: "shim.exe"})
	_, err := shim.CreateSystem(t.Context(), CreateSystem{ID: "c", Document: b.containerDoc(func(d *schema.ComputeSystem) { d.ShouldTerminateOnLastHandleClosed = false })})
	b.ok(err)
	shim.Disconnect()
	found := false
	for _, x := range b.e.Ledger().Leaks() {
		found = found || x.Kind == "system" && x.ID == "c" && x.Owner.PID == 20
	}
	if !found {
		t.Errorf("the ledger does not name the leaked system:\n%s", b.e.Ledger())
	}
}

func TestReservedHandle(t *testing.T) {
	b := newBench(t, Config{})
	ctx := t.Context()
	t.Run("stands for the system once it is there", func(t *testing.T) {
		r := b.Reserve()
		b.code("before", b.StartSystem(ctx, r, ""), EHandle)
		h, err := b.CreateSystem(ctx, CreateSystem{Handle: r, ID: "a", Document: b.containerDoc()})
		b.ok(err)
		if h != r {
			t.Errorf("handle %d, reserved %d", h, r)
		}
		b.ok(b.StartSystem(ctx, r, ""))
		p := b.Reserve()
		_, err = b.CreateProcess(ctx, CreateProcess{Handle: p, System: r, Parameters: params("exit 0")})
		b.ok(err)
		b.ok(b.CloseProcess(p))
		b.ok(b.CloseSystem(r))
		eventually(t, "the system has given its volume back", func() bool { return len(b.e.Ledger().Leaks()) == 1 })
	})
	t.Run("goes with a failure", func(t *testing.T) {
		r := b.Reserve()
		_, err := b.CreateSystem(ctx, CreateSystem{Handle: r, ID: "b", Document: "{}"})
		b.code("create", err, EInvalidJSON)
		b.code("close", b.CloseSystem(r), EHandle)
	})
	t.Run("of vmcompute.dll stays, to hear of the failure", func(t *testing.T) {
		old := b.As(VMCompute)
		r := old.Reserve()
		_, err := old.CreateSystem(ctx, CreateSystem{Handle: r, ID: "b", Document: "{}"})
		b.code("create", err, EInvalidJSON.For(VMCompute))
		cancel, err := old.Subscribe(r, func(Event) {})
		b.ok(err)
		cancel()
		b.code("start", old.StartSystem(ctx, r, ""), EHandle)
		b.ok(old.CloseSystem(r))
	})
	t.Run("of vmcompute.dll has events before the system is there", func(t *testing.T) {
		old := b.As(VMCompute)
		r := old.Reserve()
		exited := make(chan Event, 1)
		cancel, err := old.Subscribe(r, func(ev Event) { exited <- ev })
		b.ok(err)
		defer cancel()
		_, err = old.CreateSystem(ctx, CreateSystem{Handle: r, ID: "f", Document: b.containerDoc()})
		b.ok(err)
		b.ok(old.TerminateSystem(ctx, r, ""))
		if ev := <-exited; ev.Type != EventSystemExited {
			t.Errorf("event %v", ev.Type)
		}
		b.ok(old.CloseSystem(r))
	})
	t.Run("closed early ends what the call makes", func(t *testing.T) {
		r := b.Reserve()
		b.ok(b.CloseSystem(r))
		_, err := b.CreateSystem(ctx, CreateSystem{Handle: r, ID: "d", Document: b.containerDoc()})
		b.code("create", err, EHandle)
		h := b.start("e")
		p := b.Reserve()
		b.ok(b.CloseProcess(p))
		_, err = b.CreateProcess(ctx, CreateProcess{Handle: p, System: h, Parameters: params("ping -t x")})
		b.code("create process", err, EHandle)
		b.ok(b.CloseSystem(h))
	})
	eventually(t, "only the root is left", func() bool { return len(b.e.Ledger().Leaks()) == 1 })
	b.cleanEnd()
}

func TestVirtualMachine(t *testing.T) {
	b := newBench(t, Config{Hypervisor: true})
	ctx := t.Context()
	h, err := b.CreateSystem(ctx, CreateSystem{ID: "p@vm", Document: encode(machineDoc())})
	b.ok(err)
	exited := b.watch(h)
	b.ok(b.StartSystem(ctx, h, ""))
	props, err := b.SystemProperties(ctx, h, `{"PropertyTypes":["Memory"]}`)
	b.ok(err)
	var p schema.Properties
	b.ok(json.Unmarshal([]byte(props), &p))
	if p.RuntimeID == "" || p.SystemType != schema.SystemVirtualMachine || p.Memory.VirtualMachineMemory.AssignedMemory != 1024*pagesPerMB {
		t.Errorf("properties %s", props)
	}
	_, err = b.CreateProcess(ctx, CreateProcess{System: h, Parameters: params("exit 0")})
	b.code("process of a machine", err, ESystemNotConfigured)
	b.ok(b.ShutDownSystem(ctx, h, ""))
	next(t, exited, EventSystemExited)
	b.ok(b.CloseSystem(h))
	b.cleanEnd()
}

// crashingMachine ends by itself when the test says so.
type crashingMachine struct {
	idleMachine
	crashed  bool
	bugcheck []uint64
}

func (m *crashingMachine) Crashed() bool      { return m.crashed }
func (m *crashingMachine) Bugcheck() []uint64 { return m.bugcheck }

type machineRunner struct {
	*Scripted
	machine *crashingMachine
}

func (r *machineRunner) NewMachine(context.Context, MachineSpec) (Machine, error) {
	return r.machine, nil
}

func TestMachineThatEndsByItself(t *testing.T) {
	const unexpected = `{"Status":-1070137082,"ExitType":"UnexpectedExit"`
	for _, tt := range []struct {
		name     string
		build    uint32
		crashed  bool
		bugcheck []uint64
		want     string
	}{
		{"in order", 20348, false, nil, `{"Status":0,"ExitType":"GracefulExit"}`},
		{"crash", 20348, true, nil, unexpected + `}`},
		{"bugcheck", 20348, true, []uint64{0xe2}, unexpected + `,"Attribution":[{"GuestCrash":{"CrashParameters":[226]}}]}`},
		{"bugcheck on a Windows that attributes nothing", 17763, true, []uint64{0xe2}, unexpected + `}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &crashingMachine{idleMachine: idleMachine{done: make(chan struct{})}, crashed: tt.crashed, bugcheck: tt.bugcheck}
			b := newBench(t, Config{Build: tt.build, Hypervisor: true, Runner: &machineRunner{NewScripted(), m}})
			h, err := b.CreateSystem(t.Context(), CreateSystem{ID: "p@vm", Document: encode(machineDoc())})
			b.ok(err)
			b.ok(b.StartSystem(t.Context(), h, ""))
			exited := b.watch(h)
			m.Terminate()
			if tt.bugcheck != nil {
				if ev := next(t, exited, EventSystemCrashInitiated); ev.Data != `{"SystemId":"p@vm","CrashParameters":[226]}` {
					t.Errorf("crash data %s", ev.Data)
				}
				next(t, exited, EventSystemCrashReport)
			}
			if ev := next(t, exited, EventSystemExited); ev.Data != tt.want {
				t.Errorf("exit data %s, want %s", ev.Data, tt.want)
			}
		})
	}
}
