package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Both ends of a link are one file: the far one is what counts.
func TestResolvePath(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Skip("this user makes no links: ", err)
	}
	want, err := ResolvePath(file)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ResolvePath(link); err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	if _, err := ResolvePath(filepath.Join(dir, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
}
