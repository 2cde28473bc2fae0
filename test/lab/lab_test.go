package lab_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/lab"
)

const runhcs = "io.containerd.runhcs.v1"

// start boots a lab that ends with the test, which fails if something is left
// in the ledger then. A failed test shows the logs.
func start(t *testing.T, cfg lab.Config) *lab.Lab {
	t.Helper()
	lab.Require(t)
	cfg.Out = t.Output()
	began := time.Now()
	l, err := lab.Start(context.WithoutCancel(t.Context()), cfg) // its own end comes before Cleanup
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("up after %s", time.Since(began).Round(time.Millisecond))
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(story(l))
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// story tells what happened in a lab: the native calls, and what the programs
// complained of.
func story(l *lab.Lab) string {
	var b strings.Builder
	calls, err := l.Calls(hcsemu.CallFilter{})
	if err != nil {
		fmt.Fprintln(&b, err)
	}
	for _, c := range calls {
		fmt.Fprintf(&b, "%s %s %s %s %d %s %s\n", c.Time.Format("05.000"), c.Caller.Exe, c.Function, c.System, c.Process, c.Code, c.Error)
	}
	for line := range strings.Lines(l.Logs()) {
		if !strings.Contains(line, "level=debug") && !strings.Contains(line, "level=info") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// ctr runs ctr and wants it to succeed.
func ctr(t *testing.T, l *lab.Lab, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := l.Ctr(ctx, args...)
	if err != nil || r.ExitCode != 0 {
		t.Fatalf("ctr %s: exit %d, %v\n%s%s", strings.Join(args, " "), r.ExitCode, err, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// emptyLedger fails the test if the services had not everything back.
func emptyLedger(t *testing.T, l *lab.Lab) {
	t.Helper()
	ledger, err := l.Ledger()
	if err != nil {
		t.Fatal(err)
	}
	if !ledger.Empty() {
		t.Errorf("left in the ledger:\n%s", ledger.Leaks())
	}
}

// isolShim is our shim, built from the tree.
func isolShim(t *testing.T) map[string]string {
	t.Helper()
	lab.Require(t)
	path, err := lab.BuildIsolShim(t.Context(), func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{lab.IsolShim: path}
}

// Microsoft's shim, unmodified, is the witness that the emulator answers as
// Windows does: what it can't run here, ours passing means nothing.
func TestShims(t *testing.T) {
	l := start(t, lab.Config{Shims: isolShim(t)})
	if out := ctr(t, l, "images", "ls", "-q"); strings.TrimSpace(out) != l.Image() {
		t.Errorf("images: %q, want %s", out, l.Image())
	}
	for _, runtime := range []string{runhcs, "io.containerd.isol.v1"} {
		t.Run(runtime, func(t *testing.T) {
			out := ctr(t, l, "run", "--rm", "--runtime", runtime, l.Image(), "c1", "cmd", "/c", "echo hi")
			if strings.TrimSpace(out) != "hi" {
				t.Errorf("echo printed %q", out)
			}
			emptyLedger(t, l)

			r, err := l.Ctr(t.Context(), "run", "--rm", "--runtime", runtime, l.Image(), "c2", "probe", "exit", "7")
			if err != nil || r.ExitCode != 7 {
				t.Errorf("a container that exits with 7: %d, %v: %s", r.ExitCode, err, r.Stderr)
			}
			emptyLedger(t, l)
		})
	}
}

// Tests that run in parallel, and developers on one machine, must not meet.
func TestLabsSideBySide(t *testing.T) {
	a := start(t, lab.Config{Windows: lab.Server2022})
	b := start(t, lab.Config{Windows: lab.Server2025})
	for _, l := range []*lab.Lab{a, b} {
		ctr(t, l, "run", "-d", "--null-io", "--runtime", runhcs, l.Image(), "same-id", "ping", "-t", "localhost")
	}
	folder := a.Path(`C:\`)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the closed lab's folder: %v", err)
	}
	if out := ctr(t, b, "task", "ls"); !strings.Contains(out, "RUNNING") {
		t.Errorf("the other lab's task, after one lab closed: %q", out)
	}
}

// A test that is cancelled, or a developer's Ctrl-C, leaves nothing running.
func TestContextEndsLab(t *testing.T) {
	lab.Require(t)
	ctx, cancel := context.WithCancel(t.Context())
	l, err := lab.Start(ctx, lab.Config{Out: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.StartProcess(context.Background(), lab.Command{Args: []string{lab.EmulatorExe, "ping", "--timeout", "1s"}})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	<-p.Done()
	if _, err := os.Stat(l.Path(`C:\`)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lab's folder: %v", err)
	}
}

// The half of the isolation walk-through that the lab exists for: one process,
// the same id in the container and on the host.
func TestHostSeesContainersProcess(t *testing.T) {
	l := start(t, lab.Config{})
	ctr(t, l, "run", "-d", "--null-io", "--runtime", runhcs, l.Image(), "c1", "ping", "-t", "localhost")
	pids := strings.Fields(ctr(t, l, "task", "ls"))
	if len(pids) < 5 {
		t.Fatalf("ctr task ls: %q", pids)
	}
	processes, err := l.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, p := range processes {
		found = found || fmt.Sprint(p.PID) == pids[4] && strings.EqualFold(p.Name, "ping.exe")
	}
	if !found {
		t.Errorf("no ping.exe with pid %s on the host: %v", pids[4], processes)
	}
	ctr(t, l, "task", "kill", "-s", "SIGKILL", "c1")
	ctr(t, l, "task", "delete", "c1")
	ctr(t, l, "container", "delete", "c1")
	emptyLedger(t, l)
}

// containerd's crash must leave shims and containers alone, or tests of
// reconnecting would test nothing.
func TestRestartContainerd(t *testing.T) {
	l := start(t, lab.Config{})
	ctr(t, l, "run", "-d", "--null-io", "--runtime", runhcs, l.Image(), "c1", "ping", "-t", "localhost")
	if err := l.RestartContainerd(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out := ctr(t, l, "task", "ls"); !strings.Contains(out, "RUNNING") {
		t.Errorf("after a restart of containerd: %q", out)
	}
	ctr(t, l, "task", "delete", "-f", "c1")
	emptyLedger(t, l)
}

// A fault that is not delivered makes every error test pass.
func TestFaults(t *testing.T) {
	l := start(t, lab.Config{})
	err := l.Faults(hcsemu.Fault{Function: "HcsStartComputeSystem", Action: hcsemu.ActionFail, Code: "0x80370110"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Ctr(t.Context(), "run", "--rm", "--runtime", runhcs, l.Image(), "c1", "cmd", "/c", "echo hi")
	if err != nil || r.ExitCode == 0 {
		t.Errorf("start that fails: exit %d, %v", r.ExitCode, err)
	}
	calls, err := l.Calls(hcsemu.CallFilter{Function: "HcsStartComputeSystem"})
	if err != nil || len(calls) != 1 || calls[0].Fault == "" {
		t.Errorf("the record of the failed call: %+v, %v", calls, err)
	}
	if err := l.Faults(); err != nil {
		t.Fatal(err)
	}
	emptyLedger(t, l)
}

// Each version must be one that containerd and an image agree on.
func TestVersions(t *testing.T) {
	for _, w := range lab.Presets() {
		t.Run(w.Name, func(t *testing.T) {
			l := start(t, lab.Config{Windows: w})
			out := ctr(t, l, "run", "--rm", "--runtime", runhcs, l.Image(), "c1", "cmd", "/c", "ver")
			if !strings.Contains(out, fmt.Sprintf(".%d", w.Build)) { // Wine's ver prints 6.3 before it
				t.Errorf("ver in the container: %q", out)
			}
			emptyLedger(t, l)
		})
	}
}
