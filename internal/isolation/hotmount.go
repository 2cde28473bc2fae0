package isolation

import (
	"strings"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/node"
	"github.com/isolrun/isol/internal/oci"
)

// HotMount is a mount that a running container is to have.
type HotMount struct {
	Task    *Plan // of the container
	Pod     *Plan // of its pod's sandbox; nil outside of a pod
	Node    node.Config
	Mount   oci.Mount
	Sources map[string]host.Source
}

// DecideMount decides a mount of a running container by the rules of Decide.
// Only directories and files of the host can be mounted then, in both modes;
// what else a mount can be is refused by name, and so is a destination that the
// container has. Nothing of the plans changes.
func DecideMount(h HotMount) (Mount, []Crossing, error) {
	plan := *h.Task
	plan.Container.Mounts, plan.Container.Pipes = nil, nil
	plan.Crossings, plan.Reasons = nil, nil
	d := &decision{
		in:   Input{ID: plan.ID, Node: h.Node, Sources: h.Sources, Pod: h.Pod},
		req:  &oci.Request{Linux: plan.Guest == GuestLinux, Mounts: []oci.Mount{h.Mount}},
		plan: &plan,
	}
	if plan.Mode == ModeHostProcess {
		return Mount{}, nil, d.badMount(h.Mount, "a HostProcess container sees the host's files as they are", "open "+h.Mount.Source+" directly")
	}
	if err := d.mounts(); err != nil {
		return Mount{}, nil, err
	}
	if len(plan.Container.Mounts) != 1 || plan.Container.Mounts[0].Mechanism != MechanismBind && plan.Container.Mounts[0].Mechanism != MechanismVSMB {
		return Mount{}, nil, d.refuse(fault.Unimplemented, "give it to the container when it is created",
			"%s: only a directory or file of the host can be mounted in a running container", h.Mount.Source)
	}
	m := plan.Container.Mounts[0]
	for _, has := range h.Task.Container.Mounts {
		if strings.EqualFold(has.Destination, m.Destination) {
			return Mount{}, nil, d.refuse(fault.AlreadyExists, "choose another destination", "%s was mounted at %s when the container was created", has.Source, has.Destination)
		}
	}
	return m, plan.Crossings, nil
}
