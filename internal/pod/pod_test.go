package pod

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/oci"
	"github.com/isolrun/isol/test/hcsemu"
)

// inPod is the request of a task with a role in pod p1; each has a bundle and
// a scratch of its own.
func (l *lab) inPod(id string, role isolation.Role, command string) CreateTask {
	r := l.request(id, command)
	r.Bundle = l.TempDir()
	r.Plan.Role, r.Plan.SandboxID = role, "p1"
	r.Layers.Scratch += id
	return r
}

// A process pod: a pause container, workloads that come and go, and Kill All
// of the sandbox that ends everything.
func TestProcessPod(t *testing.T) {
	in(t, func(l *lab) {
		ctx := l.Context()
		l.must(l.pod.Create(ctx, l.inPod("p1", isolation.RoleSandbox, "")))
		if err := l.pod.Create(ctx, l.inPod("w1", isolation.RoleWorkload, "more")); !fault.Is(err, fault.FailedPrecondition) ||
			!strings.Contains(err.Error(), "start the sandbox first") {
			t.Error("workload before its sandbox runs:", err)
		}
		l.start("p1", "")
		for range 3 { // a workload is restarted, its sibling and the sandbox run on
			l.must(l.pod.Create(ctx, l.inPod("w1", isolation.RoleWorkload, "cmd /c exit 0")))
			l.start("w1", "")
			l.wait("w1", "")
			l.delete("w1", "")
		}
		for _, id := range []string{"w1", "w2"} {
			l.must(l.pod.Create(ctx, l.inPod(id, isolation.RoleWorkload, "ping -t localhost")))
		}
		l.start("w1", "")
		var ids []string
		for _, task := range l.pod.Tasks() {
			ids = append(ids, task.ID)
		}
		if d := cmp.Diff([]string{"p1", "w1", "w2"}, ids); d != "" {
			t.Error(d)
		}
		if !l.pod.Owns("p1") || l.pod.Owns("w1") || l.pod.Owns("") {
			t.Error("the pod owns ids that are not its own")
		}
		l.must(l.pod.Kill(ctx, Kill{ID: "p1", Signal: SignalKill, All: true}))
		for _, id := range []string{"w1", "w2", "p1"} {
			l.wait(id, "")
			l.delete(id, "")
		}
		l.nothingLeft()
	})
}

func TestSandboxWithLiveWorkloads(t *testing.T) {
	in(t, func(l *lab) {
		l.must(l.pod.Create(l.Context(), l.inPod("p1", isolation.RoleSandbox, "")))
		l.start("p1", "")
		for _, id := range []string{"w2", "w1"} {
			l.must(l.pod.Create(l.Context(), l.inPod(id, isolation.RoleWorkload, "ping -t localhost")))
		}
		l.start("w1", "")
		l.must(l.kill("p1", ""))
		l.wait("p1", "")
		if _, err := l.pod.Delete(l.Context(), "p1", ""); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "w1, w2") {
			t.Error(err)
		}
		l.must(l.pod.Close(l.Context())) // ends both
		l.delete("p1", "")
		l.nothingLeft()
	})
}

func TestAdmission(t *testing.T) {
	in(t, func(l *lab) {
		refuse := func(what string, r CreateTask, kind fault.Kind, says string) {
			t.Helper()
			if err := l.pod.Create(l.Context(), r); !fault.Is(err, kind) || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v (%v)", what, err, fault.KindOf(err))
			}
		}
		refuse("workload without sandbox", l.inPod("w1", isolation.RoleWorkload, "x"), fault.FailedPrecondition, "its sandbox p1 is not here")
		l.must(l.pod.Create(l.Context(), l.inPod("p1", isolation.RoleSandbox, "")))
		refuse("sandbox under another id", l.inPod("p2", isolation.RoleSandbox, ""), fault.FailedPrecondition, "it is the sandbox of pod p1")
		second := l.inPod("p2", isolation.RoleSandbox, "")
		second.Plan.SandboxID = "p2"
		refuse("second sandbox", second, fault.FailedPrecondition, "this shim serves p1")
		refuse("standalone in a pod", l.inPod("c1", isolation.RoleStandalone, "x"), fault.FailedPrecondition, "this shim serves p1")
		r := l.inPod("w1", isolation.RoleWorkload, "x")
		r.Plan.SandboxID = "p9"
		refuse("workload of another pod", r, fault.FailedPrecondition, "it joins sandbox p9, this shim serves p1")
		for mode, says := range map[isolation.Mode]string{
			isolation.ModeHyperV: "Hyper-V isolation", isolation.ModeHostProcess: "HostProcess", isolation.ModeInvalid: "no isolation mode",
		} {
			r = l.inPod("w1", isolation.RoleWorkload, "x")
			r.Plan.Mode = mode
			kind := fault.Unimplemented
			if mode == isolation.ModeInvalid {
				kind = fault.Internal
			}
			refuse("mode", r, kind, says)
		}
		r = l.inPod("w1", isolation.RoleWorkload, "x")
		r.Plan.Guest = isolation.GuestLinux
		refuse("Linux", r, fault.Unimplemented, "Linux guests")
	})
}

