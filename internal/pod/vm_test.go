package pod

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/gcs"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/network"
	"github.com/isolrun/isol/internal/undo"
	"github.com/isolrun/isol/internal/uvm"
	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/guest"
	"github.com/isolrun/isol/test/hcsemu/layerdriver"
	"github.com/isolrun/isol/test/hcsemu/netdriver"
)

// vmLab is a lab with a hypervisor, whose guests live in this process.
type vmLab struct {
	*lab
	machines *guest.Machines
	root     string // folder of the layers
	tool     string // path of the program for guests
	made     []string
	cfg      Config // of the pod
	options  []func(*Config)
	watch    func(hcsemu.Call) // called at each call, before and after it
	files    map[string]string // what the client has put on the disk
}

// bootVMs implements VMs with internal/uvm.
type bootVMs struct {
	host     hcs.Host
	client   *hcsemu.Client
	machines *guest.Machines
	tool     *string
	log      *slog.Logger
	copy     func(from, to string) error // of the VM's scratch; nil: as the system does
}

func (b bootVMs) Boot(ctx context.Context, plan *isolation.UVM, l layers.Layers, j *journal.Journal) (VM, error) {
	u, err := uvm.Boot(ctx, uvm.Config{
		Owner: "containerd-shim-isol-v1.exe", Plan: plan, Layers: l, Host: b.host, Sockets: b.machines.Sockets,
		NameToGUID: layerdriver.New(b.client).NameToGUID,
		Namespace:  network.New(netdriver.New(b.client)).Namespace, Journal: j, Log: b.log,
		Tool: *b.tool, HostBuild: 20348, Copy: b.copy,
		Deadlines: uvm.Deadlines{Connect: 5 * time.Second, Reason: 200 * time.Millisecond},
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

func newVMLab(t *testing.T, options ...func(*Config)) *vmLab {
	t.Helper()
	return newVMLabOn(t, hcsemu.Config{}, options...)
}

// newVMLabOn is newVMLab on a machine that has something of its own.
func newVMLabOn(t *testing.T, machine hcsemu.Config, options ...func(*Config)) *vmLab {
	t.Helper()
	l := &vmLab{
		lab:      &lab{T: t, stdio: &clientEnds{open: map[string]*ends{}}, events: &journalOfEvents{}, bundle: t.TempDir()},
		machines: &guest.Machines{Runner: hcsemu.NewScripted(), Build: 20348},
		root:     t.TempDir(),
	}
	machine.Hypervisor, machine.Runner = true, l.machines
	machine.Kill = func(hcsemu.Caller) {
		if l.killed != nil {
			l.killed()
		}
	}
	machine.Watch = func(c hcsemu.Call, _ hcsemu.When) {
		if l.watch != nil {
			l.watch(c)
		}
	}
	l.emu = hcsemu.New(machine)
	t.Cleanup(l.emu.Close)
	l.file("base", "UtilityVM", "SystemTemplate.vhdx")
	l.file("base", "UtilityVM", "Files", "bootmgfw.efi")
	l.file("base", "Files", "license.txt")
	l.options = options
	l.shim(1)
	return l
}

// shim makes a new shim process with the given pid, and its pod.
func (l *vmLab) shim(pid uint32) {
	l.Helper()
	l.client = l.emu.Connect(hcsemu.Caller{PID: pid, Exe: "containerd-shim-isol-v1.exe"})
	host := hcsemu.HostOn(l.client)
	cfg := Config{
		Owner: "containerd-shim-isol-v1.exe", HostBuild: 20348, Host: host,
		Layers: layers.NewStore(layerdriver.New(l.client)), Stdio: l.stdio, Events: l.events,
		VMs: bootVMs{host: host, client: l.client, machines: l.machines, tool: &l.tool}, Networks: network.New(netdriver.New(l.client)),
	}
	cfg.Jobs = (&jobs{}).connect(l.client)
	for _, o := range l.options {
		o(&cfg)
	}
	if vms, ok := cfg.VMs.(bootVMs); ok {
		vms.log = cfg.Log
		cfg.VMs = vms
	}
	cfg.Undo = undo.Machine{Host: cfg.Host, Owner: cfg.Owner, Layers: cfg.Layers, Networks: cfg.Networks, Jobs: cfg.Jobs, Origin: "LAB"}.Undoers()
	l.cfg = cfg
	p, err := New(cfg)
	if err != nil {
		l.Fatal(err)
	}
	l.pod = p
}

func (l *vmLab) file(parts ...string) string {
	l.Helper()
	path := filepath.Join(append([]string{l.root}, parts...)...)
	l.must(os.MkdirAll(filepath.Dir(path), 0o755))
	l.must(os.WriteFile(path, []byte("x"), 0o644))
	return path
}

// isolated is a request for a Hyper-V isolated task.
func (l *vmLab) isolated(id string, role isolation.Role, command string) CreateTask {
	req := l.request(id, command)
	req.Bundle = filepath.Join(l.bundle, id)
	l.must(os.MkdirAll(req.Bundle, 0o755))
	req.Plan.Mode, req.Plan.Role = isolation.ModeHyperV, role
	if role != isolation.RoleWorkload {
		req.Plan.UVM = &isolation.UVM{ID: id + "@vm", MemoryMB: 1024, Processor: isolation.Processor{Count: 2}, AllowOvercommit: true}
	}
	if role != isolation.RoleStandalone {
		req.Plan.SandboxID = "pod"
	}
	req.Layers = layers.Layers{Parents: []string{filepath.Join(l.root, "base")}, Scratch: filepath.Join(l.root, id)}
	l.file(id, "sandbox.vhdx")
	return req
}

func (l *vmLab) runIsolated(id string, role isolation.Role, command string) {
	l.Helper()
	l.must(l.pod.Create(l.Context(), l.isolated(id, role, command)))
	l.start(id, "")
}

// bootPod makes a running sandbox.
func (l *vmLab) bootPod() {
	l.Helper()
	l.runIsolated("pod", isolation.RoleSandbox, "")
}

func (l *vmLab) virtualMachines() []string { return l.kinds("system") }

func (l *vmLab) nothingLeft() {
	l.Helper()
	l.lab.nothingLeft()
	if n := l.machines.Listeners(); n != 0 {
		l.Errorf("%d hvsocket listeners are left", n)
	}
}

// What `ctr run --isolated` does: a VM of its own, which ends with it.
func TestStandaloneInVM(t *testing.T) {
	l := newVMLab(t)
	l.must(l.pod.Create(l.Context(), l.isolated("web", isolation.RoleStandalone, "cmd /c echo from the guest")))
	if got := l.virtualMachines(); !slices.Equal(got, []string{"web@vm"}) { // until the container has ended
		t.Errorf("systems on the host %v, want the VM alone", got)
	}
	l.start("web", "")
	if exit := l.wait("web", ""); exit.Status != 0 {
		t.Errorf("exit %d", exit.Status)
	}
	if out := l.stdio.of("web/").text(); !strings.Contains(out, "from the guest") {
		t.Errorf("output %q", out)
	}
	l.delete("web", "")
	l.nothingLeft()
}

// The exit code, statistics and processes of a container in a VM are its own.
func TestQueriesInVM(t *testing.T) {
	l := newVMLab(t)
	l.runIsolated("web", isolation.RoleStandalone, "ping -t localhost")
	pids, err := l.pod.Pids(l.Context(), "web")
	if err != nil || len(pids) != 1 || pids[0].ExecID != "web" {
		t.Errorf("pids %+v, %v", pids, err)
	}
	stats, err := l.pod.Stats(l.Context(), "web")
	if err != nil || stats.VM == nil {
		t.Errorf("stats %+v, %v: want those of the VM too", stats, err)
	}
	l.exec("web", "e1", "cmd /c exit 7")
	if exit := l.wait("web", "e1"); exit.Status != 7 {
		t.Errorf("exec's exit %d, want 7", exit.Status)
	}
	memory := uint64(2 << 30)
	l.must(l.pod.Update(l.Context(), Update{ID: "web", MemoryBytes: &memory}))
	l.must(l.kill("web", ""))
	l.wait("web", "")
	l.delete("web", "")
	l.nothingLeft()
}

// A boot that fails says what failed: an operator who is told to look for another
// image while the compute service is down looks for long.
func TestBootFaultsInVM(t *testing.T) {
	for _, tc := range []struct {
		name, function, code string
		want                 fault.Kind
		image                bool // the error is about the image
	}{
		{"service down", "HcsCreateComputeSystem", "0x80370114", fault.Unavailable, false},
		{"start fails", "HcsStartComputeSystem", "0x80370106", fault.Internal, false},
		{"image of another Windows", "HcsCreateComputeSystem", "0x80370101", fault.FailedPrecondition, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newVMLab(t)
			l.must(l.emu.AddFaults(hcsemu.Fault{Function: tc.function, Action: hcsemu.ActionFail, Code: tc.code}))
			err := l.pod.Create(l.Context(), l.isolated("pod", isolation.RoleSandbox, ""))
			if !fault.Is(err, tc.want) || strings.Contains(fmt.Sprint(err), "does not fit") != tc.image {
				t.Errorf("%v, want %v, about the image: %v", err, tc.want, tc.image)
			}
			l.nothingLeft()
		})
	}
}

// CRI counts the processes of each sandbox for its statistics: one that is a VM
// has none of its own and must not fail the statistics of the node.
func TestPidsOfVMSandbox(t *testing.T) {
	l := newVMLab(t)
	l.bootPod()
	list, err := l.pod.Pids(l.Context(), "pod")
	if d := cmp.Diff([]ProcessInfo{{PID: sandboxPID, ExecID: "pod"}}, list); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
}

// Restarting a container of a pod keeps the VM and its siblings: with the
// reference a kill that goes wrong takes the whole pod.
func TestRestartInPodKeepsVMAndSibling(t *testing.T) {
	l := newVMLab(t)
	l.bootPod()
	l.runIsolated("sibling", isolation.RoleWorkload, "ping -t localhost")
	vm := l.virtualMachines()
	for range 100 {
		l.runIsolated("web", isolation.RoleWorkload, "ping -t localhost")
		l.must(l.kill("web", ""))
		l.wait("web", "")
		l.delete("web", "")
	}
	if got := l.virtualMachines(); !slices.Equal(got, vm) {
		t.Errorf("systems %v, want still %v", got, vm)
	}
	if s, err := l.pod.State("sibling", ""); err != nil || s.Status != StatusRunning {
		t.Errorf("the sibling: %+v, %v", s, err)
	}
	if left := l.machines.Agents()[0].Left(); slices.ContainsFunc(left, func(s string) bool { return strings.Contains(s, "web") }) {
		t.Errorf("left in the guest: %v", left)
	}
	l.endPod("sibling")
}

// endPod stops workloads and sandbox as CRI does.
func (l *vmLab) endPod(workloads ...string) {
	l.Helper()
	for _, id := range append(workloads, "pod") {
		l.must(l.kill(id, ""))
		l.wait(id, "")
		l.delete(id, "")
	}
	l.nothingLeft()
}

// A guest that has lost a process answers a kill with "not found": that is no
// reason to end anything else.
func TestKillOfProcessTheGuestLost(t *testing.T) {
	l := newVMLab(t)
	l.bootPod()
	l.runIsolated("sibling", isolation.RoleWorkload, "ping -t localhost")
	l.runIsolated("web", isolation.RoleWorkload, "ping -t localhost")
	agent := l.machines.Agents()[0]
	agent.SetFault(func(p gcs.Procedure, _ []byte) (any, bool) {
		if p == gcs.ProcSignalProcess {
			return &gcs.ResponseBase{Result: -2147023728}, false // HRESULT_FROM_WIN32(ERROR_NOT_FOUND)
		}
		return nil, false
	})
	if err := l.kill("web", ""); err != nil && !fault.Is(err, fault.NotFound) {
		t.Errorf("kill: %v", err)
	}
	agent.SetFault(nil)
	if s, err := l.pod.State("sibling", ""); err != nil || s.Status != StatusRunning {
		t.Errorf("the sibling: %+v, %v", s, err)
	}
	if got := l.virtualMachines(); !slices.Equal(got, []string{"pod@vm"}) {
		t.Errorf("systems %v", got)
	}
	l.kill("web", "") // it may have ended
	l.wait("web", "")
	l.delete("web", "")
	l.endPod("sibling")
}

// The death of a VM is the exit of everything in it, and nothing looks alive.
func TestDeathOfVMEndsPod(t *testing.T) {
	l := newVMLab(t)
	l.bootPod()
	l.runIsolated("web", isolation.RoleWorkload, "ping -t localhost")
	l.exec("web", "e1", "ping -t localhost")
	l.machines.Crash()
	for _, p := range [][2]string{{"web", "e1"}, {"web", ""}, {"pod", ""}} {
		if exit := l.wait(p[0], p[1]); exit.Status == 0 {
			t.Errorf("%v ended with 0 though its VM crashed", p)
		}
	}
	events := l.events.all()
	for _, want := range []string{"exit web/e1", "exit web/web", "exit pod/pod"} {
		if !slices.ContainsFunc(events, func(e string) bool { return strings.HasPrefix(e, want) }) {
			t.Errorf("no event %q in %v", want, events)
		}
	}
	l.delete("web", "")
	l.delete("pod", "")
	l.nothingLeft()
}

// A create that fails leaves no VM, whatever fails.
func TestCreateInVMFails(t *testing.T) {
	for _, tc := range []struct {
		name string
		hook func(*vmLab, *CreateTask)
		kind fault.Kind
		text string
	}{
		{"image without a utility VM", func(l *vmLab, r *CreateTask) { l.must(os.RemoveAll(filepath.Join(l.root, "base", "UtilityVM"))) }, fault.FailedPrecondition, "UtilityVM"},
		{"no hypervisor", func(l *vmLab, r *CreateTask) {
			l.fault(hcsemu.Fault{Function: "HcsCreateComputeSystem", Action: hcsemu.ActionFail, Code: "0x80370102"})
		}, fault.FailedPrecondition, "hypervisor"},
		{"image that does not fit the VM", func(l *vmLab, r *CreateTask) {
			l.refuseInGuest(gcs.ProcCreate, 0xc0370101)
		}, fault.FailedPrecondition, "does not match"},
		{"container refused by the guest", func(l *vmLab, r *CreateTask) { l.refuseInGuest(gcs.ProcModifySettings, 0x80070005) }, fault.PermissionDenied, ""},
		{"mount that is not there", func(l *vmLab, r *CreateTask) {
			r.Plan.Container.Mounts = []isolation.Mount{{Source: filepath.Join(l.root, "nowhere"), Destination: `C:\x`, Mechanism: isolation.MechanismVSMB}}
		}, fault.NotFound, "nowhere"},
		{"device", func(l *vmLab, r *CreateTask) { r.Plan.Container.Devices = []isolation.Device{{IDType: "gpu"}} }, fault.Unimplemented, "devices"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newVMLab(t)
			req := l.isolated("web", isolation.RoleStandalone, "cmd")
			tc.hook(l, &req)
			err := l.pod.Create(l.Context(), req)
			if fault.KindOf(err) != tc.kind || err == nil || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("error %v of kind %v, want %v with %q", err, fault.KindOf(err), tc.kind, tc.text)
			}
			l.nothingLeft()
		})
	}
}

