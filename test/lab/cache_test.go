package lab

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// Two labs that start at once on a new machine must not build the peers twice,
// nor see them half built.
func TestCachedFillsOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "thing")
	var fills atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			err := cached(t.Context(), dir, func(tmp string) error {
				fills.Add(1)
				return os.WriteFile(filepath.Join(tmp, "file"), nil, 0o644)
			})
			if err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(dir, "file")); err != nil {
				t.Errorf("returned before the folder was whole: %v", err)
			}
		})
	}
	wg.Wait()
	if n := fills.Load(); n != 1 {
		t.Errorf("filled %d times", n)
	}
}

// A build that was interrupted must not be taken for a finished one.
func TestCachedLeavesNothingHalfMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "thing")
	broken := errors.New("broken")
	err := cached(t.Context(), dir, func(tmp string) error {
		if err := os.WriteFile(filepath.Join(tmp, "stale"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		return broken
	})
	if !errors.Is(err, broken) || isDir(dir) || isDir(dir+".tmp") {
		t.Fatalf("after a failed fill: %v, made %v", err, isDir(dir))
	}
	if err := os.MkdirAll(filepath.Join(dir+".tmp", "stale"), 0o755); err != nil {
		t.Fatal(err) // what a killed process leaves
	}
	if err := cached(t.Context(), dir, func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if isDir(filepath.Join(dir, "stale")) {
		t.Error("what a killed process left became part of the result")
	}
}

func TestLockFileWaitsUntilContextEnds(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	unlock, err := lockFile(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lockFile(ctx, name); !errors.Is(err, context.Canceled) {
		t.Errorf("a lock that is held, with a context that has ended: %v", err)
	}
	unlock()
	again, err := lockFile(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

// A changed go.sum must not reuse the old programs.
func TestDigestKeepsPartsApart(t *testing.T) {
	if digest([]byte("ab"), []byte("c")) == digest([]byte("a"), []byte("bc")) {
		t.Error("digest does not tell where a part ends")
	}
}
