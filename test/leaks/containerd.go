package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/isolrun/isol/test/lab"
)

// mode is how a container is isolated.
type mode string

const (
	process    mode = "process"
	hyperv     mode = "hyperv"
	processPod mode = "process-pod"
	hypervPod  mode = "hyperv-pod"
)

// inVM says whether there is a utility VM, pod whether there is a sandbox.
func (m mode) inVM() bool { return m == hyperv || m == hypervPod }
func (m mode) pod() bool  { return m == processPod || m == hypervPod }

// life is what a shim is killed in: a task, in a pod or alone.
type life struct {
	sandbox *tasksapi.CreateTaskRequest // nil: alone
	task    *tasksapi.CreateTaskRequest
}

const (
	snapshotter = "windows"
	specURL     = "types.containerd.io/opencontainers/runtime-spec/1/Spec"
	processURL  = "types.containerd.io/opencontainers/runtime-spec/1/Process"

	// lifeLimit is how long a container's life may take with a shim that was killed in it.
	lifeLimit = 30 * time.Second
	// removeLimit is how long an operator tries to take a container away.
	removeLimit = time.Minute
	// callLimit is when a call that removes is tried anew.
	callLimit = 15 * time.Second
)

// containerd drives containerd by its API, as ctr and kubelet do.
type containerd struct {
	conn       *grpc.ClientConn
	containers containersapi.ContainersClient
	tasks      tasksapi.TasksClient
	snapshots  snapshotsapi.SnapshotsClient
	image      string // the image's snapshot
}

