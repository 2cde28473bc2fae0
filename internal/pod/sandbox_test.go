package pod

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/test/hcsemu"
)

// Who made a sandbox changes it; whoever asks may look. "-": FailedPrecondition.
func TestServicesRespectEachOther(t *testing.T) {
	plans := map[string]*isolation.Plan{
		"sandbox of the Sandbox API": {Role: isolation.RoleSandbox, Bare: true},
		"sandbox of the Task API":    {Role: isolation.RoleSandbox},
		"workload":                   {Role: isolation.RoleWorkload},
		"standalone":                 {Role: isolation.RoleStandalone},
	}
	want := map[string][2]string{ // of the Task API, of the Sandbox API
		"sandbox of the Sandbox API": {"-", "ok"},
		"sandbox of the Task API":    {"ok", "-"},
		"workload":                   {"ok", "-"},
		"standalone":                 {"ok", "-"},
	}
	for name, plan := range plans {
		var got [2]string
		for _, s := range []service{taskService, sandboxService} {
			for e := range evCreated { // all that clients ask
				sign := "ok"
				if err := mayChange(&task{id: "p1", plan: plan}, s, e); err != nil {
					sign = "-"
					if !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), madeBy(plan).String()+" made it") {
						t.Errorf("%s: %v", name, err)
					}
				}
				if got[s] != "" && got[s] != sign {
					t.Errorf("%s, %s: not all requests are treated alike", name, s)
				}
				got[s] = sign
			}
		}
		if got != want[name] {
			t.Errorf("%s: Task and Sandbox API %v, want %v", name, got, want[name])
		}
	}
}

// bare is the request of a sandbox that the Sandbox API makes.
func (l *lab) bare(id string) CreateTask {
	return CreateTask{ID: id, Bundle: l.TempDir(), Plan: &isolation.Plan{
		ID: id, Mode: isolation.ModeProcess, Role: isolation.RoleSandbox, SandboxID: id, Bare: true,
	}}
}

func (l *lab) startSandbox(req CreateTask) {
	l.Helper()
	l.must(l.pod.CreateSandbox(l.Context(), req))
	info, err := l.pod.StartSandbox(l.Context(), req.ID)
	l.must(err)
	if info.PID == 0 || info.Status != StatusRunning || info.CreatedAt.IsZero() {
		l.Errorf("started sandbox: %+v", info)
	}
}

// stopped stops and removes the sandbox as containerd does.
func (l *lab) endSandbox(id string) {
	l.Helper()
	l.must(l.pod.StopSandbox(l.Context(), id, 0))
	l.must(l.pod.ShutdownSandbox(l.Context(), id))
}

// A process pod of the Sandbox API: no pause container, nothing of the sandbox
// on the machine, workloads that come and go, a stop that ends them all.
func TestBarePod(t *testing.T) {
	in(t, func(l *lab) {
		ctx := l.Context()
		l.must(l.pod.CreateSandbox(ctx, l.bare("p1")))
		if err := l.pod.Create(ctx, l.inPod("w1", isolation.RoleWorkload, "more")); !fault.Is(err, fault.FailedPrecondition) ||
			!strings.Contains(err.Error(), "start the sandbox first") {
			t.Error("workload before its sandbox runs:", err)
		}
		if _, err := l.pod.StartSandbox(ctx, "p1"); err != nil {
			t.Fatal(err)
		}
		if left := l.emu.Ledger().Leaks(); len(left) != 0 {
			t.Errorf("a sandbox without a container has on the machine:\n%s", left)
		}
		for range 3 {
			l.must(l.pod.Create(ctx, l.inPod("w1", isolation.RoleWorkload, "cmd /c exit 0")))
			l.start("w1", "")
			l.wait("w1", "")
			l.delete("w1", "")
		}
		for _, id := range []string{"w1", "w2", "w3"} {
			l.must(l.pod.Create(ctx, l.inPod(id, isolation.RoleWorkload, "ping -t localhost")))
		}
		l.start("w1", "")
		l.start("w2", "")
		if err := l.pod.ShutdownSandbox(ctx, "p1"); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "w1, w2, w3") {
			t.Error("shutdown over live containers:", err)
		}
		stopped := make(chan Exit)
		go func() { stopped <- l.wait("p1", "") }()
		l.must(l.pod.StopSandbox(ctx, "p1", 0))
		if exit := <-stopped; exit.Status != 0 {
			t.Errorf("the sandbox ended with %d", exit.Status)
		}
		for _, id := range []string{"w1", "w2", "w3"} {
			if s, err := l.pod.State(id, ""); err != nil || s.Status != StatusStopped {
				t.Errorf("%s after stop: %+v, %v", id, s, err)
			}
		}
		l.endSandbox("p1") // again: both are idempotent
		l.nothingLeft()
	})
}

