package service

import (
	"context"
	"encoding/json"
	"runtime"
	"time"

	"github.com/containerd/containerd/api/types"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/oci"
	"github.com/isolrun/isol/internal/pod"
	"github.com/isolrun/isol/internal/shim/admission"
	api "github.com/isolrun/isol/internal/shim/sandboxapi"
)

// The states of a sandbox, as CRI spells them: containerd hands them on.
const (
	sandboxReady    = "SANDBOX_READY"
	sandboxNotReady = "SANDBOX_NOTREADY"
)

// sandboxMethods is the Sandbox API. Its messages are isol's own copy: see
// package sandboxapi.
func (s *Service) sandboxMethods() map[string]ttrpc.Method {
	return map[string]ttrpc.Method{
		"CreateSandbox":   method(s.createSandbox, func() *api.CreateSandboxRequest { return new(api.CreateSandboxRequest) }),
		"StartSandbox":    method(s.startSandbox, func() *api.StartSandboxRequest { return new(api.StartSandboxRequest) }),
		"Platform":        method(s.platform, func() *api.PlatformRequest { return new(api.PlatformRequest) }),
		"StopSandbox":     method(s.stopSandbox, func() *api.StopSandboxRequest { return new(api.StopSandboxRequest) }),
		"WaitSandbox":     method(s.waitSandbox, func() *api.WaitSandboxRequest { return new(api.WaitSandboxRequest) }),
		"SandboxStatus":   method(s.sandboxStatus, func() *api.SandboxStatusRequest { return new(api.SandboxStatusRequest) }),
		"PingSandbox":     method(s.pingSandbox, func() *api.PingRequest { return new(api.PingRequest) }),
		"ShutdownSandbox": method(s.shutdownSandbox, func() *api.ShutdownSandboxRequest { return new(api.ShutdownSandboxRequest) }),
		"SandboxMetrics":  method(s.sandboxMetrics, func() *api.SandboxMetricsRequest { return new(api.SandboxMetricsRequest) }),
		"UpdateSandbox":   method(s.updateSandbox, func() *api.UpdateSandboxRequest { return new(api.UpdateSandboxRequest) }),
	}
}

func (s *Service) createSandbox(ctx context.Context, r *api.CreateSandboxRequest) (*api.CreateSandboxResponse, error) {
	err := s.makeSandbox(ctx, r)
	s.unlessGivenUp(ctx)
	return &api.CreateSandboxResponse{}, err
}

// unlessGivenUp ends the shim if the client has gone that was making its
// sandbox: CRI has given RunPodSandbox up, or containerd has died. containerd
// asks for the shutdown under the same ended context and then hangs up, so the
// request may never be sent, and nobody else knows this shim
// (cleanupShim in https://github.com/containerd/containerd/blob/v2.4.2/plugins/sandbox/controller.go).
func (s *Service) unlessGivenUp(ctx context.Context) {
	if ctx.Err() == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), SandboxShutdownLimit)
	defer cancel()
	s.leave(ctx, s.Pod.Close(ctx))
}

func (s *Service) makeSandbox(ctx context.Context, r *api.CreateSandboxRequest) error {
	create, err := s.Admit.AdmitSandbox(admission.Sandbox{
		ID: r.SandboxId, Namespace: s.Namespace, Bundle: r.BundlePath, Rootfs: mounts(r.Rootfs),
		NetworkID: r.NetnsPath, Annotations: r.Annotations,
		ConfigType: r.Options.GetTypeUrl(), Config: r.Options.GetValue(),
		OptionsType: s.OptionsType, Options: s.Options,
	})
	if err != nil {
		return fault.Wrap(err, "create sandbox", r.SandboxId)
	}
	return s.Pod.CreateSandbox(ctx, create)
}

func (s *Service) startSandbox(ctx context.Context, r *api.StartSandboxRequest) (*api.StartSandboxResponse, error) {
	info, err := s.Pod.StartSandbox(ctx, r.SandboxId)
	s.unlessGivenUp(ctx)
	return &api.StartSandboxResponse{Pid: info.PID, CreatedAt: timestamp(info.CreatedAt)}, err
}

// platform answers what containerd makes the containers' specs for: Windows
// ones, as isol runs no others yet.
func (s *Service) platform(_ context.Context, r *api.PlatformRequest) (*api.PlatformResponse, error) {
	info, err := s.Pod.Sandbox(r.SandboxId)
	if err != nil {
		return nil, err
	}
	p := &types.Platform{OS: "windows", Architecture: runtime.GOARCH}
	versions := info.Plan.Versions
	for _, v := range []interface {
		Known() bool
		String() string
	}{versions.UVM, versions.Host} {
		if v.Known() {
			p.OSVersion = v.String()
			break
		}
	}
	return &api.PlatformResponse{Platform: p}, nil
}

