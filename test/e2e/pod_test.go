package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/shim/diagnostics"
	"github.com/isolrun/isol/test/cri"
	"github.com/isolrun/isol/test/lab"
)

// A pod as Kubernetes runs it, in every way of making one: what the kubelet and
// kubectl ask of its containers is answered as for runhcs.
func TestPod(t *testing.T) {
	for _, h := range podHandlers {
		t.Run(h.name, func(t *testing.T) {
			l, c := podLab(t)
			config := cri.PodConfig("pod-" + h.name)
			config.PortMappings = []*runtime.PortMapping{{ContainerPort: 80, HostPort: 8080}}
			p := runPod(t, c, h.name, config)
			sandboxIsReady(t, l, c, p, h.hyperv && !h.shim, !h.hyperv && !h.shim)
			portIsListed(t, l, p, h.shim)

			first := runContainer(t, p, "init", "cmd", "/c", "echo prepared& echo careful 1>&2")
			if s := exited(t, p, first); s.GetExitCode() != 0 || s.GetReason() != "Completed" {
				t.Errorf("the init container: %v", s)
			}
			if out, errs := logText(t, p, "init", "stdout"), logText(t, p, "init", "stderr"); out != "prepared\n" || strings.TrimSpace(errs) != "careful" {
				t.Errorf("the init container's log: %q and %q", out, errs)
			}
			app := runContainer(t, p, "app", "ping", "-t", "localhost")
			input := p.Container("input", "probe", "cat")
			input.Stdin = true
			attached, err := p.Create(soon(t), input)
			if err == nil {
				_, err = c.StartContainer(soon(t), &runtime.StartContainerRequest{ContainerId: attached})
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.hyperv { // also where it booted with the first container: one VM, with the pod's network
				sandboxIsReady(t, l, c, p, true, false)
			}
			failing := runContainer(t, p, "failing", "cmd", "/c", "exit 7")
			if s := exited(t, p, failing); s.GetExitCode() != 7 || s.GetReason() != "Error" {
				t.Errorf("a container that exits with 7: %v", s)
			}
			programsExec(t, c, app)
			programAttaches(t, c, attached)
			logReopens(t, l, c, p, app)
			statistics(t, c, p, app, h.shim)
			update(t, c, app)
			stops(t, c, p, app)
		})
	}
}

// sandboxIsReady looks at the sandbox as the kubelet does before it goes on: it
// has a VM, a pause process, or neither.
func sandboxIsReady(t *testing.T, l *lab.Lab, c *cri.Client, p *cri.Pod, vm, pause bool) {
	t.Helper()
	r, err := c.PodSandboxStatus(soon(t), &runtime.PodSandboxStatusRequest{PodSandboxId: p.ID})
	if err != nil {
		t.Fatal(err)
	}
	if s := r.GetStatus(); s.GetState() != runtime.PodSandboxState_SANDBOX_READY || !strings.HasPrefix(s.GetNetwork().GetIp(), "10.88.") || s.GetRuntimeHandler() != p.Handler {
		t.Errorf("the sandbox's status: %v", s)
	}
	machines, adapters := 0, held(t, l, "network adapter")
	if vm {
		machines = 1
	}
	if n := programs(t, l, "vmwp.exe"); n != machines || len(adapters) != machines {
		t.Errorf("%d virtual machines, adapters %v; want %d of each", n, adapters, machines)
	}
	if vm {
		return // its containers' processes are the guest's
	}
	if n := programs(t, l, "ping.exe"); (n == 1) != pause || n > 1 {
		t.Errorf("%d pause processes on the host, want one: %v", n, pause)
	}
}

// portIsListed looks for the host port that the pod asked for where an operator
// does: the plugin has made a policy of it, which isol has read.
func portIsListed(t *testing.T, l *lab.Lab, p *cri.Pod, shim bool) {
	t.Helper()
	var r diagnostics.Report
	if err := json.Unmarshal([]byte(isolctl(t, l)("show", "--format", "json", p.ID).Stdout), &r); err != nil {
		t.Fatal(err)
	}
	want := isolation.Crossing{Kind: isolation.CrossPort, Host: "TCP 8080", Inside: "port 80", Write: true, Source: "endpoint " + p.ID + "_eth0"}
	if shim { // the request carries the pod's configuration too
		want.Source = "pod config port_mappings[0], " + want.Source
	}
	if len(r.Tasks) != 1 || !slices.Contains(r.Tasks[0].Plan.Crossings, want) {
		t.Errorf("the sandbox's crossings: %+v; want %+v among them", r.Tasks, want)
	}
}

// programsExec runs programs in a container in both ways that CRI has: probes,
// and kubectl exec.
func programsExec(t *testing.T, c *cri.Client, id string) {
	t.Helper()
	if out := execSync(t, c, id, "cmd", "/c", "echo alive"); strings.TrimSpace(out) != "alive" {
		t.Errorf("exec printed %q", out)
	}
	r, err := c.ExecSync(soon(t), &runtime.ExecSyncRequest{ContainerId: id, Cmd: []string{"cmd", "/c", "echo sick 1>&2& exit 3"}, Timeout: 30})
	if err != nil || r.GetExitCode() != 3 || strings.TrimSpace(string(r.GetStderr())) != "sick" {
		t.Errorf("a probe that fails: %v, %v", r, err)
	}
	if _, err := c.ExecSync(soon(t), &runtime.ExecSyncRequest{ContainerId: id, Cmd: []string{"nosuchprogram.exe"}, Timeout: 30}); err == nil || !strings.Contains(err.Error(), "nosuchprogram.exe") {
		t.Errorf("a program that is not there: %v", err)
	}
	if _, err := c.ExecSync(soon(t), &runtime.ExecSyncRequest{ContainerId: id, Cmd: []string{"probe", "sleep", "60"}, Timeout: 1}); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("a probe that hangs: %v", err)
	}
	var out, errs bytes.Buffer
	code, err := c.Exec(soon(t), id, []string{"probe", "cat"}, cri.Streams{Stdin: strings.NewReader("to and fro"), Stdout: &out, Stderr: &errs})
	if err != nil || code != 0 || out.String() != "to and fro" || errs.Len() > 0 {
		t.Errorf("exec -i: exit code %d, %v, %q, %q", code, err, &out, &errs)
	}
	code, err = c.Exec(soon(t), id, []string{"cmd", "/c", "exit 5"}, cri.Streams{Stdout: &out})
	if err != nil || code != 5 {
		t.Errorf("exec of exit 5: exit code %d, %v", code, err)
	}
}

