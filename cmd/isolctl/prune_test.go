package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v3"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/shim"
)

// fakeNode is a machine of fakes: pipes that are served, systems, what was undone.
type fakeNode struct {
	hcs.Host
	state   string
	served  map[string]error // by address; nil: it answers
	systems []schema.SystemSummary
	hostErr error
	undoErr map[journal.Kind]error
	answers func() (net.Conn, error) // who answers on every pipe; nil: as served says

	mu     sync.Mutex
	undone []string // guarded by mu
}

func newNode(t *testing.T) *fakeNode {
	t.Helper()
	return &fakeNode{state: t.TempDir(), served: map[string]error{}, undoErr: map[journal.Kind]error{}}
}

func (n *fakeNode) machine() machine {
	return machine{
		origin:  "NODE7",
		backlog: journal.Backlog(filepath.Join(n.state, "backlog")),
		dial: func(_ context.Context, address string) (net.Conn, error) {
			if n.answers != nil {
				return n.answers()
			}
			err, served := n.served[address]
			if !served {
				return nil, &fs.PathError{Op: "open", Path: address, Err: fs.ErrNotExist}
			}
			if err != nil {
				return nil, err
			}
			ours, theirs := net.Pipe()
			return ours, theirs.Close()
		},
		host: func() (hcs.Host, error) { return n, n.hostErr },
		undo: func(hcs.Host) journal.Undoers {
			u := journal.Undoers{Undo: map[journal.Kind]func(context.Context, journal.Record) error{}}
			for _, k := range []journal.Kind{journal.KindComputeSystem, journal.KindLayerMount} {
				u.Undo[k] = func(_ context.Context, r journal.Record) error {
					n.mu.Lock()
					defer n.mu.Unlock()
					if err := n.undoErr[k]; err != nil {
						return err
					}
					n.undone = append(n.undone, r.Name)
					return nil
				}
			}
			return u
		},
	}
}

// List implements hcs.Host.
func (n *fakeNode) List(_ context.Context, q schema.SystemQuery) ([]schema.SystemSummary, error) {
	var found []schema.SystemSummary
	for _, s := range n.systems {
		if (len(q.IDs) == 0 || slices.Contains(q.IDs, s.ID)) && slices.Contains(q.Owners, s.Owner) {
			found = append(found, s)
		}
	}
	return found, nil
}

func (n *fakeNode) system(id, owner string) {
	n.systems = append(n.systems, schema.SystemSummary{ID: id, Owner: owner, SystemType: schema.SystemContainer, State: schema.StateRunning})
}

// task makes the bundle of a task of the namespace default, with a journal of
// what it was made of, and returns the bundle's folder.
func (n *fakeNode) task(t *testing.T, folder, id string) string {
	t.Helper()
	return n.bundle(t, bundleFolders[0], folder, id)
}

