package e2e

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/isolrun/isol/test/cri"
	"github.com/isolrun/isol/test/hcsemu/vm"
	"github.com/isolrun/isol/test/lab"
)

// running are the ids of the virtual machines that run.
func running(t *testing.T, l *lab.Lab) []string {
	t.Helper()
	all, err := l.Machines()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range all {
		if m.Running {
			ids = append(ids, fmt.Sprintf("%s of process %d", m.ID, m.WorkerPID))
		}
	}
	return ids
}

// A container that the kubelet restarts must not disturb its pod: with VM,
// network and siblings as they were. With the reference a kill that goes wrong
// takes the whole pod.
func TestContainerRestartsInPod(t *testing.T) {
	for _, h := range podHandlers {
		t.Run(h.name, func(t *testing.T) {
			unlessShort(t, !h.shim || h.hyperv)
			l, c := podLab(t)
			p := runPod(t, c, h.name, cri.PodConfig("restarts-"+h.name))
			sibling := runContainer(t, p, "sibling", "probe", "count", "50")
			ended := runContainer(t, p, "ended", "cmd", "/c", "exit 1")
			exited(t, p, ended)
			machines, network := running(t, l), networkOf(t, l, c, p)
			until(t, "a line of sibling", func() bool { return logText(t, p, "sibling", "stdout") != "" })

			for attempt := range uint32(3) {
				config := p.Container("app", "ping", "-t", "localhost")
				config.Metadata.Attempt = attempt
				id, err := p.Create(soon(t), config)
				if err == nil {
					_, err = c.StartContainer(soon(t), &runtime.StartContainerRequest{ContainerId: id})
				}
				if err == nil {
					execSync(t, c, id, "cmd", "/c", "echo alive")
					err = p.End(soon(t), id)
				}
				if err != nil {
					t.Fatalf("attempt %d: %v", attempt, err)
				}
			}
			if got := running(t, l); !slices.Equal(got, machines) {
				t.Errorf("the virtual machines %v have become %v", machines, got)
			}
			if got := networkOf(t, l, c, p); got != network {
				t.Errorf("the network %s has become %s", network, got)
			}
			if s, err := p.State(soon(t), sibling); err != nil || s.GetState() != runtime.ContainerState_CONTAINER_RUNNING {
				t.Errorf("the sibling: %v, %v", s, err)
			}
			counts(t, p, "sibling")
		})
	}
}

// networkOf is all that is known of a pod's network.
func networkOf(t *testing.T, l *lab.Lab, c *cri.Client, p *cri.Pod) string {
	t.Helper()
	r, err := c.PodSandboxStatus(soon(t), &runtime.PodSandboxStatusRequest{PodSandboxId: p.ID})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, kind := range []string{"namespace", "endpoint", "network adapter"} {
		ids = append(ids, held(t, l, kind)...)
	}
	return r.GetStatus().GetNetwork().GetIp() + " " + strings.Join(ids, " ")
}

// counts fails the test if a container that counts has logged a line twice, in
// another order, or not at all. It returns the last number.
func counts(t *testing.T, p *cri.Pod, name string) int {
	t.Helper()
	last, gaps := numbers(t, p, name)
	if gaps > 0 {
		t.Errorf("lines of %s's log are lost in %d places", name, gaps)
	}
	return last
}

// numbers reads the log of a container that counts: the last number, and in how
// many places some are missing. Numbers that do not grow fail the test.
func numbers(t *testing.T, p *cri.Pod, name string) (last, gaps int) {
	t.Helper()
	for line := range strings.Lines(logText(t, p, name, "stdout")) {
		n, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil || n <= last {
			t.Errorf("%s's log has %q behind %d", name, line, last)
			return last, gaps
		}
		if n > last+1 {
			gaps++
		}
		last = n
	}
	return last, gaps
}

// A utility VM that crashes takes its containers with it: the kubelet must see
// the end of each, once, and the pod as not ready, and be able to remove it.
func TestPodVMCrashes(t *testing.T) {
	for _, h := range podHandlers {
		if h.hyperv {
			t.Run(h.name, func(t *testing.T) { vmCrashes(t, h) })
		}
	}
}