func connect(ctx context.Context, l *lab.Lab) (*containerd, error) {
	conn, err := l.Client(ctx)
	if err != nil {
		return nil, err
	}
	c := &containerd{
		conn: conn, containers: containersapi.NewContainersClient(conn),
		tasks: tasksapi.NewTasksClient(conn), snapshots: snapshotsapi.NewSnapshotsClient(conn),
	}
	if c.image, err = c.imageSnapshot(inNamespace(ctx)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

const namespace = "default"

func inNamespace(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "containerd-namespace", namespace)
}

// imageSnapshot finds the committed snapshot, which is the image's: the lab has one.
func (c *containerd) imageSnapshot(ctx context.Context) (string, error) {
	list, err := c.snapshots.List(ctx, &snapshotsapi.ListSnapshotsRequest{Snapshotter: snapshotter})
	if err != nil {
		return "", err
	}
	for {
		page, err := list.Recv()
		if errors.Is(err, io.EOF) {
			return "", errors.New("the image has no committed snapshot")
		}
		if err != nil {
			return "", err
		}
		for _, s := range page.GetInfo() {
			if s.GetKind() == snapshotsapi.Kind_COMMITTED {
				return s.GetName(), nil
			}
		}
	}
}

// prepare makes the containers of a life, for which no shim is needed.
func (c *containerd) prepare(ctx context.Context, s shim, m mode, id string) (l life, err error) {
	if m.pod() {
		if l.sandbox, err = c.container(ctx, s, m, sandboxID(id), map[string]string{typeKey: "sandbox", sandboxKey: sandboxID(id)}); err != nil {
			return l, err
		}
		l.task, err = c.container(ctx, s, m, id, map[string]string{typeKey: "container", sandboxKey: sandboxID(id)})
		return l, err
	}
	l.task, err = c.container(ctx, s, m, id, nil)
	return l, err
}

// The annotations by which CRI tells shims of pods.
const (
	typeKey    = "io.kubernetes.cri.container-type"
	sandboxKey = "io.kubernetes.cri.sandbox-id"
)

func sandboxID(task string) string { return task + "-pod" }

// container makes a container and its snapshot.
func (c *containerd) container(ctx context.Context, s shim, m mode, id string, annotations map[string]string) (*tasksapi.CreateTaskRequest, error) {
	spec := &specs.Spec{Version: "1.2.0", Process: program("probe", "sleep", "600"), Windows: &specs.Windows{}, Annotations: annotations}
	if m.inVM() {
		spec.Windows.HyperV = &specs.WindowsHyperV{}
	}
	packed, err := pack(specURL, spec)
	if err != nil {
		return nil, err
	}
	_, err = c.containers.Create(ctx, &containersapi.CreateContainerRequest{Container: &containersapi.Container{
		ID: id, Spec: packed, Snapshotter: snapshotter, SnapshotKey: id, Runtime: &containersapi.Container_Runtime{Name: s.runtime},
	}})
	if err != nil {
		return nil, err
	}
	prepared, err := c.snapshots.Prepare(ctx, &snapshotsapi.PrepareSnapshotRequest{Snapshotter: snapshotter, Key: id, Parent: c.image})
	if err != nil {
		return nil, err
	}
	return &tasksapi.CreateTaskRequest{ContainerID: id, Rootfs: prepared.GetMounts()}, nil
}

func program(args ...string) *specs.Process { return &specs.Process{Args: args, Cwd: `C:\`} }

func pack(url string, value any) (*anypb.Any, error) {
	content, err := json.Marshal(value)
	return &anypb.Any{TypeUrl: url, Value: content}, err
}

// start creates and starts a life's tasks.
func (c *containerd) start(ctx context.Context, l life) error {
	if l.sandbox != nil {
		if err := c.startOne(ctx, l.sandbox); err != nil {
			return err
		}
	}
	return c.startOne(ctx, l.task)
}

func (c *containerd) startOne(ctx context.Context, r *tasksapi.CreateTaskRequest) error {
	if _, err := c.tasks.Create(ctx, r); err != nil {
		return err
	}
	_, err := c.tasks.Start(ctx, &tasksapi.StartRequest{ContainerID: r.GetContainerID()})
	return err
}

// live lives a task's life: create, start, an exec from start to delete, kill,
// delete; for one in a pod, the sandbox's too. It gives up at the first step
// that fails.
func (c *containerd) live(ctx context.Context, l life) error {
	id := l.task.GetContainerID()
	exec, err := pack(processURL, program("probe", "exit", "0"))
	if err != nil {
		return err
	}
	steps := []func() error{
		func() error { return c.start(ctx, l) },
		func() error {
			_, err := c.tasks.Exec(ctx, &tasksapi.ExecProcessRequest{ContainerID: id, ExecID: "e1", Spec: exec})
			return err
		},
		func() error {
			_, err := c.tasks.Start(ctx, &tasksapi.StartRequest{ContainerID: id, ExecID: "e1"})
			return err
		},
		func() error { return c.wait(ctx, id, "e1") },
		func() error {
			_, err := c.tasks.DeleteProcess(ctx, &tasksapi.DeleteProcessRequest{ContainerID: id, ExecID: "e1"})
			return err
		},
		func() error { return c.end(ctx, id) },
	}
	if l.sandbox != nil {
		steps = append(steps, func() error { return c.end(ctx, l.sandbox.GetContainerID()) })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// end kills a task and deletes it.
func (c *containerd) end(ctx context.Context, id string) error {
	if err := c.kill(ctx, id); err != nil {
		return err
	}
	if err := c.wait(ctx, id, ""); err != nil {
		return err
	}
	_, err := c.tasks.Delete(ctx, &tasksapi.DeleteTaskRequest{ContainerID: id})
	return err
}

func (c *containerd) wait(ctx context.Context, id, exec string) error {
	_, err := c.tasks.Wait(ctx, &tasksapi.WaitRequest{ContainerID: id, ExecID: exec})
	return err
}

func (c *containerd) kill(ctx context.Context, id string) error {
	_, err := c.tasks.Kill(ctx, &tasksapi.KillRequest{ContainerID: id, Signal: uint32(syscall.SIGKILL)})
	return err
}

// removeAll takes a life's containers away, the sandbox last.
func (c *containerd) removeAll(ctx context.Context, l life) error {
	err := c.remove(ctx, l.task.GetContainerID())
	if l.sandbox != nil {
		err = errors.Join(err, c.remove(ctx, l.sandbox.GetContainerID()))
	}
	return err
}

// remove takes a container away with all that containerd has of it, in
// whatever state it is, as an operator does who tries again and again.
func (c *containerd) remove(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, removeLimit)
	defer cancel()
	for {
		err := c.removeTask(ctx, id)
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove task %s: %w", id, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
	if _, err := c.containers.Delete(ctx, &containersapi.DeleteContainerRequest{ID: id}); absent(err) != nil {
		return fmt.Errorf("remove container %s: %w", id, err)
	}
	_, err := c.snapshots.Remove(ctx, &snapshotsapi.RemoveSnapshotRequest{Snapshotter: snapshotter, Key: id})
	if absent(err) != nil {
		return fmt.Errorf("remove snapshot %s: %w", id, err)
	}
	return nil
}

// removeTask is what `ctr task delete -f` does. A task that containerd does not
// know is gone.
func (c *containerd) removeTask(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_, err := c.tasks.Get(ctx, &tasksapi.GetRequest{ContainerID: id})
	if status.Code(err) == codes.NotFound {
		return nil
	}
	if c.kill(ctx, id) == nil { // one that has ended says so
		if err := absent(c.wait(ctx, id, "")); err != nil {
			return err
		}
	}
	_, err = c.tasks.Delete(ctx, &tasksapi.DeleteTaskRequest{ContainerID: id})
	return absent(err)
}

// absent turns the error of what is gone into none.
func absent(err error) error {
	if status.Code(err) == codes.NotFound {
		return nil
	}
	return err
}
