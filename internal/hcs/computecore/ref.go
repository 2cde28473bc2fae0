package computecore

import (
	"sync"

	"github.com/isolrun/isol/internal/hcs"
)

// ref is a native handle that many calls may use while one closes it.
type ref struct {
	release func(handle) // called once, when closed and no longer used

	mu     sync.Mutex // guards what follows
	h      handle
	users  int
	closed bool
}

// use returns the handle; the caller calls done when it has finished with it.
// It fails with ErrClosed after close.
func (r *ref) use() (handle, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, hcs.ErrClosed
	}
	r.users++
	return r.h, nil
}

// done gives up one use; the last one after close releases the handle.
func (r *ref) done() {
	r.mu.Lock()
	r.users--
	last := r.closed && r.users == 0
	r.mu.Unlock()
	if last {
		r.release(r.h)
	}
}

// close lets no further use begin and releases the handle, now or when its last
// user has finished. It reports whether this was the first close.
func (r *ref) close() bool {
	r.mu.Lock()
	first := !r.closed
	idle := first && r.users == 0
	r.closed = true
	r.mu.Unlock()
	if idle {
		r.release(r.h)
	}
	return first
}