// refuseInGuest makes the guest refuse the second request of a kind: the first
// sets the VM itself up.
func (l *vmLab) refuseInGuest(proc gcs.Procedure, hresult uint32) {
	seen := 0
	l.machines.Fault = func(p gcs.Procedure, _ []byte) (any, bool) {
		if p != proc {
			return nil, false
		}
		if seen++; seen < 2 {
			return nil, false
		}
		return &gcs.ResponseBase{Result: int32(hresult)}, false
	}
}

// A workload whose sandbox does not run (yet) must not get a VM of its own: its
// plan has none, and a pod has one kernel.
func TestWorkloadNeedsItsVM(t *testing.T) {
	l := newVMLab(t)
	l.must(l.pod.Create(l.Context(), l.isolated("pod", isolation.RoleSandbox, "")))
	req := l.isolated("web", isolation.RoleWorkload, "ping -t localhost")
	if k, err := l.pod.kernelFor(&req); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "start the sandbox") {
		t.Errorf("kernel %v, error %v", k, err)
	}
	l.start("pod", "")
	l.endPod()
}

// Mounts cross into the VM, and back out when the container ends.
func TestMountsInVM(t *testing.T) {
	l := newVMLab(t)
	l.bootPod()
	before := len(l.emu.Ledger().Leaks())
	req := l.isolated("web", isolation.RoleWorkload, "ping -t localhost")
	req.Plan.Container.Mounts = []isolation.Mount{
		{Source: filepath.Dir(l.file("data", "a.txt")), Destination: `C:\data`, Mechanism: isolation.MechanismVSMB},
		{Source: l.file("one", "b.txt"), Destination: `C:\b.txt`, ReadOnly: true, Mechanism: isolation.MechanismVSMB},
		{Source: l.file("disks", "d.vhdx"), Destination: `C:\disk`, Mechanism: isolation.MechanismSCSI, Type: "virtual-disk"},
	}
	req.Plan.Container.Pipes = []isolation.Pipe{{HostPath: `\\.\pipe\docker_engine`, ContainerName: "docker_engine"}}
	l.must(l.pod.Create(l.Context(), req))
	l.start("web", "")
	l.must(l.kill("web", ""))
	l.wait("web", "")
	l.delete("web", "")
	// the layer's share stays with the VM
	if after := len(l.emu.Ledger().Leaks()); after > before+1 {
		t.Errorf("%d things on the machine before, %d after:\n%s", before, after, l.emu.Ledger().Leaks())
	}
	l.endPod()
}