// A pause container whose image only starts a shell would end at once.
func TestKeepAlive(t *testing.T) {
	const kept = "cmd /c ping -t 127.0.0.1 > nul"
	for name, tc := range map[string]struct {
		in   oci.Process
		want string
	}{
		"nothing":          {oci.Process{}, kept},
		"the shell":        {oci.Process{Args: []string{`C:\Windows\System32\cmd.exe`, "/s"}}, kept},
		"a pause program":  {oci.Process{Args: []string{"/pause.exe"}}, ""},
		"a command line":   {oci.Process{CommandLine: "pause.exe"}, "pause.exe"},
		"shell by command": {oci.Process{CommandLine: `c:\windows\system32\cmd.exe`}, `c:\windows\system32\cmd.exe`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := keepAlive(tc.in); got.CommandLine != tc.want || tc.want == kept && got.Args != nil {
				t.Errorf("got %+v, want %q", got, tc.want)
			}
		})
	}
}

type affinity struct {
	id    string
	masks []isolation.AffinityMask
	err   error
}

func (a *affinity) SetAffinity(_ context.Context, id string, m []isolation.AffinityMask) error {
	a.id, a.masks = id, m
	return a.err
}

// Affinity is set before the container starts, or refused: never ignored.
func TestAffinity(t *testing.T) {
	masks := []isolation.AffinityMask{{Mask: 3}}
	in(t, func(l *lab) {
		r := l.request("c1", "x")
		r.Plan.Container.Affinity = masks
		if err := l.pod.Create(l.Context(), r); !fault.Is(err, fault.Unimplemented) || !strings.Contains(err.Error(), "windows.resources.cpu.affinity") {
			t.Error("without a setter:", err)
		}
		l.nothingLeft()
	})
	a := &affinity{}
	in(t, func(l *lab) {
		r := l.request("c1", "x")
		r.Plan.Container.Affinity = masks
		l.must(l.pod.Create(l.Context(), r))
		if d := cmp.Diff(masks, a.masks); d != "" || a.id != "c1" {
			t.Error(a.id, d)
		}
		l.delete("c1", "")
		// The reference leaves the system behind when this fails.
		a.err = fault.New(fault.InvalidArgument, "no such processor")
		if err := l.pod.Create(l.Context(), r); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), "affinity") {
			t.Error("setter fails:", err)
		}
		l.nothingLeft()
	}, func(c *Config) { c.Affinity = a })
}

func ptr[T any](v T) *T { return &v }

