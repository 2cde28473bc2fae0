package computecore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// op is the sequence of a call that tracks an operation.
func op(function string) []string {
	return []string{"HcsCreateOperation", function, "HcsWaitForOperationResult", "HcsCloseOperation"}
}

// The order is the reference's, which production has proven; Kill alone leaves
// out what it has no use for.
func TestOrderOfCalls(t *testing.T) {
	svc := newFakeService()
	h := svc.host(t)
	ctx := t.Context()
	var sys hcs.System
	var p hcs.Process
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		name string
		do   func()
		want [][]string
	}{
		{"create", func() { s, err := h.Create(ctx, "c", document(t)); must(err); sys = s },
			[][]string{op("HcsCreateComputeSystem"), {"HcsSetComputeSystemCallback"}, op("HcsGetComputeSystemProperties")}},
		{"start", func() { must(sys.Start(ctx)) }, [][]string{op("HcsStartComputeSystem")}},
		{"process", func() {
			var err error
			p, err = sys.CreateProcess(ctx, &schema.ProcessParameters{CommandLine: "forever", CreateStdInPipe: true, EmulateConsole: true})
			must(err)
		}, [][]string{{"HcsCreateOperation", "HcsCreateProcess", "HcsWaitForOperationResultAndProcessInfo", "HcsCloseOperation", "stream", "HcsSetProcessCallback"}}},
		{"resize", func() { must(p.Resize(ctx, schema.ConsoleSize{Height: 1, Width: 2})) }, [][]string{op("HcsModifyProcess")}},
		{"end of input", func() { must(p.CloseStdin(ctx)) }, [][]string{op("HcsModifyProcess")}},
		{"end of input again", func() { must(p.CloseStdin(ctx)) }, nil},
		{"kill", func() { _, err := p.Kill(ctx); must(err); <-p.Done() },
			[][]string{{"HcsOpenComputeSystem", "HcsOpenProcess"}, op("HcsTerminateProcess"), {"HcsCloseProcess", "HcsCloseComputeSystem"}}},
		{"signal after the end", func() { _, err := p.Signal(ctx, schema.CtrlC); must(err) }, nil},
		{"close process", func() { must(p.Close()) }, [][]string{{"HcsCloseProcess"}}},
		{"statistics", func() {
			_, err := sys.Properties(ctx, schema.PropertyQuery{PropertyTypes: []schema.PropertyType{schema.PropertyStatistics}})
			must(err)
		}, [][]string{op("HcsGetComputeSystemProperties")}},
		{"shutdown", func() { must(sys.Shutdown(ctx)); <-sys.Done() }, [][]string{op("HcsShutDownComputeSystem")}},
		{"close", func() { must(sys.Close()) }, [][]string{{"HcsCloseComputeSystem"}}},
	} {
		svc.mu.Lock()
		svc.trace = nil
		svc.mu.Unlock()
		step.do()
		svc.mu.Lock()
		if diff := cmp.Diff(slices.Concat(step.want...), svc.trace); diff != "" {
			t.Errorf("%s (-want +got)\n%s", step.name, diff)
		}
		svc.mu.Unlock()
	}
}

// Whatever function fails while a process is brought up, the error says which,
// and neither handle nor receiver of events stays (the cleanup of host looks).
func TestFailureOfEachCall(t *testing.T) {
	const refused = hresult(0x8037011B)
	for _, c := range []struct {
		function string
		op       string // in the error, if not function
	}{
		{function: "HcsCreateOperation"},
		{function: "HcsCreateComputeSystem"},
		{function: "HcsWaitForOperationResult", op: "HcsCreateComputeSystem"},
		{function: "HcsSetComputeSystemCallback"},
		{function: "HcsGetComputeSystemProperties"},
		{function: "HcsStartComputeSystem"},
		{function: "HcsCreateProcess"},
		{function: "stream", op: "open pipes"},
		{function: "HcsSetProcessCallback"},
	} {
		t.Run(c.function, func(t *testing.T) {
			svc := newFakeService()
			svc.fail[c.function] = refused
			err := bringUp(t, svc.host(t))
			want := c.op
			if want == "" {
				want = c.function
			}
			var e *hcs.Error
			if !errors.As(err, &e) || e.Op != want || !errors.Is(err, hcs.ErrAccessDenied) || e.Code != uint32(refused) {
				t.Errorf("%v, want access denied from %s", err, want)
			}
		})
	}
}

