package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	sandboxesapi "github.com/containerd/containerd/api/services/sandbox/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/isolrun/isol/test/lab"
)

// Type URLs of what containerd passes on as it is.
const (
	specURL    = "types.containerd.io/opencontainers/runtime-spec/1/Spec"
	processURL = "types.containerd.io/opencontainers/runtime-spec/1/Process"
)

// client drives containerd by its API, where ctr can't: it sees codes, sends
// what ctr would refuse, and gives up when it likes.
type client struct {
	t          *testing.T
	l          *lab.Lab
	namespace  string // containerd's
	containers containersapi.ContainersClient
	tasks      tasksapi.TasksClient
	snapshots  snapshotsapi.SnapshotsClient
	sandboxes  sandboxesapi.ControllerClient
	image      string // the image's snapshot
	sandbox    string // that containerd has, and its containers join; empty for none
}

// connect returns a client that lives as long as the test.
func connect(t *testing.T, l *lab.Lab) *client {
	t.Helper()
	return connectTo(t, l, "default")
}

// connectTo returns a client of a namespace of containerd's.
func connectTo(t *testing.T, l *lab.Lab, namespace string) *client {
	t.Helper()
	conn, err := l.Client(context.Background()) // Cleanup needs it after the test's context has ended
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{
		t: t, l: l, namespace: namespace,
		containers: containersapi.NewContainersClient(conn),
		tasks:      tasksapi.NewTasksClient(conn),
		snapshots:  snapshotsapi.NewSnapshotsClient(conn),
		sandboxes:  sandboxesapi.NewControllerClient(conn),
	}
	ctx, cancel := c.within(time.Minute)
	defer cancel()
	list, err := c.snapshots.List(ctx, &snapshotsapi.ListSnapshotsRequest{Snapshotter: "windows"})
	if err != nil {
		t.Fatal(err)
	}
	for {
		page, err := list.Recv()
		if err != nil {
			break // the end, or what the check below finds
		}
		for _, s := range page.GetInfo() {
			if s.GetKind() == snapshotsapi.Kind_COMMITTED {
				c.image = s.GetName()
			}
		}
	}
	if c.image == "" {
		t.Fatal("the image has no committed snapshot")
	}
	return c
}

// within is a context with containerd's namespace that outlives the test.
func (c *client) within(d time.Duration) (context.Context, context.CancelFunc) {
	ctx := metadata.AppendToOutgoingContext(context.Background(), "containerd-namespace", c.namespace)
	return context.WithTimeout(ctx, d)
}

// spec is a container's spec that runs args.
func spec(args ...string) *specs.Spec {
	return &specs.Spec{Version: "1.2.0", Process: process(args...), Windows: &specs.Windows{}}
}