// containerd sends the events of sandboxes itself: those of a task that it
// does not know would confuse its clients.
func TestBareSandboxHasNoEvents(t *testing.T) {
	in(t, func(l *lab) {
		l.startSandbox(l.bare("p1"))
		l.must(l.pod.Create(l.Context(), l.inPod("w1", isolation.RoleWorkload, "cmd /c exit 3")))
		l.start("w1", "")
		l.wait("w1", "")
		l.endSandbox("p1")
		for _, e := range l.events.all() {
			if strings.Contains(e, "p1") {
				t.Errorf("event %q", e)
			}
		}
	})
}

// The answers for one sandbox are the same whichever service asks, and CRI's
// statistics, which ask the Task API for every shim, find figures there.
func TestBareSandboxInTheTaskAPI(t *testing.T) {
	in(t, func(l *lab) {
		ctx := l.Context()
		l.startSandbox(l.bare("p1"))
		state, err := l.pod.State("p1", "")
		info, ierr := l.pod.Sandbox("p1")
		if err != nil || ierr != nil || !cmp.Equal(state, info.State) {
			t.Errorf("Task API %+v (%v), Sandbox API %+v (%v)", state, err, info.State, ierr)
		}
		if s, err := l.pod.Stats(ctx, "p1"); err != nil || s.Timestamp.IsZero() {
			t.Errorf("stats %+v, %v", s, err)
		}
		if d, err := l.pod.Pids(ctx, "p1"); err != nil || len(d) != 1 || d[0].PID != sandboxPID {
			t.Errorf("pids %+v, %v: one sandbox without pids fails the statistics of its pod", d, err)
		}
		for what, err := range map[string]error{
			"start":  second(l.pod.Start(ctx, "p1", "")),
			"kill":   l.kill("p1", ""),
			"exec":   l.pod.CreateExec(ctx, CreateExec{ID: "p1", ExecID: "e1"}),
			"update": l.pod.Update(ctx, Update{ID: "p1", MemoryBytes: ptr[uint64](1 << 30)}),
			"delete": second(l.pod.Delete(ctx, "p1", "")),
		} {
			if !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "Sandbox API made it") {
				t.Errorf("%s through the Task API: %v", what, err)
			}
		}
		if err := l.pod.UpdateSandbox(ctx, Update{ID: "p1", MemoryBytes: ptr[uint64](1 << 30)}); !fault.Is(err, fault.Unimplemented) {
			t.Errorf("limits of a pod without a VM: %v, want Unimplemented, which containerd tolerates", err)
		}
		l.endSandbox("p1")
		if err := l.pod.PingSandbox("p1"); !fault.Is(err, fault.FailedPrecondition) {
			t.Errorf("ping of an ended sandbox: %v", err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

// Ids that are not there, and a sandbox that the Task API made.
func TestSandboxRefuses(t *testing.T) {
	in(t, func(l *lab) {
		ctx := l.Context()
		for what, err := range map[string]error{
			"start":  second(l.pod.StartSandbox(ctx, "p9")),
			"status": second(l.pod.Sandbox("p9")),
			"ping":   l.pod.PingSandbox("p9"),
			"stop":   l.pod.StopSandbox(ctx, "p9", 0),
			"shut":   l.pod.ShutdownSandbox(ctx, "p9"),
			"update": l.pod.UpdateSandbox(ctx, Update{ID: "p9"}),
		} {
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("%s of no sandbox: %v", what, err)
			}
		}
		l.must(l.pod.Create(ctx, l.inPod("p1", isolation.RoleSandbox, "")))
		for what, err := range map[string]error{
			"start": second(l.pod.StartSandbox(ctx, "p1")),
			"stop":  l.pod.StopSandbox(ctx, "p1", 0),
			"shut":  l.pod.ShutdownSandbox(ctx, "p1"),
		} {
			if !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "Task API made it") {
				t.Errorf("%s of the Task API's sandbox: %v", what, err)
			}
		}
		if err := l.pod.CreateSandbox(ctx, l.inPod("p2", isolation.RoleSandbox, "")); !fault.Is(err, fault.Internal) {
			t.Error("a task's plan:", err)
		}
		l.must(l.pod.PingSandbox("p1"))
		l.must(l.pod.Close(ctx))
		l.nothingLeft()
	})
}

// Grace: a container that ends on SIGTERM is not killed, one that does not is.
func TestStopSandboxWithGrace(t *testing.T) {
	in(t, func(l *lab) {
		l.startSandbox(l.bare("p1"))
		l.must(l.pod.Create(l.Context(), l.inPod("w1", isolation.RoleWorkload, "ping -t localhost")))
		l.start("w1", "")
		l.must(l.pod.StopSandbox(l.Context(), "p1", 10*time.Second))
		signals := len(l.emu.Calls(hcsemu.CallFilter{Function: "HcsSignalProcess"}))
		kills := len(l.emu.Calls(hcsemu.CallFilter{Function: "HcsTerminateProcess"}))
		if signals != 1 || kills != 0 {
			t.Errorf("%d signals and %d kills, want SIGTERM alone", signals, kills)
		}
		l.endSandbox("p1")
		l.nothingLeft()
	})
}

// A pod that is stopped while a container of it is being created must not
// leave that container running.
func TestStopSandboxDuringCreate(t *testing.T) {
	in(t, func(l *lab) {
		l.startSandbox(l.bare("p1"))
		l.fault(hcsemu.Fault{Function: "HcsCreateComputeSystem", Action: hcsemu.ActionDelay, DelayMS: 1000})
		created := make(chan error)
		go func() {
			created <- l.pod.Create(l.Context(), l.inPod("w1", isolation.RoleWorkload, "ping -t localhost"))
		}()
		for len(l.pod.Tasks()) < 2 {
			time.Sleep(time.Millisecond)
		}
		l.must(l.pod.StopSandbox(l.Context(), "p1", 0))
		l.must(<-created)
		if s, err := l.pod.State("w1", ""); err != nil || s.Status != StatusStopped {
			t.Errorf("the container: %+v, %v", s, err)
		}
		l.endSandbox("p1")
		l.nothingLeft()
	})
}

// lateSandbox is a Hyper-V sandbox of the Sandbox API without an image.
func (l *vmLab) lateSandbox() CreateTask {
	req := l.bare("pod")
	req.Bundle = filepath.Join(l.bundle, "pod")
	l.must(os.MkdirAll(req.Bundle, 0o755))
	req.Plan.Mode = isolation.ModeHyperV
	req.Plan.UVM = &isolation.UVM{ID: "pod@vm", MemoryMB: 1024, Processor: isolation.Processor{Count: 2}, AllowOvercommit: true, Late: true}
	req.Layers = layers.Layers{Scratch: req.Bundle}
	return req
}

// joining is a workload as it is decided before the VM has booted.
func (l *vmLab) joining(id, command string) CreateTask {
	req := l.isolated(id, isolation.RoleWorkload, command)
	req.Plan.Versions = isolation.Versions{Host: host.Build(20348), Image: host.Build(20348), UVM: host.Build(20348), UVMSource: "the image"}
	return req
}

// A Hyper-V pod whose VM boots with the first container: it is the pod's, so it
// outlives that container, and ends with the sandbox.
func TestLateVM(t *testing.T) {
	l := newVMLab(t)
	l.startSandbox(l.lateSandbox())
	if got := l.virtualMachines(); len(got) != 0 {
		t.Errorf("systems %v before the first container", got)
	}
	memory := uint64(3 << 30)
	l.must(l.pod.UpdateSandbox(l.Context(), Update{ID: "pod", MemoryBytes: &memory})) // for when it boots
	for range 2 {
		l.must(l.pod.Create(l.Context(), l.joining("web", "cmd /c exit 7")))
		l.start("web", "")
		if exit := l.wait("web", ""); exit.Status != 7 {
			t.Errorf("exit %d", exit.Status)
		}
		l.delete("web", "")
		if got := l.virtualMachines(); !slices.Equal(got, []string{"pod@vm"}) {
			t.Errorf("systems %v", got)
		}
	}
	sizes := l.emu.Calls(hcsemu.CallFilter{Function: "HcsModifyComputeSystem"})
	if !slices.ContainsFunc(sizes, func(c hcsemu.Call) bool { return strings.Contains(fmt.Sprintf("%s", c.Args), "3072") }) {
		t.Errorf("the VM was not given the memory that was asked for before it booted: %v", sizes)
	}
	info, err := l.pod.Sandbox("pod")
	if err != nil || info.Plan.UVM.Late || info.Plan.Versions.UVM != host.Build(20348) {
		t.Errorf("the pod's plan after the boot: %+v, %v", info.Plan, err)
	}
	if s, err := l.pod.Stats(l.Context(), "pod"); err != nil || s.VM == nil {
		t.Errorf("statistics %+v, %v", s, err)
	}
	l.endSandbox("pod")
	l.nothingLeft()
	if _, err := os.Stat(filepath.Join(l.bundle, "pod", "vm")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the VM's scratch is left: %v", err)
	}
}

// Containers that come at the same time share one VM; one whose image does not
// fit the VM that another has booted is told so.
func TestLateVMBootsOnce(t *testing.T) {
	l := newVMLab(t)
	l.startSandbox(l.lateSandbox())
	var wg sync.WaitGroup
	for i := range 8 {
		req := l.joining(fmt.Sprintf("web%d", i), "ping -t localhost")
		wg.Go(func() {
			if err := l.pod.Create(l.Context(), req); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	boots := l.emu.Calls(hcsemu.CallFilter{Function: "HcsCreateComputeSystem"})
	if len(boots) != 1 {
		t.Errorf("%d systems were made, want one VM", len(boots))
	}
	other := l.joining("old", "cmd")
	other.Plan.Versions.Image, other.Plan.Versions.UVM = host.Build(17763), host.Build(17763)
	if err := l.pod.Create(l.Context(), other); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "does not fit the utility VM") {
		t.Errorf("an image of another build: %v", err)
	}
	l.endSandbox("pod")
	l.nothingLeft()
}

// A boot that fails, and one whose client gives up, leave nothing, and the
// next container boots the VM.
func TestLateVMBootsAgain(t *testing.T) {
	l := newVMLab(t)
	l.startSandbox(l.lateSandbox())
	l.fault(hcsemu.Fault{Function: "HcsStartComputeSystem", Action: hcsemu.ActionFail, Code: "0x80370102", Times: 1})
	if err := l.pod.Create(l.Context(), l.joining("web", "cmd")); err == nil || !strings.Contains(err.Error(), "boot") {
		t.Errorf("a boot that fails: %v", err)
	}
	l.machinesLeft(0)
	l.fault(hcsemu.Fault{Function: "HcsStartComputeSystem", Action: hcsemu.ActionDelay, DelayMS: 300, Times: 1})
	ctx, cancel := context.WithTimeout(l.Context(), 50*time.Millisecond)
	defer cancel()
	if err := l.pod.Create(ctx, l.joining("web", "cmd")); !fault.Is(err, fault.DeadlineExceeded) {
		t.Errorf("a client that gives up: %v", err)
	}
	l.machinesLeft(0)
	l.must(l.pod.Create(l.Context(), l.joining("web", "ping -t localhost")))
	l.start("web", "")
	l.endSandbox("pod")
	l.nothingLeft()
}

// machinesLeft checks how many VMs there are.
func (l *vmLab) machinesLeft(want int) {
	l.Helper()
	if got := l.virtualMachines(); len(got) != want {
		l.Errorf("systems %v, want %d", got, want)
	}
}

// The death of a VM that booted late is the sandbox's end, with a status that
// says so, and that of every container in it.
func TestLateVMDies(t *testing.T) {
	l := newVMLab(t)
	l.startSandbox(l.lateSandbox())
	l.must(l.pod.Create(l.Context(), l.joining("web", "ping -t localhost")))
	l.start("web", "")
	l.machines.Crash()
	for _, id := range []string{"web", "pod"} {
		if exit := l.wait(id, ""); exit.Status != UnknownExitStatus {
			t.Errorf("%s ended with %d though its VM crashed", id, exit.Status)
		}
	}
	if err := l.pod.PingSandbox("pod"); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("ping: %v", err)
	}
	if err := l.pod.Create(l.Context(), l.joining("late", "cmd")); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("a container that joins a dead pod: %v", err)
	}
	l.delete("web", "")
	l.endSandbox("pod")
	l.nothingLeft()
}

// The VM is booted with the memory that the first container needs, as its plan says.
func TestSizeOfLateVM(t *testing.T) {
	l := newVMLab(t)
	l.startSandbox(l.lateSandbox())
	req := l.joining("web", "ping -t localhost")
	req.Plan.BootMemoryMB = 3328
	l.must(l.pod.Create(l.Context(), req))
	l.start("web", "")
	if plan := l.pod.SandboxPlan(); plan.UVM.MemoryMB != 3328 || plan.UVM.Late {
		t.Errorf("the pod's VM %+v", plan.UVM)
	}
	created := ""
	for _, c := range l.emu.Calls(hcsemu.CallFilter{Function: "HcsCreateComputeSystem"}) {
		created += fmt.Sprintf("%s", c.Args["document"])
	}
	if !strings.Contains(created, `"SizeInMB":3328`) {
		t.Errorf("the VM was created as %s", created)
	}
	l.must(l.kill("web", ""))
	l.wait("web", "")
	l.delete("web", "")
	l.endSandbox("pod")
	l.nothingLeft()
}

// A container of a pod is given up while HCS makes it, and containerd removes its
// bundle: the layers that the late system held are given back while the pod lives
// on, whose end may be months away; and a create under the same id is not
// disturbed by that.
func TestGivenUpContainerIsFinished(t *testing.T) {
	in(t, func(l *lab) {
		l.startSandbox(l.bare("p1"))
		l.fault(hcsemu.Fault{Name: "held", Function: "HcsCreateComputeSystem", Action: hcsemu.ActionHang})
		ctx, giveUp := context.WithCancel(l.Context())
		created := make(chan error)
		req := l.inPod("w1", isolation.RoleWorkload, "ping -t localhost")
		go func() { created <- l.pod.Create(ctx, req) }()
		synctest.Wait()
		l.fault(hcsemu.Fault{Function: "UnprepareLayer", Action: hcsemu.ActionFail, Code: "0x80070020", Times: 3}) // in use
		giveUp()
		if err := <-created; !fault.Is(err, fault.Canceled) {
			t.Errorf("given up: %v", err)
		}
		l.must(os.RemoveAll(req.Bundle))
		l.emu.Release("held")
		time.Sleep(5 * time.Second)
		if left := l.emu.Ledger().Leaks(); len(left) > 0 {
			t.Errorf("left while the pod lives:\n%s", left)
		}
		l.must(os.MkdirAll(req.Bundle, 0o755))
		l.must(l.pod.Create(l.Context(), req))
		l.start("w1", "")
		time.Sleep(time.Minute)
		if s, err := l.pod.State("w1", ""); err != nil || s.Status != StatusRunning {
			t.Errorf("the next of the same id: %+v, %v", s, err)
		}
		l.endSandbox("p1")
		l.nothingLeft()
	})
}

// slowVMs says when a boot begins, and boots until it is given up.
type slowVMs struct{ began chan struct{} }

func (v slowVMs) Boot(ctx context.Context, _ *isolation.UVM, _ layers.Layers, _ *journal.Journal) (VM, error) {
	v.began <- struct{}{}
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// A pod that is stopped while its VM boots ends the boot, not only the wait.
func TestStopWhileVMBoots(t *testing.T) {
	slow := slowVMs{make(chan struct{}, 2)}
	l := newVMLab(t, func(c *Config) { c.VMs = slow })
	l.startSandbox(l.lateSandbox())
	created := make(chan error, 2)
	for _, id := range []string{"web1", "web2"} {
		req := l.joining(id, "ping -t localhost")
		go func() { created <- l.pod.Create(l.Context(), req) }()
	}
	<-slow.began
	l.must(l.pod.StopSandbox(l.Context(), "pod", 0))
	for range 2 {
		if err := <-created; !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "sandbox pod") {
			t.Errorf("a container of a pod that was stopped: %v", err)
		}
	}
	l.must(l.pod.ShutdownSandbox(l.Context(), "pod"))
	l.nothingLeft()
}

// A VM image that is named boots at once, and no pause image is needed.
func TestNamedVMImage(t *testing.T) {
	l := newVMLab(t)
	req := l.lateSandbox()
	req.Plan.UVM.Late, req.Plan.UVM.Image = false, filepath.Join(l.root, "base")
	l.startSandbox(req)
	if got := l.virtualMachines(); !slices.Equal(got, []string{"pod@vm"}) {
		t.Errorf("systems %v", got)
	}
	l.runIsolated("web", isolation.RoleWorkload, "ping -t localhost")
	l.endSandbox("pod")
	l.nothingLeft()
}

// A VM that boots late gets the pod's network with its first container, and no
// adapter twice: a pod without a network is not ready, whatever its VM does.
func TestNetworkOfLateVM(t *testing.T) {
	l := newVMLab(t)
	l.network(true)
	req := l.lateSandbox()
	req.Plan.Container.Network.NamespaceID = cniNamespace
	l.startSandbox(req)
	for range 2 {
		req := l.joining("web", "cmd /c exit 0")
		req.Plan.Container.Network.NamespaceID = cniNamespace
		l.must(l.pod.Create(l.Context(), req))
		l.start("web", "")
		l.wait("web", "")
		l.delete("web", "")
		if host, in := l.entries("network adapter"), l.inGuest("adapter"); len(host) != 2 || len(in) != 2 {
			t.Errorf("adapters %v on the host, %v in the guest", host, in)
		}
	}
	l.endSandbox("pod")
	l.nothingLeft()
}

// A client that gives up a create and asks for the same id at once: the second
// is refused while the first is being undone, and then gets a clean machine.
func TestCreateAgainAfterGivingUp(t *testing.T) {
	in(t, func(l *lab) {
		l.startSandbox(l.bare("p1"))
		l.fault(hcsemu.Fault{Function: "HcsCreateComputeSystem", Action: hcsemu.ActionHang})
		ctx, cancel := context.WithCancel(l.Context())
		first := make(chan error, 1)
		req := l.inPod("w1", isolation.RoleWorkload, "ping -t localhost")
		go func() { first <- l.pod.Create(ctx, req) }()
		synctest.Wait()
		if err := l.pod.Create(l.Context(), req); !fault.Is(err, fault.AlreadyExists) {
			t.Errorf("the same id during the first create: %v", err)
		}
		cancel()
		if err := <-first; !fault.Is(err, fault.Canceled) {
			t.Errorf("the create that was given up: %v", err)
		}
		l.must(l.pod.Create(l.Context(), req))
		l.start("w1", "")
		l.endSandbox("p1")
		l.nothingLeft()
	})
}
