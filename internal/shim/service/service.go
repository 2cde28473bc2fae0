// Package service is containerd's Task API, versions 2 and 3, and its Sandbox
// API: it decodes a request, calls the pod, and encodes the answer. It decides
// nothing.
//
//	ttrpc ─▶ interceptor ─▶ method ─▶ decode ─▶ admission ─▶ pod ─▶ encode
//	           │ panic → Internal, fault kind → code, log, last call
//
// Both versions are one table of methods, registered under two names: their
// messages are the same on the wire, which a test holds. The Go types are those
// of version 2, since the package of version 3 brings all of gRPC with it.
//
// # Errors
//
// Methods return faults; [Interceptor] alone turns their kind into a gRPC code
// (see the table in intercept.go). ttrpc would send a wrapped error as UNKNOWN.
//
// # Concurrency
//
// ttrpc calls each method in a goroutine of its own. The service has no lock:
// the pod orders what must be ordered.
package service

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	task "github.com/containerd/containerd/api/runtime/task/v2"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/oci"
	"github.com/isolrun/isol/internal/pod"
	"github.com/isolrun/isol/internal/shim/admission"
)

// ShutdownLimit bounds the work that Shutdown does before it answers:
// containerd waits 3 s. SandboxShutdownLimit is that of ShutdownSandbox, for
// which containerd sets no limit of its own.
const (
	ShutdownLimit        = 2500 * time.Millisecond
	SandboxShutdownLimit = 30 * time.Second
)

// Admitter decides creates; *admission.Reader is one.
type Admitter interface {
	Admit(admission.Request) (pod.CreateTask, error)
	AdmitSandbox(admission.Sandbox) (pod.CreateTask, error)
	// AdmitMount decides a mount of a running container from its plan and its
	// pod's, nil outside of a pod.
	AdmitMount(task, sandbox *isolation.Plan, m oci.Mount) (isolation.Mount, error)
}

// Flusher waits until events have arrived; *event.Queue is one.
type Flusher interface {
	// Flush returns when all events published before have arrived, or with an
	// error when ctx ends.
	Flush(ctx context.Context) error
}

// Service answers the Task API for one pod. Its fields are set before use.
type Service struct {
	Namespace string
	Version   string // answered by Connect
	Pod       *pod.Pod
	Admit     Admitter
	Events    Flusher
	Exit      func() // ends the process, soon; called at most once per Shutdown
	Log       *slog.Logger

	// The runtime options that the shim was started with, for sandboxes: their
	// create carries the pod's config instead.
	OptionsType string
	Options     []byte
}

func (s *Service) create(ctx context.Context, r *task.CreateTaskRequest) (*task.CreateTaskResponse, error) {
	if r.Checkpoint != "" {
		return nil, fault.New(fault.Unimplemented, "restoring a checkpoint: Windows containers have none")
	}
	req := admission.Request{
		ID: r.ID, Namespace: s.Namespace, Bundle: r.Bundle, Rootfs: mounts(r.Rootfs),
		OptionsType: r.Options.GetTypeUrl(), Options: r.Options.GetValue(),
		Stdio: pod.StdioConfig{Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr, Terminal: r.Terminal},
		Pod:   s.Pod.SandboxPlan(),
	}
	create, err := s.Admit.Admit(req)
	if err != nil {
		return nil, fault.Wrap(err, "create", r.ID)
	}
	if err := s.Pod.Create(ctx, create); err != nil {
		return nil, err
	}
	return &task.CreateTaskResponse{Pid: s.pid(r.ID)}, nil
}

// pid returns the pid of a task's init, 0 while there is none.
func (s *Service) pid(id string) uint32 {
	state, err := s.Pod.State(id, "")
	if err != nil {
		return 0
	}
	return state.PID
}

func (s *Service) start(ctx context.Context, r *task.StartRequest) (*task.StartResponse, error) {
	pid, err := s.Pod.Start(ctx, r.ID, r.ExecID)
	return &task.StartResponse{Pid: pid}, err
}

func (s *Service) state(_ context.Context, r *task.StateRequest) (*task.StateResponse, error) {
	state, err := s.Pod.State(r.ID, r.ExecID)
	return stateResponse(state), err
}

func (s *Service) exec(ctx context.Context, r *task.ExecProcessRequest) (*emptypb.Empty, error) {
	process, err := oci.ProcessFromAny(r.Spec.GetTypeUrl(), r.Spec.GetValue())
	if err != nil {
		return nil, fault.Wrap(err, "exec "+r.ExecID+" in", r.ID)
	}
	process.Terminal = r.Terminal // the client holds the other end
	return empty(s.Pod.CreateExec(ctx, pod.CreateExec{
		ID: r.ID, ExecID: r.ExecID, Process: *process,
		Stdio: pod.StdioConfig{Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr, Terminal: r.Terminal},
	}))
}

