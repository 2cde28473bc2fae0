// Package layers finds a container's file system layers in what the client
// gave, and mounts them.
package layers

import "context"

// Mount is one mount of the task's root file system, as containerd gives it.
type Mount struct {
	Type    string
	Source  string
	Target  string
	Options []string
}

// Layers are the folders of a root file system.
type Layers struct {
	Parents []string // read-only layers, topmost first
	Scratch string   // writable layer
}

// Layer is one read-only layer as HCS documents name it.
type Layer struct {
	ID   string // GUID made from the folder's base name
	Path string
}

// Mounted is a mounted root file system.
type Mounted struct {
	Path   string  // volume path, \\?\Volume{guid}\
	Layers []Layer // topmost first
}

// Store mounts root file systems on the host. All methods may be called from
// any goroutine, but not twice at the same time for one scratch. A method whose
// ctx ends returns ctx's error; what the system still does for it is undone
// when it is done.
type Store interface {
	// EnsureScratch makes the scratch disk in l.Scratch if there is none.
	EnsureScratch(ctx context.Context, l Layers) error

	// Mount mounts l. A failed Mount leaves nothing mounted.
	Mount(ctx context.Context, l Layers) (Mounted, error)

	// Unmount undoes Mount. It is idempotent: a scratch that is not mounted,
	// or no longer there, is no error.
	Unmount(ctx context.Context, scratch string) error
}

// Resolve finds the layers in the rootfs mounts of the request or in
// Windows.LayerFolders of the spec: exactly one of the two must be given.
func Resolve(rootfs []Mount, layerFolders []string) (Layers, error) {
	return Layers{}, nil
}