// bringUp runs a process with all pipes and closes everything again.
func bringUp(t *testing.T, h *host) error {
	sys, err := h.Create(t.Context(), "c", document(t))
	if err != nil {
		return err
	}
	defer func() { _ = sys.Close() }()
	if err := sys.Start(t.Context()); err != nil {
		return err
	}
	p, err := sys.CreateProcess(t.Context(), &schema.ProcessParameters{
		CommandLine: "forever", CreateStdInPipe: true, CreateStdOutPipe: true, CreateStdErrPipe: true,
	})
	if err != nil {
		return err
	}
	return p.Close()
}

// A wait that fails for a process that runs all the same is mended by asking
// the process: else it would run on with nobody knowing it.
func TestProcessInfoAfterFailedWait(t *testing.T) {
	svc := newFakeService()
	sys := svc.started(t)
	defer func() { _ = sys.Close() }()
	native := sys.(*system)
	svc.fail["HcsWaitForOperationResultAndProcessInfo"] = hresult(0x80370117)
	if _, err := sys.CreateProcess(t.Context(), &schema.ProcessParameters{CommandLine: "forever"}); !errors.Is(err, hcs.ErrInvalidState) {
		t.Errorf("both waits failed: %v, want the first's error", err)
	}
	if i := slices.Index(svc.trace, "HcsGetProcessInfo"); i < 0 {
		t.Errorf("the process was not asked: %v", svc.trace)
	}
	if native.outcome.known() {
		t.Error("the system ended with the failed process")
	}
}

// A service that hangs must not hang the shim, and what it does in the end must
// not stay behind.
func TestHang(t *testing.T) {
	for _, c := range []struct {
		function string
		cancels  bool // the operation exists by then
	}{
		{function: "HcsCreateOperation"},
		{function: "HcsCreateComputeSystem"},
		{function: "HcsWaitForOperationResult", cancels: true},
		{function: "HcsGetComputeSystemProperties"},
	} {
		for _, how := range []string{"deadline", "cancel"} {
			t.Run(c.function+"/"+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { hang(t, c.function, how, c.cancels) })
			})
		}
	}
}

func hang(t *testing.T, function, how string, cancels bool) {
	svc := newFakeService()
	h := svc.host(t)
	release := make(chan struct{})
	svc.hang[function] = release
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	want := error(hcs.ErrTimeout)
	if how == "cancel" {
		want = context.Canceled
		time.AfterFunc(time.Second, cancel)
	}
	began := time.Now()
	_, err := h.Create(ctx, "c", document(t))
	if took := time.Since(began); took > time.Minute || !errors.Is(err, want) {
		t.Errorf("after %v: %v, want %v", took, err, want)
	}
	synctest.Wait()
	svc.mu.Lock()
	if cancelled := slices.Contains(svc.trace, "HcsCancelOperation"); cancelled != cancels {
		t.Errorf("cancelled: %v, want %v", cancelled, cancels)
	}
	svc.mu.Unlock()
	close(release)
	synctest.Wait()
	if len(svc.systems) != 0 {
		t.Errorf("the late system is still there: %v", svc.systems)
	}
}

// A process that came too late is ended: nobody knows it.
func TestLateProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := newFakeService()
		sys := svc.started(t)
		release := make(chan struct{})
		svc.hang["HcsCreateProcess"] = release
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := sys.CreateProcess(ctx, &schema.ProcessParameters{CommandLine: "forever", CreateStdOutPipe: true}); !errors.Is(err, hcs.ErrTimeout) {
			t.Fatal(err)
		}
		close(release)
		synctest.Wait()
		if n := len(svc.systems["c"].processes); n != 0 {
			t.Errorf("%d processes run with nobody knowing them", n)
		}
		_ = sys.Close()
	})
}