func (s *Service) kill(ctx context.Context, r *task.KillRequest) (*emptypb.Empty, error) {
	return empty(s.Pod.Kill(ctx, pod.Kill{ID: r.ID, ExecID: r.ExecID, Signal: r.Signal, All: r.All}))
}

func (s *Service) resizePty(ctx context.Context, r *task.ResizePtyRequest) (*emptypb.Empty, error) {
	size, err := consoleSize(r.Width, r.Height)
	if err != nil {
		return nil, fault.Wrap(err, "resize the console of", r.ID)
	}
	return empty(s.Pod.Resize(ctx, r.ID, r.ExecID, size))
}

// closeIO closes stdin whatever the request's flag says, as runhcs does: there
// is nothing else to close.
func (s *Service) closeIO(ctx context.Context, r *task.CloseIORequest) (*emptypb.Empty, error) {
	return empty(s.Pod.CloseIO(ctx, r.ID, r.ExecID))
}

func (s *Service) pids(ctx context.Context, r *task.PidsRequest) (*task.PidsResponse, error) {
	list, err := s.Pod.Pids(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return pidsResponse(list)
}

func (s *Service) stats(ctx context.Context, r *task.StatsRequest) (*task.StatsResponse, error) {
	stats, err := s.Pod.Stats(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return statsResponse(stats)
}

func (s *Service) update(ctx context.Context, r *task.UpdateTaskRequest) (*emptypb.Empty, error) {
	if mount, unmount, err := mountOf(r); mount != nil || err != nil {
		if err == nil {
			err = s.mount(ctx, r.ID, *mount, unmount)
		}
		return empty(fault.Wrap(err, "update", r.ID))
	}
	update, err := updateOf(r)
	if err != nil {
		return nil, fault.Wrap(err, "update", r.ID)
	}
	return empty(s.Pod.Update(ctx, update))
}

// mount gives a running container a mount, or takes one away.
func (s *Service) mount(ctx context.Context, id string, m oci.Mount, unmount bool) error {
	if unmount {
		return s.Pod.Unmount(ctx, id, isolation.CleanDestination(m.Destination))
	}
	for _, t := range s.Pod.Tasks() {
		if t.ID != id {
			continue
		}
		decided, err := s.Admit.AdmitMount(t.Plan, s.Pod.SandboxPlan(), m)
		if err != nil {
			return err
		}
		return s.Pod.Mount(ctx, id, decided)
	}
	return fault.New(fault.NotFound, "task %s is not here", id)
}

func (s *Service) wait(ctx context.Context, r *task.WaitRequest) (*task.WaitResponse, error) {
	exit, err := s.Pod.Wait(ctx, r.ID, r.ExecID)
	return &task.WaitResponse{ExitStatus: exit.Status, ExitedAt: timestamp(exit.At)}, err
}

func (s *Service) delete(ctx context.Context, r *task.DeleteRequest) (*task.DeleteResponse, error) {
	exit, err := s.Pod.Delete(ctx, r.ID, r.ExecID)
	return &task.DeleteResponse{Pid: exit.PID, ExitStatus: exit.Status, ExitedAt: timestamp(exit.At)}, err
}

func (s *Service) connect(_ context.Context, r *task.ConnectRequest) (*task.ConnectResponse, error) {
	return &task.ConnectResponse{ShimPid: uint32(os.Getpid()), TaskPid: s.pid(r.ID), Version: s.Version}, nil
}

func (s *Service) pause(_ context.Context, _ *task.PauseRequest) (*emptypb.Empty, error) {
	return nil, fault.New(fault.Unimplemented, "pause: Windows containers cannot be paused")
}

func (s *Service) resume(_ context.Context, _ *task.ResumeRequest) (*emptypb.Empty, error) {
	return nil, fault.New(fault.Unimplemented, "resume: Windows containers cannot be paused")
}

func (s *Service) checkpoint(_ context.Context, _ *task.CheckpointTaskRequest) (*emptypb.Empty, error) {
	return nil, fault.New(fault.Unimplemented, "checkpoint: Windows containers have none")
}

// shutdown ends the shim if the id is the pod's own; containerd calls it after
// the delete of each task. What still runs is ended, and the events arrive
// first: a client must not miss an exit because the shim was faster.
func (s *Service) shutdown(ctx context.Context, r *task.ShutdownRequest) (*emptypb.Empty, error) {
	if !s.Pod.Owns(r.ID) {
		return &emptypb.Empty{}, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ShutdownLimit)
	defer cancel()
	s.leave(ctx, s.Pod.Close(ctx))
	return &emptypb.Empty{}, nil
}

// leave ends the shim once the events have arrived. closed is what could not be
// released before.
func (s *Service) leave(ctx context.Context, closed error) {
	if err := errors.Join(closed, s.Events.Flush(ctx)); err != nil {
		s.Log.Error("the shim ends with work left undone; the delete action takes it up", "error", err)
	}
	s.Exit()
}

func empty(err error) (*emptypb.Empty, error) { return &emptypb.Empty{}, err }
