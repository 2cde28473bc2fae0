package pod

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
)

// sandboxPID is the pid that a sandbox without a process shows: containerd
// takes 0 for "not started" (runhcs: the sandbox's exec shows 1).
const sandboxPID = 1

// frame is the container of a sandbox in which nothing runs: a Hyper-V pod's,
// which is its VM, and every one that the Sandbox API makes. It has one process
// that does nothing but live as long as the pod wants, so the sandbox goes
// through the same states as any task, and no pause process takes memory.
//
//	              VM booted, or none wanted                VM ended, or Shutdown
//	(no VM yet) ──────────────────────────────▶ (running) ──────────────────────▶ ended
//	     └─────────────────────────────────────────────────────────────────────────▲
type frame struct {
	id   string
	once sync.Once
	done chan struct{}
	exit error // written before done is closed
	idle *idleProcess
	late *lateVM // nil unless the VM boots with the pod's first container

	mu      sync.Mutex
	vm      VM                            // nil: none, or not yet. Guarded by mu.
	plan    *isolation.Plan               // of the pod; changes when the VM has booted late. Guarded by mu.
	pending []*schema.ModificationRequest // asked of a VM that has not booted. Guarded by mu.
}

var (
	_ hcs.Compute = (*frame)(nil)
	_ hcs.Process = (*idleProcess)(nil)
)

// newFrame makes the frame of a sandbox; vm is nil for none.
func newFrame(plan *isolation.Plan, vm VM) *frame {
	f := &frame{id: plan.ID, plan: plan, done: make(chan struct{}), idle: &idleProcess{done: make(chan struct{})}}
	if vm != nil {
		f.adopt(vm, plan)
	}
	return f
}

// adopt gives the frame its VM, and ends it with that VM: it never looks alive
// over a dead one.
func (f *frame) adopt(vm VM, plan *isolation.Plan) []*schema.ModificationRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.vm, f.plan = vm, plan
	go func() {
		select {
		case <-vm.Done():
			f.end(vm.Exit())
		case <-f.done:
		}
	}()
	asked := f.pending
	f.pending = nil
	return asked
}

// machine returns the VM, nil if there is none (yet).
func (f *frame) machine() VM {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.vm
}

// giveUp ends the VM, if there is one, whatever its guest says.
func (f *frame) giveUp() error {
	if vm := f.machine(); vm != nil {
		return vm.Close()
	}
	return nil
}

// current returns the pod's plan as it is now.
func (f *frame) current() *isolation.Plan {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.plan
}

func (f *frame) end(err error) {
	f.once.Do(func() {
		f.exit = err
		f.idle.end(err)
		close(f.done)
	})
}

func (f *frame) ID() string { return f.id }

func (f *frame) Start(context.Context) error { return nil } // what there is runs already

func (f *frame) Shutdown(context.Context) error {
	f.end(nil)
	return nil
}

func (f *frame) Terminate(context.Context) error {
	f.end(nil)
	return nil
}

func (f *frame) Properties(ctx context.Context, q schema.PropertyQuery) (*schema.Properties, error) {
	vm := f.machine()
	if vm == nil {
		return nil, nil
	}
	props, err := vm.Properties(ctx, q)
	if props != nil {
		props.ProcessList = nil // the guest's processes are its containers'
	}
	return props, err
}

// Modify takes a container's resources for the VM's: what a pod is given, its
// VM gets, also one that boots later.
func (f *frame) Modify(ctx context.Context, req *schema.ModificationRequest) error {
	f.mu.Lock()
	vm := f.vm
	if vm == nil && f.late != nil {
		f.pending = append(f.pending, req)
	}
	f.mu.Unlock()
	switch {
	case vm != nil:
		return resize(ctx, vm, req)
	case f.late != nil:
		return nil
	}
	return &fault.Error{Kind: fault.Unimplemented, Op: "update sandbox", Subject: f.id,
		Detail: "a pod without a utility VM has no resources of its own", Hint: "its containers have limits of their own: update those"}
}

// resize makes a container's modification one of a VM.
func resize(ctx context.Context, vm VM, req *schema.ModificationRequest) error {
	switch settings := req.Settings.(type) {
	case uint64:
		return vm.SetMemory(ctx, settings+settings%2) // HCS takes even sizes only
	case *schema.ContainerProcessor:
		if settings.Count != 0 {
			return errors.Join(hcs.ErrNotSupported, errors.New("the number of a running virtual machine's processors cannot be changed"))
		}
		// A container's limit is in ten-thousandths, a VM's in hundred-thousandths.
		return vm.SetProcessorLimits(ctx, schema.ProcessorLimits{Limit: uint64(settings.Maximum) * 10, Weight: uint64(settings.Weight)})
	}
	return hcs.ErrNotSupported
}

func (f *frame) CreateProcess(context.Context, *schema.ProcessParameters) (hcs.Process, error) {
	if f.idle.take() {
		return f.idle, nil
	}
	return nil, &hcs.Error{Op: "run a process in the sandbox", ID: f.id, Err: hcs.ErrNotSupported}
}

func (f *frame) Done() <-chan struct{} { return f.done }
func (f *frame) Exit() error           { return f.exit }

func (f *frame) Close() error {
	f.end(hcs.ErrClosed)
	return nil
}

// idleProcess stands for the sandbox. Any signal ends it with 0, as the
// reference's does.
type idleProcess struct {
	mu    sync.Mutex
	taken bool // guarded by mu

	once sync.Once
	done chan struct{}
	err  error // written before done is closed
}

// take reports whether the caller is the first: the init.
func (p *idleProcess) take() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := !p.taken
	p.taken = true
	return first
}

func (p *idleProcess) end(err error) bool {
	ended := false
	p.once.Do(func() {
		ended = true
		p.err = err
		close(p.done)
	})
	return ended
}

func (p *idleProcess) PID() uint32                                         { return sandboxPID }
func (p *idleProcess) Stdin() io.WriteCloser                               { return nil }
func (p *idleProcess) Stdout() io.ReadCloser                               { return nil }
func (p *idleProcess) Stderr() io.ReadCloser                               { return nil }
func (p *idleProcess) CloseStdin(context.Context) error                    { return nil }
func (p *idleProcess) Resize(context.Context, schema.ConsoleSize) error    { return hcs.ErrInvalidState }
func (p *idleProcess) Signal(context.Context, schema.Signal) (bool, error) { return p.end(nil), nil }
func (p *idleProcess) Kill(context.Context) (bool, error)                  { return p.end(nil), nil }
func (p *idleProcess) Done() <-chan struct{}                               { return p.done }
func (p *idleProcess) ExitCode() (uint32, error)                           { return 0, p.err }
func (p *idleProcess) Close() error                                        { return nil }
