package pod

import (
	"context"
	"io"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// Start runs the init or an exec and returns its pid. Once it has returned, the
// process takes signals and console sizes. Errors: NotFound,
// FailedPrecondition unless created, and those of the steps; a task whose Start
// failed is stopped and holds nothing.
func (p *Pod) Start(ctx context.Context, id, execID string) (uint32, error) {
	t, err := p.task(id)
	if err != nil {
		return 0, err
	}
	if err := mayChange(t, taskService, evStart); err != nil {
		return 0, err
	}
	return p.start(ctx, id, execID)
}

func (p *Pod) start(ctx context.Context, id, execID string) (uint32, error) {
	proc, err := p.find(id, execID)
	if err != nil {
		return 0, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if err := proc.begin(stop); err != nil {
		return 0, err
	}
	s := &steps{ctx: ctx, what: "start task", id: id, phases: &proc.phases}
	if execID != "" {
		s.what, s.id = "start exec", execID
	}
	handle, err := proc.launch(s)
	if err != nil {
		err = proc.task.container.explain(err)
		proc.must(evStartFailed)
		proc.wind(1)
		return 0, err
	}
	proc.started(handle)
	proc.task.log.Info("started", "exec", execID, "pid", handle.PID(), s.attrs(), "own", proc.phases.Own())
	if proc.isInit() {
		proc.task.logPhases(ctx)
	}
	return handle.PID(), nil
}

// stopStart breaks off a start that is at work.
func (p *process) stopStart(cause error) { p.breakOff(stateStarting, cause) }

// breakOff ends the context of what is at work on p in that state.
func (p *process) breakOff(at state, cause error) {
	p.task.mu.Lock()
	stop, now := p.stop, p.state
	p.task.mu.Unlock()
	if now == at && stop != nil {
		stop(cause)
	}
}

// begin moves to starting; from there SIGKILL can stop the start.
func (p *process) begin(stop context.CancelCauseFunc) error {
	t := p.task
	t.mu.Lock()
	defer t.mu.Unlock()
	if !p.isInit() && p.state == stateCreated && t.init.state != stateRunning {
		_, err := next(t.id, "", t.init.state, evExec)
		return err
	}
	err := p.moveLocked(evStart)
	if err == nil {
		p.stop = stop
	}
	return err
}

// launch does the steps of Start. When one fails there is no process.
func (p *process) launch(s *steps) (hcs.Process, error) {
	t := p.task
	if p.isInit() {
		if err := t.checkSources(); err != nil {
			return nil, fault.Wrap(err, s.what, s.id)
		}
		if err := s.in(hcs.PhaseContainer, "start", t.cfg.Deadlines.Start, t.container.compute.Start); err != nil {
			return nil, err
		}
	}
	params := processDocument(t.plan, p.spec, p.stdio)
	var handle hcs.Process
	err := s.in(hcs.PhaseProcess, "process", t.cfg.Deadlines.CreateProcess, func(ctx context.Context) (err error) {
		handle, err = t.container.compute.CreateProcess(ctx, params)
		return fault.Wrap(err, "run", params.CommandLine)
	})
	if err != nil {
		return nil, err
	}
	p.relay(handle)
	return handle, nil
}

// relay connects the process's pipes with the client's ends.
func (p *process) relay(h hcs.Process) {
	var in io.WriteCloser
	if h.Stdin() != nil {
		in = &input{WriteCloser: h.Stdin(), process: h, limits: &p.task.cfg.Deadlines}
	}
	p.streams.Relay(in, reader(h.Stdout()), reader(h.Stderr()))
}

// reader keeps a nil pipe nil, whatever type it has.
func reader(r io.ReadCloser) io.Reader {
	if r == nil {
		return nil
	}
	return r
}

// input is a process's stdin whose Close ends the process's input: HCS keeps
// its own end of the pipe open until it is told.
type input struct {
	io.WriteCloser
	process hcs.Process
	limits  *Deadlines
}

// Close implements io.Closer. The input of a process that has ended has ended
// with it.
func (i *input) Close() error {
	select {
	case <-i.process.Done():
		return i.WriteCloser.Close()
	default:
	}
	ctx, cancel := bounded(i.limits.Modify)
	defer cancel()
	err := i.process.CloseStdin(ctx)
	if cerr := i.WriteCloser.Close(); err == nil {
		err = cerr
	}
	return err
}

// started makes the process running, tells it what was asked of it meanwhile,
// publishes, and starts its reaper.
func (p *process) started(handle hcs.Process) {
	t := p.task
	t.mu.Lock()
	p.handle, p.pid = handle, handle.PID()
	err := p.moveLocked(evStarted)
	size := p.size
	t.mu.Unlock()
	if err != nil {
		t.log.Error("transition", "error", err)
	}
	if size != nil {
		if err := p.resize(handle, *size); err != nil {
			t.log.Warn("resize at start", "error", err)
		}
	}
	if p.isInit() {
		t.publish(TaskStart{ID: t.id, PID: handle.PID()})
	} else {
		t.cfg.Events.Publish(ExecStarted{ID: t.id, ExecID: p.execID, PID: handle.PID()})
	}
	go p.reap(handle)
	select {
	case <-p.killed: // asked for while the start could no longer be stopped
		if _, err := p.kill(handle); err != nil {
			t.log.Warn("kill at start", "error", err)
		}
	default:
	}
}

// Resize sets the size of the console; a process that has not started takes
// it at start, and one that has ended ignores it. Errors: NotFound,
// FailedPrecondition without a terminal.
func (p *Pod) Resize(ctx context.Context, id, execID string, size schema.ConsoleSize) error {
	proc, err := p.find(id, execID)
	if err != nil {
		return err
	}
	if !proc.stdio.Terminal {
		return &fault.Error{Kind: fault.FailedPrecondition, Op: "resize", Subject: proc.eventID(), Detail: "the process has no terminal"}
	}
	t := proc.task
	t.mu.Lock()
	err = proc.moveLocked(evResize)
	handle, state := proc.handle, proc.state
	if err == nil && (state == stateCreated || state == stateStarting) {
		proc.size = &size
	}
	t.mu.Unlock()
	if err != nil || state != stateRunning {
		return err
	}
	return fault.Wrap(ignoreEnded(proc.resize(handle, size)), "resize", proc.eventID())
}

func (p *process) resize(h hcs.Process, size schema.ConsoleSize) error {
	ctx, cancel := bounded(p.task.cfg.Deadlines.Modify)
	defer cancel()
	return h.Resize(ctx, size)
}

// CloseIO ends the process's input. Errors: NotFound.
func (p *Pod) CloseIO(ctx context.Context, id, execID string) error {
	proc, err := p.find(id, execID)
	if err != nil {
		return err
	}
	if proc.current() == stateCreating {
		_, err := next(id, execID, stateCreating, evResize)
		return err
	}
	return fault.Wrap(proc.streams.CloseStdin(), "close input", proc.eventID())
}
