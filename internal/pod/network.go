package pod

import (
	"context"

	"github.com/Microsoft/go-winio/pkg/guid"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/journal"
)

// Networks is the network namespaces of the host. internal/network implements
// it. All methods may be called from any goroutine.
type Networks interface {
	// Check returns nil if there is such a namespace, NotFound if there is not.
	Check(ctx context.Context, id string) error

	// Ports returns the ports of the host that the endpoints in a namespace
	// publish. Errors: NotFound if it, or one of its endpoints, is not there.
	Ports(ctx context.Context, id string) ([]isolation.Port, error)

	// Create makes a namespace with the given id of the endpoints. Whoever
	// calls it must call Remove, also after an error.
	Create(ctx context.Context, id string, endpointIDs []string) error

	// Remove undoes Create. It is idempotent: a namespace that is not there is
	// no error.
	Remove(ctx context.Context, id string) error
}

// joined is the network namespace that a container is in.
type joined struct {
	id   string // empty: it has no network
	ours bool   // made for this container, and removed with it
}

// join returns the namespace that the plan names, which must be there, or makes
// one of the plan's endpoints, which c then holds. The namespace comes first of
// all that a container holds: it can only be removed when nothing uses it.
func join(cfg *Config, s *steps, req *CreateTask, c *container) (joined, error) {
	n := &req.Plan.Container.Network
	if n.SharedContainer != "" && !req.Plan.InVM() {
		if err := sharedRuns(cfg, s, n.SharedContainer); err != nil {
			return joined{}, err
		}
	}
	switch {
	case n.NamespaceID != "" && cfg.Networks != nil:
		return joined{id: n.NamespaceID}, s.do("network", cfg.Deadlines.Network, func(ctx context.Context) error {
			if req.Plan.Role == isolation.RoleWorkload { // its pod has told what the namespace opens
				return mustExist(cfg.Networks.Check(ctx, n.NamespaceID))
			}
			return c.listPorts(ctx, cfg.Networks, req.Plan, n.NamespaceID)
		})
	case n.NamespaceID != "" || len(n.EndpointIDs) == 0:
		return joined{id: n.NamespaceID}, nil
	case cfg.Networks == nil:
		return joined{}, &fault.Error{Kind: fault.Unimplemented, Op: s.what, Subject: req.ID,
			Detail: "this isol cannot make a network namespace for windows.network.endpointList",
			Hint:   "make one, and name it in windows.network.networkNamespace"}
	}
	made := joined{ours: true}
	err := s.do("network", cfg.Deadlines.Network, func(ctx context.Context) error {
		g, err := guid.NewV4()
		if err != nil {
			return err
		}
		made.id = g.String()
		entry, err := c.journal.Acquire(journal.Record{Kind: journal.KindNamespace, Name: made.id})
		if err != nil {
			return err
		}
		// Held from now on: a create that fails may have made some of it.
		c.hold("network namespace "+made.id, entry, cfg.Deadlines.Network, func(ctx context.Context) error {
			return cfg.Networks.Remove(ctx, made.id)
		})
		if err := mustExist(cfg.Networks.Create(ctx, made.id, n.EndpointIDs)); err != nil {
			return err
		}
		return c.listPorts(ctx, cfg.Networks, req.Plan, made.id)
	})
	return made, err
}

// sharedRuns looks for the container whose network is to be shared
// (windows.network.networkSharedContainerName, whose value is the id of a
// compute system: https://learn.microsoft.com/virtualization/api/hcs/schemareference#Networking).
// What the service says to a name that it does not know is not documented, and
// would be said after the layers are mounted.
func sharedRuns(cfg *Config, s *steps, id string) error {
	return s.do("network", cfg.Deadlines.Query, func(ctx context.Context) error {
		found, err := cfg.Host.List(ctx, schema.SystemQuery{IDs: []string{id}})
		if err == nil && len(found) == 0 {
			err = &fault.Error{Kind: fault.FailedPrecondition, Op: "find container", Subject: id, Detail: "there is none with this id on this host",
				Hint: "windows.network.networkSharedContainerName names it: it must exist before the container"}
		}
		return err
	})
}

// listPorts reads which ports of the host lead to the container, and tells of
// each as of every other crossing: what the endpoints publish is known only
// here. A network that cannot be read fails the create, as it does where a VM
// needs its adapters: an opening must not go untold.
func (c *container) listPorts(ctx context.Context, networks Networks, plan *isolation.Plan, namespace string) error {
	ports, err := networks.Ports(ctx, namespace)
	if err != nil {
		return mustExist(err)
	}
	c.ports, c.networked = ports, true
	before := len(plan.Reasons)
	now := plan.Publishing(ports)
	for _, crossing := range now.Crossings {
		if crossing.Kind == isolation.CrossPort {
			c.log.Info("crossing", "kind", crossing.Kind, "host", crossing.Host, "inside", crossing.Inside, "write", crossing.Write, "source", crossing.Source)
		}
	}
	for _, reason := range now.Reasons[before:] {
		c.log.Warn("decided", "decision", reason.Decision, "input", reason.Input, "why", reason.Why)
	}
	return nil
}

// mustExist turns "not found" around: what the spec names and the host does
// not have is no missing task, which is what clients take NOT_FOUND for.
func mustExist(err error) error {
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	return &fault.Error{Kind: fault.FailedPrecondition, Err: err, Hint: "windows.network names it: it must exist before the container"}
}

// connect gives the VM the network of its pod, or of the container that it was
// booted for. The workloads of a pod only name what their sandbox
// has connected.
func (k *vmKernel) connect(s *steps, c *container, vm VM, net joined) error {
	if net.id == "" || k.frame != nil && !net.ours {
		return nil
	}
	return s.in(hcs.PhaseConnect, "connect", k.cfg.Deadlines.Network, func(ctx context.Context) error {
		release, err := vm.Connect(ctx, net.id)
		if err != nil {
			return mustExist(err)
		}
		c.hold("network of "+net.id, nil, k.cfg.Deadlines.Network, release)
		return nil
	})
}
