package pod

import (
	"context"
	"errors"
	"sort"
	"strings"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/isolation"
)

// Delete removes a stopped, or never started, task or exec. Errors: NotFound,
// FailedPrecondition while it runs or, for a sandbox, while tasks live in the
// pod; DeadlineExceeded if the teardown has not ended; and those of a release
// that failed. A task whose Delete failed is still there, and Delete may be
// called again.
func (p *Pod) Delete(ctx context.Context, id, execID string) (Exit, error) {
	proc, err := p.find(id, execID)
	if err != nil {
		return Exit{}, err
	}
	t := proc.task
	if err := mayChange(t, taskService, evDelete); err != nil {
		return Exit{}, err
	}
	if proc.isInit() && t.plan.Role == isolation.RoleSandbox {
		if err := p.checkNoneLive(t); err != nil {
			return Exit{}, err
		}
	}
	if err := proc.beginDelete(ctx); err != nil {
		return Exit{}, err
	}
	if proc.isInit() {
		if err := t.release(); err != nil {
			proc.must(evDeleteFailed)
			return Exit{}, err
		}
	}
	exit := proc.exited()
	p.cfg.Events.Publish(TaskDelete{ID: t.id, ExecID: execID, PID: exit.PID, ExitStatus: exit.Status, ExitedAt: exit.At})
	if proc.isInit() {
		p.forget(t)
	} else {
		t.remove(proc)
	}
	proc.must(evDeleted)
	return exit, nil
}

// beginDelete brings the process to deleting: what never ran ends first, with
// status 0; what is on its way to stopped is waited for.
func (p *process) beginDelete(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.task.cfg.Deadlines.Delete)
	defer cancel()
	for {
		p.task.mu.Lock()
		was := p.state
		err := p.moveLocked(evDelete)
		now := p.state
		p.task.mu.Unlock()
		if err != nil || now == stateDeleting {
			return err
		}
		if was == stateCreated {
			go p.wind(0)
		}
		select {
		case <-p.done:
		case <-ctx.Done():
			return &fault.Error{Op: "delete", Subject: p.eventID(), Detail: "its teardown has not ended",
				Hint: "it goes on: delete again later", Err: context.Cause(ctx)}
		}
	}
}

// checkNoneLive refuses to delete a sandbox under its containers.
func (p *Pod) checkNoneLive(sandbox *task) error {
	var live []string
	for _, t := range p.all() {
		if t != sandbox && t.init.current() < stateStopped {
			live = append(live, t.id)
		}
	}
	if len(live) == 0 {
		return nil
	}
	sort.Strings(live)
	return &fault.Error{Kind: fault.FailedPrecondition, Op: "delete sandbox", Subject: sandbox.id,
		Detail: "containers live in it: " + strings.Join(live, ", "), Hint: "kill them first"}
}

// Close ends what is left: every process, container and mount, workloads before
// the sandbox. It is idempotent; the error names what could not be released.
func (p *Pod) Close(ctx context.Context) error {
	var sandbox *task
	var errs []error
	var workloads []*task
	for _, t := range p.all() {
		if t.plan.Role == isolation.RoleSandbox {
			sandbox = t
			continue
		}
		workloads = append(workloads, t)
	}
	p.mu.Lock()
	for _, t := range p.abandoned {
		workloads = append(workloads, t)
	}
	p.mu.Unlock()
	errs = append(errs, endAll(ctx, workloads))
	if sandbox != nil {
		errs = append(errs, sandbox.end(ctx))
	}
	return errors.Join(errs...)
}

func endAll(ctx context.Context, tasks []*task) error {
	results := make(chan error, len(tasks))
	for _, t := range tasks {
		go func() { results <- t.end(ctx) }()
	}
	var errs []error
	for range tasks {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}

// end kills the task, whatever its state, and waits for its teardown. A create
// that is at work is broken off: a client that has given it up asks for the end
// and will not ask again.
func (t *task) end(ctx context.Context) error {
	t.init.breakOff(stateCreating, errPodEnds)
	select {
	case <-t.settled:
	case <-ctx.Done():
		return fault.Wrap(context.Cause(ctx), "end task", t.id)
	}
	if t.init.current() == stateDeleted {
		return t.finish(ctx)
	}
	if err := t.init.signal(ctx, signal{number: SignalKill}); err != nil && !fault.Is(err, fault.NotFound) {
		t.log.Warn("kill at the end", "error", err)
	}
	select {
	case <-t.init.done:
	case <-ctx.Done():
		return fault.Wrap(context.Cause(ctx), "end task", t.id)
	}
	if left := t.journal.Outstanding(); len(left) > 0 {
		return fault.New(fault.Internal, "task %s left %v: the journal in %s keeps it", t.id, left, t.bundle)
	}
	return fault.Wrap(t.journal.Close(), "end task", t.id)
}

// finish releases what a create that failed could not, and tries again for as
// long as ending a system may take: a system that HCS was still making when the create gave up holds its
// layers until it is there and has been ended. The delete action is not enough
// for it: after a create that its client gave up, containerd runs it while it
// removes the bundle, and the journal's file with it. One caller at a time does
// it, the others wait for their turn.
func (t *task) finish(ctx context.Context) error {
	const pause = 100 * time.Millisecond
	if t.journal == nil {
		return nil // it never came so far
	}
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Deadlines.Terminate)
	defer cancel()
	select {
	case t.finishing <- struct{}{}:
		defer func() { <-t.finishing }()
	case <-ctx.Done():
		return fault.Wrap(context.Cause(ctx), "end task", t.id)
	}
	for {
		err := t.journal.Settle(ctx, t.cfg.Undo)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fault.Wrap(err, "end task", t.id)
		}
	}
}
