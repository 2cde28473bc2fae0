package hcsemu

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isolrun/isol/internal/hcs/schema"
)

func plan(t *testing.T, text string) []Fault {
	t.Helper()
	faults, err := ParseFaults([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return faults
}

// A plan that is mistyped must not pass for one under which nothing failed.
func TestFaultPlansThatMakeNoSense(t *testing.T) {
	for _, tt := range []struct{ plan, says string }{
		{`{`, "fault plan"},
		{`[{"function":"F","action":"fail","kode":"1"}]`, "kode"},
		{`[{"action":"hang"}]`, "one of function and event"},
		{`[{"function":"F","event":"E","action":"hang"}]`, "one of function and event"},
		{`[{"function":"F","action":"fail"}]`, "needs a code"},
		{`[{"function":"F","action":"fail","code":"5"}]`, "not a failing HRESULT"},
		{`[{"function":"F","action":"fail","code":"x"}]`, "not a failing HRESULT"},
		{`[{"function":"F","action":"delay"}]`, "delay_ms"},
		{`[{"function":"F","action":"explode"}]`, "is not one of"},
		{`[{"function":"F","action":"hang","when":"during"}]`, "before and after"},
		{`[{"function":"F","action":"drop"}]`, "events can be dropped"},
		{`[{"event":"ProcessExited","action":"hang"}]`, "events can be dropped"},
	} {
		_, err := ParseFaults([]byte(tt.plan))
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("plan %s: error %v does not say %q", tt.plan, err, tt.says)
		}
	}
	if err := New(Config{}).AddFaults(Fault{Function: "F", Action: "explode"}); err == nil {
		t.Error("a bad fault was added")
	}
}

func FuzzParseFaults(f *testing.F) {
	f.Add([]byte(`[{"function":"*","exe":"a.exe","nth":2,"times":-1,"when":"after","action":"fail","code":"0x80370118"}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		faults, err := ParseFaults(text)
		if err == nil {
			if err := New(Config{}).AddFaults(faults...); err != nil {
				t.Errorf("plan that was read can't be added: %v", err)
			}
		}
	})
}

func TestWhichCallsFail(t *testing.T) {
	query := func(b *bench) HRESULT {
		_, err := b.ServiceProperties(context.Background(), "")
		return CodeOf(err)
	}
	for _, tt := range []struct {
		name, plan string
		want       []HRESULT
	}{
		{"the first", `[{"function":"HcsGetServiceProperties","action":"fail","code":"0x80004005"}]`, []HRESULT{EFail, OK, OK}},
		{"the second", `[{"function":"HcsGetServiceProperties","nth":2,"action":"fail","code":"0x80004005"}]`, []HRESULT{OK, EFail, OK}},
		{"two from the second on", `[{"function":"*","nth":2,"times":2,"action":"fail","code":"0x80004005"}]`, []HRESULT{OK, EFail, EFail, OK}},
		{"all", `[{"function":"*","times":-1,"action":"fail","code":"0x80004005"}]`, []HRESULT{EFail, EFail, EFail}},
		{"this caller's", `[{"function":"*","exe":"SHIM.exe","action":"fail","code":"0x80004005"}]`, []HRESULT{EFail, OK}},
		{"another caller's", `[{"function":"*","exe":"other.exe","action":"fail","code":"0x80004005"}]`, []HRESULT{OK, OK}},
		{"another function's", `[{"function":"HcsOpenComputeSystem","action":"fail","code":"0x80004005"}]`, []HRESULT{OK, OK}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, Config{})
			b.ok(b.e.AddFaults(plan(t, tt.plan)...))
			for i, want := range tt.want {
				if got := query(b); got != want {
					t.Errorf("call %d: 0x%08x, want 0x%08x", i+1, uint32(got), uint32(want))
				}
			}
			b.e.ClearFaults()
			if got := query(b); got != OK {
				t.Errorf("after ClearFaults: 0x%08x", uint32(got))
			}
		})
	}
}

// A call that fails after its effect leaves nothing that its caller can't give back.
func TestFailureAfterTheEffect(t *testing.T) {
	b := newBench(t, Config{})
	ctx := t.Context()
	for _, f := range []string{"HcsCreateComputeSystem", "HcsOpenComputeSystem", "HcsCreateProcess", "HcsOpenProcess", "HcsSetComputeSystemCallback", "HcnOpenNamespace"} {
		b.ok(b.e.AddFaults(Fault{Function: f, When: "after", Action: ActionFail, Code: "0x80370118"}))
	}
	_, err := b.CreateSystem(ctx, CreateSystem{ID: "c", Document: b.containerDoc()})
	b.code("create", err, EOperationTimeout)
	h := b.start("c") // the id is free again
	_, err = b.OpenSystem(ctx, "c")
	b.code("open", err, EOperationTimeout)
	_, err = b.CreateProcess(ctx, CreateProcess{System: h, Parameters: params("ping -t localhost")})
	b.code("create process", err, EOperationTimeout)
	p := b.run(h, "ping -t localhost")
	_, err = b.OpenProcess(ctx, h, p.PID)
	b.code("open process", err, EOperationTimeout)
	_, err = b.Subscribe(h, func(Event) {})
	b.code("subscribe", err, EOperationTimeout)
	ns, err := b.CreateNetworkObject(ctx, Namespace, 0, "", "{}")
	b.ok(err)
	_, err = b.OpenNetworkObject(ctx, Namespace, b.handles[ns].object.id)
	b.code("open namespace", err, EOperationTimeout)
	eventually(t, "handles: the system's, one process's, one namespace's", func() bool {
		return strings.Count(b.e.Ledger().String(), "handle") == 3 && strings.Count(b.e.Ledger().String(), "process ") == 2
	})
}

// Hangs and delays end by themselves only in the ways that the plan names.
func TestHangAndDelay(t *testing.T) {
	start := func(b *bench, ctx context.Context, h Handle) <-chan error {
		done := make(chan error, 1)
		go func() { done <- b.StartSystem(ctx, h, "") }()
		synctest.Wait()
		return done
	}
	hang := Fault{Name: "h", Function: "HcsStartComputeSystem", Action: ActionHang}
	run := func(name string, f func(t *testing.T, b *bench, h Handle)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, Config{})
				f(t, b, b.create("c"))
			})
		})
	}
	run("released", func(t *testing.T, b *bench, h Handle) {
		b.ok(b.e.AddFaults(hang))
		done := start(b, t.Context(), h)
		if n := b.e.Hanging("h"); n != 1 {
			t.Fatalf("%d calls hang, want 1", n)
		}
		if b.e.Release("other") != 0 || b.e.Release("h") != 1 {
			t.Error("released another than the one")
		}
		b.ok(<-done)
	})
	run("released with a code", func(t *testing.T, b *bench, h Handle) {
		f := hang
		f.Code = "0x8037011e"
		b.ok(b.e.AddFaults(f))
		done := start(b, t.Context(), h)
		b.e.Release("")
		b.code("start", <-done, EServiceDisconnect)
	})
	run("given up by the caller", func(t *testing.T, b *bench, h Handle) {
		b.ok(b.e.AddFaults(hang))
		ctx, cancel := context.WithCancel(t.Context())
		done := start(b, ctx, h)
		cancel()
		b.code("start", <-done, EAbort)
		if b.e.Hanging("") != 0 {
			t.Error("the call still hangs")
		}
		b.ok(b.StartSystem(t.Context(), h, "")) // it did nothing
		b.code("with a context that has ended", b.StartSystem(ctx, h, ""), EAbort)
	})
	run("caller gone", func(t *testing.T, b *bench, h Handle) {
		b.ok(b.e.AddFaults(hang))
		done := start(b, t.Context(), h)
		b.Disconnect()
		b.code("start", <-done, EServiceDisconnect)
	})
	run("delay", func(t *testing.T, b *bench, h Handle) {
		b.ok(b.e.AddFaults(Fault{Function: "*", Action: ActionDelay, DelayMS: 1500}))
		begin := time.Now()
		b.ok(<-start(b, t.Context(), h))
		if d := time.Since(begin); d != 1500*time.Millisecond {
			t.Errorf("delayed by %v", d)
		}
	})
	run("delay given up", func(t *testing.T, b *bench, h Handle) {
		b.ok(b.e.AddFaults(Fault{Function: "*", Action: ActionDelay, DelayMS: 1500}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b.code("start", <-start(b, ctx, h), EAbort)
	})
}

// When the service dies its clients are told, their handles are lost, and the
// containers can be found again once it is back.
func TestServiceDisconnect(t *testing.T) {
	b := newBench(t, Config{})
	ctx := t.Context()
	h := b.start("c")
	p := b.run(h, "ping -t localhost")
	system, process := b.watch(h), b.watch(p.Handle)
	v1 := make(chan Event, 1)
	_, err := b.As(VMCompute).Subscribe(h, func(ev Event) { v1 <- ev })
	b.ok(err)
	b.ok(b.e.AddFaults(Fault{Function: "HcsGetComputeSystemProperties", Action: ActionDisconnect}))
	_, err = b.SystemProperties(ctx, h, "")
	b.code("the call during which it died", err, EServiceDisconnect)
	next(t, system, EventServiceDisconnect)
	next(t, process, EventServiceDisconnect)
	next(t, v1, disconnectV1)
	b.code("a handle of before", b.TerminateSystem(ctx, h, ""), EServiceDisconnect)
	b.code("a process handle of before", b.TerminateProcess(ctx, p.Handle, ""), EServiceDisconnect)
	_, err = b.OpenSystem(ctx, "c")
	b.code("while it is down", err, EServiceNotAvailable)
	b.ok(b.ActivateLayer(ctx, `C:\l\1`)) // layers have another service
	b.ok(b.DeactivateLayer(ctx, `C:\l\1`))

	b.e.RestoreService()
	b.code("a handle of before, after its return", b.TerminateSystem(ctx, h, ""), EServiceDisconnect)
	again, err := b.OpenSystem(ctx, "c")
	b.ok(err)
	exited := b.watch(again)
	b.ok(b.TerminateSystem(ctx, again, ""))
	next(t, exited, EventSystemExited)
	for _, handle := range []Handle{h, again} {
		b.ok(b.CloseSystem(handle))
	}
	b.ok(b.CloseProcess(p.Handle))
	b.cleanEnd()
}

func TestKillAndCrashAndDrop(t *testing.T) {
	t.Run("kill", func(t *testing.T) {
		var killed Caller
		b := newBench(t, Config{Kill: func(c Caller) { killed = c }})
		b.ok(b.e.AddFaults(Fault{Function: "HcsCreateComputeSystem", When: "after", Action: ActionKill}))
		_, err := b.CreateSystem(t.Context(), CreateSystem{ID: "c", Document: b.containerDoc()})
		b.code("create", err, EServiceDisconnect)
		if killed != b.Caller() {
			t.Errorf("killed %+v", killed)
		}
		if l := b.e.Ledger().Leaks(); len(l) != 1 || l[0].Kind != "prepared layer" {
			t.Errorf("ledger after the kill, want the layer only:\n%s", l)
		}
	})
	t.Run("crash", func(t *testing.T) {
		b := newBench(t, Config{})
		h := b.start("c")
		exited := b.watch(h)
		b.ok(b.e.AddFaults(Fault{Function: "HcsCreateProcess", Action: ActionCrash}))
		_, err := b.CreateProcess(t.Context(), CreateProcess{System: h, Parameters: params("exit 0")})
		b.code("create process", err, ESystemAlreadyStopped)
		if ev := next(t, exited, EventSystemExited); ev.Status != EUnexpectedExit.For(VMCompute) {
			t.Errorf("status %#x", uint32(ev.Status))
		}
		b.ok(b.e.AddFaults(Fault{Function: "HcsGetServiceProperties", Action: ActionCrash}))
		_, err = b.ServiceProperties(t.Context(), "")
		b.ok(err) // there is nothing to crash
	})
	t.Run("drop", func(t *testing.T) {
		b := newBench(t, Config{})
		h := b.start("c")
		b.ok(b.e.AddFaults(Fault{Event: "ProcessExited", Action: ActionDrop}))
		lost, heard := b.run(h, "pause"), b.run(h, "pause")
		events := make(chan Event, 8)
		for _, p := range []ProcessInformation{lost, heard} {
			_, err := b.Subscribe(p.Handle, func(ev Event) { events <- ev })
			b.ok(err)
			b.ok(b.TerminateProcess(t.Context(), p.Handle, ""))
			eventually(t, "the end", func() bool {
				_, err := b.OpenProcess(t.Context(), h, p.PID)
				return errors.Is(err, EElementNotFound)
			})
		}
		if ev := next(t, events, EventProcessExited); !strings.Contains(ev.Data, "\"ProcessId\":"+itoa(heard.PID)) {
			t.Errorf("heard of %s", ev.Data)
		}
	})
}

func itoa(n uint32) string { return encode(n) }

func TestRecord(t *testing.T) {
	var lines strings.Builder
	b := newBench(t, Config{Record: &lines})
	ctx := t.Context()
	h := b.start("c")
	_, err := b.As(VMCompute).OpenSystem(ctx, "nobody")
	b.code("through the older library", err, 0xC037010E)
	b.ok(b.e.AddFaults(Fault{Function: "HcsGetServiceProperties", Action: ActionFail, Code: "0x80004005"}))
	_, err = b.ServiceProperties(ctx, "")
	b.code("fault", err, EFail)
	b.ok(b.Note(ctx, "HcsCreateOperation", Args{"context": 0}))
	_ = h

	calls := b.e.Calls(CallFilter{System: "c"})
	if len(calls) != 2 || calls[0].Function != "HcsCreateComputeSystem" || calls[1].Function != "HcsStartComputeSystem" {
		t.Fatalf("calls about c: %+v", calls)
	}
	if calls[0].DLL != "computecore.dll" || calls[0].Caller.PID != 11 || calls[0].Code != OK || calls[0].Result == nil {
		t.Errorf("recorded as %+v", calls[0])
	}
	for f, dll := range map[string]string{"HcsOpenComputeSystem": "vmcompute.dll", "PrepareLayer": "vmcompute.dll", "HcsCreateOperation": "computecore.dll"} {
		if found := b.e.Calls(CallFilter{Function: f, Exe: "SHIM.EXE"}); len(found) != 1 || found[0].DLL != dll {
			t.Errorf("%s: %+v, want one in %s", f, found, dll)
		}
	}
	if found := b.e.Calls(CallFilter{Function: "HcsGetServiceProperties"}); found[0].Fault != "before:fail" || found[0].Error == "" {
		t.Errorf("the fault is recorded as %+v", found[0])
	}
	if found := b.e.Calls(CallFilter{After: calls[1].Seq}); len(found) != 3 {
		t.Errorf("%d calls after the start, want 3", len(found))
	}
	if n := strings.Count(lines.String(), "\n"); n != len(b.e.Calls(CallFilter{})) || !strings.Contains(lines.String(), `"document":{"Owner":"test"`) {
		t.Errorf("%d lines:\n%s", n, lines.String())
	}
	b.ok(b.e.RecordError())
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestRecordError(t *testing.T) {
	b := newBench(t, Config{Record: fullDisk{}})
	if err := b.e.RecordError(); err == nil || err.Error() != "disk full" {
		t.Errorf("error %v", err)
	}
}

// Registering late, leaving early, and closing the handle.
func TestSubscriptions(t *testing.T) {
	b := newBench(t, Config{})
	ctx := t.Context()
	h := b.start("c")
	second, err := b.OpenSystem(ctx, "c")
	b.ok(err)
	p := b.run(h, "exit 5")
	if code := b.exitCode(b.watch(p.Handle)); code != 5 {
		t.Errorf("exit code %d", code)
	}
	if code := b.exitCode(b.watch(p.Handle)); code != 5 {
		t.Errorf("a late registration saw exit code %d", code)
	}
	var after []Event
	cancel, err := b.Subscribe(h, func(ev Event) { after = append(after, ev) })
	b.ok(err)
	cancel()
	closed := b.watch(second)
	b.ok(b.CloseSystem(second))
	exited := b.watch(h)
	b.ok(b.TerminateSystem(ctx, h, ""))
	next(t, exited, EventSystemExited)
	next(t, b.watch(h), EventSystemExited)
	if len(after) != 0 || len(closed) != 0 {
		t.Errorf("events after cancel %v, after close %v", after, len(closed))
	}
	_, err = b.Subscribe(b.Reserve(), func(Event) {})
	b.code("a reserved handle", err, EHandle)
	_, err = b.Subscribe(99, func(Event) {})
	b.code("no handle", err, EHandle)
	var names []string
	for _, e := range []EventType{EventSystemExited, EventSystemCrashInitiated, EventSystemCrashReport, EventProcessExited, EventServiceDisconnect, 7} {
		names = append(names, e.String())
	}
	if got := strings.Join(names, " "); got != "SystemExited SystemCrashInitiated SystemCrashReport ProcessExited ServiceDisconnect Unknown" {
		t.Errorf("names %s", got)
	}
}

// Many shims at once: run under -race.
func TestManyClients(t *testing.T) {
	b := newBench(t, Config{TrustNames: true})
	const clients = 8
	done := make(chan error, clients)
	for i := range clients {
		go func() {
			c := b.e.Connect(Caller{PID: uint32(100 + i), Exe: "shim.exe"})
			defer c.Disconnect()
			id := "c" + itoa(uint32(i))
			doc := b.containerDoc(func(d *schema.ComputeSystem) { d.Container.Storage.Path = `\\?\Volume{` + id + `}\` })
			h, err := c.CreateSystem(t.Context(), CreateSystem{ID: id, Document: doc})
			if err == nil {
				err = c.StartSystem(t.Context(), h, "")
			}
			for range 20 {
				var p ProcessInformation
				if err == nil {
					p, err = c.CreateProcess(t.Context(), CreateProcess{System: h, Parameters: params("exit 0")})
				}
				if err == nil {
					_, err = c.SystemProperties(t.Context(), h, `{"PropertyTypes":["Statistics","ProcessList"]}`)
					b.e.Ledger()
					err = errors.Join(err, c.CloseProcess(p.Handle))
				}
			}
			done <- err
		}()
	}
	for range clients {
		b.ok(<-done)
	}
	eventually(t, "all systems are gone", func() bool { return len(b.e.Ledger().Leaks()) == 1 })
	b.cleanEnd()
}
