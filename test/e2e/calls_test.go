package e2e

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/lab"
)

// sequence is what a step of a container's life asks of Windows.
type sequence struct {
	step string
	// published is what today's reference shim calls. The calls that never leave
	// the process (operations) are not in the record.
	published []string
	// isol is what isol calls; nil means the same.
	isol []string
}

var sequences = []sequence{
	{
		step: "run",
		published: []string{
			"ActivateLayer", "NameToGuid", "PrepareLayer", "GetLayerMountPath", "GetLayerMountPath", "NameToGuid",
			"HcsCreateComputeSystem", "HcsSetComputeSystemCallback", "HcsGetComputeSystemProperties",
			"HcsStartComputeSystem", "HcsCreateProcess", "HcsSetProcessCallback",
			"HcsCloseProcess", "HcsShutDownComputeSystem", "UnprepareLayer", "DeactivateLayer", "HcsCloseComputeSystem",
		},
	},
	{step: "delete", published: []string{"HcsOpenComputeSystem", "NetUserDel"}, isol: []string{"HcsEnumerateComputeSystems", "HcsEnumerateComputeSystems"}},
	{step: "exec", published: []string{"HcsCreateProcess", "HcsSetProcessCallback", "HcsModifyProcess", "HcsCloseProcess"}},
	{step: "SIGTERM", published: []string{"HcsSignalProcess"}},
	{
		step: "SIGKILL",
		published: []string{
			"HcsOpenComputeSystem", "HcsSetComputeSystemCallback", "HcsGetComputeSystemProperties",
			"HcsOpenProcess", "HcsSetProcessCallback", "HcsTerminateProcess", "HcsCloseProcess", "HcsCloseComputeSystem",
		},
		isol: []string{"HcsOpenComputeSystem", "HcsOpenProcess", "HcsTerminateProcess", "HcsCloseProcess", "HcsCloseComputeSystem"},
	},
	{step: "pids", published: []string{"HcsGetComputeSystemProperties"}},
	{step: "stats", published: []string{"HcsGetComputeSystemProperties"}},
}

// own is what isol calls in the step.
func (s sequence) own() []string {
	if s.isol == nil {
		return s.published
	}
	return s.isol
}

// olderOnly are calls that Microsoft's shim v0.14.1 makes and today's does not
// in these steps: the older interface has no exit code in its exit event, and a
// container without a network namespace gets one. docs/parity.md says more.
var olderOnly = []string{
	"HcsGetProcessProperties", "HcnCreateNamespace", "HcnQueryNamespaceProperties", "HcnCloseNamespace", "HNSCall",
}

// What isol asks of Windows beyond or instead of what Microsoft's shim asks has
// not been tried by a million nodes: each such call must be known and have a reason.
func TestNativeCalls(t *testing.T) {
	l := shared.of(t)
	for _, runtime := range []string{isol, runhcs} {
		t.Run(runtime, func(t *testing.T) {
			r := recorder{t: t, l: l, exe: lab.IsolShim}
			if runtime == runhcs {
				r.exe = runhcsShim
			}
			want := map[string][]string{}
			for _, s := range sequences {
				want[s.step] = s.own()
				if runtime == runhcs {
					want[s.step] = s.published
				}
			}
			if diff := gocmp.Diff(want, r.life(runtime, want)); diff != "" {
				t.Errorf("native calls (-want +got):\n%s", diff)
			}
			clean(t, l)
		})
	}
}

// recorder reads a shim's native calls from the emulator's record.
type recorder struct {
	t   *testing.T
	l   *lab.Lab
	exe string
}

// life lives a container's life and returns the calls of each step.
func (r recorder) life(runtime string, want map[string][]string) map[string][]string {
	r.t.Helper()
	m, t := emulated{r.l}, r.t
	got := map[string][]string{}
	step := func(name string, do func()) {
		after := r.last()
		do()
		got[name] = r.names(after, len(want[name]), func(hcsemu.Call) bool { return true })
	}

	// The shim and its delete action are processes of their own.
	after := r.last()
	must(t, m, "run", "--rm", "--null-io", "--runtime", runtime, m.Image(), "calls1", "cmd", "/c", "exit")
	server := r.calls(after)[0].Caller.PID
	got["run"] = r.names(after, len(want["run"]), func(c hcsemu.Call) bool { return c.Caller.PID == server })
	got["delete"] = r.names(after, len(want["delete"]), func(c hcsemu.Call) bool { return c.Caller.PID != server })

	must(t, m, "run", "-d", "--null-io", "--runtime", runtime, m.Image(), "calls2", "ping", "-t", "localhost")
	defer remove(t, m, "calls2")
	step("exec", func() {
		res, err := m.Ctr(t.Context(), "input", "task", "exec", "--exec-id", "e1", "calls2", "probe", "cat")
		if err != nil || res.Stdout != "input" {
			t.Errorf("exec: %v, %q: %s", err, res.Stdout, res.Stderr)
		}
	})
	step("pids", func() { must(t, m, "task", "ps", "calls2") })
	step("stats", func() { must(t, m, "task", "metrics", "calls2") })

	for _, signal := range []string{"SIGTERM", "SIGKILL"} {
		id := strings.ToLower(signal)
		must(t, m, "task", "exec", "-d", "--exec-id", id, "calls2", "probe", "sleep")
		// What the exec itself takes to start and end is known from above; its
		// end may come in the midst of the signal's calls.
		own := r.handle(r.last())
		step(signal, func() { must(t, m, "task", "kill", "-s", signal, "--exec-id", id, "calls2") })
		got[signal] = r.names(own.after, len(want[signal]), func(c hcsemu.Call) bool {
			return c.Function != "HcsCloseProcess" || c.Args["handle"] != own.handle
		})
	}
	return got
}

// started is the last process that was started.
type started struct {
	after  int // the last call so far
	handle any
}

func (r recorder) handle(after int) started {
	calls := r.calls(0)
	for _, c := range slices.Backward(calls) {
		if result, ok := c.Result.(map[string]any); ok && c.Function == "HcsCreateProcess" {
			return started{after: after, handle: result["handle"]}
		}
	}
	r.t.Fatal("no process was started")
	return started{}
}

// last is the number of the last call.
func (r recorder) last() int {
	calls := r.calls(0)
	if len(calls) == 0 {
		return 0
	}
	return calls[len(calls)-1].Seq
}

// calls are the shim's calls after that number, in the order of their beginning.
func (r recorder) calls(after int) []hcsemu.Call {
	r.t.Helper()
	calls, err := r.l.Calls(hcsemu.CallFilter{Exe: r.exe, After: after})
	if err != nil {
		r.t.Fatal(err)
	}
	slices.SortFunc(calls, func(a, b hcsemu.Call) int { return cmp.Compare(a.Seq, b.Seq) })
	return calls
}

// names are the functions that were called. A call may still be on its way
// when ctr has its answer, so it waits for as many as are wanted.
func (r recorder) names(after, wanted int, mine func(hcsemu.Call) bool) []string {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var names []string
		for _, c := range r.calls(after) {
			if mine(c) && !slices.Contains(olderOnly, c.Function) {
				names = append(names, c.Function)
			}
		}
		if len(names) >= wanted || time.Now().After(deadline) {
			return names
		}
	}
}