// bundle makes a bundle below the folder of one of containerd's plugins.
func (n *fakeNode) bundle(t *testing.T, plugin, folder, id string) string {
	t.Helper()
	dir := filepath.Join(n.state, plugin, "default", folder)
	must(t, os.MkdirAll(dir, 0o755))
	j, err := journal.Create(filepath.Join(dir, journal.FileName), journal.Header{ID: id})
	must(t, err)
	for _, r := range []journal.Record{{Kind: journal.KindLayerMount, Name: `C:\s\` + id}, {Kind: journal.KindComputeSystem, Name: id}} {
		_, err := j.Acquire(r)
		must(t, err)
	}
	must(t, j.Close())
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ctl runs a command against the node.
func (n *fakeNode) ctl(command func(machine) *cli.Command, args ...string) (string, error) {
	var out bytes.Buffer
	app := &cli.Command{
		Name: "isolctl", Writer: &out, ErrWriter: &out, Commands: []*cli.Command{command(n.machine())},
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
	}
	name := app.Commands[0].Name
	err := app.Run(context.Background(), append([]string{"isolctl", name, "--state", n.state}, args...))
	return out.String(), err
}

// pruned runs prune and decodes its answer.
func (n *fakeNode) pruned(t *testing.T, args ...string) ([]pruned, error) {
	t.Helper()
	out, err := n.ctl(pruneCommand, append(args, "--format", "json")...)
	var all []pruned
	if jsonErr := json.Unmarshal([]byte(out), &all); jsonErr != nil {
		t.Fatalf("%v: %s (%v)", jsonErr, out, err)
	}
	return all, err
}

func address(id string) string {
	return `\\.\pipe\ProtectedPrefix\Administrators\containerd-shim-default-` + id + `-pipe`
}

// The shim of one task died and that of another runs: what the dead one has
// left goes, last acquired first, and the running one keeps what it has.
func TestPrune(t *testing.T) {
	n := newNode(t)
	gone, running := n.task(t, "gone", "gone"), n.task(t, "runs", "runs")
	n.served[address("runs")] = nil
	n.system("gone", shim.Owner)
	n.system("runs", shim.Owner)
	all, err := n.pruned(t)
	must(t, err)
	records := func(id string) []journal.Record {
		return []journal.Record{{Kind: journal.KindComputeSystem, Name: id}, {Kind: journal.KindLayerMount, Name: `C:\s\` + id}}
	}
	want := []pruned{
		{Namespace: "default", ID: "gone", Bundle: gone, Verdict: verdictReleased, Records: records("gone")},
		{Namespace: "default", ID: "runs", Bundle: running, Verdict: verdictRuns, Records: records("runs")},
	}
	if d := cmp.Diff(want, all); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"gone", `C:\s\gone`}, n.undone); d != "" {
		t.Error(d)
	}
	if _, err := os.Stat(filepath.Join(gone, journal.FileName)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a finished journal was left:", err)
	}
	if all, err := n.pruned(t); err != nil || len(all) != 1 {
		t.Errorf("a second prune found %v, %v", all, err)
	}
}

// The sandboxes of the Sandbox API have a folder of their own: a pod whose shim
// died there would keep its VM for ever.
func TestPruneSandboxes(t *testing.T) {
	n := newNode(t)
	n.system("pod@vm", shim.Owner)
	n.task(t, "z", "z")
	pod := n.bundle(t, "io.containerd.sandbox.controller.v1.shim", "pod", "pod")
	out, err := n.ctl(listCommand)
	if err != nil || !strings.Contains(out, "gone") {
		t.Errorf("list: %v, %s", err, out)
	}
	all, err := n.pruned(t)
	must(t, err)
	if len(all) != 2 || all[0].Bundle != pod || all[0].Verdict != verdictReleased || all[1].ID != "z" {
		t.Errorf("prune: %+v", all)
	}
}

// A dry run must not need the compute service, and change nothing.
func TestPruneDryRun(t *testing.T) {
	n := newNode(t)
	n.hostErr = errors.New("a dry run asked for the compute service")
	dir := n.task(t, "gone", "gone")
	before, err := os.ReadFile(filepath.Join(dir, journal.FileName))
	must(t, err)
	out, err := n.ctl(pruneCommand, "--dry-run")
	must(t, err)
	want := `NAMESPACE  TASK  VERDICT        KIND            NAME
default    gone  would release  compute-system  gone
default    gone  would release  layer-mount     C:\s\gone
`
	if d := cmp.Diff(want, out); d != "" {
		t.Error(d)
	}
	after, err := os.ReadFile(filepath.Join(dir, journal.FileName))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the journal has changed: %v\n%s", err, after)
	}
}

// What prune may not or cannot do is said, makes it exit with 1, and keeps no
// other task from being cleaned up.
func TestPruneKeeps(t *testing.T) {
	for name, tc := range map[string]struct {
		set    func(t *testing.T, n *fakeNode)
		says   string
		undone []string
	}{
		"journal of another task": {func(t *testing.T, n *fakeNode) { n.task(t, "a", "b") }, `refused: it is of task "b"`, nil},
		"journal that cannot be read": {func(t *testing.T, n *fakeNode) {
			must(t, os.WriteFile(filepath.Join(n.task(t, "a", "a"), journal.FileName), []byte("hello\nworld\n"), 0o600))
		}, "first line is damaged, so whose it is is not known: no checksum (the file is text: release by hand", nil},
		"journal of another machine": {func(t *testing.T, n *fakeNode) {
			path := filepath.Join(n.task(t, "a", "a"), journal.FileName)
			must(t, os.Remove(path))
			j, err := journal.Create(path, journal.Header{ID: "a", Origin: "NODE8"})
			must(t, err)
			_, err = j.Acquire(journal.Record{Kind: journal.KindComputeSystem, Name: "a"})
			must(t, err)
			must(t, j.Close())
		}, `refused: it was written on "NODE8"`, nil},
		"journal of a newer isol": {func(t *testing.T, n *fakeNode) {
			forge(t, n.task(t, "a", "a"), `{"journal":2,"id":"a"}`, `{"seq":1,"seize":{"kind":"compute-system","name":"a"}}`)
		}, "has version 2, this isol reads up to 1 (clean up with the isol that wrote it, or a newer one)", nil},
		"journal of another user": {func(t *testing.T, n *fakeNode) {
			if err := os.Chown(filepath.Join(n.task(t, "a", "a"), journal.FileName), 4242, -1); err != nil {
				t.Skip("only root gives files away: ", err)
			}
		}, "refused: it belongs to uid 4242 (isol acts on journals of the system", nil},
		"damaged line": {func(t *testing.T, n *fakeNode) {
			path := filepath.Join(n.task(t, "a", "a"), journal.FileName)
			text, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path, bytes.Replace(text, []byte(`"seq":1`), []byte(`"seq":7`), 1), 0o600))
			n.system("a", shim.Owner)
			if out, err := n.ctl(pruneCommand, "--dry-run"); err != nil || !strings.Contains(out, "lines [2] are damaged") {
				t.Errorf("dry run: %v: %s", err, out)
			}
		}, "damaged", []string{"a"}},
		"shim that may run": {func(t *testing.T, n *fakeNode) {
			n.task(t, "a", "a")
			n.served[address("a")] = context.DeadlineExceeded
		}, "left alone, since its shim may run", nil},
		"bootstrap.json that is none": {func(t *testing.T, n *fakeNode) {
			must(t, os.WriteFile(filepath.Join(n.task(t, "a", "a"), "bootstrap.json"), []byte("{}"), 0o600))
		}, "names no pipe", nil},
		"no compute service": {func(t *testing.T, n *fakeNode) {
			n.task(t, "a", "a")
			n.hostErr = errors.New("not on Windows")
		}, "not on Windows", nil},
		"layer in use": {func(t *testing.T, n *fakeNode) {
			n.task(t, "a", "a")
			n.system("a", shim.Owner)
			n.undoErr[journal.KindLayerMount] = errors.New("in use")
		}, "in use", []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			tc.set(t, n)
			out, err := n.ctl(pruneCommand)
			if err == nil || !strings.Contains(out, tc.says) {
				t.Errorf("error %v, want one and %q in:\n%s", err, tc.says, out)
			}
			if d := cmp.Diff(tc.undone, n.undone); d != "" {
				t.Error(d)
			}
		})
	}
}

// forge replaces the journal in a bundle by lines with good checksums.
func forge(t *testing.T, bundle string, lines ...string) {
	t.Helper()
	var text []byte
	for _, l := range lines {
		text = fmt.Appendf(text, "%08x %s\n", crc32.Checksum([]byte(l), crc32.MakeTable(crc32.Castagnoli)), l)
	}
	must(t, os.WriteFile(filepath.Join(bundle, journal.FileName), text, 0o600))
}

// Anyone who may write to a bundle may write a journal: prune, which runs as
// administrator, must undo for it nothing that isol does not make, show that it
// will not before it is asked to, and do what is right beside it.
func TestPruneRefusesForgedRecords(t *testing.T) {
	n := newNode(t)
	forge(t, n.task(t, "a", "a"), `{"journal":1,"id":"a"}`,
		`{"seq":1,"acquire":{"kind":"layer-mount","name":"C:\\s\\3"}}`,
		`{"seq":2,"acquire":{"kind":"compute-system","name":"other"}}`,
		`{"seq":3,"acquire":{"kind":"vm-scratch","name":"C:\\Windows\\System32\\config\\SAM","system":"a@vm"}}`,
		`{"seq":4,"acquire":{"kind":"layer-mount","name":"C:\\s\\..\\..\\Windows\\3"}}`,
		`{"seq":5,"acquire":{"kind":"user","name":"Administrator"}}`)
	refused := []string{`refused  user            Administrator`, `refused  layer-mount     C:\s\..\..\Windows\3`, `refused  vm-scratch      C:\Windows\System32\config\SAM`, `refused  compute-system  other`,
		`for task a allowed is a file …\vm\sandbox.vhdx of the task's own @vm`}
	for _, tc := range []struct {
		args     []string
		released string
	}{{[]string{"--dry-run"}, `would release  layer-mount     C:\s\3`}, {nil, `released  layer-mount     C:\s\3`}} {
		out, err := n.ctl(pruneCommand, tc.args...)
		if (err == nil) != (tc.args != nil) {
			t.Errorf("%v: %v", tc.args, err)
		}
		plain := strings.Join(strings.Fields(out), " ")
		for _, want := range append(refused, tc.released) {
			if !strings.Contains(plain, strings.Join(strings.Fields(want), " ")) {
				t.Errorf("prune %v does not say %q:\n%s", tc.args, want, out)
			}
		}
	}
	if d := cmp.Diff([]string{`C:\s\3`}, n.undone); d != "" {
		t.Error(d)
	}
}

// A machine that lost its power leaves half a line, which was never acted on:
// the rest is released and nothing is asked of the operator.
func TestPruneOfTruncatedJournal(t *testing.T) {
	n := newNode(t)
	path := filepath.Join(n.task(t, "a", "a"), journal.FileName)
	text, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, text[:len(text)-9], 0o600))
	all, err := n.pruned(t)
	if err != nil || len(all) != 1 || all[0].Verdict != verdictReleased {
		t.Errorf("%+v, %v", all, err)
	}
	if d := cmp.Diff([]string{`C:\s\a`}, n.undone); d != "" {
		t.Error(d)
	}
}

