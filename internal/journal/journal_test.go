package journal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
)

const (
	testID   = "web-0"
	testGUID = "5c5e1d0e-0d5c-4a4a-9d9c-0f3a3b1c2d3e"
)

var (
	recSystem = Record{Kind: KindComputeSystem, Name: testID}
	recMount  = Record{Kind: KindLayerMount, Name: `C:\s\3`}
	recNS     = Record{Kind: KindNamespace, Name: testGUID}
	// Those of a pod's VM.
	recScratch = Record{Kind: KindVMScratch, Name: `C:\s\3\vm\sandbox.vhdx`, System: testID + "@vm"}
	recAccess  = Record{Kind: KindVMAccess, Name: `C:\s\3\vm\sandbox.vhdx`, System: testID + "@vm"}
)

func newJournal(t *testing.T, records ...Record) (*Journal, []*Entry) {
	t.Helper()
	j, err := Create(filepath.Join(t.TempDir(), FileName), Header{ID: testID, Origin: "NODE7"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() }) // Windows removes no folder with an open file
	var entries []*Entry
	for _, r := range records {
		e, err := j.Acquire(r)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	return j, entries
}

// undoers records what is undone and fails for the kinds in fail.
func undoers(undone *[]Record, fail map[Kind]error) Undoers {
	u := Undoers{Origin: "NODE7", Undo: map[Kind]func(context.Context, Record) error{}}
	for _, k := range []Kind{KindComputeSystem, KindLayerMount, KindNamespace} {
		u.Undo[k] = func(_ context.Context, r Record) error {
			*undone = append(*undone, r)
			return fail[k]
		}
	}
	return u
}

// The shim is killed with three things acquired and one of them released: the
// other two are released, last first, and a second replay finds nothing.
func TestReplayAfterKill(t *testing.T) {
	j, entries := newJournal(t, recNS, recMount, recSystem)
	if err := j.Release(entries[1]); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Record{recNS, recSystem}, j.Outstanding()); d != "" {
		t.Error(d)
	}
	if got := entries[0].Record(); got != recNS {
		t.Errorf("entry names %v", got)
	}
	closed(t, j) // as the end of the process does
	var undone []Record
	r, err := Replay(t.Context(), j.path, testID, undoers(&undone, nil))
	if err != nil {
		t.Fatal(err)
	}
	want := []Record{recSystem, recNS}
	if d := cmp.Diff(want, undone); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(Report{ID: testID, Undone: want}, r); d != "" {
		t.Error(d)
	}
	undone = nil
	if _, err := Replay(t.Context(), j.path, testID, undoers(&undone, nil)); err != nil || len(undone) != 0 {
		t.Errorf("second replay undid %v, %v", undone, err)
	}
}

// What cannot be undone now stays in the journal for the next who tries.
func TestReplayKeepsWhatFails(t *testing.T) {
	j := deadJournal(t, recMount, recSystem)
	var undone []Record
	r, err := Replay(t.Context(), j.path, testID, undoers(&undone, map[Kind]error{KindLayerMount: fault.New(fault.Unavailable, "busy")}))
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), `undo layer-mount C:\s\3`) {
		t.Errorf("error %v", err)
	}
	if d := cmp.Diff(Report{ID: testID, Undone: []Record{recSystem}, Left: []Record{recMount}}, r); d != "" {
		t.Error(d)
	}
	undone = nil
	if _, err := Replay(t.Context(), j.path, testID, undoers(&undone, nil)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Record{recMount}, undone); d != "" {
		t.Error(d)
	}
	if _, err := os.Stat(j.path); err == nil {
		t.Error("a journal with nothing left was not removed")
	}
}

// containerd gives the delete action five seconds: what was not reached stays.
func TestReplayEndsWithContext(t *testing.T) {
	j, _ := newJournal(t, recMount, recSystem)
	ctx, cancel := context.WithCancel(t.Context())
	u := Undoers{Undo: map[Kind]func(context.Context, Record) error{
		KindComputeSystem: func(context.Context, Record) error { cancel(); return nil },
		KindLayerMount:    func(context.Context, Record) error { t.Error("went on after its context"); return nil },
	}}
	r, err := Replay(ctx, j.path, testID, u)
	if !fault.Is(err, fault.Canceled) {
		t.Error(err)
	}
	if d := cmp.Diff(Report{ID: testID, Undone: []Record{recSystem}, Left: []Record{recMount}}, r); d != "" {
		t.Error(d)
	}
}

