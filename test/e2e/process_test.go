package e2e

import (
	"strings"
	"testing"
)

// The first thing anybody tries.
func TestRun(t *testing.T) {
	m := machine(t)
	out := must(t, m, "run", "--rm", "--runtime", isol, m.Image(), "run1", "cmd", "/c", "echo hello")
	if strings.TrimSpace(out) != "hello" {
		t.Errorf("printed %q, want hello", out)
	}
	// The same id, and the scratch of the same name, at once again.
	must(t, m, "run", "--rm", "--runtime", isol, m.Image(), "run1", "cmd", "/c", "echo again")
}

// What a process says at its end decides restarts, jobs and scripts.
func TestExitCode(t *testing.T) {
	m := machine(t)
	for _, code := range []string{"0", "7", "255"} {
		r := ctr(t, m, "run", "--rm", "--runtime", isol, m.Image(), "exit"+code, "cmd", "/c", "exit "+code)
		if got := r.ExitCode; got != map[string]int{"0": 0, "7": 7, "255": 255}[code] {
			t.Errorf("exit %s is reported as %d: %s", code, got, r.Stderr)
		}
	}
}

// Process isolation's promise: one process, the same id in the container and on
// the host.
func TestSameProcessIDInsideAndOnTheHost(t *testing.T) {
	m := machine(t)
	must(t, m, "run", "-d", "--runtime", isol, m.Image(), "pid1", "ping", "-t", "localhost")
	defer remove(t, m, "pid1")
	seen := false
	for _, pid := range pids(must(t, m, "task", "ps", "pid1")) {
		there, err := m.HasProcess(t.Context(), pid, "ping.exe")
		if err != nil {
			t.Fatal(err)
		}
		seen = seen || there
	}
	if !seen {
		t.Errorf("no process of the container is on the host: %s", must(t, m, "task", "ps", "pid1"))
	}
}

// pids are the first columns of `ctr task ps`.
func pids(table string) []string {
	var pids []string
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); len(f) > 0 && f[0] != "PID" {
			pids = append(pids, f[0])
		}
	}
	return pids
}

// Probes, kubectl exec and debugging all go through exec.
func TestExec(t *testing.T) {
	m := machine(t)
	must(t, m, "run", "-d", "--runtime", isol, m.Image(), "exec1", "ping", "-t", "localhost")
	defer remove(t, m, "exec1")
	if out := must(t, m, "task", "exec", "--exec-id", "e1", "exec1", "cmd", "/c", "echo from exec"); strings.TrimSpace(out) != "from exec" {
		t.Errorf("exec printed %q", out)
	}
	if r := ctr(t, m, "task", "exec", "--exec-id", "e2", "exec1", "cmd", "/c", "exit 3"); r.ExitCode != 3 {
		t.Errorf("exec's exit code %d, want 3: %s", r.ExitCode, r.Stderr)
	}
	r := ctr(t, m, "task", "exec", "--exec-id", "e3", "exec1", "nosuchprogram.exe")
	if r.ExitCode == 0 || !strings.Contains(r.Stderr, "nosuchprogram.exe") {
		t.Errorf("exec of nothing: exit %d, %q", r.ExitCode, r.Stderr)
	}
	if out := must(t, m, "task", "ls"); !strings.Contains(out, "RUNNING") {
		t.Errorf("the init did not survive its execs: %q", out)
	}
}

// A pipeline into a container must get all its input and its end.
func TestInput(t *testing.T) {
	m := machine(t)
	input := strings.Repeat("a line of input\r\n", 5000)
	r, err := m.Ctr(t.Context(), input, "run", "--rm", "--runtime", isol, m.Image(), "in1", "cmd", "/c", "more")
	if _, ok := m.(emulated); ok {
		r, err = m.Ctr(t.Context(), input, "run", "--rm", "--runtime", isol, m.Image(), "in1", "probe", "cat")
	}
	if err != nil || r.ExitCode != 0 || strings.TrimSpace(r.Stdout) != strings.TrimSpace(input) {
		t.Errorf("exit %d, %v, %d bytes came back of %d: %s", r.ExitCode, err, len(r.Stdout), len(input), r.Stderr)
	}
}

// Metrics feed the autoscaler: they must be there, and never be an error.
func TestMetrics(t *testing.T) {
	m := machine(t)
	must(t, m, "run", "-d", "--runtime", isol, m.Image(), "met1", "ping", "-t", "localhost")
	defer remove(t, m, "met1")
	out := must(t, m, "task", "metrics", "met1")
	for _, want := range []string{"memory.commit_bytes", "cpu.total_runtime_ns", "storage.read_size_bytes"} {
		if !strings.Contains(out, want) {
			t.Errorf("metrics have no %s:\n%s", want, out)
		}
	}
}

// SIGTERM is what `kubectl delete pod` sends first.
func TestSignals(t *testing.T) {
	m := machine(t)
	must(t, m, "run", "-d", "--runtime", isol, m.Image(), "sig1", "ping", "-t", "localhost")
	defer remove(t, m, "sig1")
	if r := ctr(t, m, "task", "kill", "-s", "SIGUSR1", "sig1"); r.ExitCode == 0 || !strings.Contains(r.Stderr, "signal") {
		t.Errorf("a signal that Windows has not: exit %d, %q", r.ExitCode, r.Stderr)
	}
	must(t, m, "task", "kill", "-s", "SIGTERM", "sig1")
}

// The image's own errors, and wrong requests, come with a sentence.
func TestRefusals(t *testing.T) {
	m := machine(t)
	for _, tc := range []struct {
		name  string
		flags []string
		args  []string
		want  []string
	}{
		{"program that is not there", nil, []string{"nosuchprogram.exe"}, []string{"nosuchprogram.exe", "not found"}},
		{"exclusive CPU settings", []string{"--cpu-count", "1", "--cpu-max", "5000"}, []string{"cmd"}, []string{"count", "exclu"}},
		{"relative mount source", []string{"--mount", `type=bind,src=relative,dst=C:\x`}, []string{"cmd"}, []string{"relative", "absolute"}},
		{"mount source that is not there", []string{"--mount", `type=bind,src=C:\nowhere,dst=C:\x`}, []string{"cmd"}, []string{`C:\nowhere`}},
		{"unknown device class", []string{"--device", "floppy://a"}, []string{"cmd"}, []string{"floppy"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := append([]string{"run", "--rm", "--runtime", isol}, tc.flags...)
			r := ctr(t, m, append(append(args, m.Image(), "ref1"), tc.args...)...)
			if r.ExitCode == 0 {
				t.Fatalf("it runs: %s", r.Stdout)
			}
			for _, want := range tc.want {
				if !strings.Contains(r.Stderr, want) {
					t.Errorf("the error does not say %q: %s", want, r.Stderr)
				}
			}
			ctr(t, m, "container", "delete", "ref1")
		})
	}
}

// Two containers of one id would overwrite each other's files.
func TestDuplicateID(t *testing.T) {
	m := machine(t)
	must(t, m, "run", "-d", "--runtime", isol, m.Image(), "dup1", "ping", "-t", "localhost")
	defer remove(t, m, "dup1")
	if r := ctr(t, m, "run", "-d", "--runtime", isol, m.Image(), "dup1", "ping", "-t", "localhost"); r.ExitCode == 0 {
		t.Error("a second container of the same id runs")
	}
	must(t, m, "task", "exec", "--exec-id", "same", "dup1", "cmd", "/c", "echo hi")
	if out := must(t, m, "task", "ls"); !strings.Contains(out, "RUNNING") {
		t.Errorf("the first one suffered: %q", out)
	}
}
