package pod

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/test/hcsemu"
)

// tale is the life of a pod or a standalone task, from create to delete, that a
// disaster may strike anywhere: it ends at the first error, as a client's does.
type tale struct {
	name  string
	tasks []string // in the order in which a client removes them
	make  func(l *vmLab, id string) CreateTask
}

// tales are those that disasters strike. Together they acquire whatever isol
// acquires: TestJournalNamesAllThatTheMachineHolds.
var tales = []tale{
	{"process, standalone", []string{"web"}, func(l *vmLab, id string) CreateTask {
		return withAccount(l.withEndpoints(l.onHost(id, isolation.RoleStandalone)))
	}},
	{"process, pod", []string{"web", "pod"}, func(l *vmLab, id string) CreateTask {
		return l.onHost(id, roleOf(id))
	}},
	{"hyperv, standalone", []string{"web"}, func(l *vmLab, id string) CreateTask {
		return withAccount(l.withEndpoints(l.withMounts(l.isolated(id, isolation.RoleStandalone, "ping -t localhost"))))
	}},
	{"hyperv, pod", []string{"web", "pod"}, func(l *vmLab, id string) CreateTask {
		req := l.isolated(id, roleOf(id), "ping -t localhost")
		if id == "web" {
			req = l.withMounts(req)
		}
		return req
	}},
	{"hostprocess, standalone", []string{"web"}, func(l *vmLab, id string) CreateTask {
		req := l.onHost(id, isolation.RoleStandalone)
		hostProcess("Administrators")(&req)
		return req
	}},
	{"hostprocess, pod", []string{"web", "pod"}, func(l *vmLab, id string) CreateTask {
		req := l.onHost(id, roleOf(id))
		hostProcess(systemUser)(&req)
		return req
	}},
}

func roleOf(id string) isolation.Role {
	if id == "pod" {
		return isolation.RoleSandbox
	}
	return isolation.RoleWorkload
}

