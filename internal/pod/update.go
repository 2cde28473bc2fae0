package pod

import (
	"context"
	"fmt"
	"math"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs/doc"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
)

// buildCPUUpdate is the first build (20H2) that changes a running container's
// processor limits. As runhcs does: it refuses older ones.
const buildCPUUpdate = 19042

// buildProcessorGroups is the first build (Server 2022) whose silos take
// processors of several groups. As runhcs checks it (hcsoci/cpuaffinity.go).
const buildProcessorGroups = 20348

const mebibyte = 1 << 20

// Update changes resources. Errors: InvalidArgument, NotFound,
// FailedPrecondition unless created or running, Unimplemented for what this
// host's build or isol cannot change.
func (p *Pod) Update(ctx context.Context, req Update) error {
	if t, err := p.task(req.ID); err == nil {
		if err := mayChange(t, taskService, evUpdate); err != nil {
			return err
		}
	}
	return p.update(ctx, req)
}

func (p *Pod) update(ctx context.Context, req Update) error {
	t, err := p.task(req.ID)
	if err != nil {
		return err
	}
	build := p.cfg.HostBuild
	if t.plan.Mode == isolation.ModeHostProcess && !t.plan.InVM() {
		build = max(build, buildCPUUpdate) // the limits of a job object can always be changed
	}
	changes, err := updateRequests(req, build)
	if err != nil {
		return fault.Wrap(err, "update", req.ID)
	}
	if err := t.init.move(evUpdate); err != nil {
		return err
	}
	if err := t.updatable(&req); err != nil {
		return fault.Wrap(err, "update", req.ID)
	}
	for _, change := range changes {
		s := &steps{ctx: ctx, what: "update", id: req.ID}
		err := s.do(change.ResourcePath, p.cfg.Deadlines.Modify, func(ctx context.Context) error {
			return t.container.compute.Modify(ctx, change)
		})
		if err != nil {
			return err
		}
	}
	return t.updateRest(ctx, &req)
}

// updatable refuses what the container's mode cannot change, before any of the
// update is done.
func (t *task) updatable(req *Update) error {
	inVM := t.plan.Mode == isolation.ModeHyperV
	switch {
	case req.CPU == nil || len(req.CPU.Affinity) == 0:
		return nil
	case inVM:
		return unimplemented("a container in a utility VM does not have the host's processors",
			"move the VM to a CPU group with the annotation io.microsoft.virtualmachine.cpugroup.id")
	case t.plan.Mode == isolation.ModeHostProcess:
		return unimplemented("the affinity of a HostProcess container is set when it is created", "create it anew")
	case t.cfg.Affinity == nil:
		return unimplemented("this isol cannot pin containers to processors", "leave affinity out")
	}
	return nil
}

// updateCPUGroup puts the task's own VM into a CPU group.
func (t *task) updateCPUGroup(ctx context.Context, group string) error {
	if group == "" {
		return nil
	}
	if t.container.machine() == nil {
		return &fault.Error{Kind: fault.FailedPrecondition, Op: "update", Subject: t.id,
			Detail: "a CPU group is a utility VM's, and it has none of its own", Hint: "update the pod's sandbox, if it has Hyper-V isolation"}
	}
	s := &steps{ctx: ctx, what: "update", id: t.id}
	return s.do("CPU group", t.cfg.Deadlines.Modify, func(ctx context.Context) error { return t.container.machine().SetCPUGroup(ctx, group) })
}

// updateRest changes what no modification of the container reaches.
func (t *task) updateRest(ctx context.Context, req *Update) error {
	s := &steps{ctx: ctx, what: "update", id: req.ID}
	if req.CPU != nil && len(req.CPU.Affinity) > 0 {
		err := s.do("affinity", t.cfg.Deadlines.Modify, func(ctx context.Context) error {
			return t.cfg.Affinity.SetAffinity(ctx, req.ID, req.CPU.Affinity)
		})
		if err != nil {
			return err
		}
	}
	return t.updateCPUGroup(ctx, req.CPUGroup)
}

// updateRequests makes the modifications of an update. All of it is checked
// before any of it is done.
func updateRequests(req Update, build uint32) ([]*schema.ModificationRequest, error) {
	if req.MemoryBytes == nil && req.CPU == nil && req.CPUGroup == "" {
		return nil, invalid("it names no resources", "give memory or cpu")
	}
	var out []*schema.ModificationRequest
	if m := req.MemoryBytes; m != nil {
		if *m < mebibyte {
			return nil, invalid("memory of less than 1 MiB cannot be set", "give bytes: 1048576 or more")
		}
		out = append(out, doc.Memory(*m/mebibyte))
	}
	if req.CPU != nil {
		cpu, err := updateProcessor(req.CPU, build)
		if err != nil {
			return nil, err
		}
		if cpu == (isolation.Processor{}) {
			return out, nil // affinity alone
		}
		change, err := doc.Processor(cpu)
		if err != nil {
			return nil, err
		}
		out = append(out, change)
	}
	return out, nil
}

func updateProcessor(cpu *UpdateCPU, build uint32) (isolation.Processor, error) {
	var p isolation.Processor
	for i, a := range cpu.Affinity {
		switch {
		case a.Mask == 0:
			return p, invalid(fmt.Sprintf("cpu affinity[%d] has an empty mask", i), "set a bit for each processor")
		case (a.Group != 0 || i > 0) && build < buildProcessorGroups:
			return p, unimplemented("this Windows build pins containers to processors of group 0 only", "it takes build 20348 or later")
		}
	}
	n := 0
	if cpu.Count != nil && *cpu.Count > 0 {
		p.Count, n = uint32(min(*cpu.Count, math.MaxUint32)), n+1
	}
	if cpu.Maximum != nil && *cpu.Maximum > 0 {
		p.Limit, n = uint32(*cpu.Maximum), n+1
	}
	if cpu.Shares != nil && *cpu.Shares > 0 {
		p.Weight, n = uint32(*cpu.Shares), n+1
	}
	switch {
	case n == 0 && len(cpu.Affinity) > 0:
		return p, nil
	case n != 1:
		return p, invalid("cpu must name exactly one of count, maximum and shares", "HCS limits a container by one of them")
	case p.Limit > 10000 || p.Weight > 10000:
		return p, invalid("cpu maximum and shares are out of range", "allowed is 1 to 10000")
	case build < buildCPUUpdate:
		return p, unimplemented("this Windows build cannot change the processors of a running container", "it takes build 19042 or later")
	}
	return p, nil
}

func invalid(detail, hint string) error {
	return &fault.Error{Kind: fault.InvalidArgument, Detail: detail, Hint: hint}
}

func unimplemented(detail, hint string) error {
	return &fault.Error{Kind: fault.Unimplemented, Detail: detail, Hint: hint}
}
