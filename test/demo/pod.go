package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	criapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/isolrun/isol/test/cri"
	"github.com/isolrun/isol/test/lab"
)

// pods shows pods of Kubernetes in both modes: what the kubelet asks of
// containerd's CRI plugin, asked by a client of the demo's.
func (d *demo) pods() (err error) {
	c, err := cri.Start(d.lab)
	if err != nil {
		return err
	}
	defer func() {
		if e := c.Close(); err == nil {
			err = e
		}
	}()
	for _, mode := range []struct{ handler, title, what string }{
		{lab.HandlerProcess, "Pod, process isolation", "a sandbox, two containers, one shim"},
		{lab.HandlerHyperV, "Pod, Hyper-V isolation", "a sandbox that is a VM, two containers in it, one shim"},
	} {
		d.title(mode.title, mode.what)
		if err := d.pod(c, mode.handler); err != nil {
			return err
		}
	}
	return nil
}

// asked shows a call of CRI.
func (d *demo) asked(call string, args ...string) {
	fmt.Fprintln(d.out, "  > "+strings.Join(append([]string{call}, args...), " "))
}

// pod is the life of one pod.
func (d *demo) pod(c *cri.Client, handler string) error {
	ctx, cancel := context.WithTimeout(d.ctx, 2*time.Minute)
	defer cancel()
	d.asked("RunPodSandbox", handler)
	p, err := c.RunPod(ctx, handler, cri.PodConfig("web"))
	if err != nil {
		return err
	}
	status, err := c.PodSandboxStatus(ctx, &criapi.PodSandboxStatusRequest{PodSandboxId: p.ID})
	if err != nil {
		return err
	}
	d.check(status.GetStatus().GetState() == criapi.PodSandboxState_SANDBOX_READY, "the pod is ready, with the address %s", status.GetStatus().GetNetwork().GetIp())
	d.asked("CreateContainer, StartContainer", "app sidecar")
	app, err := p.Run(ctx, "app", "ping", "-t", "localhost")
	if err != nil {
		return err
	}
	sidecar, err := p.Run(ctx, "sidecar", "ping", "-t", "localhost")
	if err != nil {
		return err
	}
	host, err := d.lab.Processes(d.ctx)
	if err != nil {
		return err
	}
	d.check(count(host, lab.IsolShim) == 1, "one shim serves the pod and both containers")
	before, err := d.virtualMachines()
	if err != nil {
		return err
	}
	d.asked("ExecSync", "app cmd /c echo hello from the pod")
	r, err := c.ExecSync(ctx, &criapi.ExecSyncRequest{ContainerId: app, Cmd: []string{"cmd", "/c", "echo hello from the pod"}, Timeout: 30})
	d.show(string(r.GetStdout()))
	d.check(err == nil && strings.Contains(string(r.GetStdout()), "hello from the pod"), "an exec runs in a container of it")
	d.podStats(ctx, c, p)
	if err := d.restart(ctx, c, p, app, sidecar, before); err != nil {
		return err
	}
	d.asked("StopPodSandbox, RemovePodSandbox")
	err = p.Remove(ctx)
	d.check(err == nil, "the pod is removed")
	return err
}

// podStats shows what the kubelet's metrics come from.
func (d *demo) podStats(ctx context.Context, c *cri.Client, p *cri.Pod) {
	d.asked("PodSandboxStats")
	r, err := c.PodSandboxStats(ctx, &criapi.PodSandboxStatsRequest{PodSandboxId: p.ID})
	s := r.GetStats().GetWindows()
	for _, k := range s.GetContainers() {
		fmt.Fprintf(d.out, "    %-8s %d bytes committed\n", k.GetAttributes().GetMetadata().GetName(), k.GetMemory().GetCommitMemoryBytes().GetValue())
	}
	d.check(err == nil && len(s.GetContainers()) == 2, "the pod and both containers have statistics")
}

// restart ends a container of the pod and runs it again.
func (d *demo) restart(ctx context.Context, c *cri.Client, p *cri.Pod, app, sidecar string, before []string) error {
	d.asked("StopContainer, RemoveContainer, CreateContainer, StartContainer", "app")
	if err := p.End(ctx, app); err != nil {
		return err
	}
	if _, err := p.Run(ctx, "app", "ping", "-t", "localhost"); err != nil {
		return err
	}
	s, err := p.State(ctx, sidecar)
	d.check(err == nil && s.GetState() == criapi.ContainerState_CONTAINER_RUNNING, "a container that restarts leaves its sibling alone")
	if len(before) == 0 {
		return err
	}
	after, err := d.virtualMachines()
	d.check(slices.Equal(before, after), "and the pod's VM: still %s", strings.Join(after, ", "))
	return err
}

// virtualMachines names those that run.
func (d *demo) virtualMachines() ([]string, error) {
	all, err := d.lab.Machines()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range all {
		if m.Running {
			names = append(names, fmt.Sprintf("vmwp.exe %d", m.WorkerPID))
		}
	}
	return names, nil
}