func TestUpdate(t *testing.T) {
	for name, tc := range map[string]struct {
		update Update
		build  uint32
		kind   fault.Kind // Unknown: it works
		calls  []string   // resource paths
	}{
		"memory":                      {update: Update{MemoryBytes: ptr[uint64](512 << 20)}, calls: []string{"Container/Memory/SizeInMB"}},
		"cpu count":                   {update: Update{CPU: &UpdateCPU{Count: ptr[uint64](2)}}, calls: []string{"Container/Processor"}},
		"cpu maximum":                 {update: Update{CPU: &UpdateCPU{Maximum: ptr[uint16](5000)}}, calls: []string{"Container/Processor"}},
		"memory and cpu":              {update: Update{MemoryBytes: ptr[uint64](512 << 20), CPU: &UpdateCPU{Shares: ptr[uint16](500)}}, calls: []string{"Container/Memory/SizeInMB", "Container/Processor"}},
		"zeroes count not":            {update: Update{CPU: &UpdateCPU{Shares: ptr[uint16](500), Count: ptr[uint64](0)}}, calls: []string{"Container/Processor"}},
		"nothing":                     {kind: fault.InvalidArgument},
		"too little":                  {update: Update{MemoryBytes: ptr[uint64](1000)}, kind: fault.InvalidArgument},
		"two limits":                  {update: Update{CPU: &UpdateCPU{Count: ptr[uint64](2), Maximum: ptr[uint16](5000)}}, kind: fault.InvalidArgument},
		"no limit":                    {update: Update{CPU: &UpdateCPU{}}, kind: fault.InvalidArgument},
		"out of range":                {update: Update{CPU: &UpdateCPU{Maximum: ptr[uint16](10001)}}, kind: fault.InvalidArgument},
		"affinity":                    {update: Update{CPU: &UpdateCPU{Affinity: []isolation.AffinityMask{{Mask: 1}}}}, kind: fault.Unimplemented},
		"old build":                   {update: Update{CPU: &UpdateCPU{Count: ptr[uint64](2)}}, build: 17763, kind: fault.Unimplemented},
		"wrong half: nothing is done": {update: Update{MemoryBytes: ptr[uint64](512 << 20), CPU: &UpdateCPU{}}, kind: fault.InvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(l *lab) {
				l.run("c1", "ping -t localhost")
				tc.update.ID = "c1"
				err := l.pod.Update(l.Context(), tc.update)
				if fault.KindOf(err) != tc.kind || (err == nil) != (tc.kind == fault.Unknown) {
					t.Errorf("got %v (%v), want %v", err, fault.KindOf(err), tc.kind)
				}
				if n := len(l.emu.Calls(hcsemu.CallFilter{Function: "HcsModifyComputeSystem"})); n != len(tc.calls) {
					t.Errorf("%d changes, want %v", n, tc.calls)
				}
			}, func(c *Config) {
				if tc.build != 0 {
					c.HostBuild = tc.build
				}
			})
		})
	}
}

func TestUpdateInTheWrongState(t *testing.T) {
	in(t, func(l *lab) {
		u := Update{ID: "c1", MemoryBytes: ptr[uint64](512 << 20)}
		if err := l.pod.Update(l.Context(), u); !fault.Is(err, fault.NotFound) {
			t.Error("before create:", err)
		}
		l.run("c1", "ping -t localhost")
		l.fault(hcsemu.Fault{Function: "HcsModifyComputeSystem", Action: hcsemu.ActionFail, Code: "0x80370105"})
		if err := l.pod.Update(l.Context(), u); err == nil || !strings.Contains(err.Error(), "Container/Memory") {
			t.Error("a change that fails:", err)
		}
		l.must(l.kill("c1", ""))
		l.wait("c1", "")
		if err := l.pod.Update(l.Context(), u); !fault.Is(err, fault.FailedPrecondition) {
			t.Error("after exit:", err)
		}
	})
}

// Close is the end of the shim: whatever state a task is in, it ends.
func TestClose(t *testing.T) {
	in(t, func(l *lab) {
		l.must(l.pod.Create(l.Context(), l.inPod("p1", isolation.RoleSandbox, "")))
		l.start("p1", "")
		for _, id := range []string{"w1", "w2", "w3"} {
			l.must(l.pod.Create(l.Context(), l.inPod(id, isolation.RoleWorkload, "ping -t localhost")))
		}
		l.start("w1", "")
		l.exec("w1", "e1", "ping -t localhost")
		l.start("w2", "")
		l.must(l.kill("w2", ""))
		l.wait("w2", "")
		for range 2 {
			l.must(l.pod.Close(l.Context()))
		}
		l.nothingLeft()
		events := l.events.all()
		if last := events[len(events)-1]; !strings.HasPrefix(last, "exit p1/p1") {
			t.Errorf("the sandbox did not end last: %s", last)
		}
	})
}