// programAttaches talks to a container's first process, as kubectl attach does.
func programAttaches(t *testing.T, c *cri.Client, id string) {
	t.Helper()
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	input, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	defer feed.Close()
	out := &watched{want: "over the stream", seen: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- c.Attach(ctx, id, cri.Streams{Stdin: input, Stdout: out}) }()
	if _, err := feed.WriteString("over the stream"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-out.seen:
	case err := <-ended:
		t.Errorf("attach ended: %v", err)
		return
	case <-time.After(30 * time.Second):
		t.Errorf("attach: %q has come", out.text)
	}
	cancel()
	<-ended
}

// watched says when a text has come by.
type watched struct {
	text, want string
	seen       chan struct{}
}

func (w *watched) Write(p []byte) (int, error) {
	before := strings.Contains(w.text, w.want)
	w.text += string(p)
	if !before && strings.Contains(w.text, w.want) {
		close(w.seen)
	}
	return len(p), nil
}

// logReopens does what the kubelet does when it rotates a log.
func logReopens(t *testing.T, l *lab.Lab, c *cri.Client, p *cri.Pod, id string) {
	t.Helper()
	until(t, "the first line of app", func() bool { return logText(t, p, "app", "stdout") != "" })
	name := l.Path(p.Config.GetLogDirectory() + `\app.log`)
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReopenContainerLog(soon(t), &runtime.ReopenContainerLogRequest{ContainerId: id}); err != nil {
		t.Fatal(err)
	}
	until(t, "the first line of app after its log was rotated", func() bool { return logText(t, p, "app", "stdout") != "" })
}

