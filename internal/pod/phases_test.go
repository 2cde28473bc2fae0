package pod

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/gcs"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/test/hcsemu"
)

// phasedCall is one call that bringing a container up in a VM makes, on the
// host (Hcs…, Hcn…, layers) or to the guest (Gcs…).
type phasedCall struct {
	function string
	nth      int // the first of its name is 1
	phase    hcs.Phase
	part     string
}

func (c phasedCall) String() string {
	return fmt.Sprintf("%s/%s.%s#%d", c.phase, c.part, c.function, c.nth)
}

func (c phasedCall) guests() bool { return strings.HasPrefix(c.function, "Gcs") }

// marks is a log handler that notes at which call of the record each part of a
// phase began: what a phase calls is so read off a run, and a call or phase that
// is added is in the table by itself.
type marks struct {
	slog.Handler
	emu  func() *hcsemu.Emulator
	seen *[]mark
}

type mark struct {
	phase hcs.Phase
	part  string
	after int // the last call before
}

func (m marks) Enabled(context.Context, slog.Level) bool { return true }
func (m marks) WithAttrs([]slog.Attr) slog.Handler       { return m }
func (m marks) WithGroup(string) slog.Handler            { return m }
func (m marks) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "phase begins" && r.Message != "phase ends" {
		return nil
	}
	k := mark{}
	if calls := m.emu().Calls(hcsemu.CallFilter{}); len(calls) > 0 {
		k.after = calls[len(calls)-1].Seq
	}
	r.Attrs(func(a slog.Attr) bool {
		switch {
		case r.Message == "phase ends": // between phases
		case a.Key == "phase":
			k.phase = a.Value.Any().(hcs.Phase)
		case a.Key == "part":
			k.part = a.Value.String()
		}
		return true
	})
	*m.seen = append(*m.seen, k)
	return nil
}

// phasesLab is a machine with a container whose start goes through all phases:
// it has a network, a shared folder, a disk and a pipe.
type phasesLab struct {
	*vmLab
	req   CreateTask
	seen  []mark
	inPod bool // the container joins a pod, which is there
	begin int  // the last call before it is brought up
}

func newPhasesLab(t *testing.T, inPod bool) *phasesLab {
	p := &phasesLab{}
	handler := marks{Handler: slog.DiscardHandler, emu: func() *hcsemu.Emulator { return p.emu }, seen: &p.seen}
	p.vmLab = newVMLab(t, func(c *Config) { c.Log = slog.New(handler) })
	role := isolation.RoleStandalone
	if p.inPod = inPod; inPod {
		role = isolation.RoleWorkload
		p.bootPod()
	}
	p.req = p.isolated("web", role, "ping -t localhost")
	p.req.Plan.Container.Mounts = []isolation.Mount{
		{Source: filepath.Dir(p.file("data", "a.txt")), Destination: `C:\data`, Mechanism: isolation.MechanismVSMB},
		{Source: p.file("disks", "d.vhdx"), Destination: `C:\disk`, Mechanism: isolation.MechanismSCSI, Type: "virtual-disk"},
	}
	p.req.Plan.Container.Pipes = []isolation.Pipe{{HostPath: `\\.\pipe\docker_engine`, ContainerName: "docker_engine"}}
	if !inPod { // else it is the pod's
		p.req.Plan.Container.Network.NamespaceID = p.network()
	}
	if calls := p.emu.Calls(hcsemu.CallFilter{}); len(calls) > 0 {
		p.begin = calls[len(calls)-1].Seq
	}
	return p
}

