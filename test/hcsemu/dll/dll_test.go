package dll

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// The lab must get a sentence that says what to install, not exec's error.
func TestBuildWithoutCompiler(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := Build(t.Context(), t.TempDir()); !errors.Is(err, ErrNoCompiler) {
		t.Errorf("Build = %v, want ErrNoCompiler", err)
	}
}

// A lab start must not pay for compiling what is there, and must notice what
// is missing.
func TestBuildCaches(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the DLLs twice: not in short mode")
	}
	dir := t.TempDir()
	err := Build(t.Context(), dir)
	if errors.Is(err, ErrNoCompiler) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	before := modified(t, dir)
	if err := Build(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if after := modified(t, dir); before != after {
		t.Errorf("computecore.dll was built again: %v, then %v", before, after)
	}
	if err := os.Remove(filepath.Join(dir, "vmcompute.dll")); err != nil {
		t.Fatal(err)
	}
	if err := Build(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "vmcompute.dll")); err != nil {
		t.Errorf("a DLL that had gone was not built again: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "hcsemu-build-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func modified(t *testing.T, dir string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "computecore.dll"))
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime().UnixNano()
}
