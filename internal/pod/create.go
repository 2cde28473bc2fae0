package pod

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/oci"
)

// Create makes a task: the container exists afterwards, no process runs.
// Errors: AlreadyExists, FailedPrecondition if the plan does not fit the pod,
// Unimplemented for a mode that this pod has no kernel for, and those of the
// steps; a failed Create leaves nothing behind.
func (p *Pod) Create(ctx context.Context, req CreateTask) error {
	if err := checkCreate(&req); err != nil {
		return err
	}
	if req.Plan.Role == isolation.RoleSandbox && !req.Plan.Bare {
		req.Process = keepAlive(req.Process)
	}
	k, err := p.kernelFor(&req)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	t := newTask(&p.cfg, p.log, &req)
	defer close(t.settled)
	t.init.stop = stop
	if err := p.admit(t); err != nil {
		return err
	}
	if err := t.create(ctx, k, &req); err != nil {
		t.init.must(evCreateFailed)
		p.abandon(t)
		close(t.init.done)
		return err
	}
	t.publish(TaskCreate{ID: req.ID, Bundle: req.Bundle, Rootfs: req.Rootfs, Stdio: req.Stdio})
	t.init.must(evCreated)
	// Its sandbox may have ended meanwhile: whoever ended the pod could not end
	// a container that was being created.
	if req.Plan.Role == isolation.RoleWorkload && p.sandboxEnded() {
		t.init.abort(1)
	}
	return nil
}

// sandboxEnded reports whether the pod's sandbox has ended, or is gone.
func (p *Pod) sandboxEnded() bool {
	p.mu.Lock()
	sandbox := p.sandboxLocked()
	p.mu.Unlock()
	return sandbox == nil || sandbox.init.current() > stateRunning
}

func newTask(cfg *Config, log *slog.Logger, req *CreateTask) *task {
	t := &task{id: req.ID, bundle: req.Bundle, plan: req.Plan, cfg: cfg, log: log.With("id", req.ID),
		created: time.Now(), execs: map[string]*process{}, settled: make(chan struct{}), finishing: make(chan struct{}, 1)}
	t.init = newProcess(t, "", req.Process, req.Stdio)
	return t
}

func checkCreate(req *CreateTask) error {
	missing := ""
	switch {
	case req.ID == "":
		missing = "id"
	case req.Bundle == "":
		missing = "bundle"
	case req.Plan == nil:
		missing = "plan"
	default:
		return nil
	}
	return &fault.Error{Kind: fault.InvalidArgument, Op: "create task", Subject: req.ID, Detail: "the request has no " + missing}
}

// keepAlive replaces the command of a sandbox whose image says nothing, or
// only starts a shell: it would end at once and take the pod's network
// compartment with it. The replacement is the reference's: every Windows base
// image has ping.
func keepAlive(p oci.Process) oci.Process {
	const shell = `c:\windows\system32\cmd.exe`
	if p.CommandLine != "" || len(p.Args) > 0 && !strings.EqualFold(p.Args[0], shell) {
		return p
	}
	p.Args = nil
	p.CommandLine = "cmd /c ping -t 127.0.0.1 > nul"
	return p
}

// create does the steps of Create for a task that the pod has admitted.
func (t *task) create(ctx context.Context, k kernel, req *CreateTask) (err error) {
	s := &steps{ctx: ctx, what: "create task", id: t.id, phases: &t.init.phases}
	if err := t.openJournal(s); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			t.init.closeStreams()
			t.closeJournal()
		}
	}()
	if err := t.openStreams(s, t.init); err != nil {
		return err
	}
	if t.container, err = k.create(s, req, t.journal); err != nil {
		return err
	}
	t.log.Info("task created", s.attrs())
	return nil
}

// openJournal finishes what an earlier task of this bundle left, then starts
// the journal anew.
func (t *task) openJournal(s *steps) error {
	path := filepath.Join(t.bundle, journal.FileName)
	err := s.do("journal", t.cfg.Deadlines.Terminate, func(ctx context.Context) error {
		if err := t.last.supersede(ctx); err != nil {
			return err
		}
		_, err := journal.Replay(ctx, path, t.id, t.cfg.Undo)
		return err
	})
	if err != nil {
		return err
	}
	t.journal, err = t.cfg.Journal(path, journal.Header{ID: t.id, Origin: t.cfg.Undo.Origin})
	return fault.Wrap(err, s.what, t.id)
}