// network makes a namespace with one endpoint, which the client owns.
func (p *phasesLab) network() string {
	const ns, endpoint = "5c5e1d0e-0d5c-4a4a-9d9c-0f3a3b1c2d3e", "bbbbbbbb-0000-0000-0000-000000000001"
	cni := p.emu.Connect(hcsemu.Caller{PID: 5, Exe: "cni.exe"})
	net, err := cni.CreateNetworkObject(p.Context(), hcsemu.Network, 0, "cccccccc-0000-0000-0000-000000000003", "{}")
	p.must(err)
	_, err = cni.CreateNetworkObject(p.Context(), hcsemu.Endpoint, net, endpoint, `{"Name":"eth0"}`)
	p.must(err)
	_, err = cni.CreateNetworkObject(p.Context(), hcsemu.Namespace, 0, ns, `{"Resources":[{"Type":"Endpoint","Data":{"Id":"`+endpoint+`"}}]}`)
	p.must(err)
	return ns
}

// up creates and starts the container.
func (p *phasesLab) up() error {
	if err := p.pod.Create(p.Context(), p.req); err != nil {
		return err
	}
	_, err := p.pod.Start(p.Context(), "web", "")
	return err
}

// calls reads off the record what the run called, and in which phase.
func (p *phasesLab) calls() []phasedCall {
	var out []phasedCall
	count := map[string]int{}
	for _, c := range p.emu.Calls(hcsemu.CallFilter{Exe: "containerd-shim-isol-v1.exe"}) {
		count[c.Function]++
		call := phasedCall{function: c.Function, nth: count[c.Function]}
		for _, m := range p.seen {
			if m.after < c.Seq {
				call.phase, call.part = m.phase, m.part
			}
		}
		if call.phase != "" && c.Seq > p.begin {
			out = append(out, call)
		}
	}
	return out
}

// gone waits for the end of what was started, and releases everything.
func (p *phasesLab) gone() {
	p.emu.ClearFaults()
	p.emu.Release("")
	p.emu.RestoreService()
	p.machines.Fault = nil
	for _, a := range p.machines.Agents() {
		a.SetFault(nil)
	}
	if s, err := p.pod.State("web", ""); err == nil {
		if s.Status == StatusRunning {
			p.must(p.kill("web", ""))
		}
		if s.Status != StatusCreated {
			p.wait("web", "")
		}
		p.delete("web", "")
	}
	if p.inPod {
		if err := p.kill("pod", ""); err != nil && !fault.Is(err, fault.NotFound) {
			p.Error(err)
		}
		p.wait("pod", "")
		p.delete("pod", "")
	}
	synctest.Wait()
	time.Sleep(time.Minute) // what was given up late is undone by whoever did it
	synctest.Wait()
	if left := p.emu.Ledger().Leaks(); len(left) > 0 {
		for _, e := range left {
			if !strings.HasPrefix(e.Kind, "network") && e.Kind != "endpoint" && e.Kind != "namespace" { // the client's own
				p.Errorf("left behind: %+v", e)
			}
		}
	}
	if n := p.machines.Listeners(); n != 0 {
		p.Errorf("%d hvsocket listeners are left", n)
	}
	if open := p.stdio.stillOpen(); len(open) > 0 {
		p.Errorf("the client's ends are still open: %v", open)
	}
	for _, of := range []string{"web", "pod"} {
		if _, err := os.Stat(filepath.Join(p.root, of, "vm")); err == nil {
			p.Error("the VM's scratch is left")
		}
	}
}

// phaseFault is one thing that goes wrong at a call.
type phaseFault struct {
	name  string
	does  func(p *phasesLab, c phasedCall)
	at    func(c phasedCall) bool // nil: at every call
	kinds []fault.Kind
	text  string
	dies  bool // the VM is dead afterwards
	later bool // a later phase may be the one to notice
}

// plan is a fault of the emulator's plan.
func plan(f hcsemu.Fault) func(*phasesLab, phasedCall) {
	return func(p *phasesLab, c phasedCall) {
		f := f
		f.Function, f.Nth, f.Exe = c.function, c.nth, "containerd-shim-isol-v1.exe"
		for _, call := range p.emu.Calls(hcsemu.CallFilter{Function: c.function, Exe: f.Exe}) {
			if call.Seq <= p.begin {
				f.Nth-- // a fault counts from the moment it is added
			}
		}
		p.fault(f)
	}
}