// onHost is a request for a process isolated task.
func (l *vmLab) onHost(id string, role isolation.Role) CreateTask {
	req := l.isolated(id, role, "ping -t localhost")
	req.Plan.Mode, req.Plan.UVM = isolation.ModeProcess, nil
	req.Layers = layers.Layers{Parents: []string{`C:\snapshots\2`, `C:\snapshots\1`}, Scratch: `C:\snapshots\` + id}
	return req
}

// withMounts has all ways into a VM: a share, a disk and a pipe.
func (l *vmLab) withMounts(req CreateTask) CreateTask {
	req.Plan.Container.Mounts = []isolation.Mount{
		{Source: filepath.Dir(l.file("data", "a.txt")), Destination: `C:\data`, Mechanism: isolation.MechanismVSMB},
		{Source: l.file("disks", "d.vhdx"), Destination: `C:\disk`, Mechanism: isolation.MechanismSCSI, Type: "virtual-disk"},
	}
	req.Plan.Container.Pipes = []isolation.Pipe{{HostPath: `\\.\pipe\docker_engine`, ContainerName: "docker_engine"}}
	return req
}

// withAccount has a managed service account.
func withAccount(req CreateTask) CreateTask {
	req.Plan.Container.CredentialSpec = gmsa
	return req
}

// live lives the tale.
func (ta tale) live(l *vmLab) error {
	ctx := l.Context()
	steps := []func() error{}
	step := func(f func() error) { steps = append(steps, f) }
	for i := range ta.tasks { // the sandbox first
		id := ta.tasks[len(ta.tasks)-1-i]
		step(func() error { return l.pod.Create(ctx, ta.make(l, id)) })
		step(func() error { _, err := l.pod.Start(ctx, id, ""); return err })
	}
	step(func() error { return l.addExec("web", "e1", "ping -t localhost") })
	step(func() error { _, err := l.pod.Start(ctx, "web", "e1"); return err })
	step(func() error { return l.kill("web", "e1") })
	step(func() error { _, err := l.pod.Wait(ctx, "web", "e1"); return err })
	step(func() error { _, err := l.pod.Delete(ctx, "web", "e1"); return err })
	for _, id := range ta.tasks {
		step(func() error { return l.kill(id, "") })
		step(func() error { _, err := l.pod.Wait(ctx, id, ""); return err })
		step(func() error { _, err := l.pod.Delete(ctx, id, ""); return err })
	}
	for _, s := range steps {
		if err := s(); err != nil {
			return err
		}
	}
	return nil
}

// remove kills and deletes what there is, as a client does after a failure. It
// returns what could not be deleted.
func (ta tale) remove(l *vmLab) error {
	for _, id := range ta.tasks {
		if _, err := l.pod.State(id, ""); fault.Is(err, fault.NotFound) {
			continue
		}
		_ = l.kill(id, "") // it may have ended
		if s, err := l.pod.State(id, ""); err == nil && s.PID != 0 {
			if _, err := l.pod.Wait(l.Context(), id, ""); err != nil {
				return err
			}
		}
		if _, err := l.pod.Delete(l.Context(), id, ""); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return nil
}

// replay is what containerd's delete actions do, task by task.
func (ta tale) replay(l *vmLab) {
	l.Helper()
	for _, id := range ta.tasks {
		if _, err := journal.Replay(l.Context(), l.journalOf(id), id, l.pod.cfg.Undo); err != nil {
			l.Errorf("replay of %s: %v", id, err)
		}
	}
}

func (l *vmLab) journalOf(id string) string { return filepath.Join(l.bundle, id, journal.FileName) }

// struck runs a tale in a bubble of its own, with what disasters need at hand.
func (ta tale) struck(t *testing.T, f func(l *vmLab), options ...func(*Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newVMLab(t, options...)
		l.network(false)
		for _, id := range ta.tasks { // what the client has put on the disk
			ta.make(l, id)
		}
		l.files = l.tree()
		defer l.end()
		f(l)
	})
}

// clean checks that nothing is left: on the machine, of files, of access to
// files, and no connection of a guest.
func (l *vmLab) clean(what string) {
	l.Helper()
	synctest.Wait()
	l.cni.remove()
	var left []string
	for _, e := range l.emu.Ledger() {
		if !e.Lasting || e.Kind == "vm access" {
			left = append(left, e.String())
		}
	}
	for path := range l.tree() {
		if _, was := l.files[path]; !was {
			left = append(left, "file "+path)
		}
	}
	if n := l.machines.Listeners(); n != 0 {
		left = append(left, fmt.Sprintf("%d hvsocket listeners", n))
	}
	if len(left) > 0 {
		l.Errorf("%s: left behind:\n%s", what, strings.Join(left, "\n"))
	}
}

// tree is all files of layers and bundles, with what they hold, all at one moment:
// a shim that is killed in one call may be at work with files beside it.
func (l *vmLab) tree() map[string]string {
	l.Helper()
	for {
		one, err := l.walk()
		two, again := l.walk()
		switch {
		case err == nil && again == nil && maps.Equal(one, two):
			return one
		case !errors.Is(cmp.Or(err, again, fs.ErrNotExist), fs.ErrNotExist):
			l.Fatal(err, again)
		}
	}
}

func (l *vmLab) walk() (map[string]string, error) {
	files := map[string]string{}
	for _, root := range []string{l.root, l.bundle} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			files[path] = string(text)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// restore makes the files what they were.
func (l *vmLab) restore(files map[string]string) {
	l.Helper()
	for path := range l.tree() {
		if _, was := files[path]; !was {
			l.must(os.Remove(path))
		}
	}
	for path, text := range files {
		l.must(os.MkdirAll(filepath.Dir(path), 0o755))
		l.must(os.WriteFile(path, []byte(text), 0o600))
	}
}

// calls are the shim's calls and messages in a tale in which nothing goes wrong.
func (ta tale) calls(t *testing.T) (calls []hcsemu.Call) {
	t.Helper()
	ta.struck(t, func(l *vmLab) {
		if err := ta.live(l); err != nil {
			t.Fatalf("a life in which nothing goes wrong: %v", err)
		}
		l.clean("a life in which nothing goes wrong")
		calls = l.emu.Calls(hcsemu.CallFilter{Exe: l.pod.cfg.Owner})
	})
	slices.SortFunc(calls, func(a, b hcsemu.Call) int { return cmp.Compare(a.Seq, b.Seq) }) // of their begin
	return calls
}

// background is for what ends a dead shim's goroutines.
func background() context.Context { return context.Background() }
