package cri

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// LogFolder is where the containers of pods of this package log.
const LogFolder = `C:\lab\logs`

// Pod is a sandbox that runs.
type Pod struct {
	ID      string
	Config  *runtime.PodSandboxConfig
	Handler string

	client *Client
}

// PodConfig is a pod as the kubelet asks for one; what a test wants otherwise
// it changes before RunPod.
func PodConfig(name string) *runtime.PodSandboxConfig {
	return &runtime.PodSandboxConfig{
		Metadata:     &runtime.PodSandboxMetadata{Name: name, Namespace: "default", Uid: "uid-" + name},
		Hostname:     name,
		LogDirectory: LogFolder + `\` + name,
		DnsConfig:    &runtime.DNSConfig{Servers: []string{"10.96.0.10"}, Searches: []string{"default.svc.cluster.local", "svc.cluster.local"}},
		Windows:      &runtime.WindowsPodSandboxConfig{SecurityContext: &runtime.WindowsSandboxSecurityContext{}},
	}
}

// RunPod makes the pod's log folder, as the kubelet does, and runs its sandbox
// under a runtime handler. What an earlier pod of this name has logged goes.
func (c *Client) RunPod(ctx context.Context, handler string, config *runtime.PodSandboxConfig) (*Pod, error) {
	folder := c.lab.Path(config.GetLogDirectory())
	if err := errors.Join(os.RemoveAll(folder), os.MkdirAll(folder, 0o755)); err != nil {
		return nil, fmt.Errorf("cri: logs of the pod: %w", err)
	}
	r, err := c.RunPodSandbox(ctx, &runtime.RunPodSandboxRequest{Config: config, RuntimeHandler: handler})
	if err != nil {
		return nil, err
	}
	return &Pod{ID: r.GetPodSandboxId(), Config: config, Handler: handler, client: c}, nil
}

// Container is a container of the pod, with the lab's image, that runs args and
// logs to NAME.log.
func (p *Pod) Container(name string, args ...string) *runtime.ContainerConfig {
	return &runtime.ContainerConfig{
		Metadata:   &runtime.ContainerMetadata{Name: name},
		Image:      &runtime.ImageSpec{Image: p.client.lab.Image()},
		Command:    args,
		WorkingDir: `C:\`,
		LogPath:    name + ".log",
		Windows:    &runtime.WindowsContainerConfig{},
	}
}

// Create makes a container and returns its id.
func (p *Pod) Create(ctx context.Context, config *runtime.ContainerConfig) (string, error) {
	r, err := p.client.CreateContainer(ctx, &runtime.CreateContainerRequest{PodSandboxId: p.ID, Config: config, SandboxConfig: p.Config})
	return r.GetContainerId(), err
}

// Run makes a container that runs args, starts it and returns its id.
func (p *Pod) Run(ctx context.Context, name string, args ...string) (string, error) {
	return p.RunConfig(ctx, p.Container(name, args...))
}

// RunConfig makes a container, starts it and returns its id.
func (p *Pod) RunConfig(ctx context.Context, config *runtime.ContainerConfig) (string, error) {
	id, err := p.Create(ctx, config)
	if err != nil {
		return "", fmt.Errorf("create container %s: %w", config.GetMetadata().GetName(), err)
	}
	if _, err := p.client.StartContainer(ctx, &runtime.StartContainerRequest{ContainerId: id}); err != nil {
		return id, fmt.Errorf("start container %s: %w", config.GetMetadata().GetName(), err)
	}
	return id, nil
}

// End stops a container, for which it gets ten seconds, waits until containerd
// has seen its end, as the kubelet does, and removes it.
func (p *Pod) End(ctx context.Context, container string) error {
	_, err := p.client.StopContainer(ctx, &runtime.StopContainerRequest{ContainerId: container, Timeout: 10})
	for err == nil {
		var s *runtime.ContainerStatus
		if s, err = p.State(ctx, container); err == nil && s.GetState() != runtime.ContainerState_CONTAINER_RUNNING {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err == nil {
		_, err = p.client.RemoveContainer(ctx, &runtime.RemoveContainerRequest{ContainerId: container})
	}
	return err
}

// State is that of a container.
func (p *Pod) State(ctx context.Context, container string) (*runtime.ContainerStatus, error) {
	r, err := p.client.ContainerStatus(ctx, &runtime.ContainerStatusRequest{ContainerId: container})
	return r.GetStatus(), err
}

// Log is what a container of that name has logged, in the lines of CRI: time,
// stream, whether the line is whole, text.
func (p *Pod) Log(name string) ([]LogLine, error) {
	content, err := os.ReadFile(p.client.lab.Path(p.Config.GetLogDirectory() + `\` + name + ".log"))
	if err != nil {
		return nil, fmt.Errorf("cri: %w", err)
	}
	var lines []LogLine
	for line := range strings.Lines(string(content)) {
		f := strings.SplitN(strings.TrimRight(line, "\r\n"), " ", 4)
		if len(f) != 4 {
			return nil, fmt.Errorf("cri: the log of %s has the line %q", name, line)
		}
		lines = append(lines, LogLine{Stream: f[1], Partial: f[2] == "P", Text: f[3]})
	}
	return lines, nil
}

// LogLine is a line of a container's log.
type LogLine struct {
	Stream  string // stdout or stderr
	Partial bool   // the next one goes on with it
	Text    string
}

// Remove stops the pod with all its containers and removes it, as the kubelet
// does with a pod that was deleted.
func (p *Pod) Remove(ctx context.Context) error {
	_, stopped := p.client.StopPodSandbox(ctx, &runtime.StopPodSandboxRequest{PodSandboxId: p.ID})
	_, removed := p.client.RemovePodSandbox(ctx, &runtime.RemovePodSandboxRequest{PodSandboxId: p.ID})
	return errors.Join(stopped, removed)
}
