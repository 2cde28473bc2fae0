package hcsemu

import (
	"os"
	"path/filepath"
)

// Disk is the part of the host's file system that layers need. Paths are the
// host's own. Methods may be called from any goroutine.
type Disk interface {
	// Exists reports whether path is there.
	Exists(path string) bool
	// WriteFile makes a file and the folders above it.
	WriteFile(path string, data []byte) error
	// MkdirAll makes a folder and the folders above it.
	MkdirAll(path string) error
	// CopyAll copies the tree at from to the folder to.
	CopyAll(from, to string) error
	// RemoveAll removes the tree at path; nothing there is no error.
	RemoveAll(path string) error
}

// OSDisk is the file system of the process that the emulator runs in.
type OSDisk struct{}

var _ Disk = OSDisk{}

// Exists implements [Disk].
func (OSDisk) Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// WriteFile implements [Disk].
func (OSDisk) WriteFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// MkdirAll implements [Disk].
func (OSDisk) MkdirAll(path string) error { return os.MkdirAll(path, 0o755) }

// CopyAll implements [Disk].
func (OSDisk) CopyAll(from, to string) error { return os.CopyFS(to, os.DirFS(from)) }

// RemoveAll implements [Disk].
func (OSDisk) RemoveAll(path string) error { return os.RemoveAll(path) }
