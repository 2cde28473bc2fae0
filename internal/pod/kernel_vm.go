package pod

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/doc"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/layers"
)

// vmKernel runs containers on the kernel of a utility VM: Hyper-V isolation.
//
//	standalone  boots a VM, runs its container in it, closes the VM with it
//	sandbox     boots a VM, which is its container, closes the VM with it
//	workload    runs its container in the VM of its sandbox, never closes it;
//	            the first one boots it, if the sandbox had no image for it
type vmKernel struct {
	cfg   *Config
	log   *slog.Logger
	frame *frame // of the sandbox whose VM it is; nil: boot one
}

// create implements kernel.
func (k *vmKernel) create(s *steps, req *CreateTask, j *journal.Journal) (_ *container, err error) {
	if err := isolation.Runnable(req.Plan); err != nil {
		return nil, fault.Wrap(err, s.what, req.ID)
	}
	c := newContainer(k.cfg, k.log, req.ID, j)
	defer func() {
		if err != nil {
			err = c.explain(err)
			c.abandon()
		}
		if err != nil && k.frame != nil && k.frame.hasEnded() {
			err = k.frame.ended(s, err) // whatever else it made fail
		}
	}()
	net, err := join(k.cfg, s, req, c) // before a VM boots in vain
	if err != nil {
		return nil, err
	}
	vm, err := k.machine(s, req, c)
	if err != nil {
		return nil, err
	}
	if req.Plan.Container.HostProcess != nil && !vm.HostProcess() {
		return nil, &fault.Error{Kind: fault.FailedPrecondition, Op: s.what, Subject: req.ID,
			Detail: "the guest of the utility VM does not run HostProcess containers", Hint: "use a utility VM of Windows Server 2025, or a pod in process isolation"}
	}
	c.in = vm
	if err := k.connect(s, c, vm, net); err != nil {
		return nil, err
	}
	devices, err := k.hardware(s, req, c, vm)
	if err != nil {
		return nil, err
	}
	if req.Plan.Role == isolation.RoleSandbox {
		c.frame = newFrame(req.Plan, vm)
		c.compute = c.frame
		return c, nil
	}
	return c, k.createIn(s, req, c, vm, doc.Facts{Owner: k.cfg.Owner, Namespace: net.id, Devices: devices})
}

// machine returns the VM that req runs in: its pod's, or one of its own.
func (k *vmKernel) machine(s *steps, req *CreateTask, c *container) (vm VM, err error) {
	if k.frame == nil {
		if vm, err = k.boot(s, req, c); err != nil {
			return nil, err
		}
		c.makeSure = func(context.Context) error { return vm.Close() }
		if req.Plan.Role != isolation.RoleSandbox {
			c.vm = vm
		}
		return vm, nil
	}
	if vm, err = k.frame.machineFor(s, k, req); err != nil {
		return nil, err
	}
	c.makeSure = func(context.Context) error { return stillIn(vm, c, req.ID) }
	if k.frame.late != nil {
		before := len(req.Plan.Reasons)
		if req.Plan, err = req.Plan.Rejoin(k.frame.current()); err == nil {
			for _, r := range req.Plan.Reasons[before:] {
				k.log.Warn("decided", "id", req.ID, "decision", r.Decision, "input", r.Input, "why", r.Why)
			}
		}
	}
	return vm, err
}

// boot boots the task's own VM.
func (k *vmKernel) boot(s *steps, req *CreateTask, c *container) (vm VM, err error) {
	if k.cfg.VMs == nil {
		return nil, fault.New(fault.Unimplemented, "create task %s: this isol boots no utility VMs", req.ID)
	}
	err = s.do("boot", k.cfg.Deadlines.Boot, func(ctx context.Context) error {
		var err error
		if vm, err = k.cfg.VMs.Boot(ctx, req.Plan.UVM, req.Layers, c.journal); err != nil {
			return misfit(req.Plan, err)
		}
		c.hold("utility VM "+req.Plan.UVM.ID, nil, k.cfg.Deadlines.Terminate, func(context.Context) error { return vm.Close() })
		return nil
	})
	return vm, err
}

// createIn makes the container in the VM.
func (k *vmKernel) createIn(s *steps, req *CreateTask, c *container, vm VM, facts doc.Facts) error {
	err := s.in(hcs.PhaseLayers, "scratch", k.cfg.Deadlines.Layers, func(ctx context.Context) error {
		defer hcs.Waiting(ctx)()
		return k.cfg.Layers.EnsureScratch(ctx, req.Layers)
	})
	if err != nil {
		return err
	}
	err = s.in(hcs.PhaseLayers, "layers", k.cfg.Deadlines.Layers, func(ctx context.Context) error {
		m, release, err := vm.Mount(ctx, req.Layers)
		if err != nil {
			return err
		}
		c.hold("layers "+req.Layers.Scratch, nil, k.cfg.Deadlines.Layers, release)
		facts.Root, facts.Layers = m.Path, documentLayers(m)
		return nil
	})
	if err != nil {
		return err
	}
	plan := *req.Plan
	err = s.in(hcs.PhaseLayers, "mounts", k.cfg.Deadlines.Layers, func(ctx context.Context) error {
		if facts.Paths, err = k.mounts(ctx, &plan, c, vm); err != nil {
			return err
		}
		plan.Container.Pipes, err = k.pipes(ctx, &plan, c, vm)
		return err
	})
	if err != nil {
		return err
	}
	if facts.CredentialGuard, err = guardCredentials(k.cfg, s, req, c, vm); err != nil {
		return err
	}
	if facts.Extensions, err = deviceExtensions(plan.Container.DeviceExtensions); err != nil {
		return fault.Wrap(err, s.what, req.ID)
	}
	hosted, err := doc.Hosted(&plan, facts)
	if err != nil {
		return fault.Wrap(err, s.what+" "+req.ID, "document")
	}
	c.hold("mounts of the running container", nil, k.cfg.Deadlines.Modify, c.hot.free)
	return s.in(hcs.PhaseContainer, "create", k.cfg.Deadlines.Create, func(ctx context.Context) error {
		compute, err := vm.Create(ctx, req.ID, &schema.ComputeSystem{SchemaVersion: schema.V21(), Container: hosted})
		if err != nil {
			return misfit(&plan, err)
		}
		c.compute = compute
		c.hold("container "+req.ID, nil, k.cfg.Deadlines.Terminate, func(context.Context) error { return closed(compute.Close()) })
		return nil
	})
}

