package service

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1/options"
	"github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1/stats"
	task "github.com/containerd/containerd/api/runtime/task/v2"
	"github.com/containerd/containerd/api/types"
	taskstate "github.com/containerd/containerd/api/types/task"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/oci"
	"github.com/isolrun/isol/internal/pod"
)

func mounts(from []*types.Mount) []layers.Mount {
	var to []layers.Mount
	for _, m := range from {
		to = append(to, layers.Mount{Type: m.Type, Source: m.Source, Target: m.Target, Options: m.Options})
	}
	return to
}

// timestamp leaves out the time of what has not happened.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// anyOf packs a message as containerd's typeurl does: the type URL is the bare
// name. CRI and moby look for exactly that.
func anyOf(msg proto.Message) (*anypb.Any, error) {
	value, err := proto.Marshal(msg)
	if err != nil {
		return nil, fault.New(fault.Internal, "encode %T: %w", msg, err)
	}
	return &anypb.Any{TypeUrl: string(msg.ProtoReflect().Descriptor().FullName()), Value: value}, nil
}

var statuses = map[pod.Status]taskstate.Status{
	pod.StatusCreated: taskstate.Status_CREATED,
	pod.StatusRunning: taskstate.Status_RUNNING,
	pod.StatusStopped: taskstate.Status_STOPPED,
}

func stateResponse(s pod.State) *task.StateResponse {
	return &task.StateResponse{
		ID: s.ID, ExecID: s.ExecID, Bundle: s.Bundle, Pid: s.PID, Status: statuses[s.Status],
		Stdin: s.Stdio.Stdin, Stdout: s.Stdio.Stdout, Stderr: s.Stdio.Stderr, Terminal: s.Stdio.Terminal,
		ExitStatus: s.ExitStatus, ExitedAt: timestamp(s.ExitedAt),
	}
}

func pidsResponse(list []pod.ProcessInfo) (*task.PidsResponse, error) {
	resp := &task.PidsResponse{}
	for _, p := range list {
		details, err := anyOf(&options.ProcessDetails{
			ImageName: p.ImageName, CreatedAt: timestamp(p.CreatedAt), ProcessID: p.PID, ExecID: p.ExecID,
			KernelTime_100Ns: p.KernelTime100ns, UserTime_100Ns: p.UserTime100ns,
			MemoryCommitBytes:            p.MemoryCommitBytes,
			MemoryWorkingSetPrivateBytes: p.WorkingSetPrivate,
			MemoryWorkingSetSharedBytes:  p.WorkingSetShared,
		})
		if err != nil {
			return nil, err
		}
		resp.Processes = append(resp.Processes, &taskstate.ProcessInfo{Pid: p.PID, Info: details})
	}
	return resp, nil
}

func statsResponse(s pod.Stats) (*task.StatsResponse, error) {
	value, err := statistics(s)
	return &task.StatsResponse{Stats: value}, err
}

// statistics packs a container's or a sandbox's figures in the type that CRI
// asserts.
func statistics(s pod.Stats) (*anypb.Any, error) {
	return anyOf(&stats.Statistics{VM: vmStatistics(s.VM), Container: &stats.Statistics_Windows{Windows: &stats.WindowsContainerStatistics{
		Timestamp:          timestamp(s.Timestamp),
		ContainerStartTime: timestamp(s.ContainerStart),
		UptimeNS:           uint64(s.Uptime),
		Processor: &stats.WindowsContainerProcessorStatistics{
			TotalRuntimeNS: uint64(s.CPUTotal), RuntimeUserNS: uint64(s.CPUUser), RuntimeKernelNS: uint64(s.CPUKernel),
		},
		Memory: &stats.WindowsContainerMemoryStatistics{
			MemoryUsageCommitBytes:            s.MemoryCommitBytes,
			MemoryUsageCommitPeakBytes:        s.MemoryCommitPeakBytes,
			MemoryUsagePrivateWorkingSetBytes: s.MemoryPrivateWorkingSet,
		},
		Storage: &stats.WindowsContainerStorageStatistics{
			ReadCountNormalized: s.StorageReadCount, ReadSizeBytes: s.StorageReadBytes,
			WriteCountNormalized: s.StorageWriteCount, WriteSizeBytes: s.StorageWriteBytes,
		},
	}}})
}

// vmStatistics are those of a task that owns a utility VM.
func vmStatistics(s *pod.VMStats) *stats.VirtualMachineStatistics {
	if s == nil {
		return nil
	}
	memory := &stats.VirtualMachineMemoryStatistics{VirtualNodeCount: s.Nodes}
	if m := s.Memory; m != nil {
		memory.VmMemory = &stats.VirtualMachineMemory{
			AvailableMemory: m.AvailableMemory, AvailableMemoryBuffer: m.AvailableMemoryBuffer,
			ReservedMemory: m.ReservedMemory, AssignedMemory: m.AssignedMemory,
			SlpActive: m.SlpActive, BalancingEnabled: m.BalancingEnabled, DmOperationInProgress: m.DmOperationInProgress,
		}
	}
	return &stats.VirtualMachineStatistics{
		Processor: &stats.VirtualMachineProcessorStatistics{TotalRuntimeNS: uint64(s.CPUTotal)},
		Memory:    memory,
	}
}

