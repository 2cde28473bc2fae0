package hcs

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Call is one call under way.
type Call struct {
	Op      string    // the function, or the message to a guest
	Subject string    // what it is about: an id, a path
	Since   time.Time // when it was made
}

// CallTable is the calls under way of one process: what it waits for, and since
// when. A call of the compute service that never comes back is the first thing
// an operator looks for when a container hangs; the table keeps it for as long
// as the call itself lasts, also after its caller has given up. Its zero value
// is empty, and a nil *CallTable takes note of nothing. All methods may be
// called from any goroutine.
type CallTable struct {
	mu    sync.Mutex
	last  uint64
	calls map[uint64]Call
}

// Begin takes note of a call that begins; done of its end.
func (t *CallTable) Begin(op, subject string) (done func()) {
	if t == nil {
		return func() {}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calls == nil {
		t.calls = map[uint64]Call{}
	}
	t.last++
	id := t.last
	t.calls[id] = Call{Op: op, Subject: subject, Since: time.Now()}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.calls, id)
	}
}

// Open lists the calls that have lasted for age or longer, the oldest first.
func (t *CallTable) Open(age time.Duration) []Call {
	if t == nil {
		return nil
	}
	limit := time.Now().Add(-age)
	t.mu.Lock()
	defer t.mu.Unlock()
	var open []Call
	for _, c := range t.calls {
		if !c.Since.After(limit) {
			open = append(open, c)
		}
	}
	slices.SortFunc(open, func(a, b Call) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Op, b.Op)) })
	return open
}
