package uvm

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isolrun/isol/internal/fault"
)

// A model of a machine: what has been plugged in by number. Adding what is
// there or removing what is not is what a real machine refuses.
type machineModel struct {
	t       *testing.T
	mu      sync.Mutex
	plugged map[int]string
}

func (m *machineModel) add(key string) func(int) error {
	return func(n int) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if old, ok := m.plugged[n]; ok {
			m.t.Errorf("number %d given to %q while %q holds it", n, key, old)
		}
		m.plugged[n] = key
		return nil
	}
}

func (m *machineModel) remove(key string) func(int) error {
	return func(n int) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.plugged[n] != key {
			m.t.Errorf("number %d removed for %q, it holds %q", n, key, m.plugged[n])
		}
		delete(m.plugged, n)
		return nil
	}
}

// However uses and failures of containers interleave, a disk is attached while
// somebody uses it and only then, and no LUN ever holds two.
func TestSlotsUnderRandomUse(t *testing.T) {
	keys := []string{"a", "b", "c", "d", "e"}
	for seed := range uint64(20) {
		m := &machineModel{t: t, plugged: map[int]string{}}
		s := newSlots[string]("LUNs", 1, 4)
		var wg sync.WaitGroup
		for worker := range uint64(6) {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, worker))
				for range 200 {
					key := keys[r.IntN(len(keys))]
					fails := r.IntN(5) == 0
					_, err := s.acquire(t.Context(), key, func(n int) error {
						if fails {
							return errors.New("refused")
						}
						return m.add(key)(n)
					})
					if err != nil {
						continue
					}
					m.mu.Lock()
					present := 0
					for _, k := range m.plugged {
						if k == key {
							present++
						}
					}
					m.mu.Unlock()
					if present != 1 {
						t.Errorf("%q is in use and plugged in %d times", key, present)
					}
					if err := s.release(key, m.remove(key)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if len(m.plugged) != 0 || len(s.byKey) != 0 || len(s.used) != 0 {
			t.Errorf("seed %d: left behind: machine %v, slots %v, numbers %v", seed, m.plugged, s.byKey, s.used)
		}
	}
}

// The 65th disk of a pod must get an error that says what the limit is.
func TestSlotsAreFinite(t *testing.T) {
	s := newSlots[int]("SCSI attachments", 1, 63)
	ok := func(int) error { return nil }
	for i := range 63 {
		if n, err := s.acquire(t.Context(), i, ok); err != nil || n != i+1 {
			t.Fatalf("slot %d: number %d, %v", i, n, err)
		}
	}
	_, err := s.acquire(t.Context(), 99, ok)
	if !fault.Is(err, fault.ResourceExhausted) {
		t.Errorf("error %v, want ResourceExhausted", err)
	}
	if err := s.release(10, ok); err != nil {
		t.Fatal(err)
	}
	if n, err := s.acquire(t.Context(), 99, ok); err != nil || n != 11 {
		t.Errorf("the freed number was not used again: %d, %v", n, err)
	}
}

// A disk whose removal failed may still be in the machine: its LUN must not be
// given to another, the same disk must be found there again, and a container
// whose delete failed must be able to try again.
func TestSlotWhoseRemovalFailed(t *testing.T) {
	s := newSlots[string]("LUNs", 1, 2)
	ok := func(int) error { return nil }
	first, err := s.acquire(t.Context(), "a", ok)
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	if err := s.release("a", func(int) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("release: %v", err)
	}
	if n, err := s.acquire(t.Context(), "b", ok); err != nil || n == first {
		t.Errorf("b got number %d of a, %v", n, err)
	}
	n, err := s.acquire(t.Context(), "a", func(int) error { t.Error("a is added twice"); return nil })
	if err != nil || n != first {
		t.Errorf("a again: number %d, %v, want %d", n, err, first)
	}
	notYet := func(int) error { t.Error("a is removed under its second user"); return nil }
	if err := s.release("a", notYet); err != nil {
		t.Error(err)
	}
	removed := false
	if err := s.release("a", func(int) error { removed = true; return nil }); err != nil || !removed {
		t.Errorf("the first user's second try: removed %v, %v", removed, err)
	}
	if err := s.release("a", ok); !fault.Is(err, fault.Internal) {
		t.Errorf("one release too many: %v, want an Internal error", err)
	}
}

// Who waits for another's add must not wait for ever.
func TestSlotWaitEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots[string]("LUNs", 1, 2)
		release := make(chan struct{})
		added := make(chan error)
		go func() {
			_, err := s.acquire(context.Background(), "a", func(int) error { <-release; return nil })
			added <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := s.acquire(ctx, "a", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiter: %v", err)
		}
		close(release)
		if err := <-added; err != nil {
			t.Error(err)
		}
		if n, err := s.acquire(t.Context(), "a", nil); err != nil || n != 1 {
			t.Errorf("after the add: number %d, %v", n, err)
		}
	})
}
