package pod

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
)

// What breaks off a start.
var (
	errKilled         = fault.New(fault.Canceled, "it was killed while it was being started")
	errPodEnds        = fault.New(fault.Canceled, "its pod ended while it was being created")
	errContainerEnded = fault.New(fault.FailedPrecondition, "its container ended while it was being started")
)

// Kill signals processes. Errors: InvalidArgument for a signal that is not
// supported, NotFound also for a process that has ended, FailedPrecondition
// for All with an exec id. With All, only the init's error counts: the others
// may end at any time.
func (p *Pod) Kill(ctx context.Context, req Kill) error {
	sig, err := lookupSignal(req.Signal)
	if err != nil {
		return err
	}
	if req.All && req.ExecID != "" {
		return &fault.Error{Kind: fault.FailedPrecondition, Op: "kill", Subject: req.ExecID,
			Detail: "all processes of a task can be signalled, not all of an exec", Hint: "leave the exec id or all out"}
	}
	t, err := p.task(req.ID)
	if err != nil {
		return err
	}
	if err := mayChange(t, taskService, evKill); err != nil {
		return err
	}
	if !req.All {
		proc, err := t.process(req.ExecID)
		if err != nil {
			return err
		}
		return proc.signal(ctx, sig)
	}
	if t.plan.Role == isolation.RoleSandbox {
		p.killOthers(ctx, t, sig)
	}
	return t.killAll(ctx, sig)
}

// killOthers signals every task of the pod but the sandbox.
func (p *Pod) killOthers(ctx context.Context, sandbox *task, sig signal) {
	var wg sync.WaitGroup
	for _, t := range p.all() {
		if t == sandbox {
			continue
		}
		wg.Go(func() {
			if err := t.killAll(ctx, sig); err != nil && !fault.Is(err, fault.NotFound) {
				t.log.Warn("kill with the sandbox", "error", err)
			}
		})
	}
	wg.Wait()
}

// killAll signals the execs at once, then the init.
func (t *task) killAll(ctx context.Context, sig signal) error {
	var wg sync.WaitGroup
	for _, e := range t.allExecs() {
		wg.Go(func() {
			if err := e.signal(ctx, sig); err != nil && !fault.Is(err, fault.NotFound) {
				t.log.Warn("kill exec", "exec", e.execID, "error", err)
			}
		})
	}
	wg.Wait()
	return t.init.signal(ctx, sig)
}

// signal does what sig means in the process's state: what never ran ends with
// status 1, a start is stopped by SIGKILL only, a running process gets it.
func (p *process) signal(ctx context.Context, sig signal) error {
	t := p.task
	t.mu.Lock()
	was := p.state
	if was == stateStarting && !sig.isKill() {
		t.mu.Unlock()
		return &TransitionError{ID: t.id, ExecID: p.execID, State: was.String(), Event: evKill.String(),
			kind: fault.FailedPrecondition, hint: "wait for start to return, or use SIGKILL"}
	}
	if err := p.moveLocked(evKill); err != nil {
		t.mu.Unlock()
		return err
	}
	if sig.isKill() && was != stateCreated {
		p.markKilledLocked()
	}
	handle, stop := p.handle, p.stop
	t.mu.Unlock()

	switch {
	case was == stateCreated:
		go p.wind(1)
		return nil
	case was == stateStarting:
		stop(errKilled)
		return nil
	case sig.isKill():
		return p.killRunning(handle)
	}
	return p.deliver(ctx, handle, sig.deliver)
}

// markKilledLocked tells the reaper that SIGKILL was asked for. task.mu is held.
func (p *process) markKilledLocked() {
	select {
	case <-p.killed:
	default:
		close(p.killed)
	}
}