func (s *Service) stopSandbox(ctx context.Context, r *api.StopSandboxRequest) (*api.StopSandboxResponse, error) {
	return &api.StopSandboxResponse{}, s.Pod.StopSandbox(ctx, r.SandboxId, time.Duration(r.TimeoutSecs)*time.Second)
}

func (s *Service) waitSandbox(ctx context.Context, r *api.WaitSandboxRequest) (*api.WaitSandboxResponse, error) {
	if _, err := s.Pod.Sandbox(r.SandboxId); err != nil {
		return nil, err
	}
	exit, err := s.Pod.Wait(ctx, r.SandboxId, "")
	return &api.WaitSandboxResponse{ExitStatus: exit.Status, ExitedAt: timestamp(exit.At)}, err
}

func (s *Service) sandboxStatus(_ context.Context, r *api.SandboxStatusRequest) (*api.SandboxStatusResponse, error) {
	info, err := s.Pod.Sandbox(r.SandboxId)
	if err != nil {
		return nil, err
	}
	resp := &api.SandboxStatusResponse{
		SandboxId: info.ID, Pid: info.PID, State: sandboxNotReady,
		CreatedAt: timestamp(info.CreatedAt), ExitedAt: timestamp(info.ExitedAt),
	}
	if info.Status == pod.StatusRunning {
		resp.State = sandboxReady
	}
	if r.Verbose {
		plan, err := json.Marshal(info.Plan)
		if err != nil {
			return nil, fault.New(fault.Internal, "encode the plan of sandbox %s: %w", info.ID, err)
		}
		resp.Info = map[string]string{"plan": string(plan)}
	}
	return resp, nil
}

func (s *Service) pingSandbox(_ context.Context, r *api.PingRequest) (*api.PingResponse, error) {
	return &api.PingResponse{}, s.Pod.PingSandbox(r.SandboxId)
}

// shutdownSandbox ends the shim. Containers that still live keep it alive, and
// are named; what can't be released does not, as the delete action takes it up.
func (s *Service) shutdownSandbox(ctx context.Context, r *api.ShutdownSandboxRequest) (*api.ShutdownSandboxResponse, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), SandboxShutdownLimit)
	defer cancel()
	err := s.Pod.ShutdownSandbox(ctx, r.SandboxId)
	if kind := fault.KindOf(err); err != nil && (kind == fault.FailedPrecondition || kind == fault.NotFound) {
		return nil, err
	}
	s.leave(ctx, err)
	return &api.ShutdownSandboxResponse{}, nil
}

func (s *Service) sandboxMetrics(ctx context.Context, r *api.SandboxMetricsRequest) (*api.SandboxMetricsResponse, error) {
	if _, err := s.Pod.Sandbox(r.SandboxId); err != nil {
		return nil, err
	}
	figures, err := s.Pod.Stats(ctx, r.SandboxId)
	if err != nil {
		return nil, err
	}
	value, err := statistics(figures)
	if err != nil {
		return nil, err
	}
	return &api.SandboxMetricsResponse{Metrics: &types.Metric{Timestamp: timestamppb.Now(), ID: r.SandboxId, Data: value}}, nil
}

// updateSandbox takes the pod's resources out of the sandbox as containerd's
// CRI has stored it.
func (s *Service) updateSandbox(ctx context.Context, r *api.UpdateSandboxRequest) (*api.UpdateSandboxResponse, error) {
	extension := r.GetSandbox().GetExtensions()[oci.PodUpdateKey]
	resources, err := oci.PodUpdateFromAny(extension.GetTypeUrl(), extension.GetValue())
	if err != nil {
		return nil, fault.Wrap(err, "update sandbox", r.SandboxId)
	}
	info, err := s.Pod.Sandbox(r.SandboxId)
	if err != nil {
		return nil, err
	}
	update, err := podUpdate(info.Plan, resources)
	if err != nil {
		return nil, fault.Wrap(err, "update sandbox", r.SandboxId)
	}
	if update.MemoryBytes == nil && update.CPU == nil {
		return &api.UpdateSandboxResponse{}, nil // limits were taken off, which no running VM can follow
	}
	return &api.UpdateSandboxResponse{}, s.Pod.UpdateSandbox(ctx, update)
}
