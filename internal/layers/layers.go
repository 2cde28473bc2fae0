// Package layers finds a container's file system layers in what the client
// gave ([Resolve], pure) and mounts them ([Store]).
//
//	rootfs mounts ─┐
//	               ├─ Resolve ─▶ Layers ─▶ Store.Mount ─▶ Mounted ─▶ HCS document
//	layerFolders ──┘                         │
//	                                         └─ Driver: one call each to the system
//
// A [Store] made by [NewStore] holds the rules: the order of calls, retries,
// the undo of each partial failure, deadlines. A [Driver] holds the calls: on
// Windows those of vmcompute.dll ([Windows]).
//
// # States of a scratch
//
//	          Activate               Prepare
//	(absent) ──────────▶ activated ───────────▶ mounted
//	              ◀──────────      ◀───────────
//	          Deactivate             Unprepare
//
// # Failure rules and locks
//
// Calls of the system cannot be interrupted. A method of the store whose
// context ends returns; the call goes on behind it, and a mount that succeeds
// late is undone. A scratch stays locked until then, so that a later call for
// it waits (as long as its own context lasts) instead of crossing the first.
package layers

import (
	"context"
)

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

	// ScratchSize is the least size of the scratch disk in bytes; 0: as it is,
	// 20 GB unless whoever made it said otherwise.
	ScratchSize uint64
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
// any goroutine. A method whose ctx ends returns ctx's error; what the system
// still does for it is undone when it is done. Errors carry a fault kind.
type Store interface {
	// EnsureScratch makes the scratch disk in l.Scratch if there is none, and
	// grows it to l.ScratchSize where it is smaller. It never shrinks one.
	EnsureScratch(ctx context.Context, l Layers) error

	// Mount mounts l. A failed Mount leaves nothing mounted.
	Mount(ctx context.Context, l Layers) (Mounted, error)

	// Unmount undoes Mount. It is idempotent: a scratch that is not mounted,
	// or no longer there, is no error.
	Unmount(ctx context.Context, scratch string) error
}

// Driver is the layer functions of one machine, each a single call that ends
// when the system lets it. Errors are [*CallError] values. Implemented by
// [Windows] and by the emulator's adapter in tests.
type Driver interface {
	// HasScratch reports whether the folder holds a scratch disk.
	HasScratch(folder string) (bool, error)
	// CreateScratch makes the folder, if need be, and the scratch disk in it.
	CreateScratch(folder string, parents []string) error
	// Expand grows a scratch disk that is not attached to at least size bytes.
	Expand(scratch string, size uint64) error
	// Activate attaches the scratch disk.
	Activate(scratch string) error
	// Prepare turns the filter on that shows the parents below the scratch.
	Prepare(scratch string, parents []string) error
	// MountPath returns the volume path of a prepared scratch.
	MountPath(scratch string) (string, error)
	// NameToGUID returns the id that HCS gives a layer with this base name.
	NameToGUID(name string) (string, error)
	// Unprepare turns the filter off.
	Unprepare(scratch string) error
	// Deactivate detaches the scratch disk.
	Deactivate(scratch string) error
}
