package e2e

import (
	"context"
	"strings"
	"testing"

	eventsapi "github.com/containerd/containerd/api/events"
	eventsservice "github.com/containerd/containerd/api/services/events/v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/isolrun/isol/test/cri"
	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/lab"
)

// Updating or crashing containerd must not be seen by pods: what runs runs on
// and can be reached, its log goes on, what has ended meanwhile is known, each
// end is told once.
func TestContainerdRestartsUnderPods(t *testing.T) {
	for _, h := range podHandlers {
		t.Run(h.name, func(t *testing.T) {
			unlessShort(t, !h.shim || h.hyperv)
			l, c := podLab(t)
			p := runPod(t, c, h.name, cri.PodConfig("stays-"+h.name))
			app := runContainer(t, p, "app", "probe", "count", "100")
			away := runContainer(t, p, "away", "cmd", "/c", "ping -n 3 localhost >nul & exit 9")
			until(t, "a line of app", func() bool { return logText(t, p, "app", "stdout") != "" })
			machines := running(t, l)

			if err := l.KillContainerd(); err != nil {
				t.Fatal(err)
			}
			before := counts(t, p, "app")
			if h.hyperv {
				until(t, "the end of away", func() bool { return len(running(t, l)) == len(machines) })
			}
			if err := l.RestartContainerd(t.Context()); err != nil {
				t.Fatal(err)
			}
			if s := exited(t, p, away); s.GetExitCode() != 9 {
				t.Errorf("what ended while containerd was away: %v", s)
			}
			if s, err := p.State(soon(t), app); err != nil || s.GetState() != runtime.ContainerState_CONTAINER_RUNNING {
				t.Fatalf("after a crash of containerd: %v, %v", s, err)
			}
			if out := execSync(t, c, app, "cmd", "/c", "echo back"); strings.TrimSpace(out) != "back" {
				t.Errorf("exec after a crash of containerd printed %q", out)
			}
			// What was on its way in containerd's memory and in the pipe died with it; that
			// is one gap, at most.
			until(t, "the log to go on", func() bool { last, _ := numbers(t, p, "app"); return last > before+20 })
			if _, gaps := numbers(t, p, "app"); gaps > 1 {
				t.Errorf("app's log has %d gaps", gaps)
			}
			podStatistics(t, c, h.shim)
			again := runContainer(t, p, "new", "ping", "-t", "localhost")
			exits := taskExits(t, l)
			for _, id := range []string{app, again} {
				if err := p.End(soon(t), id); err != nil {
					t.Error(err)
				}
				if n := exits(id); n != 1 {
					t.Errorf("%d events of the end of %s", n, id)
				}
			}
		})
	}
}

// podStatistics asks for those of all pods, as the kubelet does for ever. Those of
// the Sandbox API fail in containerd: see statistics.
func podStatistics(t *testing.T, c *cri.Client, shim bool) {
	t.Helper()
	if shim {
		return
	}
	if r, err := c.ListPodSandboxStats(soon(t), &runtime.ListPodSandboxStatsRequest{}); err != nil || len(r.GetStats()) != 1 {
		t.Errorf("statistics after a crash of containerd: %v, %v", r, err)
	}
}

// taskExits returns a function that counts containerd's own events of the ends
// of a container's init, once the first has come.
func taskExits(t *testing.T, l *lab.Lab) func(id string) int {
	t.Helper()
	conn, err := l.Client(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(context.Background(), "containerd-namespace", "k8s.io"), 3*soonLimit)
	t.Cleanup(func() { cancel(); conn.Close() })
	const ours = "/test/subscribed"
	events := eventsservice.NewEventsClient(conn)
	stream, err := events.Subscribe(ctx, &eventsservice.SubscribeRequest{Filters: []string{`topic=="/tasks/exit"`, `topic=="` + ours + `"`}})
	if err != nil {
		t.Fatal(err)
	}
	e := &stopEvents{count: map[string]int{}}
	go func() {
		for {
			envelope, err := stream.Recv()
			if err != nil {
				return // at the test's end
			}
			id := envelope.GetTopic()
			var exit eventsapi.TaskExit
			if envelope.GetEvent().UnmarshalTo(&exit) == nil && exit.GetID() == exit.GetContainerID() {
				id = exit.GetID()
			}
			e.mu.Lock()
			e.count[id]++
			e.mu.Unlock()
		}
	}()
	until(t, "the subscription", func() bool {
		nothing, err := anypb.New(&emptypb.Empty{})
		if err == nil {
			_, err = events.Publish(ctx, &eventsservice.PublishRequest{Topic: ours, Event: nothing})
		}
		if err != nil {
			t.Fatal(err)
		}
		return e.stops(ours) > 0
	})
	return func(id string) int {
		until(t, "the exit of "+id, func() bool { return e.stops(id) > 0 })
		return e.stops(id)
	}
}