// statistics are typed as the kubelet reads them, and never an error.
//
// containerd v2.4 counts a Windows pod's processes through its sandbox container
// (internal/cri/server/sandbox_stats_windows.go, getSandboxPidCount), which a pod
// of the Sandbox API does not have: the day that this fails, docs/kubernetes.md
// must forget it.
func statistics(t *testing.T, c *cri.Client, p *cri.Pod, id string, shim bool) {
	t.Helper()
	one, err := c.ContainerStats(soon(t), &runtime.ContainerStatsRequest{ContainerId: id})
	if s := one.GetStats(); err != nil || s.GetCpu().GetUsageCoreNanoSeconds() == nil || s.GetMemory().GetWorkingSetBytes().GetValue() == 0 {
		t.Errorf("statistics of a container: %v, %v", s, err)
	}
	r, err := c.PodSandboxStats(soon(t), &runtime.PodSandboxStatsRequest{PodSandboxId: p.ID})
	if shim {
		if err == nil || !strings.Contains(err.Error(), "failed to load container") {
			t.Errorf("statistics of a pod of the Sandbox API: %v, %v", r, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	s := r.GetStats().GetWindows()
	if s.GetCpu().GetUsageCoreNanoSeconds() == nil || s.GetMemory().GetWorkingSetBytes().GetValue() == 0 || s.GetProcess().GetProcessCount().GetValue() == 0 {
		t.Errorf("statistics of the pod: %v", s)
	}
	if s.GetNetwork().GetDefaultInterface() == nil {
		t.Errorf("the pod has no network in its statistics: %v", s)
	}
	names := map[string]bool{}
	for _, k := range s.GetContainers() {
		names[k.GetAttributes().GetMetadata().GetName()] = true
	}
	if len(names) != 2 || !names["app"] || !names["input"] {
		t.Errorf("statistics of the containers %v, want those of app and input, which run", names)
	}
	all, err := c.ListPodSandboxStats(soon(t), &runtime.ListPodSandboxStatsRequest{})
	if err != nil || len(all.GetStats()) != 1 {
		t.Errorf("statistics of all pods: %v, %v", all, err)
	}
}

// update changes a container's limits while it runs.
func update(t *testing.T, c *cri.Client, id string) {
	t.Helper()
	_, err := c.UpdateContainerResources(soon(t), &runtime.UpdateContainerResourcesRequest{
		ContainerId: id, Windows: &runtime.WindowsContainerResources{MemoryLimitInBytes: 256 << 20, CpuMaximum: 2500},
	})
	if err != nil {
		t.Errorf("update: %v", err)
	}
}

// stops ends a container by CRI's stop, which asks before it kills.
func stops(t *testing.T, c *cri.Client, p *cri.Pod, id string) {
	t.Helper()
	if err := p.End(soon(t), id); err != nil {
		t.Error(err)
	}
	if _, err := p.State(soon(t), id); err == nil {
		t.Error("a container that was removed is there")
	}
}

// A node whose handlers keep Microsoft's names and options, and point at isol,
// runs its pods as before.
func TestDropInHandlers(t *testing.T) {
	for _, h := range []struct {
		name   string
		hyperv bool
	}{{lab.HandlerDropInProcess, false}, {lab.HandlerDropInHyperV, true}} {
		t.Run(h.name, func(t *testing.T) {
			l, c := podLab(t)
			p := runPod(t, c, h.name, cri.PodConfig(h.name))
			sandboxIsReady(t, l, c, p, h.hyperv, !h.hyperv)
			app := runContainer(t, p, "app", "ping", "-t", "localhost")
			if out := execSync(t, c, app, "cmd", "/c", "echo alive"); strings.TrimSpace(out) != "alive" {
				t.Errorf("exec printed %q", out)
			}
			if n := len(processesOf(t, l, runhcsShim)); n != 0 {
				t.Errorf("%d processes of Microsoft's shim", n)
			}
		})
	}
}