func TestReplayWithoutUndoer(t *testing.T) {
	j, _ := newJournal(t, recMount)
	if _, err := Replay(t.Context(), j.path, testID, Undoers{}); !fault.Is(err, fault.Unimplemented) {
		t.Error(err)
	}
}

func TestReplayOfNoJournal(t *testing.T) {
	r, err := Replay(t.Context(), filepath.Join(t.TempDir(), FileName), testID, Undoers{})
	if err != nil || len(r.Undone)+len(r.Left) != 0 {
		t.Error(r, err)
	}
}

func TestReplayOfDamage(t *testing.T) {
	j, entries := newJournal(t, recNS, recMount, recSystem)
	if err := j.Release(entries[2]); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(good), "\n") // header, 3 acquire, 1 strike, ""
	flip := func(s string) string { return strings.Replace(s, "kind", "kinb", 1) }
	newer, err := encode(map[string]any{"journal": Version + 1, "id": testID, "future": true})
	if err != nil {
		t.Fatal(err)
	}
	noVersion, err := encode(map[string]any{"id": testID})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		data   string
		undone []Record
		kind   fault.Kind // of the error; Unknown: none
		torn   bool
	}{
		"whole":                         {data: string(good), undone: []Record{recMount, recNS}},
		"empty file":                    {data: "", torn: true},
		"torn header":                   {data: lines[0][:20], torn: true},
		"torn strike: undone once more": {data: strings.Join(lines[:4], "") + lines[4][:5], undone: []Record{recSystem, recMount, recNS}, torn: true},
		"last line without its end":     {data: strings.TrimSuffix(string(good), "\n"), undone: []Record{recSystem, recMount, recNS}, torn: true},
		"torn acquire: not acquired":    {data: strings.Join(lines[:3], "") + lines[3][:30], undone: []Record{recMount, recNS}, torn: true},
		"damaged in the middle":         {data: lines[0] + flip(lines[1]) + lines[2], undone: []Record{recMount}, kind: fault.Internal},
		"line without checksum":         {data: lines[0] + "hello\n" + lines[2], undone: []Record{recMount}, kind: fault.Internal},
		"damaged header":                {data: "x" + string(good), kind: fault.Internal},
		"header without version":        {data: string(noVersion) + lines[1], kind: fault.Internal},
		"newer version":                 {data: string(newer) + lines[1], kind: fault.FailedPrecondition},
		"strike of what is not there":   {data: string(good) + lines[4], undone: []Record{recMount, recNS}},
		"larger than any we write":      {data: string(good) + strings.Repeat("x", maxSize), kind: fault.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), FileName)
			if err := os.WriteFile(path, []byte(tc.data), 0o600); err != nil {
				t.Fatal(err)
			}
			var undone []Record
			r, err := Replay(t.Context(), path, testID, undoers(&undone, nil))
			if fault.KindOf(err) != tc.kind || (err != nil) != (tc.kind != fault.Unknown) {
				t.Errorf("error %v (%v), want %v", err, fault.KindOf(err), tc.kind)
			}
			if d := cmp.Diff(tc.undone, undone); d != "" {
				t.Error(d)
			}
			if r.Torn != tc.torn {
				t.Errorf("torn %v", r.Torn)
			}
		})
	}
}

