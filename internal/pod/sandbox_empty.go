package pod

import (
	"context"
	"sync"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// emptySandbox is the sandbox of a pod that needs nothing of the host: it holds
// the pod's states together with one process that does nothing.
type emptySandbox struct {
	id   string
	idle *idleProcess

	once sync.Once
	done chan struct{}
	exit error // written before done is closed
}

var _ hcs.Compute = (*emptySandbox)(nil)

func newEmptySandbox(id string) *emptySandbox {
	return &emptySandbox{id: id, done: make(chan struct{}), idle: &idleProcess{done: make(chan struct{})}}
}

func (s *emptySandbox) end(err error) error {
	s.once.Do(func() {
		s.exit = err
		s.idle.end(err)
		close(s.done)
	})
	return nil
}

func (s *emptySandbox) ID() string                      { return s.id }
func (s *emptySandbox) Start(context.Context) error     { return nil }
func (s *emptySandbox) Shutdown(context.Context) error  { return s.end(nil) }
func (s *emptySandbox) Terminate(context.Context) error { return s.end(nil) }
func (s *emptySandbox) Done() <-chan struct{}           { return s.done }
func (s *emptySandbox) Exit() error                     { return s.exit }
func (s *emptySandbox) Close() error                    { return s.end(hcs.ErrClosed) }

func (s *emptySandbox) Properties(context.Context, schema.PropertyQuery) (*schema.Properties, error) {
	return &schema.Properties{}, nil
}

func (s *emptySandbox) Modify(context.Context, *schema.ModificationRequest) error {
	return &hcs.Error{Op: "modify the sandbox", ID: s.id, Err: hcs.ErrNotSupported}
}

func (s *emptySandbox) CreateProcess(context.Context, *schema.ProcessParameters) (hcs.Process, error) {
	if s.idle.take() {
		return s.idle, nil
	}
	return nil, &hcs.Error{Op: "run a process in the sandbox", ID: s.id, Err: hcs.ErrNotSupported}
}
