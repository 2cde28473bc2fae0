package pod

import (
	"context"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/layers"
)

// lateVM boots the utility VM of a pod that has no image of its own: with the
// pod's first container, from that container's image. Containers that come
// meanwhile wait for it; a boot that fails, or whose container gives up, leaves
// nothing, and the next container boots anew.
//
// What the VM holds belongs to the sandbox: its journal has it, and it ends
// with the sandbox, not with the container that happened to be the first.
type lateVM struct {
	frame   *frame
	sandbox CreateTask // its plan and bundle
	journal *journal.Journal

	undo journal.Undoers

	turn chan struct{} // filled by whoever boots or releases; guards held
	held *container    // what the VM holds; nil before it has booted
}

// newLateFrame makes the frame of a pod whose VM comes later. c, the sandbox's
// container, releases the VM.
func newLateFrame(cfg *Config, req *CreateTask, c *container) *frame {
	f := newFrame(req.Plan, nil)
	f.late = &lateVM{frame: f, sandbox: *req, journal: c.journal, undo: cfg.Undo, turn: make(chan struct{}, 1)}
	c.hold("utility VM "+req.Plan.UVM.ID, nil, c.limits.Terminate+c.limits.Network, f.late.release)
	return f
}

// machineFor returns the pod's VM for the container of req, and boots it if
// there is none yet.
func (f *frame) machineFor(s *steps, k *vmKernel, req *CreateTask) (VM, error) {
	if vm := f.machine(); vm != nil {
		return vm, nil
	}
	if f.late == nil {
		return nil, f.ended(s, nil)
	}
	select {
	case f.late.turn <- struct{}{}:
		defer func() { <-f.late.turn }()
	case <-s.ctx.Done():
		return nil, fault.Wrap(context.Cause(s.ctx), s.what+" "+s.id, "wait for the pod's utility VM")
	case <-f.done:
		return nil, f.ended(s, nil)
	}
	if vm := f.machine(); vm != nil {
		return vm, nil
	}
	return f.late.boot(s, k, req)
}

// hasEnded reports whether the sandbox has ended.
func (f *frame) hasEnded() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// ended is the error of a container that finds its sandbox ended.
func (f *frame) ended(s *steps, err error) error {
	return &fault.Error{Kind: fault.FailedPrecondition, Op: s.what, Subject: s.id, Err: err,
		Detail: "its sandbox " + f.id + " has ended", Hint: "create the pod anew"}
}

// boot boots the VM from the image of req and connects the pod's network. It
// ends when the sandbox does. The caller has the turn.
func (l *lateVM) boot(s *steps, k *vmKernel, req *CreateTask) (VM, error) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-l.frame.done:
			cancel(fault.New(fault.FailedPrecondition, "its sandbox %s ended while its utility VM booted", l.frame.id))
		case <-stop:
		}
	}()
	if l.frame.hasEnded() {
		return nil, l.frame.ended(s, nil)
	}
	booting := &steps{ctx: ctx, what: s.what, id: s.id}
	own := &vmKernel{cfg: k.cfg, log: k.log} // as for a sandbox with an image: it joins nobody's VM
	held := newContainer(k.cfg, k.log, l.sandbox.ID, l.journal)
	first := l.sandbox
	first.Plan = l.sandbox.Plan.Booted(req.Plan)
	// The scratch of the VM lies with the sandbox: the container's own goes with it.
	first.Layers = layers.Layers{Parents: req.Layers.Parents, Scratch: l.sandbox.Bundle}
	vm, err := own.boot(booting, &first, held)
	if err == nil {
		err = own.connect(booting, held, vm, joined{id: l.sandbox.Plan.Container.Network.NamespaceID})
	}
	if err == nil {
		_, err = own.hardware(booting, &first, held, vm) // the pod's drivers: a sandbox has no container to see devices
	}
	s.took = append(s.took, booting.took...)
	if err == nil && l.frame.hasEnded() {
		err = l.frame.ended(s, nil)
	}
	if err != nil {
		held.abandon()
		return nil, err
	}
	l.held = held
	for _, change := range l.frame.adopt(vm, first.Plan) {
		ctx, cancel := bounded(k.cfg.Deadlines.Modify)
		if err := resize(ctx, vm, change); err != nil {
			k.log.Warn("the resources that the pod was given before its VM booted are not in force", "id", l.sandbox.ID, "error", err)
		}
		cancel()
	}
	return vm, nil
}

// release ends the VM, or the boot of it, with the sandbox.
func (l *lateVM) release(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return fault.New(fault.DeadlineExceeded, "the boot of utility VM %s does not end: %w", l.sandbox.Plan.UVM.ID, context.Cause(ctx))
	}
	if l.held != nil {
		if err := l.held.free(); err != nil {
			return err
		}
	}
	// A boot that was given up may have left a system that came after all.
	return l.journal.SettleSystem(ctx, l.sandbox.Plan.UVM.ID, l.undo)
}
