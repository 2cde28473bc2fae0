package e2e

import (
	"context"
	"strings"
	"testing"

	sandboxesapi "github.com/containerd/containerd/api/services/sandbox/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/isolrun/isol/test/cri"
	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/lab"
)

// A pod that can't be made must say why, under a code that the kubelet can act
// on, and leave nothing: it tries again every few seconds, for days.
func TestPodThatFails(t *testing.T) {
	const plugin = "labcni.exe"
	for _, h := range podHandlers {
		for _, tc := range []struct {
			name, function, exe, hresult string
			hypervOnly, compute, short   bool // compute: the Sandbox API calls it for the first container
			code                         codes.Code
			says                         string
		}{
			{"no endpoint", "HcnCreateEndpoint", plugin, "0x80004005", false, false, !h.shim, codes.Unknown, "make endpoint"},
			{"endpoint that joins no namespace", "HcnModifyNamespace", plugin, "0x80004005", false, false, !h.shim, codes.Unknown, "put endpoint"},
			{"namespace that is not there", "HcnEnumerateNamespaces", lab.IsolShim, "0x80070490", false, false, !h.shim || !h.hyperv, codes.FailedPrecondition, "network namespace"},
			{"adapter that the VM does not take", "HcsModifyComputeSystem", lab.IsolShim, "0x80070057", true, true, true, codes.InvalidArgument, "HcsModifyComputeSystem"},
			{"no compute service", "HcsCreateComputeSystem", lab.IsolShim, "0x80370114", false, true, !h.shim, codes.Unavailable, "sc query vmcompute"},
			{"start that fails", "HcsStartComputeSystem", lab.IsolShim, "0x80370106", false, true, !h.shim, codes.Internal, "HcsStartComputeSystem"},
		} {
			if tc.hypervOnly && !h.hyperv {
				continue // there is no VM
			}
			t.Run(h.name+" "+tc.name, func(t *testing.T) {
				unlessShort(t, tc.short)
				l, c := podLab(t)
				faults(t, l, hcsemu.Fault{Function: tc.function, Nth: 1, Action: hcsemu.ActionFail, Code: tc.hresult, Exe: tc.exe})
				p, err := c.RunPod(soon(t), h.name, cri.PodConfig("fails"))
				if err == nil && h.shim && tc.compute {
					err = onlyTheContainerFails(t, p)
				} else if err == nil {
					t.Errorf("the pod came up; removed: %v", p.Remove(soon(t)))
				}
				if status.Code(err) != tc.code {
					t.Errorf("%v: %v; want %v", status.Code(err), err, tc.code)
				}
				says(t, err, tc.says)
				faults(t, l)
				nothingOfPods(t, c)
				clean(t, l)
			})
		}
	}
}

// onlyTheContainerFails returns the error of the pod's first container. The pod
// goes on: the kubelet's next try succeeds, in a VM that is booted anew.
func onlyTheContainerFails(t *testing.T, p *cri.Pod) error {
	t.Helper()
	id, failed := p.Run(soon(t), "app", "ping", "-t", "localhost")
	if failed == nil {
		t.Errorf("container %s came up", id)
	}
	again := p.Container("app", "ping", "-t", "localhost")
	again.Metadata.Attempt = 1
	if _, err := p.RunConfig(soon(t), again); err != nil {
		t.Errorf("the next try: %v", err)
	}
	if err := p.Remove(soon(t)); err != nil {
		t.Error(err)
	}
	return failed
}

// listPods are the pods that CRI knows.
func listPods(t *testing.T, c *cri.Client) []*runtime.PodSandbox {
	t.Helper()
	r, err := c.ListPodSandbox(soon(t), &runtime.ListPodSandboxRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return r.GetItems()
}

// nothingOfPods fails the test if CRI knows a pod.
func nothingOfPods(t *testing.T, c *cri.Client) {
	t.Helper()
	for _, p := range listPods(t, c) {
		t.Errorf("pod %s is left, %s", p.GetMetadata().GetName(), p.GetState())
	}
}

// The kubelet gives up on a pod that takes too long, in the midst of whatever
// isol does, removes what containerd still lists of it, and tries again under the
// same name: nothing may be left of the first.
func TestPodThatIsGivenUp(t *testing.T) {
	for _, h := range podHandlers {
		functions := []string{"ActivateLayer", "HcsCreateComputeSystem", "HcsCreateProcess"}
		if h.hyperv {
			functions = []string{"HcsStartComputeSystem", "HcsModifyComputeSystem"}
		}
		if h.shim { // all else is of its containers: see TestContainerThatIsGivenUp
			functions = []string{"HcnEnumerateNamespaces", "HcnQueryEndpointProperties"}
		}
		for i, function := range functions {
			t.Run(h.name+" "+function, func(t *testing.T) {
				unlessShort(t, !h.shim || h.hyperv && i == 0)
				l, c := podLab(t)
				faults(t, l, hcsemu.Fault{Name: "held", Function: function, Action: hcsemu.ActionHang, Exe: lab.IsolShim})
				config := cri.PodConfig("given-up")
				givenUp(t, l, function, func(ctx context.Context) error {
					_, err := c.RunPod(ctx, h.name, config)
					return err
				})
				// containerd undoes its part after it has answered. It lists what it cannot undo,
				// and a pod that came up before it heard of this.
				gone := func() bool { return len(held(t, l, "namespace")) == 0 }
				until(t, "the end of the pod's network, or its pod", func() bool { return gone() || len(listPods(t, c)) > 0 })
				removeAllPods(t, c)
				until(t, "the end of the pod's network", gone)
				clean(t, l)
				again := runPod(t, c, h.name, config)
				runContainer(t, again, "app", "ping", "-t", "localhost")
			})
		}
	}
}

// givenUp cancels a request while the call that it makes is held, and lets the
// call go on after it.
func givenUp(t *testing.T, l *lab.Lab, function string, request func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- request(ctx) }()
	until(t, "the call "+function, func() bool { return hanging(t, l, "held") > 0 })
	cancel()
	if err := <-ended; status.Code(err) != codes.Canceled {
		t.Errorf("given up: %v", err)
	}
	if _, err := l.Release("held"); err != nil {
		t.Fatal(err)
	}
	faults(t, l)
}

