package e2e

import (
	"context"
	"os"
	"testing"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/isolrun/isol/test/cri"
	"github.com/isolrun/isol/test/lab"
)

// podHandler is a way to make a pod.
type podHandler struct {
	name   string // of the runtime handler
	hyperv bool
	shim   bool // over the Sandbox API: no sandbox container, and the VM boots with the first container
}

// podHandlers are both modes in both ways that containerd has.
var podHandlers = []podHandler{
	{lab.HandlerProcess, false, false},
	{lab.HandlerHyperV, true, false},
	{lab.HandlerProcessShim, false, true},
	{lab.HandlerHyperVShim, true, true},
}

// selection is the variable of the environment that `make test` sets to "short",
// for its time is bounded: of the tests that run for each handler it leaves out
// those that have little to add. `make e2e` runs them all.
const selection = "ISOL_PODS"

// unlessShort skips the test in the short selection unless it is in it.
func unlessShort(t *testing.T, in bool) {
	t.Helper()
	if !in && os.Getenv(selection) == "short" {
		t.Skip("not in the short selection: make e2e runs it")
	}
}

// podLab returns a lab with a hypervisor, a CNI network and a client of CRI. The
// test fails if it leaves anything there.
func podLab(t *testing.T) (*lab.Lab, *cri.Client) {
	t.Helper()
	l := pods.of(t)
	c, err := cri.Start(l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, c
}

const soonLimit = time.Minute

// soon is a context for what must not take longer than a minute.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), soonLimit)
	t.Cleanup(cancel)
	return ctx
}

// runPod runs a pod that must come up. It is removed when the test ends.
func runPod(t *testing.T, c *cri.Client, handler string, config *runtime.PodSandboxConfig) *cri.Pod {
	t.Helper()
	p, err := c.RunPod(soon(t), handler, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Remove(soon(t)); err != nil {
			t.Errorf("remove pod %s: %v", p.ID, err)
		}
	})
	return p
}

// runContainer runs a container that must come up.
func runContainer(t *testing.T, p *cri.Pod, name string, args ...string) string {
	t.Helper()
	id, err := p.Run(soon(t), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// exited waits for the end of a container and returns its status.
func exited(t *testing.T, p *cri.Pod, id string) *runtime.ContainerStatus {
	t.Helper()
	var s *runtime.ContainerStatus
	until(t, "the end of container "+id, func() bool {
		var err error
		if s, err = p.State(soon(t), id); err != nil {
			t.Fatal(err)
		}
		return s.GetState() == runtime.ContainerState_CONTAINER_EXITED
	})
	return s
}

// execSync runs args in a container and returns what it printed.
func execSync(t *testing.T, c *cri.Client, id string, args ...string) string {
	t.Helper()
	r, err := c.ExecSync(soon(t), &runtime.ExecSyncRequest{ContainerId: id, Cmd: args, Timeout: 30})
	if err != nil {
		t.Fatal(err)
	}
	if r.GetExitCode() != 0 {
		t.Errorf("%v in %s: exit code %d: %s", args, id, r.GetExitCode(), r.GetStderr())
	}
	return string(r.GetStdout())
}

// logText is a container's log of one stream, without what the lines carry beside text.
func logText(t *testing.T, p *cri.Pod, name, stream string) string {
	t.Helper()
	lines, err := p.Log(name)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, line := range lines {
		if line.Stream == stream {
			text += line.Text
			if !line.Partial {
				text += "\n"
			}
		}
	}
	return text
}