// kill -9 of containerd in the midst of a request: when it is back, what the
// request was about is either there and can be worked with, or gone; and all of
// it can be removed, to the last handle.
func TestContainerdIsKilledInARequest(t *testing.T) {
	for _, h := range podHandlers {
		for _, tc := range []struct {
			name, function string
			when           hcsemu.When
			short          bool // in the short selection
			request        func(context.Context, *cri.Client, *cri.Pod, string) error
		}{
			{"create", podStart(h), "", !h.shim, func(ctx context.Context, c *cri.Client, _ *cri.Pod, _ string) error {
				_, err := c.RunPod(ctx, h.name, cri.PodConfig("interrupted"))
				return err
			}},
			{"boot", "HcsStartComputeSystem", "", h.shim && h.hyperv, func(ctx context.Context, c *cri.Client, _ *cri.Pod, _ string) error {
				p, err := c.RunPod(ctx, h.name, cri.PodConfig("interrupted"))
				if err == nil {
					_, err = p.Run(ctx, "interrupted", "ping", "-t", "localhost")
				}
				return err
			}},
			{"run", processCreate(h.hyperv), "after", !h.shim, func(ctx context.Context, _ *cri.Client, p *cri.Pod, _ string) error {
				_, err := p.Run(ctx, "interrupted", "ping", "-t", "localhost")
				return err
			}},
			{"exec", processCreate(h.hyperv), "after", !h.shim, func(ctx context.Context, c *cri.Client, _ *cri.Pod, app string) error {
				_, err := c.ExecSync(ctx, &runtime.ExecSyncRequest{ContainerId: app, Cmd: []string{"cmd", "/c", "echo hi"}})
				return err
			}},
			{"delete", podEnd(h.hyperv), "", !h.shim || !h.hyperv, func(ctx context.Context, _ *cri.Client, p *cri.Pod, _ string) error {
				return p.Remove(ctx)
			}},
		} {
			if tc.name == "boot" && !h.shim {
				continue // it is in create
			}
			t.Run(h.name+" "+tc.name, func(t *testing.T) {
				unlessShort(t, tc.short)
				l, c := podLab(t)
				p := runPodOnce(t, c, h.name, cri.PodConfig("bystander"))
				app := runContainer(t, p, "app", "ping", "-t", "localhost")
				faults(t, l, hcsemu.Fault{Name: "held", Function: tc.function, When: tc.when, Action: hcsemu.ActionHang, Exe: lab.IsolShim})
				ctx, cancel := context.WithCancel(soon(t))
				defer cancel()
				ended := make(chan error, 1)
				go func() { ended <- tc.request(ctx, c, p, app) }()
				until(t, "the call "+tc.function, func() bool { return hanging(t, l, "held") > 0 })
				if err := l.KillContainerd(); err != nil {
					t.Fatal(err)
				}
				cancel()
				<-ended
				if _, err := l.Release("held"); err != nil {
					t.Fatal(err)
				}
				faults(t, l)
				if err := l.RestartContainerd(t.Context()); err != nil {
					t.Fatal(err)
				}
				reachableOrGone(t, c, h.shim)
				removeAllPods(t, c)
				settled(t, l)
			})
		}
	}
}

// podStart is a call of RunPodSandbox: the Sandbox API makes no compute system
// before the first container.
func podStart(h podHandler) string {
	if h.shim {
		return "HcnEnumerateNamespaces"
	}
	return "HcsCreateComputeSystem"
}

// processCreate is the call that runs a process, on the host or in a VM.
func processCreate(hyperv bool) string {
	if hyperv {
		return "GcsExecuteProcess"
	}
	return "HcsCreateProcess"
}

// podEnd is a call at a pod's end: of its layers, or of its VM.
func podEnd(hyperv bool) string {
	if hyperv {
		return "HcsTerminateComputeSystem"
	}
	return "UnprepareLayer"
}

// runPodOnce is runPod for a test that removes its pods itself.
func runPodOnce(t *testing.T, c *cri.Client, handler string, config *runtime.PodSandboxConfig) *cri.Pod {
	t.Helper()
	p, err := c.RunPod(soon(t), handler, config)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// reachableOrGone works with each container that is said to run.
func reachableOrGone(t *testing.T, c *cri.Client, shim bool) {
	t.Helper()
	r, err := c.ListContainers(soon(t), &runtime.ListContainersRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range r.GetContainers() {
		if k.GetState() != runtime.ContainerState_CONTAINER_RUNNING {
			continue
		}
		if out := execSync(t, c, k.GetId(), "cmd", "/c", "echo reached"); strings.TrimSpace(out) != "reached" {
			t.Errorf("container %s printed %q", k.GetMetadata().GetName(), out)
		}
	}
	if _, err := c.ListPodSandboxStats(soon(t), &runtime.ListPodSandboxStatsRequest{}); err != nil && !shim { // as in podStatistics
		t.Errorf("statistics: %v", err)
	}
}

// removeAllPods removes all pods that CRI knows, as the kubelet does.
func removeAllPods(t *testing.T, c *cri.Client) {
	t.Helper()
	for _, p := range listPods(t, c) {
		_, err := c.StopPodSandbox(soon(t), &runtime.StopPodSandboxRequest{PodSandboxId: p.GetId()})
		if err == nil {
			_, err = c.RemovePodSandbox(soon(t), &runtime.RemovePodSandboxRequest{PodSandboxId: p.GetId()})
		}
		if err != nil {
			t.Errorf("remove pod %s: %v", p.GetMetadata().GetName(), err)
		}
	}
}
