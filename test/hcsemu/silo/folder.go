package silo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/isolrun/isol/test/hcsemu"
)

// Folders shows a volume's files in a folder of the prefix by copies: Wine 8
// mounts no volumes on folders and makes no links. So what a container writes
// there reaches neither its scratch nor a mount's source.
type Folders struct{}

var _ hcsemu.FolderMounter = Folders{}

// MountFolder implements hcsemu.FolderMounter, as do the methods below.
func (Folders) MountFolder(folder string, roots []string) error {
	for _, root := range slices.Backward(roots) {
		if err := copyTree(filepath.Join(root, "Files"), folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// UnmountFolder leaves the folder empty.
func (Folders) UnmountFolder(folder string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(folder, e.Name())))
	}
	return err
}

// Link copies target.
func (Folders) Link(target, link string) error { return copyTree(target, link) }

// copyTree copies a file or a folder with all that is in it.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o755)
	})
}
