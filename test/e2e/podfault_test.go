package e2e

import (
	"context"
	"strings"
	"testing"

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
	for _, h := range podsandboxHandlers {
		for _, tc := range []struct {
			name, function, exe, hresult string
			nth                          int
			hypervOnly                   bool
			code                         codes.Code
			says                         string
		}{
			{"no endpoint", "HcnCreateEndpoint", plugin, "0x80004005", 1, false, codes.Unknown, "make endpoint"},
			{"endpoint that joins no namespace", "HcnModifyNamespace", plugin, "0x80004005", 1, false, codes.Unknown, "put endpoint"},
			{"namespace that is not there", "HcnEnumerateNamespaces", lab.IsolShim, "0x80070490", 1, false, codes.FailedPrecondition, "network namespace"},
			{"adapter that the VM does not take", "HcsModifyComputeSystem", lab.IsolShim, "0x80070057", 1, true, codes.InvalidArgument, "HcsModifyComputeSystem"},
			{"no compute service", "HcsCreateComputeSystem", lab.IsolShim, "0x80370114", 1, false, codes.Unavailable, "sc query vmcompute"},
			{"start that fails", "HcsStartComputeSystem", lab.IsolShim, "0x80370106", 1, false, codes.Internal, "HcsStartComputeSystem"},
		} {
			t.Run(h.name+" "+tc.name, func(t *testing.T) {
				if tc.hypervOnly && !h.hyperv {
					t.Skip("there is no VM")
				}
				l, c := podLab(t)
				faults(t, l, hcsemu.Fault{Function: tc.function, Nth: tc.nth, Action: hcsemu.ActionFail, Code: tc.hresult, Exe: tc.exe})
				config := cri.PodConfig("fails")
				p, err := c.RunPod(soon(t), h.name, config)
				if err == nil {
					t.Errorf("the pod came up; removed: %v", p.Remove(soon(t)))
				} else if status.Code(err) != tc.code {
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

// nothingOfPods fails the test if CRI knows a pod.
func nothingOfPods(t *testing.T, c *cri.Client) {
	t.Helper()
	r, err := c.ListPodSandbox(soon(t), &runtime.ListPodSandboxRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.GetItems() {
		t.Errorf("pod %s is left, %s", p.GetMetadata().GetName(), p.GetState())
	}
}

// The kubelet gives up on a pod that takes too long, in the midst of whatever
// isol does, removes what containerd still lists of it, and tries again under the
// same name: nothing may be left of the first.
func TestPodThatIsGivenUp(t *testing.T) {
	for _, h := range podsandboxHandlers {
		functions := []string{"ActivateLayer", "HcsCreateComputeSystem", "HcsCreateProcess"}
		if h.hyperv {
			functions = []string{"HcsStartComputeSystem", "HcsModifyComputeSystem"}
		}
		for _, function := range functions {
			t.Run(h.name+" "+function, func(t *testing.T) {
				l, c := podLab(t)
				faults(t, l, hcsemu.Fault{Name: "held", Function: function, Action: hcsemu.ActionHang, Exe: lab.IsolShim})
				config := cri.PodConfig("given-up")
				ctx, cancel := context.WithCancel(soon(t))
				defer cancel()
				ended := make(chan error, 1)
				go func() {
					_, err := c.RunPod(ctx, h.name, config)
					ended <- err
				}()
				until(t, "the call "+function, func() bool { return hanging(t, l, "held") > 0 })
				cancel()
				if err := <-ended; status.Code(err) != codes.Canceled {
					t.Errorf("given up: %v", err)
				}
				if _, err := l.Release("held"); err != nil {
					t.Fatal(err)
				}
				faults(t, l)
				removeAllPods(t, c)
				clean(t, l)
				again := runPod(t, c, h.name, config)
				runContainer(t, again, "app", "ping", "-t", "localhost")
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
	for _, h := range podsandboxHandlers {
		t.Run(h.name, func(t *testing.T) {
			l, c := podLab(t)
			tasks := connectTo(t, l, "k8s.io")
			p := runPod(t, c, h.name, cri.PodConfig("picky"))
			sibling := runContainer(t, p, "sibling", "ping", "-t", "localhost")

			other := &specs.WindowsHyperV{}
			if h.hyperv {
				other = nil
			}
			for _, tc := range []struct {
				name, pod string
				hyperv    *specs.WindowsHyperV
				code      codes.Code
				says      string
			}{
				{"of a pod that is not there", strings.Repeat("0", 64), nil, codes.Unknown, "no shim serves"},
				{"of the other isolation", p.ID, other, codes.FailedPrecondition, "a container runs as its pod does"},
			} {
				t.Run(tc.name, func(t *testing.T) {
					if tc.name == "of the other isolation" && other == nil {
						t.Skip("a spec has no word for process isolation")
					}
					s := spec("cmd")
					s.Windows.HyperV = tc.hyperv
					s.Annotations = map[string]string{"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": tc.pod}
					id := strings.ReplaceAll("does not fit "+h.name, " ", "-")
					request := tasks.container(id, packed(t, specURL, s), nil)
					ctx, cancel := tasks.within(soonLimit)
					defer cancel()
					_, err := tasks.tasks.Create(ctx, request)
					if status.Code(err) != tc.code {
						t.Errorf("%v: %v; want %v", status.Code(err), err, tc.code)
					}
					says(t, err, tc.says)
					tasks.remove(id)
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
	for _, h := range podsandboxHandlers {
		t.Run(h.name, func(t *testing.T) {
			l, c := podLab(t)
			tasks := connectTo(t, l, "k8s.io")
			p := runPod(t, c, h.name, cri.PodConfig("under"))
			app := runContainer(t, p, "app", "ping", "-t", "localhost")
			ctx, cancel := tasks.within(soonLimit)
			defer cancel()
			_, err := tasks.tasks.Delete(ctx, &tasksapi.DeleteTaskRequest{ContainerID: p.ID})
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
