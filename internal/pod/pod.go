package pod

import (
	"context"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/journal"
)

// Pod is one sandbox with its tasks, or one standalone task. All methods may
// be called from any goroutine. An execID that is empty means the init.
type Pod struct {
	cfg Config
	log *slog.Logger

	mu        sync.Mutex
	id        string           // of the pod: the shim's, or the first task's. Guarded by mu.
	tasks     map[string]*task // Guarded by mu.
	abandoned map[string]*task // whose create has failed and left something. Guarded by mu.
}

// New returns a pod without tasks. It fails, InvalidArgument, if a required
// field of c is missing.
func New(c Config) (*Pod, error) {
	var missing []string
	for _, f := range []struct {
		name string
		nil  bool
	}{{"Host", c.Host == nil}, {"Layers", c.Layers == nil}, {"Stdio", c.Stdio == nil}, {"Events", c.Events == nil}} {
		if f.nil {
			missing = append(missing, f.name)
		}
	}
	if len(missing) > 0 {
		return nil, fault.New(fault.InvalidArgument, "the pod's config lacks %s", strings.Join(missing, ", "))
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Journal == nil {
		c.Journal = journal.Create
	}
	c.Deadlines = c.Deadlines.withDefaults()
	return &Pod{cfg: c, log: c.Log, id: c.ID, tasks: map[string]*task{}, abandoned: map[string]*task{}}, nil
}

// kernelFor returns where the container of req runs.
func (p *Pod) kernelFor(req *CreateTask) (kernel, error) {
	what := ""
	switch {
	case req.Plan.Guest != isolation.GuestWindows:
		what = "Linux guests"
	case req.Plan.Mode == isolation.ModeInvalid:
		return nil, fault.New(fault.Internal, "the plan of task %s has no isolation mode", req.ID)
	case req.Plan.Bare && (req.Plan.UVM == nil || req.Plan.UVM.Late && p.cfg.VMs != nil):
		return &frameKernel{cfg: &p.cfg, log: p.log}, nil
	case req.Plan.InVM() && p.cfg.VMs == nil:
		what = "Hyper-V isolation"
	case req.Plan.InVM():
		f := p.sandboxFrame()
		if f == nil && req.Plan.Role == isolation.RoleWorkload {
			return nil, &fault.Error{Kind: fault.FailedPrecondition, Op: "create task", Subject: req.ID,
				Detail: "its sandbox " + req.Plan.SandboxID + " does not run", Hint: "create and start the sandbox first"}
		}
		return &vmKernel{cfg: &p.cfg, log: p.log, frame: f}, nil
	case req.Plan.Mode == isolation.ModeProcess:
		return &hostKernel{cfg: &p.cfg, log: p.log}, nil
	case p.cfg.Jobs != nil:
		return &jobKernel{hostKernel{cfg: &p.cfg, log: p.log}}, nil
	default:
		what = "HostProcess containers"
	}
	return nil, &fault.Error{Kind: fault.Unimplemented, Op: "create task", Subject: req.ID,
		Detail: "this isol does not run " + what + " yet", Hint: "process isolation works"}
}

// sandboxFrame returns the frame of the pod's running sandbox, nil if there is
// none.
func (p *Pod) sandboxFrame() *frame {
	p.mu.Lock()
	sandbox := p.sandboxLocked()
	p.mu.Unlock()
	if sandbox == nil || sandbox.init.current() != stateRunning {
		return nil
	}
	return sandbox.container.frame
}

// admit takes a task into the pod if its role fits what is there.
func (p *Pod) admit(t *task) error {
	p.mu.Lock()
	sandbox := p.sandboxLocked()
	err := p.fitsLocked(t, sandbox)
	if err == nil {
		if p.id == "" {
			p.id = t.id
		}
		p.tasks[t.id] = t
		t.last = p.abandoned[t.id] // its create finishes what the last one left
		delete(p.abandoned, t.id)
	}
	p.mu.Unlock()
	if err != nil || t.plan.Role != isolation.RoleWorkload {
		return err
	}
	if s := sandbox.init.current(); s != stateRunning {
		p.forget(t)
		return mismatch(t, "its sandbox "+sandbox.id+" is "+s.String(), "start the sandbox first")
	}
	return nil
}

func (p *Pod) fitsLocked(t, sandbox *task) error {
	if p.tasks[t.id] != nil {
		return &fault.Error{Kind: fault.AlreadyExists, Op: "create task", Subject: t.id,
			Detail: "there is a task with this id", Hint: "delete it first"}
	}
	switch t.plan.Role {
	case isolation.RoleStandalone, isolation.RoleSandbox:
		if t.plan.Role == isolation.RoleSandbox && t.plan.SandboxID != t.id {
			// As runhcs has it: the pod's containers look for their shim by this id.
			return mismatch(t, "it is the sandbox of pod "+t.plan.SandboxID, "a sandbox's io.kubernetes.cri.sandbox-id is its own id")
		}
		if len(p.tasks) > 0 {
			return mismatch(t, "this shim serves "+p.id, "a task without a pod, and a sandbox, need a shim of their own")
		}
	case isolation.RoleWorkload:
		switch {
		case sandbox == nil:
			return mismatch(t, "its sandbox "+t.plan.SandboxID+" is not here", "create the sandbox first")
		case t.plan.SandboxID != sandbox.id:
			return mismatch(t, "it joins sandbox "+t.plan.SandboxID+", this shim serves "+sandbox.id, "")
		case t.plan.InVM() != sandbox.plan.InVM():
			return mismatch(t, "its isolation is not that of its sandbox "+sandbox.id, "all containers of a pod run on one kernel")
		case !t.plan.InVM() && t.plan.Mode != sandbox.plan.Mode:
			return mismatch(t, "its isolation is not that of its sandbox "+sandbox.id, "all containers of a pod are HostProcess containers, or none is")
		}
	}
	return nil
}

func mismatch(t *task, detail, hint string) error {
	return &fault.Error{Kind: fault.FailedPrecondition, Op: "create task", Subject: t.id, Detail: detail, Hint: hint}
}

func (p *Pod) sandboxLocked() *task {
	for _, t := range p.tasks {
		if t.plan.Role == isolation.RoleSandbox {
			return t
		}
	}
	return nil
}

// forget takes a task out of the pod.
func (p *Pod) forget(t *task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tasks[t.id] == t {
		delete(p.tasks, t.id)
	}
}

// abandon takes a task out of the pod whose create has failed. One that could
// not undo all of it is kept in mind and tried again, for the pod may live on
// for long while the system that holds its layers has come and gone; what is
// left then Close tries once more.
func (p *Pod) abandon(t *task) {
	p.forget(t)
	if t.journal == nil || len(t.journal.Outstanding()) == 0 {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	t.stopFinishing = stop
	p.mu.Lock()
	replaced := p.tasks[t.id] != nil // by a create that finishes it
	if !replaced {
		p.abandoned[t.id] = t
	}
	p.mu.Unlock()
	if replaced || t.plan.Role != isolation.RoleWorkload {
		return // the shim of what is no part of a pod ends now, and Close comes
	}
	go p.finishAbandoned(ctx, t)
}

// finishAbandoned finishes what a failed create has left, unless ctx ends
// before.
func (p *Pod) finishAbandoned(ctx context.Context, t *task) {
	if err := t.finish(ctx); err != nil {
		t.log.Error("what a failed create has left", "error", err, "left", t.journal.Outstanding())
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.abandoned[t.id] == t {
		delete(p.abandoned, t.id)
	}
}

// task returns the task with the given id.
func (p *Pod) task(id string) (*task, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.tasks[id]; t != nil {
		return t, nil
	}
	return nil, notFound("task", id)
}

// find returns a task's init or one of its execs.
func (p *Pod) find(id, execID string) (*process, error) {
	t, err := p.task(id)
	if err != nil {
		return nil, err
	}
	return t.process(execID)
}

// all returns the tasks, in the order of their ids.
func (p *Pod) all() []*task {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*task, 0, len(p.tasks))
	for _, t := range p.tasks {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *task) int { return strings.Compare(a.id, b.id) })
	return out
}

func notFound(what, id string) error {
	return &fault.Error{Kind: fault.NotFound, Op: "find " + what, Subject: id, Detail: "there is none with this id"}
}

// State describes a process. Errors: NotFound.
func (p *Pod) State(id, execID string) (State, error) {
	proc, err := p.find(id, execID)
	if err != nil {
		return State{}, err
	}
	return proc.describe(), nil
}

// Tasks describes all tasks in the order of their ids.
func (p *Pod) Tasks() []TaskInfo {
	var out []TaskInfo
	for _, t := range p.all() {
		info := TaskInfo{State: t.init.describe(), Plan: t.currentPlan()}
		if t.init.current() != stateCreating && t.container != nil { // it is being set while creating
			info.Phases, info.VM = t.spans(), t.container.machine()
			if t.container.networked {
				info.Plan = info.Plan.Publishing(t.container.ports)
			}
		}
		for _, e := range t.allExecs() {
			info.Execs = append(info.Execs, e.describe())
		}
		sort.Slice(info.Execs, func(i, j int) bool { return info.Execs[i].ExecID < info.Execs[j].ExecID })
		out = append(out, info)
	}
	return out
}

// Owns reports whether id is the pod's own: only then does Shutdown of the
// Task API mean this shim. containerd calls it after each task's delete.
func (p *Pod) Owns(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return id != "" && id == p.id
}
