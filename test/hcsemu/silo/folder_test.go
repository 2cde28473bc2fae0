package silo

import (
	"os"
	"path/filepath"
	"testing"
)

// A container's folder must hold its layers' files, the upper ones hiding the
// lower, and give all of them back.
func TestFolders(t *testing.T) {
	dir := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	base, top, mounted := filepath.Join(dir, "base"), filepath.Join(dir, "top"), filepath.Join(dir, "mounted")
	write(filepath.Join(base, "Files", "a.txt"), "base")
	write(filepath.Join(base, "Files", "sub", "b.txt"), "base")
	write(filepath.Join(top, "Files", "a.txt"), "top")
	write(filepath.Join(dir, "source", "c.txt"), "mount")
	f := Folders{}
	if err := f.MountFolder(mounted, []string{filepath.Join(dir, "scratch without files"), top, base}); err != nil {
		t.Fatal(err)
	}
	if err := f.Link(filepath.Join(dir, "source"), filepath.Join(mounted, "data")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a.txt": "top", "sub/b.txt": "base", "data/c.txt": "mount"} {
		if b, err := os.ReadFile(filepath.Join(mounted, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	for range 2 {
		if err := f.UnmountFolder(mounted); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(mounted); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
