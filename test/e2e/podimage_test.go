package e2e

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/isolrun/isol/test/cri"
	"github.com/isolrun/isol/test/lab"
)

// A container whose image is of another build than its pod's kernel: the most
// frequent trouble of Windows pods. It runs where the versions fit; where not,
// the kubelet's event names the builds, and the pod goes on.
//
// The oldest image does not say its version in its manifest: one that does
// containerd itself would not take for this host.
func TestPodImages(t *testing.T) {
	lab.Require(t)
	old := lab.Server2019
	old.Unsaid = true
	l, err := boot(t, lab.Config{CRI: true, Guests: 1, Windows: lab.Server2025, Images: []lab.Windows{lab.Server2025, lab.Server2022, old}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := cri.Start(l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, tc := range []struct {
		handler string
		runs    []lab.Windows // one after the other
		refused lab.Windows
		says    []string
	}{
		{handler: lab.HandlerProcess, runs: []lab.Windows{lab.Server2025, lab.Server2022}, refused: old,
			says: []string{"image 10.0.17763", "host 10.0.26100", "process isolation", "builds 20348 to 26100"}},
		{handler: lab.HandlerHyperV, runs: []lab.Windows{lab.Server2022}, refused: old, // the VM is the pause image's
			says: []string{"image 10.0.17763", "utility VM 10.0.26100", "host 10.0.26100", "pause image"}},
		{handler: lab.HandlerHyperVShim, runs: []lab.Windows{old}, refused: lab.Server2022, // the VM is the first container's
			says: []string{"image 10.0.20348", "utility VM 10.0.17763", "host 10.0.26100", "uvm_image"}},
	} {
		t.Run(tc.handler, func(t *testing.T) {
			unlessShort(t, tc.handler != lab.HandlerHyperV)
			watch(t, l)
			p := runPod(t, c, tc.handler, cri.PodConfig("images"))
			for _, w := range tc.runs {
				config := p.Container("app-"+w.Name, "ping", "-t", "localhost")
				config.Image = &runtime.ImageSpec{Image: w.Image()}
				id, err := p.RunConfig(soon(t), config)
				if err != nil {
					t.Fatalf("image %s: %v", w.Image(), err)
				}
				if out := execSync(t, c, id, "cmd", "/c", "echo alive"); strings.TrimSpace(out) != "alive" {
					t.Errorf("the container of %s printed %q", w.Image(), out)
				}
			}
			config := p.Container("misfit", "ping", "-t", "localhost")
			config.Image = &runtime.ImageSpec{Image: tc.refused.Image()}
			_, err := p.RunConfig(soon(t), config)
			if status.Code(err) != codes.FailedPrecondition {
				t.Errorf("image %s: %v: %v", tc.refused.Image(), status.Code(err), err)
			}
			says(t, err, tc.says...)
			config = p.Container("sibling", "ping", "-t", "localhost")
			config.Image = &runtime.ImageSpec{Image: tc.runs[0].Image()}
			if _, err := p.RunConfig(soon(t), config); err != nil {
				t.Errorf("the pod after it: %v", err)
			}
		})
	}
}

// hostProcessOf makes a container's config that of a HostProcess container, as
// the kubelet does.
func hostProcessOf(config *runtime.ContainerConfig) *runtime.ContainerConfig {
	config.WorkingDir = ""
	config.Windows = &runtime.WindowsContainerConfig{SecurityContext: &runtime.WindowsContainerSecurityContext{HostProcess: true, RunAsUsername: systemUser}}
	return config
}

// A node agent's pod: its containers are processes of the host, in both ways of
// making it, and it leaves nothing there.
func TestHostProcessPod(t *testing.T) {
	for _, h := range podHandlers {
		if h.hyperv {
			continue // a HostProcess pod is on the host whatever its handler
		}
		t.Run(h.name, func(t *testing.T) {
			unlessShort(t, !h.shim)
			l, c := podLab(t)
			config := cri.PodConfig("agent")
			config.Windows.SecurityContext = &runtime.WindowsSandboxSecurityContext{HostProcess: true, RunAsUsername: systemUser}
			p := runPod(t, c, h.name, config)
			agent, err := p.RunConfig(soon(t), hostProcessOf(p.Container("agent", "cmd", "/c", "echo at work& "+rootPing+" -t localhost >nul")))
			if err != nil {
				t.Fatal(err)
			}
			until(t, "the agent's line", func() bool { return logText(t, p, "agent", "stdout") == "at work\n" })
			if n := programs(t, l, "cmd.exe"); n == 0 {
				t.Error("the agent is no process of the host")
			}
			if got := held(t, l, "namespace"); len(got) != 0 {
				t.Errorf("a pod on the host's network has the namespaces %v", got)
			}
			if out := execSync(t, c, agent, "cmd", "/c", "echo alive"); strings.TrimSpace(out) != "alive" {
				t.Errorf("exec printed %q", out)
			}
			// containerd's CRI refuses it itself; whoever comes past it meets isol.
			_, err = p.RunConfig(soon(t), p.Container("normal", "ping", "-t", "localhost"))
			says(t, err, "HostProcess")
			err = connectTo(t, l, "k8s.io").join("normal-"+h.name, p.ID, true, spec("cmd"))
			if status.Code(err) != codes.FailedPrecondition {
				t.Errorf("a normal container in a HostProcess pod: %v", err)
			}
			says(t, err, "is a HostProcess pod", "set hostProcess on every container")
			if err := p.End(soon(t), agent); err != nil {
				t.Error(err)
			}
		})
	}
}

// join asks for a container of a pod past CRI, which refuses some of them itself.
// Known says that containerd has the pod.
func (c *client) join(id, pod string, known bool, s *specs.Spec) error {
	c.t.Helper()
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations["io.kubernetes.cri.container-type"], s.Annotations["io.kubernetes.cri.sandbox-id"] = "container", pod
	member := *c
	if known {
		member.sandbox = pod
	}
	err := member.create(id, s)
	c.remove(id)
	return err
}
