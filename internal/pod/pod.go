package pod

import (
	"context"
	"log/slog"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// Pod is one sandbox with its tasks, or one standalone task. All methods may
// be called from any goroutine. An execID that is empty means the init.
type Pod struct {
	cfg Config
	log *slog.Logger
}

// New returns a pod without tasks. It fails, InvalidArgument, if a required
// field of c is missing.
func New(c Config) (*Pod, error) { return &Pod{cfg: c, log: c.Log}, nil }

var errSkeleton = fault.New(fault.Unimplemented, "not yet")

// Create makes a task: the container exists afterwards, no process runs.
// Errors: AlreadyExists, FailedPrecondition if the plan does not fit the pod,
// and those of the steps; a failed Create leaves nothing behind.
func (p *Pod) Create(ctx context.Context, req CreateTask) error { return errSkeleton }

// CreateExec adds an exec. Errors: NotFound, AlreadyExists, FailedPrecondition
// unless the init runs.
func (p *Pod) CreateExec(ctx context.Context, req CreateExec) error { return errSkeleton }

// Start runs the init or an exec and returns its pid. Once it has returned, the
// process takes signals and console sizes. Errors: NotFound,
// FailedPrecondition unless created, and those of the steps; a task whose Start
// failed is stopped and holds nothing.
func (p *Pod) Start(ctx context.Context, id, execID string) (uint32, error) { return 0, errSkeleton }

// State describes a process. Errors: NotFound.
func (p *Pod) State(id, execID string) (State, error) { return State{}, errSkeleton }

// Kill signals processes. Errors: InvalidArgument for a signal that is not
// supported, NotFound also for a process that has ended, FailedPrecondition
// for All with an exec id.
func (p *Pod) Kill(ctx context.Context, req Kill) error { return errSkeleton }

// Resize sets the size of the console; a process that has not started takes
// it at start. Errors: NotFound, FailedPrecondition without a terminal.
func (p *Pod) Resize(ctx context.Context, id, execID string, size schema.ConsoleSize) error {
	return errSkeleton
}

// CloseIO ends the process's input. Errors: NotFound.
func (p *Pod) CloseIO(ctx context.Context, id, execID string) error { return errSkeleton }

// Pids lists the processes of a task's container; none if it does not run.
// Errors: NotFound, and those of the query.
func (p *Pod) Pids(ctx context.Context, id string) ([]ProcessInfo, error) { return nil, errSkeleton }

// Stats returns the statistics of a task's container. A container that is being
// created or has just exited has zero statistics, not an error. Errors:
// NotFound, and those of the query.
func (p *Pod) Stats(ctx context.Context, id string) (Stats, error) { return Stats{}, errSkeleton }

// Update changes resources. Errors: InvalidArgument, NotFound,
// FailedPrecondition unless created or running, Unimplemented for what this
// host's build or isol cannot change.
func (p *Pod) Update(ctx context.Context, req Update) error { return errSkeleton }

// Wait returns how the process ended, once it is stopped. Errors: NotFound, or
// ctx's.
func (p *Pod) Wait(ctx context.Context, id, execID string) (Exit, error) { return Exit{}, errSkeleton }

// Delete removes a stopped, or never started, task or exec. Errors: NotFound,
// FailedPrecondition while it runs or, for a sandbox, while tasks are left in
// the pod; DeadlineExceeded if the teardown has not ended. A task whose Delete
// failed is still there, and Delete may be called again.
func (p *Pod) Delete(ctx context.Context, id, execID string) (Exit, error) {
	return Exit{}, errSkeleton
}

// Tasks describes all tasks in the order of their ids.
func (p *Pod) Tasks() []TaskInfo { return nil }

// Owns reports whether id is the pod's own: only then does Shutdown of the
// Task API mean this shim. containerd calls it after each task's delete.
func (p *Pod) Owns(id string) bool { return false }

// Close ends what is left: every process, container and mount, workloads before
// the sandbox. It is idempotent; the error names what could not be released.
func (p *Pod) Close(ctx context.Context) error { return errSkeleton }