// instead makes the guest do something else than answer the nth message.
func instead(do func(*phasesLab) any) func(*phasesLab, phasedCall) {
	return func(p *phasesLab, c phasedCall) {
		seen := 0
		for _, call := range p.emu.Calls(hcsemu.CallFilter{Function: c.function}) {
			if call.Seq <= p.begin {
				seen++
			}
		}
		fault := func(proc gcs.Procedure, _ []byte) (any, bool) {
			if "Gcs"+proc.String() != c.function {
				return nil, false
			}
			if seen++; seen != c.nth {
				return nil, false
			}
			resp := do(p)
			return resp, resp == nil
		}
		p.machines.Fault = fault
		for _, a := range p.machines.Agents() {
			a.SetFault(fault)
		}
	}
}

// inVM says whether the VM is there at a call: before, nothing in it can die.
func inVM(c phasedCall) bool {
	return c.phase != hcs.PhaseDocument && c.phase != hcs.PhaseCreate && !strings.HasPrefix(c.function, "Hcn") && isAboutVM(c)
}

// isAboutVM leaves out calls of the layer store, which name no system.
func isAboutVM(c phasedCall) bool { return strings.HasPrefix(c.function, "Hcs") || c.guests() }

// canHang leaves out the registration of a callback, which asks nobody.
func canHang(c phasedCall) bool { return c.function != "HcsSetComputeSystemCallback" }

func isHCS(c phasedCall) bool { return strings.HasPrefix(c.function, "Hcs") }

var phaseFaults = []phaseFault{
	{name: "refused", does: plan(hcsemu.Fault{Action: hcsemu.ActionFail, Code: "0x80070005"}), kinds: []fault.Kind{fault.PermissionDenied}, text: "0x80070005"},
	{name: "refused after its effect", does: plan(hcsemu.Fault{Action: hcsemu.ActionFail, Code: "0x80070005", When: "after"}), kinds: []fault.Kind{fault.PermissionDenied}, text: "0x80070005"},
	{name: "hangs", does: plan(hcsemu.Fault{Action: hcsemu.ActionHang}), at: canHang, kinds: []fault.Kind{fault.DeadlineExceeded}},
	{name: "hangs after its effect", does: plan(hcsemu.Fault{Action: hcsemu.ActionHang, When: "after"}), at: canHang, kinds: []fault.Kind{fault.DeadlineExceeded}},
	{name: "service gone", does: plan(hcsemu.Fault{Action: hcsemu.ActionDisconnect}), at: isHCS, kinds: []fault.Kind{fault.Unavailable}, dies: true, later: true},
	{name: "guest dies", does: plan(hcsemu.Fault{Action: hcsemu.ActionBugcheck}), at: inVM, kinds: []fault.Kind{fault.Unavailable}, text: "the guest's kernel crashed", dies: true},
	{name: "guest dies after", does: plan(hcsemu.Fault{Action: hcsemu.ActionBugcheck, When: "after"}), at: inVM, kinds: []fault.Kind{fault.Unavailable}, text: "the guest's kernel crashed", dies: true, later: true},
	{name: "VM dies", does: plan(hcsemu.Fault{Action: hcsemu.ActionCrash}), at: inVM, kinds: []fault.Kind{fault.Unavailable}, text: "exited unexpectedly", dies: true},
	{name: "VM dies after", does: plan(hcsemu.Fault{Action: hcsemu.ActionCrash, When: "after"}), at: inVM, kinds: []fault.Kind{fault.Unavailable}, text: "exited unexpectedly", dies: true, later: true},
	{name: "bridge closes", at: phasedCall.guests, dies: true, kinds: []fault.Kind{fault.Unavailable}, text: "guest", does: instead(func(p *phasesLab) any {
		_ = p.machines.Agents()[0].Bridge().Close()
		return nil
	})},
	{name: "garbage on the bridge", at: phasedCall.guests, dies: true, kinds: []fault.Kind{fault.Unavailable}, text: "frame", does: instead(func(p *phasesLab) any {
		_ = p.machines.Agents()[0].Bridge().Garbage([]byte("this is no frame of the bridge"))
		return nil
	})},
	{name: "garbage answer", at: phasedCall.guests, kinds: []fault.Kind{fault.Unknown}, text: "cannot be decoded", does: instead(func(*phasesLab) any {
		return json.RawMessage(`{"Result":"many"}`)
	})},
}