// A sandbox's resources are its VM's.
func TestSandboxOfVM(t *testing.T) {
	l := newVMLab(t)
	l.bootPod()
	memory, limit := uint64(2<<30+1<<20), uint16(5000)
	l.must(l.pod.Update(l.Context(), Update{ID: "pod", MemoryBytes: &memory, CPU: &UpdateCPU{Maximum: &limit}}))
	count := uint64(2)
	if err := l.pod.Update(l.Context(), Update{ID: "pod", CPU: &UpdateCPU{Count: &count}}); !errors.Is(err, hcs.ErrNotSupported) {
		t.Errorf("number of processors: %v", err)
	}
	const group = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
	l.must(l.pod.Update(l.Context(), Update{ID: "pod", CPUGroup: group}))
	if calls := l.emu.Calls(hcsemu.CallFilter{Function: "HcsModifyComputeSystem"}); !strings.Contains(fmt.Sprintf("%s", calls[len(calls)-1].Args), group) {
		t.Errorf("the CPU group did not reach the VM: %s", calls[len(calls)-1].Args)
	}
	stats, err := l.pod.Stats(l.Context(), "pod")
	if err != nil || stats.VM == nil {
		t.Errorf("stats %+v, %v", stats, err)
	}
	if err := l.addExec("pod", "e1", "cmd"); err == nil {
		if _, err = l.pod.Start(l.Context(), "pod", "e1"); !errors.Is(err, hcs.ErrNotSupported) {
			t.Errorf("exec in the sandbox: %v", err)
		}
	}
	l.endPod()
}

// A guest that hangs answers neither kill nor terminate. The VM is the task's
// own, so it goes with it, and `ctr task kill` does not fail.
func TestKillInHungGuest(t *testing.T) {
	const short = 100 * time.Millisecond
	l := newVMLab(t, func(c *Config) {
		c.Deadlines = Deadlines{Modify: short, Kill: 2 * short, Shutdown: short, Terminate: 5 * time.Second, Orphan: short, Drain: short, DrainQuiet: short, Layers: time.Second}
	})
	l.runIsolated("web", isolation.RoleStandalone, "ping -t localhost")
	l.machines.Agents()[0].SetFault(func(gcs.Procedure, []byte) (any, bool) { return nil, true })
	l.must(l.kill("web", ""))
	if exit := l.wait("web", ""); exit.Status != UnknownExitStatus {
		t.Errorf("exit %d, want the status of a lost exit", exit.Status)
	}
	l.delete("web", "")
	l.nothingLeft()
}