// killRunning ends a running process.
func (p *process) killRunning(h hcs.Process) error {
	delivered, err := p.kill(h)
	switch {
	case overtaken(err, h):
		// It died of it. The answer was lost with its VM, which ended first.
		return nil
	case errors.Is(err, hcs.ErrTimeout) && p.isInit() && p.task.container.machine() != nil:
		// The guest hangs; the reaper ends the VM, which needs no guest.
		p.task.log.Warn("SIGKILL was not answered in time", "error", err)
		return nil
	case err != nil:
		return fault.Wrap(err, "kill", p.eventID())
	case !delivered:
		return p.ended()
	}
	return nil
}

// overtaken reports whether a signal's answer was lost because the process has
// exited, and its VM with it.
func overtaken(err error, h hcs.Process) bool {
	if !errors.Is(err, hcs.ErrDisconnected) {
		return false
	}
	select {
	case <-h.Done():
		_, err := h.ExitCode()
		return err == nil
	default:
		return false
	}
}

// kill is the call to HCS. A process that HCS does not know any more is as
// good as ended: its reaper must not wait for an exit that will not come.
func (p *process) kill(h hcs.Process) (delivered bool, err error) {
	ctx, cancel := bounded(p.task.cfg.Deadlines.Modify)
	defer cancel()
	delivered, err = h.Kill(ctx)
	if endedError(err) {
		delivered, err = false, nil
	}
	if err == nil && !delivered {
		p.task.mu.Lock()
		select {
		case <-p.vanished:
		default:
			close(p.vanished)
		}
		p.task.mu.Unlock()
	}
	return delivered, err
}

// ended is the answer to a signal for a process that has ended.
func (p *process) ended() error {
	return &TransitionError{ID: p.task.id, ExecID: p.execID, State: stateExiting.String(), Event: evKill.String(),
		kind: fault.NotFound, hint: "it has ended"}
}

// deliver hands a console signal to a running process. In servercore images
// HCS answers only when the process has ended, so the call goes on by itself,
// and Kill answers when its outcome is known or SignalAnswer has passed. A
// signal that is still being delivered is not sent twice: repeated Kills would
// pile up behind it.
func (p *process) deliver(ctx context.Context, h hcs.Process, sig schema.Signal) error {
	t := p.task
	t.mu.Lock()
	d := p.delivering[sig]
	if d == nil {
		d = &delivery{done: make(chan struct{})}
		p.delivering[sig] = d
		go p.send(h, sig, d)
	}
	t.mu.Unlock()

	timer := time.NewTimer(t.cfg.Deadlines.SignalAnswer)
	defer timer.Stop()
	select {
	case <-d.done:
		return d.err
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// delivery is a signal on its way, for all who sent it.
type delivery struct {
	done chan struct{} // closed when err is set
	err  error
}

// send delivers and says the outcome to all who ask for it.
func (p *process) send(h hcs.Process, sig schema.Signal, d *delivery) {
	ctx, cancel := bounded(p.task.cfg.Deadlines.Signal)
	defer cancel()
	delivered, err := h.Signal(ctx, sig)
	if endedError(err) {
		delivered, err = false, nil
	}
	if overtaken(err, h) {
		delivered, err = true, nil // see killRunning
	}
	if err != nil {
		p.task.log.Warn("signal", "exec", p.execID, "signal", sig, "error", err)
		err = fault.Wrap(err, "signal "+string(sig), p.eventID())
	} else if !delivered {
		err = p.ended()
	}
	p.task.mu.Lock()
	delete(p.delivering, sig)
	p.task.mu.Unlock()
	d.err = err
	close(d.done)
}

// endedError reports whether a call failed because its process or container
// has ended.
func endedError(err error) bool {
	return errors.Is(err, hcs.ErrProcessEnded) || errors.Is(err, hcs.ErrAlreadyStopped) ||
		errors.Is(err, hcs.ErrNotFound) || errors.Is(err, hcs.ErrClosed)
}

// ignoreEnded is for calls that a process which has ended need not answer.
func ignoreEnded(err error) error {
	if endedError(err) {
		return nil
	}
	return err
}
