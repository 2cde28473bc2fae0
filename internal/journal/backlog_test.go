package journal

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
)

// containerd removes a bundle with what is in it: the journal must be safe
// elsewhere before, twice for the same id too, and be gone from there at its end.
func TestBacklog(t *testing.T) {
	b := Backlog(filepath.Join(t.TempDir(), "backlog"))
	if all, err := b.List("", ""); err != nil || len(all) > 0 {
		t.Errorf("without a folder: %v, %v", all, err)
	}
	for range 2 {
		j, _ := newJournal(t, recMount, recSystem)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		for range 2 { // two deletes at once: the second finds nothing
			if err := b.Take(j.path, "default", testID); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.Stat(j.path); err == nil {
			t.Error("it is still in the bundle")
		}
	}
	dir := filepath.Join(string(b), "default", testID)
	want := []Kept{{"default", testID, filepath.Join(dir, "1.journal")}, {"default", testID, filepath.Join(dir, "2.journal")}}
	all, err := b.List("default", testID)
	if d := cmp.Diff(want, all); d != "" || err != nil {
		t.Fatal(d, err)
	}
	if other, err := b.List("default", "web-1"); err != nil || len(other) > 0 {
		t.Errorf("of another task: %v, %v", other, err)
	}
	for _, k := range all {
		var undone []Record
		r, err := Replay(t.Context(), k.Path, k.ID, undoers(&undone, nil))
		if err != nil || len(undone) != 2 || r.ID != testID {
			t.Errorf("%v, %v", undone, err)
		}
	}
	if all, err := b.List("", ""); err != nil || len(all) > 0 {
		t.Errorf("%v, %v", all, err)
	}
	if _, err := os.Stat(filepath.Dir(dir)); err == nil {
		t.Error("empty folders are left")
	}
}

// On a full disk there is no room for a copy: the file itself moves, where the
// backlog lies on the same volume.
func TestBacklogNeedsNoSpace(t *testing.T) {
	b := Backlog(filepath.Join(t.TempDir(), "backlog"))
	j, _ := newJournal(t, recMount)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	was, err := os.Stat(j.path)
	if err != nil || !os.SameFile(was, was) { // Windows looks at the file only when it is compared
		t.Fatal(err)
	}
	if err := b.Take(j.path, "default", testID); err != nil {
		t.Fatal(err)
	}
	is, err := os.Stat(filepath.Join(string(b), "default", testID, "1.journal"))
	if err != nil || !os.SameFile(was, is) {
		t.Errorf("its text was written once more (%v)", err)
	}
}

// Two delete actions and a helper at once: whoever comes late finds that it is
// done, and the helper, which takes empty folders away, takes none from under them.
func TestBacklogAtOnce(t *testing.T) {
	b := Backlog(filepath.Join(t.TempDir(), "backlog"))
	for range 50 {
		j, _ := newJournal(t, recMount)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := b.Take(j.path, "default", testID); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				if _, err := b.List("", ""); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		all, err := b.List("", "")
		if err != nil || len(all) == 0 {
			t.Fatalf("lost: %v, %v", all, err)
		}
		for _, k := range all {
			var undone []Record
			if _, err := Replay(t.Context(), k.Path, testID, undoers(&undone, nil)); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestBacklogRefusesNamesThatAreNone(t *testing.T) {
	b := Backlog(t.TempDir())
	j, _ := newJournal(t, recMount)
	for _, id := range []string{"", "..", ".", "a/b", filepath.Join("..", "x")} {
		if err := b.Take(j.path, "default", id); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// A journal that cannot be moved stays where it is.
func TestBacklogThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j, _ := newJournal(t, recMount)
	if err := Backlog(file).Take(j.path, "default", testID); err == nil {
		t.Error("no error")
	}
	if c, err := Read(j.path); err != nil || len(c.Entries) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}
