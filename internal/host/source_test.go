package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Both ends of a link are one file: the far one is what counts.
func TestResolveSource(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Skip("this user makes no links: ", err)
	}
	want, err := ResolveSource(file)
	if err != nil || want.Dir || filepath.Base(want.Path) != "file" || filepath.Base(want.Volume) != "file" {
		t.Errorf("%+v, %v", want, err)
	}
	if got, err := ResolveSource(link); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if got, err := ResolveSource(dir); err != nil || !got.Dir {
		t.Errorf("%+v, %v, want a folder", got, err)
	}
	if _, err := ResolveSource(filepath.Join(dir, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
}
