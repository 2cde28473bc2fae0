package hcsemu

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
