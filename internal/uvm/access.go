package uvm

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/isolrun/isol/internal/hcs"
)

// RevokeAccess takes back a VM's access to a file. It is idempotent: the access
// to a file that is gone went with it.
func RevokeAccess(ctx context.Context, host hcs.Host, vm, path string) error {
	if err := host.RevokeVMAccess(ctx, vm, path); !errors.Is(err, hcs.ErrFileNotFound) {
		return err
	}
	return nil
}

// grants are the files that were granted to a running VM. They are entries in
// the files' ACLs, which do not end with the VM.
type grants struct {
	users *slots[string] // who needs a file, by its path in one spelling

	mu   sync.Mutex
	made map[string]func() error // to be revoked, with what strikes it then; by path. Guarded by mu.
}

func newGrants() grants {
	return grants{users: newSlots[string]("files", 0, 0), made: map[string]func() error{}}
}

// grant lets the VM open a file. Each grant is revoked once.
func (u *UVM) grant(ctx context.Context, path string) error {
	_, err := u.files.users.acquire(ctx, fold(path), func(int) error {
		strike, err := u.cfg.Journal.VMAccess(u.ID(), path)
		if err != nil {
			return err
		}
		u.files.mu.Lock()
		u.files.made[path] = strike
		u.files.mu.Unlock()
		if err := u.cfg.Host.GrantVMAccess(ctx, u.ID(), path); err != nil {
			// it may have been made all the same
			return errors.Join(err, u.undo(func(ctx context.Context) error { return u.takeBack(ctx, path) }))
		}
		return nil
	})
	return err
}

// revoke ends one use of a file; the last one takes the access back.
func (u *UVM) revoke(ctx context.Context, path string) error {
	return u.files.users.release(fold(path), func(int) error { return u.takeBack(ctx, path) })
}

func (u *UVM) takeBack(ctx context.Context, path string) error {
	err := RevokeAccess(ctx, u.cfg.Host, u.ID(), path)
	if err != nil {
		return err
	}
	u.files.mu.Lock()
	strike := u.files.made[path]
	delete(u.files.made, path)
	u.files.mu.Unlock()
	return u.cfg.struck(nil, strike)
}

// takeAllBack is for the end of the VM: a disk that ended with it was never
// detached.
func (u *UVM) takeAllBack(ctx context.Context) error {
	u.files.mu.Lock()
	paths := slices.Sorted(maps.Keys(u.files.made))
	u.files.mu.Unlock()
	var errs []error
	for _, path := range paths {
		errs = append(errs, u.takeBack(ctx, path))
	}
	return errors.Join(errs...)
}
