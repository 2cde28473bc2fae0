package pod

import (
	"context"
	"time"

	"github.com/isolrun/isol/internal/hcs"
)

// reap is the one goroutine that takes a started process from running to
// stopped.
func (p *process) reap(handle hcs.Process) {
	status, orderly := p.wait(handle)
	p.must(evExited)
	p.drain(handle)
	if p.isInit() {
		p.task.tearDown(orderly)
	}
	p.finish(status, true)
}

// wait returns when the process has ended or can no longer be waited for, and
// with what status. It reports false if its container was no longer in order:
// then nobody need ask it to shut down.
//
// Three things besides the process's own end are watched, because HCS can lose
// an exit: the end of the container under it, the news on SIGKILL that there
// is no such process, and an init that does not die of SIGKILL, whose container
// is then terminated, with the VM if the container owns one: it is the task's
// own that goes, never more. For an exec that did not die of it the kill is
// repeated, again and again: its container must live, and a process that is
// not known any more has ended, though nobody said so.
func (p *process) wait(handle hcs.Process) (status uint32, orderly bool) {
	t := p.task
	killed := p.killed
	var timer *time.Timer
	var patience <-chan time.Time
	for {
		select {
		case <-handle.Done():
			return p.status(handle), true
		case <-t.container.compute.Done():
			return p.orphaned(handle, "its container ended"), true
		case <-t.container.gone:
			return p.orphaned(handle, "its container was closed"), true
		case <-p.vanished:
			return p.orphaned(handle, "the compute service no longer knows it"), true
		case <-killed:
			killed = nil
			timer = time.NewTimer(t.cfg.Deadlines.Kill)
			defer timer.Stop()
			patience = timer.C
		case <-patience:
			if p.isInit() {
				t.container.force()
				return p.orphaned(handle, "it did not die of SIGKILL"), false
			}
			go p.askAgain(handle)
			timer.Reset(t.cfg.Deadlines.Kill)
		}
	}
}

// askAgain repeats a SIGKILL after which no exit came.
func (p *process) askAgain(handle hcs.Process) {
	if _, err := p.kill(handle); err != nil {
		p.task.log.Warn("the exec does not die of SIGKILL", "exec", p.execID, "error", err)
	}
}

// orphaned gives a process whose end is certain a moment to say its status.
func (p *process) orphaned(handle hcs.Process, why string) uint32 {
	timer := time.NewTimer(p.task.cfg.Deadlines.Orphan)
	defer timer.Stop()
	select {
	case <-handle.Done():
		return p.status(handle)
	case <-timer.C:
		p.task.log.Warn("the process's exit status is lost", "exec", p.execID, "why", why)
		return UnknownExitStatus
	}
}

// status returns the exit status of a process that is done.
func (p *process) status(handle hcs.Process) uint32 {
	code, err := handle.ExitCode()
	if err != nil {
		p.task.log.Warn("the process's exit status is lost", "exec", p.execID, "error", err)
		return UnknownExitStatus
	}
	return code
}

// drain delivers the rest of the output, then closes the process's pipes and
// the client's ends, in this order: a relay in a read ends with its pipe.
func (p *process) drain(handle hcs.Process) {
	d := &p.task.cfg.Deadlines
	ctx, cancel := bounded(d.Drain)
	defer cancel()
	if err := p.streams.Drain(ctx, d.DrainQuiet); err != nil {
		p.task.log.Warn("output was cut off", "exec", p.execID, "error", err)
	}
	if err := closed(handle.Close()); err != nil {
		p.task.log.Warn("close process", "exec", p.execID, "error", err)
	}
	p.closeStreams()
}

// Wait returns how the process ended, once it is stopped. Errors: NotFound, or
// ctx's.
func (p *Pod) Wait(ctx context.Context, id, execID string) (Exit, error) {
	proc, err := p.find(id, execID)
	if err != nil {
		return Exit{}, err
	}
	select {
	case <-proc.done:
		return proc.exited(), nil
	case <-ctx.Done():
		return Exit{}, context.Cause(ctx)
	}
}