// Every phase of bringing a container up in a VM by every fault: the error has
// the right kind, names the phase's part and the cause; all is undone, and
// nothing looks alive over a dead VM.
func TestEveryPhaseByEveryFault(t *testing.T) {
	seen := everyFault(t, false)
	for _, phase := range hcs.Phases() {
		if !slices.ContainsFunc(seen, func(c phasedCall) bool { return c.phase == phase }) {
			t.Errorf("no call of phase %s was seen", phase)
		}
	}
}

// A container that joins a pod: what fails is its own, the pod and its VM stay,
// unless it is the VM that has died; then the pod does not look alive.
func TestEveryPhaseByEveryFaultInPod(t *testing.T) {
	for _, c := range everyFault(t, true) {
		if c.phase == hcs.PhaseCreate || c.phase == hcs.PhaseStart {
			t.Errorf("%v: a container of a pod booted a VM", c)
		}
	}
}

// everyFault runs every fault at every call of a start, and returns the calls.
func everyFault(t *testing.T, inPod bool) (calls []phasedCall) {
	synctest.Test(t, func(t *testing.T) {
		p := newPhasesLab(t, inPod)
		p.must(p.up())
		calls = p.calls()
		p.gone()
	})
	for _, c := range calls {
		for _, f := range phaseFaults {
			if f.at != nil && !f.at(c) {
				continue
			}
			t.Run(c.String()+" "+f.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { f.run(newPhasesLab(t, inPod), c) })
			})
		}
	}
	return calls
}

func (f *phaseFault) run(p *phasesLab, c phasedCall) {
	f.does(p, c)
	err := p.up()
	if err == nil {
		f.survived(p)
		f.pod(p)
		p.gone()
		return
	}
	kinds := f.kinds
	if f.dies && p.inPod { // the sandbox may have ended by then, which counts more
		kinds = append(slices.Clone(kinds), fault.FailedPrecondition)
	}
	if !oneOf(err, kinds) {
		p.Errorf("kind %v, want %v: %v", fault.KindOf(err), f.kinds, err)
	}
	for _, want := range []string{"web", c.part, f.text} {
		if !strings.Contains(err.Error(), want) && !(f.later && want == c.part) {
			p.Errorf("error %q does not name %q", err, want)
		}
	}
	if s, serr := p.pod.State("web", ""); serr == nil && s.Status == StatusRunning {
		p.Errorf("the start failed and the task looks %v", s.Status)
	}
	f.pod(p)
	p.gone()
}

// pod checks the sandbox that the container was to join.
func (f *phaseFault) pod(p *phasesLab) {
	switch {
	case !p.inPod:
	case f.dies:
		if exit := p.wait("pod", ""); exit.Status == 0 {
			p.Error("the pod's VM died and its sandbox ended with 0")
		}
	default:
		if s, err := p.pod.State("pod", ""); err != nil || s.Status != StatusRunning {
			p.Errorf("the container failed, and its pod: %+v, %v", s, err)
		}
	}
}

// survived checks a start that the fault did not keep from succeeding: with its
// VM dead the task must end by itself, else it must run.
func (f *phaseFault) survived(p *phasesLab) {
	if !f.dies {
		if s, err := p.pod.State("web", ""); err != nil || s.Status != StatusRunning {
			p.Errorf("started, and then %+v, %v", s, err)
		}
		return
	}
	if exit := p.wait("web", ""); exit.Status == 0 {
		p.Errorf("ended with %d over a dead VM", exit.Status)
	}
}
