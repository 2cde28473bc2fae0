package computecore

import (
	"context"
	"errors"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// system is a compute system of the host.
type system struct {
	object
	host      *host
	runtimeID string
	outcome   outcome
}

var _ hcs.System = (*system)(nil)

// receive takes events; it runs on a thread of the service.
func (s *system) receive(typ eventType, data string) {
	switch typ {
	case eventSystemExited:
		s.outcome.set(0, systemExit(s.id, data))
	case eventServiceDisconnect:
		s.outcome.set(0, lost("watch system", s.id))
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

// Shutdown implements hcs.System.
func (s *system) Shutdown(ctx context.Context) error {
	return s.end(ctx, "HcsShutDownComputeSystem", s.n.shutDownSystem)
}

// Terminate implements hcs.System.
func (s *system) Terminate(ctx context.Context) error {
	return s.end(ctx, "HcsTerminateComputeSystem", s.n.terminateSystem)
}

func (s *system) end(ctx context.Context, name string, invoke func(h, op handle) error) error {
	if err := s.stopped(name); err != nil {
		return err
	}
	return stoppedIfGone(s.submit(ctx, name, invoke))
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

// Close implements hcs.System. The native handle goes when the last call that
// uses it has returned.
func (s *system) Close() error {
	if s.ref.close() {
		s.outcome.set(0, &hcs.Error{Op: "watch system", ID: s.id, Err: hcs.ErrClosed})
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