// supersede keeps everybody from finishing what t's create has left: from now on
// its id, and so what its journal names, is another's. t may be nil.
func (t *task) supersede(ctx context.Context) error {
	if t == nil {
		return nil
	}
	t.stopFinishing()
	select {
	case t.finishing <- struct{}{}: // and is never taken out
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t *task) closeJournal() {
	if err := t.journal.Close(); err != nil {
		t.log.Warn("close journal", "error", err)
	}
}

// openStreams connects p to the client's ends.
func (t *task) openStreams(s *steps, p *process) error {
	return s.in(hcs.PhaseProcess, "streams", t.cfg.Deadlines.Streams, func(ctx context.Context) (err error) {
		streams, err := t.cfg.Stdio.Open(ctx, t.id, p.execID, p.stdio)
		if err == nil {
			p.streams = streams
		}
		return err
	})
}

// CreateExec adds an exec. Errors: NotFound, AlreadyExists, FailedPrecondition
// unless the init runs, and those of connecting to the client.
func (p *Pod) CreateExec(ctx context.Context, req CreateExec) error {
	t, err := p.task(req.ID)
	if err != nil {
		return err
	}
	if err := mayChange(t, taskService, evExec); err != nil {
		return err
	}
	if req.ExecID == "" || req.ExecID == req.ID {
		return &fault.Error{Kind: fault.InvalidArgument, Op: "create exec", Subject: req.ID,
			Detail: "the exec's id is empty, or the task's"}
	}
	e := newProcess(t, req.ExecID, req.Process, req.Stdio)
	if err := t.admit(e); err != nil {
		return err
	}
	s := &steps{ctx: ctx, what: "create exec", id: req.ExecID, phases: &e.phases}
	if err := t.openStreams(s, e); err != nil {
		e.must(evCreateFailed)
		t.remove(e)
		close(e.done)
		return err
	}
	t.cfg.Events.Publish(ExecAdded{ID: t.id, ExecID: e.execID})
	e.must(evCreated)
	// The init may have ended meanwhile: its reaper waits for this exec, so
	// that the init's exit is the last event.
	if t.init.current() != stateRunning {
		e.abort(1)
	}
	return nil
}

// admit reserves the exec's id.
func (t *task) admit(e *process) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.execs[e.execID] != nil {
		return &fault.Error{Kind: fault.AlreadyExists, Op: "create exec", Subject: e.execID,
			Detail: "task " + t.id + " has an exec with this id", Hint: "delete it first"}
	}
	if _, err := next(t.id, "", t.init.state, evExec); err != nil {
		return err
	}
	t.execs[e.execID] = e
	return nil
}

// abort ends a process that was created and never started, with the given
// status, and reports whether it was one. The init's container goes with it.
func (p *process) abort(status uint32) bool {
	p.task.mu.Lock()
	ok := p.state == stateCreated
	if ok {
		p.state = stateExiting
	}
	p.task.mu.Unlock()
	if ok {
		p.wind(status)
	}
	return ok
}

// wind takes an exiting process that does not run to stopped.
func (p *process) wind(status uint32) {
	p.closeStreams()
	if p.isInit() {
		p.task.tearDown(false)
	}
	p.finish(status, p.isInit())
}

// tearDown ends the container, waits for the execs in it, and releases what it
// holds. What cannot be released is tried again by Delete, and is in the
// journal.
func (t *task) tearDown(grace bool) {
	t.container.end(grace)
	for _, e := range t.allExecs() {
		if !e.abort(1) {
			e.stopStart(errContainerEnded)
		}
		<-e.done // each ends by its own deadlines once the container is gone
	}
	if err := t.container.free(); err != nil {
		t.log.Error("release the container", "error", err, "left", t.journal.Outstanding())
	}
}

// release is the last try to let go of what the container held.
func (t *task) release() error {
	if err := t.container.free(); err != nil {
		return &fault.Error{Op: "delete task", Subject: t.id, Err: err, Detail: "something could not be released",
			Hint: "delete the task again; the journal in its bundle keeps what is left"}
	}
	return fault.Wrap(t.journal.Close(), "delete task", t.id)
}