// What the delete action could not finish has no bundle any more: prune finds
// it all the same, and leaves it alone while a new task has the id.
func TestPruneOfTheBacklog(t *testing.T) {
	n := newNode(t)
	bundle := n.task(t, "web", "web")
	must(t, n.machine().backlog.Take(filepath.Join(bundle, journal.FileName), "default", "web"))
	n.served[address("web")] = nil
	if all, err := n.pruned(t); err != nil || len(all) != 1 || all[0].Verdict != verdictRuns || len(n.undone) > 0 {
		t.Errorf("%+v, %v; undone %v", all, err, n.undone)
	}
	delete(n.served, address("web"))
	if all, err := n.pruned(t, "--dry-run"); err != nil || len(all) != 1 || all[0].Verdict != verdictWould || len(n.undone) > 0 {
		t.Errorf("dry run: %+v, %v; undone %v", all, err, n.undone)
	}
	if all, err := n.pruned(t); err != nil || len(all) != 1 || all[0].Verdict != verdictReleased || len(all[0].Records) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	if all, err := n.pruned(t); err != nil || len(all) != 0 {
		t.Errorf("again: %+v, %v", all, err)
	}
}

// A workload is served by its sandbox's shim, which containerd's files in the
// bundle name: while that runs, the workload's journal is in use.
func TestPruneAsksTheRightShim(t *testing.T) {
	for name, file := range map[string][2]string{
		"containerd 2": {"bootstrap.json", `{"version":3,"address":"sandbox","protocol":"ttrpc"}`},
		"containerd 1": {"address", "sandbox"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			must(t, os.WriteFile(filepath.Join(n.task(t, "workload", "workload"), file[0]), []byte(file[1]), 0o600))
			n.served["sandbox"] = nil
			all, err := n.pruned(t)
			if err != nil || len(all) != 1 || all[0].Verdict != verdictRuns || len(n.undone) > 0 {
				t.Errorf("%+v, %v; undone %v", all, err, n.undone)
			}
		})
	}
}