// Strikes appended after a torn line must be readable: otherwise each replay
// undoes everything again, for ever.
func TestReplayRepairsTornTail(t *testing.T) {
	j, _ := newJournal(t, recMount, recSystem)
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("0f35e1d7 {\"seq\":3,"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var undone []Record
	busy := map[Kind]error{KindLayerMount: errors.New("busy")}
	if _, err := Replay(t.Context(), j.path, testID, undoers(&undone, busy)); err == nil {
		t.Fatal("no error")
	}
	c, err := Read(j.path)
	if err != nil || c.Torn || len(c.Damaged) > 0 || len(c.Entries) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

// Replay skips a forged record and goes on with the others.
func TestReplayRefusesForgedRecords(t *testing.T) {
	j, _ := newJournal(t, recMount)
	forged, err := encode(entryLine{Seq: 9, Acquire: &Record{Kind: KindComputeSystem, Name: "web-1"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.file.Write(forged); err != nil {
		t.Fatal(err)
	}
	var undone []Record
	if _, err := Replay(t.Context(), j.path, testID, undoers(&undone, nil)); !fault.Is(err, fault.InvalidArgument) {
		t.Error(err)
	}
	if d := cmp.Diff([]Record{recMount}, undone); d != "" {
		t.Error(d)
	}
}

func TestCreate(t *testing.T) {
	j, _ := newJournal(t, recMount)
	if _, err := Create(j.path, Header{ID: testID}); !fault.Is(err, fault.AlreadyExists) {
		t.Errorf("a journal with records was overwritten: %v", err)
	}
	if _, err := Create(filepath.Join(t.TempDir(), "no", FileName), Header{ID: testID}); !fault.Is(err, fault.Internal) {
		t.Error(err)
	}
}

func TestCloseRemovesOnlyWhatIsDone(t *testing.T) {
	j, entries := newJournal(t, recMount)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(j.path); err != nil {
		t.Error("a journal with an outstanding record was removed")
	}
	if err := j.Close(); err != nil {
		t.Error("second close:", err)
	}
	if _, err := j.Acquire(recSystem); !fault.Is(err, fault.FailedPrecondition) {
		t.Error("acquired after close:", err)
	}
	if err := j.Release(entries[0]); !fault.Is(err, fault.FailedPrecondition) {
		t.Error("released after close:", err)
	}
	j, entries = newJournal(t, recMount)
	for range 2 { // Release is idempotent
		if err := j.Release(entries[0]); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(j.path); err == nil {
		t.Error("a finished journal was left")
	}
}

// Create of a container waits for no disk; what survives a restart does.
func TestOnlyDurableKindsAreFlushed(t *testing.T) {
	for r, want := range map[Record]int{recSystem: 0, recMount: 0, recAccess: 0, recNS: 1, recScratch: 1, {Kind: KindUser, Name: "isol-0"}: 1, {Kind: KindJob, Name: testID}: 0, {Kind: KindVolumeFolder, Name: `C:\hpc\` + testID}: 1} {
		j, _ := newJournal(t)
		f := &fullDisk{File: j.file, room: 1 << 20}
		j.file = f
		if _, err := j.Acquire(r); err != nil || f.syncs != want {
			t.Errorf("%s: %d flushes, want %d (%v)", r.Kind, f.syncs, want, err)
		}
	}
}

// What a closed journal names is released although its file has gone with the
// bundle; what fails is there for the next try, and a file that is still there
// goes with the last.
func TestSettle(t *testing.T) {
	for _, gone := range []bool{true, false} {
		j, entries := newJournal(t, recNS, recMount, recSystem)
		if err := errors.Join(j.Release(entries[0]), j.Close()); err != nil {
			t.Fatal(err)
		}
		if gone {
			if err := os.Remove(j.path); err != nil {
				t.Fatal(err)
			}
		}
		var undone []Record
		err := j.Settle(t.Context(), undoers(&undone, map[Kind]error{KindLayerMount: fault.New(fault.Unavailable, "busy")}))
		if d := cmp.Diff([]Record{recSystem, recMount}, undone); d != "" || !fault.Is(err, fault.Unavailable) {
			t.Errorf("the first try: %v\n%s", err, d)
		}
		if d := cmp.Diff([]Record{recMount}, j.Outstanding()); d != "" {
			t.Error(d)
		}
		if !gone {
			if c, err := Read(j.path); err != nil || len(c.Entries) != 1 || c.Entries[0].record != recMount {
				t.Errorf("the file has %+v, %v", c.Entries, err)
			}
		}
		undone = nil
		if err := j.Settle(t.Context(), undoers(&undone, nil)); err != nil || len(undone) != 1 || len(j.Outstanding()) != 0 {
			t.Errorf("the second try: %v, undone %v", err, undone)
		}
		if _, err := os.Stat(j.path); err == nil {
			t.Error("the file is left")
		}
	}
}
