package pod

import (
	"context"
	"errors"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/isolation"
)

// service is which of containerd's two services made a sandbox, or asks
// something of it.
type service uint8

const (
	taskService    service = iota
	sandboxService         // its sandboxes are the plans that are Bare
)

func (s service) String() string {
	if s == sandboxService {
		return "Sandbox API"
	}
	return "Task API"
}

// madeBy returns the service that made a task.
func madeBy(plan *isolation.Plan) service {
	if plan.Role == isolation.RoleSandbox && plan.Bare {
		return sandboxService
	}
	return taskService
}

// mayChange refuses what one service asks of the other's: only who made a
// sandbox starts, stops, changes and removes it. Whoever asks may look.
func mayChange(t *task, asks service, e event) error {
	maker := madeBy(t.plan)
	if maker == asks {
		return nil
	}
	return &fault.Error{Kind: fault.FailedPrecondition, Op: e.String(), Subject: t.id,
		Detail: "the " + maker.String() + " made it, and the " + asks.String() + " can only look at it",
		Hint:   "use the " + maker.String()}
}

// SandboxInfo describes a sandbox.
type SandboxInfo struct {
	State
	CreatedAt time.Time
	Plan      *isolation.Plan // as it is now: of a VM that boots late, it names the version once it has booted
}

// sandbox returns the pod's sandbox under its id. Errors: NotFound.
func (p *Pod) sandbox(id string) (*task, error) {
	p.mu.Lock()
	t := p.sandboxLocked()
	p.mu.Unlock()
	if t == nil || t.id != id {
		return nil, notFound("sandbox", id)
	}
	return t, nil
}

// changeable is sandbox for who wants to change it.
func (p *Pod) changeable(id string, e event) (*task, error) {
	t, err := p.sandbox(id)
	if err != nil {
		return nil, err
	}
	return t, mayChange(t, sandboxService, e)
}

// CreateSandbox makes a sandbox whose plan is Bare. Errors: those of Create.
func (p *Pod) CreateSandbox(ctx context.Context, req CreateTask) error {
	if req.Plan != nil && madeBy(req.Plan) != sandboxService {
		return fault.New(fault.Internal, "create sandbox %s: its plan is one of a task", req.ID)
	}
	return p.Create(ctx, req)
}

// StartSandbox starts a created sandbox. Errors: NotFound, FailedPrecondition.
func (p *Pod) StartSandbox(ctx context.Context, id string) (SandboxInfo, error) {
	if _, err := p.changeable(id, evStart); err != nil {
		return SandboxInfo{}, err
	}
	if _, err := p.start(ctx, id, ""); err != nil {
		return SandboxInfo{}, err
	}
	return p.Sandbox(id)
}

// Sandbox describes the sandbox with the given id, whoever made it. Errors:
// NotFound.
func (p *Pod) Sandbox(id string) (SandboxInfo, error) {
	t, err := p.sandbox(id)
	if err != nil {
		return SandboxInfo{}, err
	}
	return SandboxInfo{State: t.init.describe(), CreatedAt: t.created, Plan: t.currentPlan()}, nil
}

// SandboxPlan returns the plan that containers join, nil without a sandbox.
func (p *Pod) SandboxPlan() *isolation.Plan {
	p.mu.Lock()
	t := p.sandboxLocked()
	p.mu.Unlock()
	if t == nil {
		return nil
	}
	return t.currentPlan()
}

// currentPlan is the plan, with what became known after it was made.
func (t *task) currentPlan() *isolation.Plan {
	if t.init.current() == stateCreating || t.container == nil || t.container.frame == nil {
		return t.plan
	}
	return t.container.frame.current()
}

// PingSandbox returns nil for a sandbox that has not ended. Errors: NotFound,
// FailedPrecondition.
func (p *Pod) PingSandbox(id string) error {
	t, err := p.sandbox(id)
	if err != nil {
		return err
	}
	return t.init.move(evPing)
}

// StopSandbox ends everything in the pod, then the sandbox, and returns when
// all has ended. Containers have grace to end by themselves after SIGTERM; 0
// kills them at once. It is idempotent. Errors: NotFound, FailedPrecondition
// while the sandbox is being created, and ctx's: what it has begun goes on.
func (p *Pod) StopSandbox(ctx context.Context, id string, grace time.Duration) error {
	sandbox, err := p.changeable(id, evStop)
	if err != nil {
		return err
	}
	if err := sandbox.init.move(evStop); err != nil {
		return err
	}
	if grace > 0 {
		p.askToEnd(ctx, sandbox, grace)
	}
	p.killOthers(ctx, sandbox, signal{number: SignalKill})
	if err := sandbox.init.signal(ctx, signal{number: SignalKill}); err != nil && !fault.Is(err, fault.NotFound) {
		return fault.Wrap(err, "stop sandbox", id)
	}
	var errs []error
	for _, t := range p.all() { // one that was being created ends when it finds the sandbox ended
		errs = append(errs, t.awaitEnd(ctx))
	}
	return fault.Wrap(errors.Join(errs...), "stop sandbox", id)
}

// askToEnd sends SIGTERM to the pod's containers and waits for their end, or
// until their grace is over.
func (p *Pod) askToEnd(ctx context.Context, sandbox *task, grace time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	term, err := lookupSignal(SignalTerm)
	if err != nil {
		p.log.Error("SIGTERM", "error", err)
		return
	}
	p.killOthers(ctx, sandbox, term)
	for _, t := range p.all() {
		if t != sandbox && t.awaitEnd(ctx) != nil {
			return
		}
	}
}

// awaitEnd returns when the task's init has stopped.
func (t *task) awaitEnd(ctx context.Context) error {
	select {
	case <-t.init.done:
		return nil
	case <-ctx.Done():
		return &fault.Error{Op: "end", Subject: t.id, Detail: "it has not ended yet", Hint: "ask again later: its end goes on", Err: context.Cause(ctx)}
	}
}

// ShutdownSandbox ends a sandbox for good, before the shim ends. One that was
// never created is no error: containerd shuts down after a create that failed.
// Errors: NotFound for the id of another, FailedPrecondition while containers
// live in it, naming them, and those of a release that failed.
func (p *Pod) ShutdownSandbox(ctx context.Context, id string) error {
	sandbox, err := p.changeable(id, evShutdown)
	switch {
	case fault.Is(err, fault.NotFound) && p.Owns(id):
		return p.Close(ctx)
	case err != nil:
		return err
	}
	if err := sandbox.init.move(evShutdown); err != nil {
		return err
	}
	if err := p.checkNoneLive(sandbox); err != nil {
		return err
	}
	return p.Close(ctx)
}

// UpdateSandbox changes the resources of the pod. Errors: those of Update.
func (p *Pod) UpdateSandbox(ctx context.Context, req Update) error {
	if _, err := p.changeable(req.ID, evUpdate); err != nil {
		return err
	}
	return p.update(ctx, req)
}