// The kubelet gives up on a container: its pod goes on, also where the container
// was the one that boots the pod's VM, and takes the next.
func TestContainerThatIsGivenUp(t *testing.T) {
	for _, h := range podHandlers {
		functions := []string{"HcsCreateComputeSystem"}
		if h.hyperv {
			functions = []string{"GcsCreate"}
		}
		if h.hyperv && h.shim {
			functions = []string{"HcsStartComputeSystem", "HcsModifyComputeSystem", "GcsCreate"}
		}
		for i, function := range functions {
			t.Run(h.name+" "+function, func(t *testing.T) {
				unlessShort(t, h.hyperv && h.shim && i == 0)
				l, c := podLab(t)
				p := runPod(t, c, h.name, cri.PodConfig("keeps"))
				faults(t, l, hcsemu.Fault{Name: "held", Function: function, Action: hcsemu.ActionHang, Exe: lab.IsolShim})
				config := p.Container("app", "ping", "-t", "localhost")
				givenUp(t, l, function, func(ctx context.Context) error {
					_, err := p.RunConfig(ctx, config)
					return err
				})
				config.Metadata.Attempt = 1
				id, err := p.RunConfig(soon(t), config)
				if err != nil {
					t.Fatal(err)
				}
				if out := execSync(t, c, id, "cmd", "/c", "echo alive"); strings.TrimSpace(out) != "alive" {
					t.Errorf("the next container printed %q", out)
				}
			})
		}
	}
}

// hanging is how many calls a hang holds.
func hanging(t *testing.T, l *lab.Lab, name string) int {
	t.Helper()
	n, err := l.Hanging(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A container that does not fit its pod is refused before anything of it is
// made, and its pod goes on.
func TestContainerThatDoesNotFit(t *testing.T) {
	for _, h := range podHandlers {
		t.Run(h.name, func(t *testing.T) {
			unlessShort(t, !h.shim)
			l, c := podLab(t)
			tasks := connectTo(t, l, "k8s.io")
			p := runPod(t, c, h.name, cri.PodConfig("picky"))
			sibling := runContainer(t, p, "sibling", "ping", "-t", "localhost")

			other, host := spec("cmd"), hostProcess(systemUser, "cmd")
			other.Annotations = map[string]string{"io.isol.isolation": "hyperv"}
			inVM := "a container runs as its pod does"
			if h.hyperv { // the guest's own, which came with a later build than this one's
				other.Annotations["io.isol.isolation"] = "process"
				inVM = "HostProcess containers in a utility VM came with build 26100"
			}
			for _, tc := range []struct {
				name, pod string
				spec      *specs.Spec
				code      codes.Code
				says      string
			}{
				{"of a pod that is not there", strings.Repeat("0", 64), spec("cmd"), codes.Unknown, "no shim serves"},
				{"of the other isolation", p.ID, other, codes.FailedPrecondition, "a container runs as its pod does"},
				{"HostProcess in a normal pod", p.ID, host, codes.FailedPrecondition, inVM},
			} {
				t.Run(tc.name, func(t *testing.T) {
					err := tasks.join(strings.ReplaceAll("does not fit "+h.name, " ", "-"), tc.pod, tc.pod == p.ID, tc.spec)
					if status.Code(err) != tc.code {
						t.Errorf("%v: %v; want %v", status.Code(err), err, tc.code)
					}
					says(t, err, tc.says)
				})
			}
			if out := execSync(t, c, sibling, "cmd", "/c", "echo alive"); strings.TrimSpace(out) != "alive" {
				t.Errorf("the sibling printed %q", out)
			}
			_, err := c.StopPodSandbox(soon(t), &runtime.StopPodSandboxRequest{PodSandboxId: p.ID})
			if err == nil {
				_, err = p.Create(soon(t), p.Container("late", "cmd"))
			}
			if err == nil || !strings.Contains(err.Error(), "not running") {
				t.Errorf("a container of a pod that has stopped: %v", err)
			}
		})
	}
}

// A sandbox that is deleted under its containers, which CRI never does, would
// leave them without a pod: the error must name those that live.
func TestSandboxUnderItsContainers(t *testing.T) {
	for _, h := range podHandlers {
		t.Run(h.name, func(t *testing.T) {
			unlessShort(t, !h.shim)
			l, c := podLab(t)
			tasks := connectTo(t, l, "k8s.io")
			p := runPod(t, c, h.name, cri.PodConfig("under"))
			app := runContainer(t, p, "app", "ping", "-t", "localhost")
			ctx, cancel := tasks.within(soonLimit)
			defer cancel()
			var err error
			if h.shim {
				_, err = tasks.sandboxes.Shutdown(ctx, &sandboxesapi.ControllerShutdownRequest{SandboxID: p.ID, Sandboxer: "shim"})
			} else {
				_, err = tasks.tasks.Delete(ctx, &tasksapi.DeleteTaskRequest{ContainerID: p.ID})
			}
			if status.Code(err) != codes.FailedPrecondition {
				t.Errorf("delete of a live sandbox: %v", err)
			}
			if out := execSync(t, c, app, "cmd", "/c", "echo alive"); strings.TrimSpace(out) != "alive" {
				t.Errorf("the container printed %q", out)
			}
			says(t, err, app, "live in it")
		})
	}
}