// A cancelled wait fails with whatever code the service has for it: the process
// may run all the same, and nobody knows it.
func TestProcessOfCancelledWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := newFakeService()
		sys := svc.started(t)
		const wait = "HcsWaitForOperationResultAndProcessInfo"
		const aborted = hresult(0x80004004)
		release := make(chan struct{})
		svc.hang[wait], svc.fail[wait] = release, aborted
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		time.AfterFunc(time.Second, func() { cancel(); close(release) })
		if _, err := sys.CreateProcess(ctx, &schema.ProcessParameters{CommandLine: "forever"}); err == nil {
			t.Fatal("a process came of a cancelled call")
		}
		synctest.Wait()
		if n := len(svc.systems["c"].processes); n != 0 {
			t.Errorf("%d processes run with nobody knowing them", n)
		}
		_ = sys.Close()
	})
}

// Without a deadline of the caller's the wait has one of its own.
func TestWaitHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := newFakeService()
		h := svc.host(t)
		svc.hang["HcsWaitForOperationResult"] = make(chan struct{})
		began := time.Now()
		_, err := h.Create(context.Background(), "c", document(t))
		if took := time.Since(began); took != maxWait || !errors.Is(err, hcs.ErrTimeout) {
			t.Errorf("after %v: %v, want a timeout after %v", took, err, maxWait)
		}
	})
}

// Close while a call is under way must not take the handle from under it.
func TestCloseDuringCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := newFakeService()
		sys := svc.created(t)
		release := make(chan struct{})
		svc.hang["HcsStartComputeSystem"] = release
		started := make(chan error, 1)
		go func() { started <- sys.Start(t.Context()) }()
		synctest.Wait()
		if err := sys.Close(); err != nil {
			t.Error(err)
		}
		if slices.Contains(svc.trace, "HcsCloseComputeSystem") {
			t.Error("the handle was closed under a call")
		}
		close(release)
		if err := <-started; err != nil {
			t.Errorf("the call that was under way: %v", err)
		}
		synctest.Wait()
		if !slices.Contains(svc.trace, "HcsCloseComputeSystem") {
			t.Error("the handle is still open")
		}
	})
}

// Whoever asked for a shutdown that is refused must know at once, or a container
// that takes no shutdown costs its pod the whole grace before it is terminated.
func TestShutdownRefused(t *testing.T) {
	svc := newFakeService()
	sys := svc.created(t)
	defer func() { _ = sys.Close() }()
	svc.refuseShutdown = hresult(0x80370105)
	if err := sys.Shutdown(t.Context()); !errors.Is(err, hcs.ErrInvalidState) {
		t.Errorf("%v, want the refusal", err)
	}
	svc.refuseShutdown = operationTimeout // the service works at it
	if err := sys.Shutdown(t.Context()); err != nil {
		t.Errorf("a shutdown that takes its time: %v", err)
	}
}

