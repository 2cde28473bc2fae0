// Package undo is how the things that a journal names are released: one
// function for each kind of record. Whoever replays a journal takes it from
// here, so that the delete action, the next create and isolctl prune do the same.
//
//	journal.Replay ──▶ Machine.Undoers ──▶ hcs.Host, layers.Store, networks, jobs, files
//
// Each undo is idempotent, ends when its context does, and leaves alone what
// isol has not made as far as the machine can tell: compute systems of another
// owner. There are no states and no locks.
package undo

import (
	"context"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/uvm"
)

// Machine is what undoing works on.
type Machine struct {
	Host     hcs.Host
	Owner    string // of the compute systems that isol makes
	Layers   layers.Store
	Networks Networks // nil: namespaces are not removed
	Jobs     Jobs     // nil: what HostProcess containers leave stays
	Origin   string   // of this machine, as its journals name it; empty is not checked
}

// Networks removes network namespaces. internal/network implements it.
type Networks interface {
	// Remove is idempotent: a namespace that is not there is no error.
	Remove(ctx context.Context, id string) error
}

// Jobs undoes what HostProcess containers acquire. internal/job implements it.
// All are idempotent.
type Jobs interface {
	// Terminate ends the processes of a container's job object, and returns
	// when they have ended.
	Terminate(ctx context.Context, id string) error
	RemoveUser(ctx context.Context, name string) error
	UnmountFolder(ctx context.Context, folder string) error
}

// Undoers returns the table for journal.Replay.
func (m Machine) Undoers() journal.Undoers {
	u := journal.Undoers{Origin: m.Origin, Undo: map[journal.Kind]func(context.Context, journal.Record) error{
		journal.KindComputeSystem: func(ctx context.Context, r journal.Record) error { return m.endSystem(ctx, r.Name) },
		journal.KindLayerMount:    func(ctx context.Context, r journal.Record) error { return m.Layers.Unmount(ctx, r.Name) },
		journal.KindVMScratch:     func(_ context.Context, r journal.Record) error { return uvm.RemoveScratch(r.Name) },
		journal.KindVMAccess: func(ctx context.Context, r journal.Record) error {
			return uvm.RevokeAccess(ctx, m.Host, r.System, r.Name)
		},
		journal.KindCredentialGuard: func(ctx context.Context, r journal.Record) error {
			return hcs.RemoveCredentialGuard(ctx, m.Host, r.Name)
		},
	}}
	if m.Jobs != nil {
		u.Undo[journal.KindJob] = func(ctx context.Context, r journal.Record) error { return m.Jobs.Terminate(ctx, r.Name) }
		u.Undo[journal.KindUser] = func(ctx context.Context, r journal.Record) error { return m.Jobs.RemoveUser(ctx, r.Name) }
		u.Undo[journal.KindVolumeFolder] = func(ctx context.Context, r journal.Record) error { return m.Jobs.UnmountFolder(ctx, r.Name) }
	}
	if m.Networks != nil {
		u.Undo[journal.KindNamespace] = func(ctx context.Context, r journal.Record) error { return m.Networks.Remove(ctx, r.Name) }
	}
	return u
}

// endSystem ends a system if it is isol's: the shim may have died when it was
// told that another runtime has the id.
func (m Machine) endSystem(ctx context.Context, id string) error {
	own, err := m.Host.List(ctx, schema.SystemQuery{IDs: []string{id}, Owners: []string{m.Owner}})
	if err != nil || len(own) == 0 {
		return err
	}
	return hcs.End(ctx, m.Host, id)
}
