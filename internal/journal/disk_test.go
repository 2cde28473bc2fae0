package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
)

var errFull error = fault.ErrDiskFull

// fullDisk takes only so many bytes more, and counts flushes.
type fullDisk struct {
	File
	room  int
	syncs int
}

func (f *fullDisk) Write(b []byte) (int, error) {
	n := min(len(b), f.room)
	f.room -= n
	if n == len(b) {
		return f.File.Write(b)
	}
	n, err := f.File.Write(b[:n])
	return n, errors.Join(err, errFull)
}

func (f *fullDisk) Sync() error { f.syncs++; return nil }

// On a full disk nothing may be acquired, since no one could clean it up; and
// when there is space again, the journal must be as good as before: half a
// line in its midst would hide what follows.
func TestAcquireOnFullDisk(t *testing.T) {
	full, err := encode(entryLine{Seq: 2, Acquire: &recMount})
	if err != nil {
		t.Fatal(err)
	}
	for room := range len(full) {
		t.Run(fmt.Sprintf("room for %d bytes", room), func(t *testing.T) {
			j, entries := newJournal(t, recNS)
			disk := &fullDisk{File: j.file, room: room}
			j.file = disk
			_, err := j.Acquire(recMount)
			if !fault.Is(err, fault.ResourceExhausted) || !errors.Is(err, errFull) {
				t.Fatal(err)
			}
			if d := cmp.Diff([]Record{recNS}, j.Outstanding()); d != "" {
				t.Error(d)
			}
			disk.room = 1 << 20
			if _, err := j.Acquire(recSystem); err != nil {
				t.Fatal(err)
			}
			if err := j.Release(entries[0]); err != nil {
				t.Fatal(err)
			}
			c, err := Read(j.path)
			if err != nil || c.Torn || len(c.Damaged) > 0 || len(c.Entries) != 1 || c.Entries[0].record != recSystem {
				t.Errorf("%+v, %v", c, err)
			}
		})
	}
}

// A strike that does not fit must not fail what was released, nor hide it:
// a replay undoes it once more.
func TestReleaseOnFullDisk(t *testing.T) {
	j, entries := newJournal(t, recMount)
	j.file = &fullDisk{File: j.file, room: 7}
	if err := j.Release(entries[0]); !fault.Is(err, fault.ResourceExhausted) {
		t.Error(err)
	}
	c, err := Read(j.path)
	if err != nil || c.Torn || len(c.Entries) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

// A journal whose first line does not fit is not made, and not left.
func TestCreateOnFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CreateOn(&fullDisk{File: f, room: 10}, path, Header{ID: testID}); !fault.Is(err, fault.ResourceExhausted) {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("half a journal is left: the next create would take it for a task's")
	}
}

// Another failure of the disk must not send the operator to free space.
func TestAcquireOnBrokenDisk(t *testing.T) {
	j, _ := newJournal(t)
	j.file = brokenDisk{j.file}
	if _, err := j.Acquire(recMount); !fault.Is(err, fault.Internal) || !errors.Is(err, errBroken) || strings.Contains(err.Error(), "space") {
		t.Error(err)
	}
}

var errBroken = errors.New("a device attached to the system is not functioning")

type brokenDisk struct{ File }

func (brokenDisk) Write([]byte) (int, error) { return 0, errBroken }

// What a dead shim has left is released though the disk takes no strike, at any
// byte: else a full disk, of all things, could never be cleaned up.
func TestReplayOnFullDisk(t *testing.T) {
	strikes, err := encode(entryLine{Strike: 3})
	if err != nil {
		t.Fatal(err)
	}
	for room := range 3 * len(strikes) {
		j := deadJournal(t, recNS, recMount, recSystem)
		s := &striker{path: j.path, open: on(room)}
		var undone []Record
		r, err := replay(t.Context(), s, testID, undoers(&undone, nil))
		if err != nil || len(r.Undone) != 3 || len(r.Left) != 0 {
			t.Errorf("room for %d bytes: %+v, %v", room, r, err)
		}
		if _, err := os.Stat(j.path); err == nil {
			t.Errorf("room for %d bytes: all is released, and the journal stays", room)
		}
	}
}

// deadJournal is a journal whose shim has died: nobody has it open.
func deadJournal(t *testing.T, records ...Record) *Journal {
	t.Helper()
	j, _ := newJournal(t, records...)
	closed(t, j)
	return j
}

func closed(t *testing.T, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// on opens files of one disk.
func on(room int) func(string) (File, error) {
	disk := &fullDisk{room: room}
	return func(path string) (f File, err error) {
		disk.File, err = openToAppend(path)
		return disk, err
	}
}

// What cannot be released yet is still known, and said, when the strikes of the
// others did not fit; so is that the disk is full.
func TestReplayOnFullDiskKeepsWhatIsLeft(t *testing.T) {
	j := deadJournal(t, recNS, recMount, recSystem)
	var undone []Record
	busy := map[Kind]error{KindLayerMount: errors.New("in use")}
	r, err := replay(t.Context(), &striker{path: j.path, open: on(7)}, testID, undoers(&undone, busy))
	if !errors.Is(err, errFull) || !strings.Contains(err.Error(), "in use") || !strings.Contains(err.Error(), "free space") || !strings.Contains(err.Error(), j.path) {
		t.Error(err)
	}
	if d := cmp.Diff(Report{ID: testID, Undone: []Record{recSystem, recNS}, Left: []Record{recMount}}, r); d != "" {
		t.Error(d)
	}
	undone = nil
	r, err = Replay(t.Context(), j.path, testID, undoers(&undone, nil))
	if err != nil || !r.Torn || len(undone) != 3 {
		t.Errorf("with space again: %+v, %v", r, err)
	}
}

func TestAcquireRefusesWhatReplayWould(t *testing.T) {
	j, _ := newJournal(t)
	if _, err := j.Acquire(Record{Kind: KindComputeSystem, Name: "other"}); !fault.Is(err, fault.InvalidArgument) {
		t.Error(err)
	}
}

// The sandbox of a pod whose containers are restarted for months has a journal
// of a few lines, and never one that is too large to be read.
func TestJournalStaysShort(t *testing.T) {
	j, _ := newJournal(t, recSystem)
	for i := range 20_000 {
		e, err := j.Acquire(Record{Kind: KindVMAccess, Name: fmt.Sprintf(`C:\s\%d\sandbox.vhdx`, i), System: testID + "@vm"})
		if err == nil && i != 777 {
			err = j.Release(e)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(j.path)
	if err != nil || info.Size() > compactSize+1024 {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	c, err := Read(j.path)
	if err != nil {
		t.Fatal(err)
	}
	var got []Record
	for _, e := range c.Entries {
		got = append(got, e.record)
	}
	want := []Record{recSystem, {Kind: KindVMAccess, Name: `C:\s\777\sandbox.vhdx`, System: testID + "@vm"}}
	if d := cmp.Diff(want, got); d != "" || c.Header.Origin != "NODE7" {
		t.Errorf("%s %+v", d, c.Header)
	}
	if d := cmp.Diff(want, j.Outstanding()); d != "" {
		t.Error(d)
	}
	if left, err := filepath.Glob(j.path + ".*"); err != nil || len(left) > 0 {
		t.Errorf("beside the journal are %v, %v", left, err)
	}
}
