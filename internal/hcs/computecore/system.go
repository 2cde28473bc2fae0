package computecore

import (
	"context"
	"errors"
	"sync"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// system is a compute system of the host.
type system struct {
	object
	host      *host
	runtimeID string
	outcome   outcome
	crashed   chan struct{} // closed when the guest's kernel has crashed

	mu       sync.Mutex
	bugcheck *hcs.Bugcheck // nil: none was reported. Guarded by mu.
	ending   hcs.Ending    // guarded by mu
}

var _ hcs.System = (*system)(nil)

// receive takes events; it runs on a thread of the service.
func (s *system) receive(typ eventType, data string) {
	switch typ {
	case eventSystemCrashInitiated, eventSystemCrashReport:
		s.crash(data)
	case eventSystemExited:
		s.mu.Lock()
		ending := hcs.ReadEnding(s.id, data, s.bugcheck)
		s.mu.Unlock()
		s.end(ending)
	case eventServiceDisconnect:
		s.end(hcs.Ending{Err: lost("watch system", s.id)})
	}
}

// crash takes what an event of the guest's crash says.
func (s *system) crash(data string) {
	s.mu.Lock()
	first := s.bugcheck == nil
	s.bugcheck = hcs.ReadCrash(s.bugcheck, data)
	s.mu.Unlock()
	if first {
		close(s.crashed)
	}
}

// end reports the system's end; the first to do so wins.
func (s *system) end(e hcs.Ending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.outcome.known() {
		s.ending = e
		s.outcome.set(0, e.Err)
	}
}

// ID implements hcs.System.
func (s *system) ID() string { return s.id }

// RuntimeID implements hcs.System.
func (s *system) RuntimeID() string { return s.runtimeID }

// Start implements hcs.System.
func (s *system) Start(ctx context.Context) error {
	_, err := s.operate(ctx, "HcsStartComputeSystem", s.n.startSystem)
	return err
}

// Shutdown implements hcs.System. The service gives some refusals only in the
// operation's result; the reference never looks at it, and waits in vain for
// the end of a system that was never asked.
func (s *system) Shutdown(ctx context.Context) error {
	const name = "HcsShutDownComputeSystem"
	if err := s.stopped(name); err != nil {
		return err
	}
	err := s.submit(ctx, name, s.n.shutDownSystem, refusalWait)
	if s.outcome.known() {
		return nil
	}
	return stoppedIfGone(err)
}

// Terminate implements hcs.System.
func (s *system) Terminate(ctx context.Context) error {
	const name = "HcsTerminateComputeSystem"
	if err := s.stopped(name); err != nil {
		return err
	}
	return stoppedIfGone(s.submit(ctx, name, s.n.terminateSystem, 0))
}

// Properties implements hcs.System.
func (s *system) Properties(ctx context.Context, query schema.PropertyQuery) (*schema.Properties, error) {
	const name = "HcsGetComputeSystemProperties"
	if err := s.stopped(name); err != nil {
		return nil, err
	}
	text, err := encode(name, s.id, query)
	if err != nil {
		return nil, err
	}
	r, err := s.operate(ctx, name, func(h, op handle) error { return s.n.systemProperties(h, op, text) })
	if err != nil {
		return nil, stoppedIfGone(err)
	}
	return decode[schema.Properties](name, s.id, r.doc)
}

// Modify implements hcs.System.
func (s *system) Modify(ctx context.Context, req *schema.ModificationRequest) error {
	const name = "HcsModifyComputeSystem"
	text, err := encode(name, s.id, req)
	if err != nil {
		return err
	}
	_, err = s.operate(ctx, name, func(h, op handle) error { return s.n.modifySystem(h, op, text) })
	return err
}

// Done implements hcs.System.
func (s *system) Done() <-chan struct{} { return s.outcome.done }

// Exit implements hcs.System.
func (s *system) Exit() error { return s.outcome.err }

// Crashed implements hcs.System.
func (s *system) Crashed() <-chan struct{} { return s.crashed }

// Ending implements hcs.System.
func (s *system) Ending() hcs.Ending {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending
}

// Close implements hcs.System. The native handle goes when the last call that
// uses it has returned.
func (s *system) Close() error {
	if s.ref.close() {
		s.end(hcs.Ending{Err: &hcs.Error{Op: "watch system", ID: s.id, Err: hcs.ErrClosed}})
	}
	return nil
}

// stopped is ErrAlreadyStopped if the system has exited, ErrClosed after Close.
func (s *system) stopped(name string) error {
	if !s.outcome.known() {
		return nil
	}
	err := hcs.ErrAlreadyStopped
	if errors.Is(s.outcome.err, hcs.ErrClosed) {
		err = hcs.ErrClosed
	}
	return &hcs.Error{Op: name, ID: s.id, Err: err}
}

// stoppedIfGone says ErrAlreadyStopped where the service no longer knows a
// system that we hold: it has exited and its event is on the way.
func stoppedIfGone(err error) error {
	var e *hcs.Error
	if errors.As(err, &e) && errors.Is(e.Err, hcs.ErrNotFound) {
		gone := *e
		gone.Err = hcs.ErrAlreadyStopped
		return &gone
	}
	return err
}
