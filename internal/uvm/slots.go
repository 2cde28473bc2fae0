package uvm

import (
	"context"
	"fmt"
	"sync"

	"github.com/isolrun/isol/internal/fault"
)

// slots is a table of numbered, counted places, keyed by what is in them: LUNs
// of a controller by disk, share numbers by folder.
//
//	         acquire        add ok                    last release
//	absent ─────────▶ adding ──────▶ present (n users) ────────────▶ removing
//	   ▲                │ add failed      ▲ acquire, release              │
//	   └────────────────┘                 │                               │ ok: absent
//	   └──────────────────────────────────┴───────────────────────────────┘ failed: present (1 user)
//
// Whoever could not remove a slot is still its user: the machine may hold it,
// so its number is not given to another key, the next user of the same key
// finds it there, and the release can be tried again.
type slots[K comparable] struct {
	what  string // for errors: "SCSI attachments"
	first int    // lowest number
	limit int    // how many numbers there are; 0: no limit and none is used twice

	mu    sync.Mutex
	byKey map[K]*slot  // guarded by mu
	used  map[int]bool // guarded by mu
	next  int          // guarded by mu; next number without limit
}

type slot struct {
	number  int
	users   int
	present bool
	changed chan struct{} // closed when adding or removing has ended; nil while neither
}

func newSlots[K comparable](what string, first, limit int) *slots[K] {
	return &slots[K]{what: what, first: first, limit: limit, next: first, byKey: map[K]*slot{}, used: map[int]bool{}}
}

// count returns how many slots are in use.
func (s *slots[K]) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byKey)
}

// acquire makes the caller a user of key's slot. The first user runs add, with
// no lock held; others wait for it. Errors: ResourceExhausted if no number is
// free, add's, ctx's.
func (s *slots[K]) acquire(ctx context.Context, key K, add func(number int) error) (int, error) {
	for {
		mine, wait, err := s.claim(key)
		switch {
		case err != nil:
			return 0, err
		case wait != nil:
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return 0, context.Cause(ctx)
			}
		case mine.present:
			return mine.number, nil
		}
		err = add(mine.number)
		s.settle(key, mine, err == nil)
		if err != nil {
			return 0, err
		}
		return mine.number, nil
	}
}

// claim returns the caller's slot, present or to be added by the caller, or a
// channel to wait on.
func (s *slots[K]) claim(key K) (*slot, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.byKey[key]; old != nil {
		if old.changed != nil {
			return nil, old.changed, nil
		}
		old.users++
		return old, nil, nil
	}
	number, err := s.number()
	if err != nil {
		return nil, nil, err
	}
	s.used[number] = true
	fresh := &slot{number: number, users: 1, changed: make(chan struct{})}
	s.byKey[key] = fresh
	return fresh, nil, nil
}

// number returns a free number. s.mu is held.
func (s *slots[K]) number() (int, error) {
	if s.limit == 0 {
		n := s.next
		s.next++
		return n, nil
	}
	for n := s.first; n < s.first+s.limit; n++ {
		if !s.used[n] {
			return n, nil
		}
	}
	return 0, &fault.Error{
		Kind: fault.ResourceExhausted, Op: "add to the utility VM",
		Detail: fmt.Sprintf("all %d %s are in use", s.limit, s.what),
		Hint:   "use fewer disks or containers in this pod",
	}
}

// settle ends an adding or removing: the slot is present or absent now.
func (s *slots[K]) settle(key K, mine *slot, present bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine.present = present
	if present {
		mine.users = 1 // who added it, or could not remove it
	} else {
		delete(s.byKey, key)
		delete(s.used, mine.number)
	}
	close(mine.changed)
	mine.changed = nil
}

// release ends one use of key's slot. The last user runs remove, with no lock
// held; if that fails, the caller is still a user and may release again.
// Releasing what is not held is a defect of the caller and an Internal error.
func (s *slots[K]) release(key K, remove func(number int) error) error {
	s.mu.Lock()
	mine := s.byKey[key]
	if mine == nil || mine.users == 0 || mine.changed != nil {
		s.mu.Unlock()
		return fault.New(fault.Internal, "%s: %v is released and not held", s.what, key)
	}
	mine.users--
	if mine.users > 0 {
		s.mu.Unlock()
		return nil
	}
	mine.changed = make(chan struct{})
	s.mu.Unlock()

	err := remove(mine.number)
	s.settle(key, mine, err != nil)
	return err
}