// An operator looks for a driver when the guest's kernel crashed, for Hyper-V
// when the worker process did: the two must not be confused.
func TestSystemEvents(t *testing.T) {
	for _, c := range []struct {
		name string
		typ  eventType
		data string
		want error

		crash []string // data of the crash events before
	}{
		{"graceful", eventSystemExited, `{"Status":0,"ExitType":"GracefulExit"}`, nil, nil},
		{"forced", eventSystemExited, `{"Status":-1070137081,"ExitType":"ForcedExit"}`, nil, nil},
		{"unexpected", eventSystemExited, `{"Status":-1070137082,"ExitType":"UnexpectedExit"}`, hcs.ErrUnexpectedExit, nil},
		{"unexpected, from a Windows without types", eventSystemExited, `{"Status":-1070137082}`, hcs.ErrUnexpectedExit, nil},
		{"terminated, from a Windows without types", eventSystemExited, `{"Status":-1070137081}`, nil, nil},
		{"without data", eventSystemExited, ``, nil, nil},
		{"with other data", eventSystemExited, `<xml>`, hcs.ErrUnknown, nil},
		{"the service went away", eventServiceDisconnect, ``, hcs.ErrDisconnected, nil},
		{"after the guest's crash", eventSystemExited, `{"Status":-1070137082,"ExitType":"UnexpectedExit"}`, hcs.ErrGuestCrash, []string{`{"CrashParameters":[226]}`, `{}`}},
		{"after a crash without data", eventSystemExited, `{"Status":0,"ExitType":"GracefulExit"}`, hcs.ErrGuestCrash, []string{``}},
	} {
		t.Run(c.name, func(t *testing.T) {
			svc := newFakeService()
			sys := svc.created(t)
			defer func() { _ = sys.Close() }()
			svc.events.deliver(1, eventType(0x06), `{}`) // one that says nothing of an end
			for _, crash := range c.crash {
				svc.events.deliver(1, eventSystemCrashInitiated, crash)
			}
			svc.events.deliver(1, c.typ, c.data)
			svc.events.deliver(1, eventSystemExited, `{"Status":0}`) // the first wins
			<-sys.Done()
			if err := sys.Exit(); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if ending := sys.Ending(); !errors.Is(ending.Err, c.want) || ending.How == hcs.EndBugcheck != (c.crash != nil) {
				t.Errorf("ending %+v, want %v", ending, c.want)
			}
			select {
			case <-sys.Crashed():
				if c.crash == nil {
					t.Error("a crash that was never reported")
				}
			default:
				if c.crash != nil {
					t.Error("the crash is not seen: the bridge would be waited for in vain")
				}
			}
		})
	}
}

func TestProcessEvents(t *testing.T) {
	for _, c := range []struct {
		name string
		typ  eventType
		data string
		code uint32
		want error
	}{
		{"an exit", eventProcessExited, `{"ProcessId":1,"Exited":true,"ExitCode":3221225786,"LastWaitResult":0}`, 0xC000013A, nil},
		{"the service's own wait failed", eventProcessExited, `{"ExitCode":1,"LastWaitResult":258}`, 0, hcs.ErrUnknown},
		{"no data", eventProcessExited, ``, 0, hcs.ErrUnknown},
		{"the service went away", eventServiceDisconnect, ``, 0, hcs.ErrDisconnected},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &process{outcome: outcome{done: make(chan struct{})}}
			p.receive(c.typ, c.data)
			<-p.Done()
			code, err := p.ExitCode()
			if code != c.code || !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("%#x, %v; want %#x, %v", code, err, c.code, c.want)
			}
		})
	}
}

// The service has been seen to lose an exit: a task that waits for it would
// never end.
func TestLostExitEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := newFakeService()
		sys := svc.started(t)
		defer func() { _ = sys.Close() }()
		svc.mute = true
		p, err := sys.CreateProcess(t.Context(), &schema.ProcessParameters{CommandLine: "exit 1"})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = p.Close() }()
		synctest.Wait()
		if delivered, err := p.Signal(t.Context(), schema.CtrlC); delivered || err != nil {
			t.Errorf("signal: %v, %v", delivered, err)
		}
		began := time.Now()
		<-p.Done()
		if _, err := p.ExitCode(); time.Since(began) != eventGrace || !errors.Is(err, hcs.ErrDisconnected) {
			t.Errorf("after %v: %v, want lost after %v", time.Since(began), err, eventGrace)
		}
	})
}