// consoleSize checks the size: HCS takes 16 bits for each side.
func consoleSize(width, height uint32) (schema.ConsoleSize, error) {
	if width == 0 || height == 0 || width > math.MaxInt16 || height > math.MaxInt16 {
		return schema.ConsoleSize{}, fault.New(fault.InvalidArgument,
			"a console of %d columns and %d rows: each must be from 1 to %d", width, height, math.MaxInt16)
	}
	return schema.ConsoleSize{Width: uint16(width), Height: uint16(height)}, nil
}

// updateOf reads the resources of an update: the JSON of the OCI spec's
// WindowsResources, as containerd's clients send it.
func updateOf(r *task.UpdateTaskRequest) (pod.Update, error) {
	if r.Resources == nil {
		return pod.Update{}, fault.New(fault.InvalidArgument, "resources are missing: send WindowsResources of the OCI spec")
	}
	kind := r.Resources.TypeUrl[strings.LastIndexByte(r.Resources.TypeUrl, '/')+1:]
	if kind != "WindowsResources" {
		return pod.Update{}, fault.New(fault.InvalidArgument,
			"resources of type %q: a Windows container takes WindowsResources of the OCI spec", r.Resources.TypeUrl)
	}
	var res specs.WindowsResources
	decoder := json.NewDecoder(bytes.NewReader(r.Resources.Value))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&res); err != nil {
		return pod.Update{}, fault.New(fault.InvalidArgument, "resources are not WindowsResources: %w", err)
	}
	if res.Storage != nil {
		return pod.Update{}, fault.New(fault.Unimplemented, "storage limits of a running container cannot be changed: create it anew")
	}
	group, err := oci.UpdateCPUGroup(r.Annotations)
	if err != nil {
		return pod.Update{}, err
	}
	u := pod.Update{ID: r.ID, CPUGroup: group}
	if res.Memory != nil {
		u.MemoryBytes = res.Memory.Limit
	}
	if c := res.CPU; c != nil {
		u.CPU = &pod.UpdateCPU{Count: c.Count, Maximum: c.Maximum, Shares: c.Shares}
		for _, a := range c.Affinity {
			u.CPU.Affinity = append(u.CPU.Affinity, isolation.AffinityMask{Mask: a.Mask, Group: a.Group})
		}
	}
	return u, nil
}

// podUpdate is what new limits of a pod mean for it; one without memory and CPU
// changes nothing. Errors: Unimplemented, which containerd's CRI tolerates, for a
// pod without a utility VM.
func podUpdate(plan *isolation.Plan, r oci.PodResources) (pod.Update, error) {
	u := pod.Update{ID: plan.ID}
	if plan.UVM == nil {
		return u, &fault.Error{Kind: fault.Unimplemented, Detail: "a pod without a utility VM has no resources of its own",
			Hint: "its containers have limits of their own: update those"}
	}
	size := plan.Resize(r.MemoryMB(), r.CPUQuota, r.CPUPeriod)
	if size.MemoryMB != 0 {
		bytes := size.MemoryMB << 20
		u.MemoryBytes = &bytes
	}
	if size.Limit != 0 {
		limit := uint16(size.Limit)
		u.CPU = &pod.UpdateCPU{Maximum: &limit}
	}
	return u, nil
}

// The types that hcsshim's pkg/ctrdtaskapi adds to what an update may carry.
// typeurl names types that are no protobuf messages by their Go package.
const (
	mountType    = "github.com/Microsoft/hcsshim/pkg/ctrdtaskapi/ContainerMount"
	fragmentType = "github.com/Microsoft/hcsshim/pkg/ctrdtaskapi/PolicyFragment"
)

// mountOf reads the mount that an update carries, and whether it is to be taken
// away. It is nil for an update of another kind.
func mountOf(r *task.UpdateTaskRequest) (mount *oci.Mount, unmount bool, err error) {
	switch strings.TrimPrefix(r.Resources.GetTypeUrl(), "types.containerd.io/") {
	case mountType:
	case fragmentType:
		return nil, false, fault.New(fault.Unimplemented, "a policy fragment is for confidential pods, which isol does not run")
	default:
		return nil, false, nil
	}
	var m struct {
		HostPath, ContainerPath, Type string
		ReadOnly                      bool
	}
	decoder := json.NewDecoder(bytes.NewReader(r.Resources.Value))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		return nil, false, fault.New(fault.InvalidArgument, "resources are not a ContainerMount: %w", err)
	}
	if unmount, err = oci.UpdateUnmount(r.Annotations); err != nil {
		return nil, false, err
	}
	out, err := oci.MountOf(m.HostPath, m.ContainerPath, m.Type, m.ReadOnly)
	return &out, unmount, err
}
