// Package journal keeps undo records: what outlives the process is written
// down before it is acquired and struck after it was released, so that
// whoever comes later can clean up after a crash.
package journal

import "context"

// FileName is the name of the journal in a bundle.
const FileName = "isol.journal"

// Kind is what a record undoes.
type Kind string

// The kinds.
const (
	KindComputeSystem Kind = "compute-system" // Name: system id
	KindLayerMount    Kind = "layer-mount"    // Name: folder of the scratch
	KindAttachment    Kind = "attachment"     // disk attached to the host or a VM
	KindNamespace     Kind = "namespace"      // Name: HCN namespace GUID
	KindScratch       Kind = "scratch"        // Name: file made by isol
	KindUser          Kind = "user"           // Name: local user
	KindShare         Kind = "share"
)

// Record is one thing that outlives the process.
type Record struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"`
}

// Undoers says how to release what records name.
type Undoers struct {
	// Origin identifies this machine; a journal of another is refused. Empty: not checked.
	Origin string
	// Undo releases by kind. Each must be idempotent: what is gone is no error.
	Undo map[Kind]func(ctx context.Context, r Record) error
}

// Report is what a replay did.
type Report struct {
	Undone []Record
	Left   []Record
}

// Replay releases, last acquired first, what the journal at path still holds
// and strikes it. A journal that does not exist is empty.
func Replay(ctx context.Context, path string, u Undoers) (Report, error) {
	return Report{}, nil
}
