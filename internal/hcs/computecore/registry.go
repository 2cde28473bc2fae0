package computecore

import "sync"

// registry finds the Go function that an event is for. The service hands back
// the number it was given with the callback: never a Go pointer, which the
// garbage collector could move or free under it.
type registry struct {
	mu      sync.Mutex // guards what follows
	last    uintptr
	entries map[uintptr]*entry
}

// entry is one receiver of events and the deliveries under way.
type entry struct {
	receive func(eventType, string)
	running sync.WaitGroup
}

// register returns the number for receive, never 0. receive runs on a thread of
// the service: it must not block and must not call unregister.
func (r *registry) register(receive func(eventType, string)) uintptr {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.entries == nil {
		r.entries = map[uintptr]*entry{}
	}
	r.last++
	r.entries[r.last] = &entry{receive: receive}
	return r.last
}

// unregister ends delivery to id: when it returns, its receive is not running
// and never runs again. Unknown numbers are ignored.
func (r *registry) unregister(id uintptr) {
	r.mu.Lock()
	e := r.entries[id]
	delete(r.entries, id)
	r.mu.Unlock()
	if e != nil {
		e.running.Wait()
	}
}

// deliver hands an event to id's receiver. An event for a number that is gone
// comes from a handle that is being closed and is of no use to anyone.
func (r *registry) deliver(id uintptr, typ eventType, data string) {
	r.mu.Lock()
	e := r.entries[id]
	if e != nil {
		e.running.Add(1)
	}
	r.mu.Unlock()
	if e != nil {
		defer e.running.Done()
		e.receive(typ, data)
	}
}
