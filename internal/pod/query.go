package pod

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
)

// Pids lists the processes of a task's container, at least one. A task that was
// started and in which nothing runs, because it has ended or because it is a
// sandbox that is a utility VM, is listed with its init alone, as State shows it.
// Errors: NotFound, FailedPrecondition for a task that was not started, and those
// of the query.
//
// The list is never empty, because containerd takes a shim that answers so
// for one that never got a task: when it starts again, it deletes the tasks of
// such shims, and with them the exit code of what ended while it was away
// (shouldCleanupShim in
// https://github.com/containerd/containerd/blob/v2.4.2/core/runtime/v2/shim_load.go).
// And it is no error, because CRI counts processes for its statistics, and one
// error loses those of all pods (listPodSandboxStats in
// https://github.com/containerd/containerd/blob/v2.4.2/internal/cri/server/sandbox_stats_list.go).
func (p *Pod) Pids(ctx context.Context, id string) ([]ProcessInfo, error) {
	t, err := p.task(id)
	if err != nil {
		return nil, err
	}
	props, err := t.query(ctx, schema.PropertyProcessList)
	if err != nil {
		return nil, fault.Wrap(err, "list processes of", id)
	}
	if props == nil || len(props.ProcessList) == 0 {
		if init := t.init.describe(); init.PID != 0 {
			return []ProcessInfo{{PID: init.PID, ExecID: t.init.eventID()}}, nil
		}
		return nil, &fault.Error{Kind: fault.FailedPrecondition, Op: "list processes of", Subject: id,
			Detail: "there are none: the task is " + t.init.current().String()}
	}
	ids := t.execIDs()
	out := make([]ProcessInfo, 0, len(props.ProcessList))
	for _, d := range props.ProcessList {
		out = append(out, ProcessInfo{
			PID: d.ProcessID, ExecID: ids[d.ProcessID], ImageName: d.ImageName, CreatedAt: d.CreateTimestamp,
			KernelTime100ns: d.KernelTime100ns, UserTime100ns: d.UserTime100ns, MemoryCommitBytes: d.MemoryCommitBytes,
			WorkingSetPrivate: d.MemoryWorkingSetPrivateBytes, WorkingSetShared: d.MemoryWorkingSetSharedBytes,
		})
	}
	return out, nil
}

// execIDs maps the pids of running processes to the ids that State shows.
func (t *task) execIDs() map[uint32]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	ids := map[uint32]string{}
	for _, e := range t.execs {
		if e.state == stateRunning {
			ids[e.pid] = e.eventID()
		}
	}
	if t.init.state == stateRunning {
		ids[t.init.pid] = t.init.eventID()
	}
	return ids
}

// Stats returns the statistics of a task's container. A container that is being
// created or has just exited has zero statistics, not an error. Errors:
// NotFound, and those of the query.
func (p *Pod) Stats(ctx context.Context, id string) (Stats, error) {
	t, err := p.task(id)
	if err != nil {
		return Stats{}, err
	}
	// Clients ask often; while HCS is slow they share one question.
	s, err := t.stats.do(ctx, func() (Stats, error) { return t.readStats() })
	return s, fault.Wrap(err, "statistics of", id)
}

func (t *task) readStats() (Stats, error) {
	s := Stats{Timestamp: time.Now()}
	var err error
	if s.VM, err = t.vmStats(); err != nil {
		return Stats{}, err
	}
	if s.VM != nil && t.plan.Role == isolation.RoleSandbox {
		return s, nil // nothing runs in the sandbox but its VM
	}
	props, err := t.query(context.Background(), schema.PropertyStatistics)
	if err != nil {
		return Stats{}, err
	}
	if props != nil && props.Statistics != nil {
		s.fill(props.Statistics)
	}
	return s, nil
}

// vmStats returns the statistics of the VM that the task owns, nil for none.
func (t *task) vmStats() (*VMStats, error) {
	if t.init.current() != stateRunning {
		return nil, nil
	}
	vm := t.container.machine()
	if vm == nil {
		return nil, nil
	}
	ctx, cancel := bounded(t.cfg.Deadlines.Query)
	defer cancel()
	props, err := vm.Properties(ctx, schema.PropertyQuery{
		PropertyTypes: []schema.PropertyType{schema.PropertyStatistics, schema.PropertyMemory},
	})
	if endedError(err) || errors.Is(err, hcs.ErrInvalidState) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := &VMStats{}
	if props.Statistics != nil && props.Statistics.Processor != nil {
		s.CPUTotal = time.Duration(props.Statistics.Processor.TotalRuntime100ns) * 100 * time.Nanosecond
	}
	if m := props.Memory; m != nil {
		s.Nodes, s.Memory = uint32(m.VirtualNodeCount), m.VirtualMachineMemory
	}
	return s, nil
}

// fill takes over what HCS says; its times are in units of 100 ns.
func (s *Stats) fill(from *schema.Statistics) {
	const unit = 100 * time.Nanosecond
	if !from.Timestamp.IsZero() {
		s.Timestamp = from.Timestamp
	}
	s.ContainerStart = from.ContainerStartTime
	s.Uptime = time.Duration(from.Uptime100ns) * unit
	if c := from.Processor; c != nil {
		s.CPUTotal = time.Duration(c.TotalRuntime100ns) * unit
		s.CPUUser = time.Duration(c.RuntimeUser100ns) * unit
		s.CPUKernel = time.Duration(c.RuntimeKernel100ns) * unit
	}
	if m := from.Memory; m != nil {
		s.MemoryCommitBytes = m.MemoryUsageCommitBytes
		s.MemoryCommitPeakBytes = m.MemoryUsageCommitPeakBytes
		s.MemoryPrivateWorkingSet = m.MemoryUsagePrivateWorkingSetBytes
	}
	if d := from.Storage; d != nil {
		s.StorageReadCount, s.StorageReadBytes = d.ReadCountNormalized, d.ReadSizeBytes
		s.StorageWriteCount, s.StorageWriteBytes = d.WriteCountNormalized, d.WriteSizeBytes
	}
}

// query asks the container for one property, and returns nil if it does not
// run, or no longer by the time HCS is asked.
func (t *task) query(ctx context.Context, property schema.PropertyType) (*schema.Properties, error) {
	if t.init.current() != stateRunning {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Deadlines.Query)
	defer cancel()
	props, err := t.container.compute.Properties(ctx, schema.PropertyQuery{PropertyTypes: []schema.PropertyType{property}})
	if endedError(err) || errors.Is(err, hcs.ErrInvalidState) {
		return nil, nil
	}
	return props, err
}

// flight lets callers who ask the same at the same time share one answer.
type flight[T any] struct {
	mu      sync.Mutex
	current *answer[T] // nil: nobody asks. Guarded by mu.
}

type answer[T any] struct {
	done  chan struct{} // closed when the rest is set
	value T
	err   error
}

// do returns f's answer, or ctx's error. f must end by itself.
func (g *flight[T]) do(ctx context.Context, f func() (T, error)) (T, error) {
	g.mu.Lock()
	a := g.current
	if a == nil {
		a = &answer[T]{done: make(chan struct{})}
		g.current = a
		go func() {
			a.value, a.err = f()
			g.mu.Lock()
			g.current = nil
			g.mu.Unlock()
			close(a.done)
		}()
	}
	g.mu.Unlock()
	select {
	case <-a.done:
		return a.value, a.err
	case <-ctx.Done():
		var zero T
		return zero, context.Cause(ctx)
	}
}
