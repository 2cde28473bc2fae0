package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/lab"
)

// containerd and a shim are gone, so nobody runs the shim's delete action: what
// it held stays until the operator prunes, who must not harm the container
// that still runs.
func TestPrune(t *testing.T) {
	lab.Require(t)
	shim, err := lab.BuildIsolShim(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := boot(context.WithoutCancel(t.Context()), shim, []mode{process}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := m.Build(t.Context(), `C:\`, "./cmd/isolctl"); err != nil {
		t.Fatal(err)
	}
	if !t.Run("a helper finishes what delete could not", func(t *testing.T) { helperFinishes(t, m) }) {
		t.Fatal(m.Logs())
	}
	alive := m.startShim(t, "alive")
	dead := m.startShim(t, "dead")
	if err := m.KillContainerd(); err != nil {
		t.Fatal(err)
	}
	m.must(t, "taskkill.exe", "/f", "/pid", pid(dead))

	for _, tc := range []struct {
		args []string
		want []string
		left int // mounted layers
	}{
		{[]string{"list"}, []string{"alive   Container  Running  default    runs"}, 2},
		{[]string{"prune", "--dry-run"}, []string{"dead   would release", "alive  shim runs"}, 2},
		{[]string{"prune"}, []string{"dead   released", "alive  shim runs"}, 1},
		{[]string{"prune"}, []string{"alive  shim runs"}, 1},
	} {
		out := m.must(t, append([]string{`C:\isolctl.exe`}, tc.args...)...)
		t.Logf("isolctl %s\n%s", strings.Join(tc.args, " "), out)
		for _, want := range tc.want {
			if !strings.Contains(out, want) {
				t.Errorf("isolctl %s does not say %q", strings.Join(tc.args, " "), want)
			}
		}
		ledger, err := m.Ledger()
		if err != nil {
			t.Fatal(err)
		}
		layers := slices.DeleteFunc(ledger, func(x hcsemu.Entry) bool { return x.Kind != "prepared layer" })
		if len(layers) != tc.left {
			t.Errorf("after isolctl %s, %d layers are mounted, want %d:\n%s", strings.Join(tc.args, " "), len(layers), tc.left, layers)
		}
	}
	if !slices.Contains(m.shims(t), alive) {
		t.Error("prune has ended a shim that runs")
	}
	t.Run("two deletes and a prune at once", func(t *testing.T) { deletesAndPruneAtOnce(t, m, "alive", alive) })
}

func pid(p uint32) string { return fmt.Sprint(p) }

// startShim starts a container and returns the process id of its shim.
func (m *machine) startShim(t *testing.T, id string) uint32 {
	t.Helper()
	before := m.shims(t)
	ctx, cancel := context.WithTimeout(inNamespace(t.Context()), lifeLimit)
	defer cancel()
	request, err := m.containerd.prepare(ctx, shims[0], process, id)
	if err == nil {
		err = m.containerd.start(ctx, request)
	}
	if err != nil {
		t.Fatal(err)
	}
	after := slices.DeleteFunc(m.shims(t), func(pid uint32) bool { return slices.Contains(before, pid) })
	if len(after) != 1 {
		t.Fatalf("container %s has started the shims %v", id, after)
	}
	return after[0]
}

// shims are the process ids of isol's shims.
func (m *machine) shims(t *testing.T) []uint32 {
	t.Helper()
	processes, err := m.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var pids []uint32
	for _, p := range processes {
		if strings.EqualFold(p.Name, lab.IsolShim) {
			pids = append(pids, p.PID)
		}
	}
	return pids
}

// must runs a program that must succeed, and returns its output.
func (m *machine) must(t *testing.T, args ...string) string {
	t.Helper()
	r, err := m.Run(t.Context(), args...)
	if err != nil || r.ExitCode != 0 {
		t.Fatalf("%v: exit %d, %v: %s%s", args, r.ExitCode, err, r.Stdout, r.Stderr)
	}
	return r.Stdout
}