// containerd puts a dot before a bundle that it was about to remove when it
// died. A task of the same id may run again: then its shim has what the name means.
func TestPruneOfBundleUnderRemoval(t *testing.T) {
	n := newNode(t)
	n.task(t, ".web", "web")
	n.served[address("web")] = nil
	if all, err := n.pruned(t); err != nil || all[0].Verdict != verdictRuns {
		t.Errorf("%+v, %v", all, err)
	}
	delete(n.served, address("web"))
	if all, err := n.pruned(t); err != nil || all[0].Verdict != verdictReleased {
		t.Errorf("%+v, %v", all, err)
	}
}

// Two operators, or a timer and an operator, may prune at once.
func TestTwoPrunesAtOnce(t *testing.T) {
	n := newNode(t)
	for _, id := range []string{"a", "b", "c"} {
		n.task(t, id, id)
		n.system(id, shim.Owner)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := n.machine().prune(t.Context(), n.state, false); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if all, err := n.pruned(t); err != nil || len(all) > 0 {
		t.Errorf("left: %+v, %v", all, err)
	}
}

func TestNothingToPrune(t *testing.T) {
	n := newNode(t)
	if out, err := n.ctl(pruneCommand); err != nil || !strings.Contains(out, "nothing to release") {
		t.Errorf("%q, %v", out, err)
	}
	n.state = filepath.Join(n.state, "absent")
	if _, err := n.ctl(pruneCommand); err == nil || !strings.Contains(err.Error(), "--state") {
		t.Errorf("a state folder that is not there: %v", err)
	}
	n.state = ""
	if _, err := n.ctl(pruneCommand); err == nil || !strings.Contains(err.Error(), "ProgramData") {
		t.Errorf("a state folder that is not known: %v", err)
	}
}

func TestDefaultState(t *testing.T) {
	windows := func(string) string { return "data" }
	if got, want := defaultState(windows), filepath.Join("data", "containerd", "state"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestList(t *testing.T) {
	n := newNode(t)
	n.task(t, "runs", "runs")
	n.served[address("runs")] = nil
	n.task(t, "gone", "gone")
	n.task(t, "busy", "busy")
	n.served[address("busy")] = context.DeadlineExceeded
	for _, id := range []string{"runs", "runs@vm", "gone", "busy", "lost"} {
		n.system(id, shim.Owner)
	}
	n.system("theirs", "containerd-shim-runhcs-v1.exe")
	out, err := n.ctl(listCommand)
	must(t, err)
	want := `SYSTEM   TYPE       STATE    NAMESPACE  SHIM
busy     Container  Running  default    unknown
gone     Container  Running  default    gone
lost     Container  Running  -          no bundle
runs     Container  Running  default    runs
runs@vm  Container  Running  default    runs
`
	if d := cmp.Diff(want, out); d != "" {
		t.Error(d)
	}
	out, err = n.ctl(listCommand, "--format", "json")
	var all []listed
	if err != nil || json.Unmarshal([]byte(out), &all) != nil || len(all) != 5 {
		t.Errorf("%v: %s", err, out)
	}
	n.hostErr = errors.New("no compute service")
	if _, err := n.ctl(listCommand); !errors.Is(err, n.hostErr) {
		t.Error(err)
	}
}

// On a machine without a compute service both commands say so, and what only
// reads works.
func TestThisMachine(t *testing.T) {
	m := thisMachine()
	if _, err := m.host(); err != nil && !strings.Contains(err.Error(), "compute service") {
		t.Error(err)
	}
	n := newNode(t)
	n.task(t, "gone", "gone")
	if all, err := m.prune(t.Context(), n.state, true); err != nil || len(all) != 1 || all[0].Verdict != verdictWould {
		t.Errorf("%+v, %v", all, err)
	}
}