func documentLayers(m layers.Mounted) []doc.Layer {
	out := make([]doc.Layer, 0, len(m.Layers))
	for _, l := range m.Layers {
		out = append(out, doc.Layer{ID: l.ID, Path: l.Path})
	}
	return out
}

// mounts carries the plan's mounts into the VM and returns where the guest
// finds each.
func (k *vmKernel) mounts(ctx context.Context, plan *isolation.Plan, c *container, vm VM) ([]string, error) {
	paths := make([]string, 0, len(plan.Container.Mounts))
	for i := range plan.Container.Mounts {
		m := &plan.Container.Mounts[i]
		var path string
		var release func(context.Context) error
		var err error
		switch m.Mechanism {
		case isolation.MechanismVSMB:
			path, release, err = vm.Share(ctx, m.Source, m.ReadOnly)
		case isolation.MechanismSCSI:
			path, release, err = vm.Attach(ctx, attachment(m))
		case isolation.MechanismSandbox:
			path, err = vm.SandboxDirectory(ctx, m.Source)
		default:
			err = fault.New(fault.Unimplemented, "this isol does not carry a mount of type %q from %s into a utility VM yet", m.Type, m.Source)
		}
		if err != nil {
			return nil, fault.Wrap(err, "mount", m.Destination)
		}
		if release != nil {
			c.hold("mount "+m.Source, nil, k.cfg.Deadlines.Modify, release)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// attachment is the disk of a mount. An extensible virtual disk names its
// storage provider in the source: evd://TYPE/PATH.
func attachment(m *isolation.Mount) schema.Attachment {
	a := schema.Attachment{Type: schema.AttachmentVirtualDisk, Path: m.Source, ReadOnly: m.ReadOnly}
	switch strings.ToLower(m.Type) {
	case "physical-disk":
		a.Type = schema.AttachmentPassThru
	case "extensible-virtual-disk":
		a.Type = schema.AttachmentExtensible
		a.ExtensibleVirtualDiskType, a.Path, _ = strings.Cut(strings.TrimPrefix(m.Source, "evd://"), "/")
	}
	return a
}

// hardware gives the VM the plan's devices and drivers, the devices first: a
// driver is installed for what is there (as runhcs does). It returns the
// devices as the guest knows them.
func (k *vmKernel) hardware(s *steps, req *CreateTask, c *container, vm VM) (devices []schema.ContainerDevice, err error) {
	p := &req.Plan.Container
	if len(p.Devices)+len(p.KernelDrivers) == 0 {
		return nil, nil
	}
	err = s.do("devices", k.cfg.Deadlines.Layers, func(ctx context.Context) error {
		for _, d := range p.Devices {
			locations, release, err := vm.Assign(ctx, d.ID)
			if err != nil {
				return err
			}
			c.hold("device "+d.ID, nil, k.cfg.Deadlines.Modify, release)
			for _, l := range locations {
				devices = append(devices, schema.ContainerDevice{Type: schema.DeviceTypeInstance, LocationPath: l})
			}
		}
		for _, folder := range p.KernelDrivers {
			release, err := vm.InstallDrivers(ctx, folder)
			if err != nil {
				return err
			}
			c.hold("drivers of "+folder, nil, k.cfg.Deadlines.Modify, release)
		}
		return nil
	})
	return devices, err
}

// pipes shares the plan's pipes and returns them as the guest finds them.
func (k *vmKernel) pipes(ctx context.Context, plan *isolation.Plan, c *container, vm VM) ([]isolation.Pipe, error) {
	out := make([]isolation.Pipe, 0, len(plan.Container.Pipes))
	for _, p := range plan.Container.Pipes {
		if !p.Guest {
			path, release, err := vm.SharePipe(ctx, p.HostPath)
			if err != nil {
				return nil, err
			}
			c.hold("pipe "+p.HostPath, nil, k.cfg.Deadlines.Modify, release)
			p.HostPath = path
		}
		out = append(out, p)
	}
	return out, nil
}

// stillIn makes sure that a workload's container has ended without ending the
// VM, which is the pod's: if it has not, that is an error.
func stillIn(vm VM, c *container, id string) error {
	for _, done := range []<-chan struct{}{vm.Done(), c.compute.Done()} {
		select {
		case <-done:
			return nil
		default:
		}
	}
	return &fault.Error{Kind: fault.DeadlineExceeded, Op: "end container", Subject: id, Detail: "its guest does not end it",
		Hint: "its VM is the pod's: stop the pod"}
}

// hold keeps something for the container until free.
func (c *container) hold(name string, entry *journal.Entry, limit time.Duration, free func(context.Context) error) {
	c.holds = append(c.holds, hold{name, entry, limit, free})
}