func vmCrashes(t *testing.T, h podHandler) {
	l, c := podLab(t)
	p := runPod(t, c, h.name, cri.PodConfig("crashes"))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*soonLimit) // longer than all that happens meanwhile
	defer cancel()
	events := eventsOf(ctx, t, c)
	var ids []string
	for i := range 3 {
		ids = append(ids, runContainer(t, p, fmt.Sprint("app", i), "ping", "-t", "localhost"))
	}
	if _, err := l.Machine(vm.Crash, p.ID+"@vm"); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if s := exited(t, p, id); s.GetExitCode() == 0 {
			t.Errorf("a container whose VM crashed reports success: %v", s)
		}
	}
	until(t, "the pod's end", func() bool {
		r, err := c.PodSandboxStatus(soon(t), &runtime.PodSandboxStatusRequest{PodSandboxId: p.ID})
		return err == nil && r.GetStatus().GetState() == runtime.PodSandboxState_SANDBOX_NOTREADY
	})
	for _, id := range append(ids, p.ID) {
		until(t, "the event of "+id, func() bool { return events.stops(id) > 0 })
		if n := events.stops(id); n != 1 {
			t.Errorf("%d events of the end of %s", n, id)
		}
	}
	if _, err := c.StartContainer(soon(t), &runtime.StartContainerRequest{ContainerId: ids[0]}); err == nil {
		t.Error("a container of a pod whose VM crashed starts again")
	}
	if err := p.Remove(soon(t)); err != nil {
		t.Error(err)
	}
	settled(t, l)
}

// stopEvents counts the events of ends.
type stopEvents struct {
	mu    sync.Mutex
	count map[string]int // by container; guarded by mu
}

// eventsOf counts until ctx ends.
func eventsOf(ctx context.Context, t *testing.T, c *cri.Client) *stopEvents {
	t.Helper()
	stream, err := c.GetContainerEvents(ctx, &runtime.GetEventsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	e := &stopEvents{count: map[string]int{}}
	go func() {
		for {
			event, err := stream.Recv()
			if err != nil {
				return // at the test's end
			}
			if event.GetContainerEventType() == runtime.ContainerEventType_CONTAINER_STOPPED_EVENT {
				e.mu.Lock()
				e.count[event.GetContainerId()]++
				e.mu.Unlock()
			}
		}
	}()
	return e
}

func (e *stopEvents) stops(id string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.count[id]
}

// Many pods at once are a node that boots: each must come up, none may take
// another's shim, network or name.
func TestManyPodsAtOnce(t *testing.T) {
	for _, tc := range []struct {
		handler string
		pods    int // VMs boot slowly in the lab: the long form is make soak
	}{{lab.HandlerProcess, 20}, {lab.HandlerHyperV, 4}, {lab.HandlerProcessShim, 20}, {lab.HandlerHyperVShim, 4}} {
		t.Run(tc.handler, func(t *testing.T) {
			unlessShort(t, tc.handler == lab.HandlerProcess || tc.handler == lab.HandlerHyperV)
			l, c := podLab(t)
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*soonLimit)
			defer cancel()
			addresses := make([]string, tc.pods)
			var all sync.WaitGroup
			for i := range tc.pods {
				all.Go(func() {
					p, err := c.RunPod(ctx, tc.handler, cri.PodConfig(fmt.Sprint("many-", i)))
					if err != nil {
						t.Errorf("pod %d: %v", i, err)
						return
					}
					id, err := p.Run(ctx, "app", "cmd", "/c", fmt.Sprintf("echo pod %d& ping -t localhost", i))
					if err == nil {
						var r *runtime.PodSandboxStatusResponse
						r, err = c.PodSandboxStatus(ctx, &runtime.PodSandboxStatusRequest{PodSandboxId: p.ID})
						addresses[i] = r.GetStatus().GetNetwork().GetIp()
					}
					for err == nil && logText(t, p, "app", "stdout") == "" { // it is not stopped before it has begun
						select {
						case <-time.After(50 * time.Millisecond):
						case <-ctx.Done():
							err = ctx.Err()
						}
					}
					if err == nil {
						err = p.End(ctx, id)
					}
					if err == nil {
						err = p.Remove(ctx)
					}
					if err != nil {
						t.Errorf("pod %d: %v", i, err)
					} else if out := logText(t, p, "app", "stdout"); !strings.HasPrefix(out, fmt.Sprintf("pod %d\n", i)) {
						t.Errorf("pod %d logged %q", i, out)
					}
				})
			}
			all.Wait()
			slices.Sort(addresses)
			if n := len(slices.Compact(addresses)); n != tc.pods {
				t.Errorf("%d pods have %d addresses: %v", tc.pods, n, addresses)
			}
			settled(t, l)
		})
	}
}
