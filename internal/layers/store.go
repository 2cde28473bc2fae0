package layers

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/isolrun/isol/internal/deadline"
	"github.com/isolrun/isol/internal/fault"
)

// Attempts at a mount and the pause between them are those of runhcs, which
// found them on Server 2019 under load.
const (
	mountAttempts = 5
	mountPause    = 100 * time.Millisecond
)

// NewStore returns the store over d.
func NewStore(d Driver) Store {
	return &store{driver: d, busy: map[string]chan struct{}{}}
}

type store struct {
	driver Driver

	mu   sync.Mutex
	busy map[string]chan struct{} // scratches in work; closed when free. Guarded by mu.
}

// EnsureScratch implements Store.
func (s *store) EnsureScratch(ctx context.Context, l Layers) error {
	return s.do(ctx, "create scratch", l.Scratch, func() error {
		has, err := s.driver.HasScratch(l.Scratch)
		if err == nil && !has {
			err = s.driver.CreateScratch(l.Scratch, l.Parents)
		}
		if err != nil || l.ScratchSize == 0 {
			return err
		}
		return s.driver.Expand(l.Scratch, l.ScratchSize)
	}, nil)
}

// Mount implements Store.
func (s *store) Mount(ctx context.Context, l Layers) (Mounted, error) {
	// The call may outlive this function: it works on a value of its own,
	// which is read only after do has returned nil.
	m := new(Mounted)
	l.Parents = slices.Clone(l.Parents)
	mount := func() (err error) {
		if err = s.attach(ctx, l); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, s.detach(l.Scratch))
			}
		}()
		if m.Path, err = s.driver.MountPath(l.Scratch); err != nil {
			return err
		}
		m.Layers, err = s.identify(l.Parents)
		return err
	}
	err := s.do(ctx, "mount layers", l.Scratch, mount, func() { _ = s.detach(l.Scratch) })
	if err != nil {
		return Mounted{}, err
	}
	return *m, nil
}

// Unmount implements Store.
func (s *store) Unmount(ctx context.Context, scratch string) error {
	return s.do(ctx, "unmount layers", scratch, func() error { return s.detach(scratch) }, nil)
}

// attach activates and prepares, again and again while the disk is not ready.
func (s *store) attach(ctx context.Context, l Layers) error {
	for attempt := 1; ; attempt++ {
		err := s.attachOnce(l)
		if err == nil || !retryable(err) || attempt == mountAttempts {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(mountPause):
		}
	}
}

// attachOnce activates and prepares. A call that failed may have had its
// effect all the same (its answer was lost), so it is undone too; but a disk
// that is in use is another's, and stays.
func (s *store) attachOnce(l Layers) error {
	if err := s.driver.Activate(l.Scratch); err != nil {
		if !hasCode(err, codeSharing) {
			err = errors.Join(err, undone(s.driver.Deactivate(l.Scratch)))
		}
		return err
	}
	if err := s.driver.Prepare(l.Scratch, l.Parents); err != nil {
		return errors.Join(err, s.detach(l.Scratch))
	}
	return nil
}

// undone takes the error of an undo that found nothing to undo for none.
func undone(err error) error {
	if gone(err) {
		return nil
	}
	return err
}

// detach takes the filter off, then the disk. The disk is tried even if the
// filter did not come off: a shim that crashed between the two leaves that.
func (s *store) detach(scratch string) error {
	return errors.Join(undone(s.driver.Unprepare(scratch)), undone(s.driver.Deactivate(scratch)))
}

func (s *store) identify(parents []string) ([]Layer, error) {
	out := make([]Layer, 0, len(parents))
	for _, p := range parents {
		id, err := s.driver.NameToGUID(baseName(p))
		if err != nil {
			return nil, err
		}
		out = append(out, Layer{ID: id, Path: p})
	}
	return out, nil
}

// do runs f for a scratch that no other call works on, and returns when f has
// or ctx ends, whichever is first. If do did not wait for f and f succeeds, late
// undoes it: its error has no one to go to, and the journal still names the
// mount. The scratch is free again when all that has ended.
func (s *store) do(ctx context.Context, op, scratch string, f func() error, late func()) error {
	free, err := s.lock(ctx, scratch)
	if err != nil {
		return fault.Wrap(err, op, scratch)
	}
	_, err = deadline.Call(ctx, "the layer store", func() (struct{}, error) { return struct{}{}, f() },
		func(_ struct{}, err error, isLate bool) {
			defer free()
			if isLate && err == nil && late != nil {
				late()
			}
		})
	return fault.Wrap(err, op, scratch)
}

func (s *store) lock(ctx context.Context, scratch string) (free func(), err error) {
	for {
		s.mu.Lock()
		held, taken := s.busy[scratch]
		if !taken {
			mine := make(chan struct{})
			s.busy[scratch] = mine
			s.mu.Unlock()
			return func() { s.unlock(scratch, mine) }, nil
		}
		s.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
			return nil, &fault.Error{Detail: "an earlier call for this scratch has not ended", Err: context.Cause(ctx)}
		}
	}
}

func (s *store) unlock(scratch string, mine chan struct{}) {
	s.mu.Lock()
	delete(s.busy, scratch)
	s.mu.Unlock()
	close(mine)
}

func hasCode(err error, want ...uint32) bool {
	var e *CallError
	return errors.As(err, &e) && slices.Contains(want, fault.Win32(e.Code))
}
