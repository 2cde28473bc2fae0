package hcsemu

import (
	"context"
	"errors"
	"sync"
)

// Handle is what a client holds. Handles are per client; 0 is none.
type Handle uint64

// Caller is a process that uses the services.
type Caller struct {
	PID uint32 `json:"pid"`
	Exe string `json:"exe"` // base name
}

// Client is a view of a process's session with the services. All methods may
// be called from any goroutine. Those that take a context end when it does;
// what they had made by then is undone.
type Client struct {
	*session
	api API
}

// session is what one process holds. Its fields are guarded by the emulator's mu.
type session struct {
	e             *Emulator
	caller        Caller
	ctx           context.Context // ends with the session
	end           context.CancelCauseFunc
	once          sync.Once
	last          Handle
	handles       map[Handle]*reference
	subscriptions map[*subscription]bool
	queue         []delivery
	delivering    bool
}

// reference is what a handle stands for: nothing yet (reserved), a system, a
// process or a network object.
type reference struct {
	system  *system
	process *process
	object  *networkObject
	dead    bool // the service went away under it
}

// Connect makes a session for a process: one per process that loads the DLLs.
func (e *Emulator) Connect(caller Caller) *Client {
	s := &session{e: e, caller: caller, handles: map[Handle]*reference{}, subscriptions: map[*subscription]bool{}}
	s.ctx, s.end = context.WithCancelCause(context.Background())
	e.mu.Lock()
	e.clients[s] = true
	e.mu.Unlock()
	return &Client{session: s}
}

// As returns a view of the same session, with the same handles, whose errors
// look as the given family of functions returns them and whose calls are recorded under it.
func (c *Client) As(api API) *Client { return &Client{session: c.session, api: api} }

// Caller returns the process whose session this is.
func (c *Client) Caller() Caller { return c.caller }

// Emulator returns the machine whose session this is.
func (c *Client) Emulator() *Emulator { return c.e }

// Reserve returns a handle before the call that fills it, for fronts whose
// functions return the handle at once and the outcome later. If that call
// fails the handle is gone; closing it before is allowed and ends what the call makes.
func (c *Client) Reserve() Handle {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	return c.newHandleLocked(&reference{})
}

// Disconnect ends the session as the end of a process does: pending calls
// fail, subscriptions go, every handle is closed. It is idempotent.
func (c *Client) Disconnect() { c.disconnect() }

func (s *session) disconnect() {
	s.once.Do(func() {
		s.end(fail(EServiceDisconnect, "the session of process %d (%s) has ended", s.caller.PID, s.caller.Exe))
		e := s.e
		e.mu.Lock()
		delete(e.clients, s)
		clear(s.subscriptions)
		s.queue = nil
		left := s.handles
		s.handles = map[Handle]*reference{}
		e.mu.Unlock()
		for _, r := range left {
			e.release(r)
		}
		for _, j := range e.jobsOf(s) {
			j.Close()
		}
	})
}

func (s *session) newHandleLocked(r *reference) Handle {
	s.last++
	s.handles[s.last] = r
	return s.last
}

// fillLocked makes reserved (or a new handle, if it is 0) stand for what r
// stands for. It reports false if the reserved handle was closed meanwhile.
func (s *session) fillLocked(reserved Handle, r *reference) (Handle, bool) {
	if reserved == 0 {
		if s.ctx.Err() != nil {
			return 0, false
		}
		return s.newHandleLocked(r), true
	}
	if old := s.handles[reserved]; old == nil || old.system != nil || old.process != nil || old.object != nil {
		return 0, false
	}
	s.handles[reserved] = r
	for sub := range s.subscriptions {
		if sub.handle == reserved {
			sub.system, sub.process = r.system, r.process
		}
	}
	return reserved, true
}

// drop takes a handle out of the table and gives up what it stands for.
func (s *session) drop(h Handle) error {
	s.e.mu.Lock()
	r := s.handles[h]
	delete(s.handles, h)
	for sub := range s.subscriptions {
		if sub.handle == h {
			delete(s.subscriptions, sub)
		}
	}
	s.e.mu.Unlock()
	if r == nil {
		return fail(EHandle, "handle %d is not open in this process", h)
	}
	s.e.release(r)
	return nil
}

// release gives up one reference to a system or process.
func (e *Emulator) release(r *reference) {
	switch {
	case r.system != nil:
		e.releaseSystem(r.system)
	case r.process != nil:
		e.releaseProcess(r.process)
	}
}

// lookupLocked returns what an open handle stands for.
func (s *session) lookupLocked(h Handle) (*reference, error) {
	r := s.handles[h]
	switch {
	case r == nil:
		return nil, fail(EHandle, "handle %d is not open in this process", h)
	case r.dead:
		return nil, fail(EServiceDisconnect, "handle %d was lost with the compute service", h)
	}
	return r, nil
}

// systemLocked returns the system that h stands for.
func (s *session) systemLocked(h Handle) (*system, error) {
	r, err := s.lookupLocked(h)
	if err != nil {
		return nil, err
	}
	if r.system == nil {
		return nil, fail(EHandle, "handle %d is not of a compute system", h)
	}
	return r.system, nil
}

// processLocked returns the process that h stands for.
func (s *session) processLocked(h Handle) (*process, error) {
	r, err := s.lookupLocked(h)
	if err != nil {
		return nil, err
	}
	if r.process == nil {
		return nil, fail(EHandle, "handle %d is not of a process", h)
	}
	return r.process, nil
}

// subjectOf names what a handle stands for, for the record and for faults that crash a system.
func (s *session) subjectOf(h Handle) (systemID string, pid uint32) {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	switch r := s.handles[h]; {
	case r == nil:
	case r.system != nil:
		return r.system.id, 0
	case r.process != nil:
		return r.process.system.id, r.process.pid
	}
	return "", 0
}

// bound returns a context that also ends with the session.
func (s *session) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })
	return ctx, func() { stop(); cancel(nil) }
}

// ended is the error of a call whose context has ended: the session's, or that
// the caller gave the call up.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	var known *Error
	if cause := context.Cause(ctx); !errors.As(cause, &known) {
		return fail(EAbort, "the call was given up: %v", cause)
	}
	return known
}
