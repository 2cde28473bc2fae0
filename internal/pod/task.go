package pod

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/oci"
)

// task is one container with its init and execs.
type task struct {
	id      string
	bundle  string
	plan    *isolation.Plan
	cfg     *Config
	log     *slog.Logger
	journal *journal.Journal
	init    *process
	stats   flight[Stats]
	created time.Time

	container *container    // set before the init is created, not changed after
	settled   chan struct{} // closed when Create has returned

	// Of a create that failed: filled by whoever finishes what it has left, and
	// what stops the pod from doing so. Set before the pod keeps it in mind.
	finishing     chan struct{}
	stopFinishing context.CancelFunc
	last          *task // of the same id, whose create failed before; nil for none. Set by admit.

	mu    sync.Mutex
	execs map[string]*process // Guarded by mu.
}

// process is the init of a task, or one of its execs.
type process struct {
	task    *task
	execID  string // empty for the init
	spec    oci.Process
	stdio   StdioConfig
	streams Streams         // set before it is created, not changed after
	phases  hcs.PhaseRecord // of bringing the container up, or the exec

	killed   chan struct{} // closed when SIGKILL was asked for
	vanished chan struct{} // closed when HCS said, on SIGKILL, that there is no such process
	done     chan struct{} // closed when stopped and the exit was published

	// The rest is guarded by task.mu.
	state      state
	handle     hcs.Process // from running on
	pid        uint32
	exit       Exit
	size       *schema.ConsoleSize // asked for before the process ran
	stop       context.CancelCauseFunc
	delivering map[schema.Signal]*delivery
}

func newProcess(t *task, execID string, spec oci.Process, stdio StdioConfig) *process {
	return &process{
		task: t, execID: execID, spec: spec, stdio: stdio, phases: hcs.PhaseRecord{Log: t.log},
		killed: make(chan struct{}), vanished: make(chan struct{}), done: make(chan struct{}),
		exit:       Exit{Status: UnknownExitStatus},
		delivering: map[schema.Signal]*delivery{},
	}
}

// publish sends an event of the task. A sandbox of the Sandbox API has none:
// containerd sends those of sandboxes itself.
func (t *task) publish(e Event) {
	if madeBy(t.plan) == taskService {
		t.cfg.Events.Publish(e)
	}
}

// isInit reports whether p is its task's init.
func (p *process) isInit() bool { return p.execID == "" }

// eventID is the exec id as exit events and State show it.
func (p *process) eventID() string {
	if p.isInit() {
		return p.task.id
	}
	return p.execID
}

// move makes a transition, or says why not.
func (p *process) move(e event) error {
	p.task.mu.Lock()
	defer p.task.mu.Unlock()
	return p.moveLocked(e)
}

// moveLocked is move with task.mu held.
func (p *process) moveLocked(e event) error {
	to, err := next(p.task.id, p.execID, p.state, e)
	p.state = to
	return err
}

// must makes a transition that only a defect can refuse, and logs the defect:
// the machine has gone on already.
func (p *process) must(e event) {
	if err := p.move(e); err != nil {
		p.task.log.Error("transition", "error", err)
	}
}

// current returns the state.
func (p *process) current() state {
	p.task.mu.Lock()
	defer p.task.mu.Unlock()
	return p.state
}

// describe returns what outsiders see.
func (p *process) describe() State {
	p.task.mu.Lock()
	defer p.task.mu.Unlock()
	return State{
		ID: p.task.id, ExecID: p.eventID(), Bundle: p.task.bundle, PID: p.pid, Status: p.state.status(), Name: p.state.String(),
		Stdio: p.stdio, ExitStatus: p.exit.Status, ExitedAt: p.exit.At,
	}
}

// exited returns how the process ended; it is known once done is closed.
func (p *process) exited() Exit {
	p.task.mu.Lock()
	defer p.task.mu.Unlock()
	return p.exit
}

// finish makes the process stopped, publishes the exit unless the process is an
// exec that never ran, and lets waiters go.
func (p *process) finish(status uint32, publish bool) {
	p.task.mu.Lock()
	p.exit = Exit{PID: p.pid, Status: status, At: time.Now()}
	exit := p.exit
	err := p.moveLocked(evDone)
	p.task.mu.Unlock()
	if err != nil {
		p.task.log.Error("transition", "error", err)
	}
	if publish {
		p.task.publish(TaskExit{ID: p.task.id, ExecID: p.eventID(), PID: exit.PID, ExitStatus: status, ExitedAt: exit.At})
	}
	close(p.done)
}

// closeStreams gives up the client's ends.
func (p *process) closeStreams() {
	if p.streams == nil {
		return
	}
	if err := p.streams.Close(); err != nil {
		p.task.log.Warn("close streams", "exec", p.execID, "error", err)
	}
}

// process returns the init or an exec.
func (t *task) process(execID string) (*process, error) {
	if execID == "" {
		return t.init, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.execs[execID]; p != nil {
		return p, nil
	}
	return nil, notFound("exec", execID+" of task "+t.id)
}

// allExecs returns the execs, in no order.
func (t *task) allExecs() []*process {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]*process, 0, len(t.execs))
	for _, p := range t.execs {
		out = append(out, p)
	}
	return out
}

// remove forgets an exec.
func (t *task) remove(p *process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.execs[p.execID] == p {
		delete(t.execs, p.execID)
	}
}
