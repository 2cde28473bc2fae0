package journal

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a boot that was given up may have left is released with the pod, and
// only that: what others of the journal hold is theirs.
func TestSettleSystem(t *testing.T) {
	j, err := Create(filepath.Join(t.TempDir(), FileName), Header{ID: "web"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}()
	namespace := Record{Kind: KindNamespace, Name: "5b45201d-f2f2-4f3b-85bb-30ff1f953599"}
	vm := Record{Kind: KindComputeSystem, Name: "web@vm"}
	access := Record{Kind: KindVMAccess, Name: `C:\bundles\web\vm\sandbox.vhdx`, System: "web@vm"}
	for _, r := range []Record{namespace, vm, access} {
		if _, err := j.Acquire(r); err != nil {
			t.Fatal(err)
		}
	}
	var undone []Record
	fails := errors.New("access denied")
	u := Undoers{Undo: map[Kind]func(context.Context, Record) error{
		KindComputeSystem: func(_ context.Context, r Record) error { undone = append(undone, r); return nil },
		KindVMAccess:      func(context.Context, Record) error { return fails },
	}}
	if err := j.SettleSystem(t.Context(), "web@vm", u); !errors.Is(err, fails) {
		t.Errorf("error %v", err)
	}
	if d := cmp.Diff([]Record{namespace, access}, j.Outstanding()); d != "" {
		t.Errorf("outstanding after a failure: %s", d)
	}
	u.Undo[KindVMAccess] = func(_ context.Context, r Record) error { undone = append(undone, r); return nil }
	for range 2 { // it is idempotent
		if err := j.SettleSystem(t.Context(), "web@vm", u); err != nil {
			t.Error(err)
		}
	}
	if d := cmp.Diff([]Record{vm, access}, undone); d != "" {
		t.Errorf("undone: %s", d)
	}
	if d := cmp.Diff([]Record{namespace}, j.Outstanding()); d != "" {
		t.Errorf("outstanding: %s", d)
	}
}
