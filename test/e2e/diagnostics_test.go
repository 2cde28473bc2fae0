package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/shim/diagnostics"
	"github.com/isolrun/isol/test/hcsemu/vm"
	"github.com/isolrun/isol/test/lab"
)

// isolctl builds the operator's program into the lab and returns what runs it.
func isolctl(t *testing.T, l *lab.Lab) func(args ...string) lab.Result {
	t.Helper()
	if err := l.Build(t.Context(), `C:\`, "./cmd/isolctl"); err != nil {
		t.Fatal(err)
	}
	return func(args ...string) lab.Result {
		t.Helper()
		r, err := l.Run(t.Context(), append([]string{`C:\isolctl.exe`}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}

// An operator asks the pod itself what it is and does, over its own pipe.
func TestDiagnosticsOfHyperVPod(t *testing.T) {
	l := vms.of(t)
	m := emulated{l}
	ctl := isolctl(t, l)
	must(t, m, "run", "-d", "--isolated", "--runtime", isol, m.Image(), "web", "ping", "-t", "localhost")

	text := ctl("show", "web")
	if text.ExitCode != 0 {
		t.Fatalf("isolctl show: %d, %s", text.ExitCode, text.Stderr)
	}
	t.Log("isolctl show web\n" + text.Stdout)
	for _, phase := range hcs.Phases() {
		if !strings.Contains(text.Stdout, "\n  "+string(phase)+" ") {
			t.Errorf("phase %s is not shown", phase)
		}
	}
	for _, want := range []string{"web@vm, running", "web, running", "hyperv"} {
		if !strings.Contains(text.Stdout, want) {
			t.Errorf("%q is not shown", want)
		}
	}

	var r diagnostics.Report
	if err := json.Unmarshal([]byte(ctl("show", "--format", "json", "web").Stdout), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Tasks) != 1 || len(r.Tasks[0].Phases) != len(hcs.Phases()) || r.VM == nil || r.VM.Disks != 2 {
		t.Errorf("report %+v, VM %+v", r.Tasks, r.VM)
	}
	for _, s := range r.Tasks[0].Phases {
		if s.Took <= 0 || s.Own() > s.Took {
			t.Errorf("phase %+v", s)
		}
	}

	if out := ctl("stacks", "web").Stdout; !strings.Contains(out, "goroutine ") || !strings.Contains(out, "emulated guest") {
		t.Errorf("stacks: %s", out)
	}
	if r := ctl("show", "nobody"); r.ExitCode == 0 || !strings.Contains(r.Stderr, "there is no pod or task nobody") {
		t.Errorf("show of nobody: %d, %s", r.ExitCode, r.Stderr)
	}

	if _, err := l.Machine(vm.Bugcheck, "web@vm"); err != nil {
		t.Fatal(err)
	}
	until(t, "the task has stopped", func() bool { return strings.Contains(must(t, m, "task", "ls"), "STOPPED") })
	if out := ctl("show", "web").Stdout; !strings.Contains(out, "ended: bugcheck") || !strings.Contains(out, "0xe2") {
		t.Errorf("after a bugcheck: %s", out)
	}
	remove(t, m, "web")
	settled(t, l)
}