func process(args ...string) *specs.Process {
	return &specs.Process{Args: args, Cwd: `C:\`}
}

// packed is a value as containerd takes it.
func packed(t *testing.T, url string, value any) *anypb.Any {
	t.Helper()
	content, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return &anypb.Any{TypeUrl: url, Value: content}
}

// container makes a container with a snapshot of its own and returns the task
// that can be created for it. Both go when the test ends. options, which may be
// nil, are the runtime's.
func (c *client) container(id string, spec, options *anypb.Any) *tasksapi.CreateTaskRequest {
	c.t.Helper()
	ctx, cancel := c.within(time.Minute)
	defer cancel()
	c.t.Cleanup(func() { c.remove(id) })
	_, err := c.containers.Create(ctx, &containersapi.CreateContainerRequest{Container: &containersapi.Container{
		ID: id, Spec: spec, Snapshotter: "windows", SnapshotKey: id, Sandbox: c.sandbox,
		Runtime: &containersapi.Container_Runtime{Name: isol, Options: options},
	}})
	if err != nil {
		c.t.Fatal(err)
	}
	prepared, err := c.snapshots.Prepare(ctx, &snapshotsapi.PrepareSnapshotRequest{Snapshotter: "windows", Key: id, Parent: c.image})
	if err != nil {
		c.t.Fatal(err)
	}
	return &tasksapi.CreateTaskRequest{ContainerID: id, Rootfs: prepared.GetMounts()}
}

// run starts a container that must run.
func (c *client) run(id string, args ...string) {
	c.t.Helper()
	request := c.container(id, packed(c.t, specURL, spec(args...)), nil)
	ctx, cancel := c.within(time.Minute)
	defer cancel()
	if _, err := c.tasks.Create(ctx, request); err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.tasks.Start(ctx, &tasksapi.StartRequest{ContainerID: id}); err != nil {
		c.t.Fatal(err)
	}
}

// state is the state of a task's process.
func (c *client) state(id, exec string) (string, error) {
	ctx, cancel := c.within(10 * time.Second)
	defer cancel()
	r, err := c.tasks.Get(ctx, &tasksapi.GetRequest{ContainerID: id, ExecID: exec})
	if err != nil {
		return "", err
	}
	return r.GetProcess().GetStatus().String(), nil
}

// exec runs a process in a task to its end and takes it away.
func (c *client) exec(ctx context.Context, id, exec string, p *specs.Process) error {
	_, err := c.tasks.Exec(ctx, &tasksapi.ExecProcessRequest{ContainerID: id, ExecID: exec, Spec: packed(c.t, processURL, p)})
	if err != nil {
		return err
	}
	_, err = c.tasks.Start(ctx, &tasksapi.StartRequest{ContainerID: id, ExecID: exec})
	if err == nil {
		_, err = c.tasks.Wait(ctx, &tasksapi.WaitRequest{ContainerID: id, ExecID: exec})
	}
	_, deleted := c.tasks.DeleteProcess(ctx, &tasksapi.DeleteProcessRequest{ContainerID: id, ExecID: exec})
	if err == nil {
		err = deleted
	}
	return err
}

// kill ends a task, waits for its end and deletes it.
func (c *client) kill(ctx context.Context, id string) error {
	_, err := c.tasks.Kill(ctx, &tasksapi.KillRequest{ContainerID: id, Signal: uint32(syscall.SIGKILL)})
	if err != nil {
		return err
	}
	if _, err = c.tasks.Wait(ctx, &tasksapi.WaitRequest{ContainerID: id}); err != nil {
		return err
	}
	_, err = c.tasks.Delete(ctx, &tasksapi.DeleteTaskRequest{ContainerID: id})
	return err
}

// remove is what `ctr task delete -f` and `ctr container delete` do: the last
// resort, which must work in whatever state the container is.
func (c *client) remove(id string) {
	c.t.Helper()
	ctx, cancel := c.within(time.Minute)
	defer cancel()
	if _, err := c.tasks.Get(ctx, &tasksapi.GetRequest{ContainerID: id}); status.Code(err) != codes.NotFound {
		_, err = c.tasks.Kill(ctx, &tasksapi.KillRequest{ContainerID: id, Signal: uint32(syscall.SIGKILL)})
		if err == nil || strings.Contains(err.Error(), "ended") {
			_, err = c.tasks.Wait(ctx, &tasksapi.WaitRequest{ContainerID: id})
		}
		if err == nil || status.Code(err) == codes.NotFound {
			_, err = c.tasks.Delete(ctx, &tasksapi.DeleteTaskRequest{ContainerID: id})
		}
		if err != nil && status.Code(err) != codes.NotFound {
			c.t.Errorf("remove task %s: %v", id, err)
		}
	}
	if _, err := c.containers.Delete(ctx, &containersapi.DeleteContainerRequest{ID: id}); err != nil && status.Code(err) != codes.NotFound {
		c.t.Errorf("remove container %s: %v", id, err)
	}
	_, err := c.snapshots.Remove(ctx, &snapshotsapi.RemoveSnapshotRequest{Snapshotter: "windows", Key: id})
	if err != nil && status.Code(err) != codes.NotFound {
		c.t.Errorf("remove snapshot %s: %v", id, err)
	}
}
