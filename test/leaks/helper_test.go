package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/lab"
)

// bundleOf and backlogOf are where a task's journal is, and where it is kept
// after its bundle.
func (m *machine) bundleOf(id string) string {
	return lab.StateFolder + `\io.containerd.runtime.v2.task\` + namespace + `\` + id
}

func (m *machine) backlogOf(id string) []string {
	kept, _ := filepath.Glob(filepath.Join(m.Path(`C:\ProgramData\isol\backlog\`+namespace), id, "*.journal")) // the pattern is good
	return kept
}

// unmountHangs holds each unmount of a layer by isol's shim until release;
// hangs waits until one is held.
func (m *machine) unmountHangs(t *testing.T) (hangs, release func()) {
	t.Helper()
	const name = "unmount"
	err := m.Faults(hcsemu.Fault{Name: name, Function: "UnprepareLayer", Exe: lab.IsolShim, Times: -1, Action: hcsemu.ActionHang})
	if err != nil {
		t.Fatal(err)
	}
	hangs = func() {
		t.Helper()
		m.eventually(t, "a helper's call hangs", func() bool { n, err := m.Hanging(name); return err != nil || n > 0 })
	}
	return hangs, func() {
		t.Helper()
		if err := m.Faults(); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Release(name); err != nil {
			t.Fatal(err)
		}
	}
}

func (m *machine) eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(lifeLimit); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("not after %v: %s", lifeLimit, what)
		}
	}
}

// layers are the mounted layers.
func (m *machine) layers(t *testing.T) hcsemu.Ledger {
	t.Helper()
	ledger, err := m.Ledger()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(ledger, func(x hcsemu.Entry) bool { return !strings.HasSuffix(x.Kind, "layer") || x.Lasting })
}

// helperFinishes kills a shim while its layer cannot be unmounted. containerd
// gives the delete action five seconds and then removes the bundle; what it
// could not release, the helper must, a process that nobody waits for, as soon
// as it can be, and then end.
func helperFinishes(t *testing.T, m *machine) {
	before := m.layers(t)
	shim := m.startShim(t, "stuck")
	hangs, release := m.unmountHangs(t)
	others := m.shims(t)
	m.must(t, "taskkill.exe", "/f", "/pid", pid(shim))
	m.eventually(t, "the journal is in the backlog and the bundle is gone", func() bool {
		_, err := os.Stat(m.Path(m.bundleOf("stuck")))
		return len(m.backlogOf("stuck")) == 1 && os.IsNotExist(err)
	})
	helpers := slices.DeleteFunc(m.shims(t), func(p uint32) bool { return slices.Contains(others, p) })
	if len(helpers) != 1 {
		t.Errorf("%d helpers run, want 1", len(helpers))
	}
	hangs()
	if left := added(before, m.layers(t)); len(left) == 0 {
		t.Error("the layer is not mounted any more: the test shows nothing")
	}
	release()
	m.eventually(t, "the backlog is empty", func() bool { return len(m.backlogOf("stuck")) == 0 })
	m.helpersEnd(t, others)
	if left := added(before, m.layers(t)); len(left) > 0 {
		t.Errorf("left:\n%s", left)
	}
}

// deletesAndPruneAtOnce has nobody agree with anybody: containerd and its shim
// are dead, two delete actions run at once, and the operator prunes while their
// helpers are at it. All must end, and nothing be left.
func deletesAndPruneAtOnce(t *testing.T, m *machine, id string, shim uint32) {
	hangs, release := m.unmountHangs(t)
	m.must(t, "taskkill.exe", "/f", "/pid", pid(shim))
	var deletes sync.WaitGroup
	for range 2 {
		deletes.Go(func() {
			r, err := m.Run(t.Context(), lab.ProgramFolder+`\`+lab.IsolShim, "-namespace", namespace, "-id", id, "-bundle", m.bundleOf(id), "delete")
			if err != nil || r.ExitCode != 0 {
				t.Errorf("delete: exit %d, %v: %s", r.ExitCode, err, r.Stderr)
			}
		})
	}
	deletes.Wait()
	hangs()
	if len(m.backlogOf(id)) == 0 || len(m.layers(t)) == 0 {
		t.Errorf("in the backlog is %v, mounted are %v: the test shows nothing", m.backlogOf(id), m.layers(t))
	}
	if out := m.must(t, `C:\isolctl.exe`, "prune"); !strings.Contains(out, id+"  released") {
		t.Errorf("prune beside the helpers:\n%s", out)
	}
	if left := m.layers(t); len(left) > 0 {
		t.Errorf("prune has left:\n%s", left)
	}
	release()
	m.helpersEnd(t, nil)
	if left := m.backlogOf(id); len(left) > 0 {
		t.Errorf("in the backlog is %v", left)
	}
	if left := m.layers(t); len(left) > 0 {
		t.Errorf("left:\n%s", left)
	}
}

// helpersEnd waits until no program of isol runs but those.
func (m *machine) helpersEnd(t *testing.T, but []uint32) {
	t.Helper()
	m.eventually(t, "the helper ends", func() bool {
		return !slices.ContainsFunc(m.shims(t), func(p uint32) bool { return !slices.Contains(but, p) })
	})
}