// A kill of what is being terminated already is no failure: Windows answers
// "access denied".
func TestKillAnswers(t *testing.T) {
	for _, c := range []struct {
		function  string
		answer    error
		delivered bool
		want      error
	}{
		{"HcsTerminateProcess", hresult(0x80070005), true, nil},
		{"HcsTerminateProcess", hresult(0x8037011F), false, nil},
		{"HcsOpenProcess", hresult(0x80070490), false, nil},
		{"HcsOpenComputeSystem", hresult(0x8037010E), false, nil},
		{"HcsOpenComputeSystem", hresult(0x800706BA), false, hcs.ErrUnavailable},
	} {
		t.Run(fmt.Sprintf("%s %v", c.function, c.answer), func(t *testing.T) {
			svc := newFakeService()
			sys := svc.started(t)
			defer func() { _ = sys.Close() }()
			p, err := sys.CreateProcess(t.Context(), &schema.ProcessParameters{CommandLine: "forever"})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = p.Close() }()
			svc.mu.Lock()
			svc.fail[c.function] = c.answer
			svc.mu.Unlock()
			delivered, err := p.Kill(t.Context())
			if delivered != c.delivered || !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("%v, %v; want %v, %v", delivered, err, c.delivered, c.want)
			}
		})
	}
}

// Calls of the service that track no operation.
func TestServiceCalls(t *testing.T) {
	svc := newFakeService()
	h := svc.host(t)
	answer, err := h.ModifyService(t.Context(), &schema.ServiceModification{PropertyType: schema.ServicePropertyContainerCredentialGuard})
	if err != nil || string(answer) != `{"PropertyType":"ContainerCredentialGuard"}` {
		t.Errorf("%s, %v", answer, err)
	}
	for _, call := range []func(context.Context, string, string) error{h.GrantVMAccess, h.RevokeVMAccess} {
		if err := call(t.Context(), "vm", `C:\disk.vhdx`); err != nil {
			t.Error(err)
		}
	}
	absent := errors.New("no such export")
	for _, f := range []string{"HcsGrantVmAccess", "HcsModifyServiceSettings", "HcsGetServiceProperties", "HcsEnumerateComputeSystems"} {
		svc.fail[f] = absent
	}
	_, errModify := h.ModifyService(t.Context(), &schema.ServiceModification{})
	_, errProps := h.ServiceProperties(t.Context(), schema.ServicePropertyQuery{})
	_, errList := h.List(t.Context(), schema.SystemQuery{})
	for _, err := range []error{h.GrantVMAccess(t.Context(), "vm", "x"), errModify, errProps, errList} {
		if !errors.Is(err, hcs.ErrNotSupported) {
			t.Errorf("%v, want %v: an older Windows lacks the function", err, hcs.ErrNotSupported)
		}
	}
}

// Documents that can't be written or read are errors, not panics.
func TestDocumentsThatAreNone(t *testing.T) {
	h := newFakeService().host(t)
	_, err := h.ModifyService(t.Context(), &schema.ServiceModification{Settings: make(chan int)})
	if !errors.Is(err, hcs.ErrInvalidDocument) {
		t.Errorf("%v, want %v", err, hcs.ErrInvalidDocument)
	}
	if _, err := decode[schema.Properties]("name", "id", "{"); !errors.Is(err, hcs.ErrUnknown) {
		t.Errorf("%v, want %v", err, hcs.ErrUnknown)
	}
}

// Elsewhere than on Windows there is no service, and New says so.
func TestNewWithoutService(t *testing.T) {
	if _, err := newNative(&registry{}); err == nil {
		t.Skip("this machine has computecore.dll")
	}
	if _, err := New(nil); !errors.Is(err, hcs.ErrUnavailable) {
		t.Errorf("%v, want %v", err, hcs.ErrUnavailable)
	}
}

// When unregister returns, the receiver must not run: its handle is gone.
func TestUnregisterWaitsForDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r registry
		release, running := make(chan struct{}), false
		id := r.register(func(eventType, string) {
			running = true
			<-release
			running = false
		})
		go r.deliver(id, eventSystemExited, "")
		synctest.Wait()
		gone := make(chan struct{})
		go func() { r.unregister(id); close(gone) }()
		synctest.Wait()
		select {
		case <-gone:
			t.Error("unregister returned while the receiver ran")
		default:
		}
		close(release)
		<-gone
		if running {
			t.Error("the receiver still runs")
		}
		r.deliver(id, eventSystemExited, "") // goes nowhere
		r.unregister(id)                     // is known to nobody
	})
}
