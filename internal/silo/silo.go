// Package silo is the job object of a process-isolated container: what of it
// the compute service's documents do not reach.
//
// The service makes the job, a server silo, with the container and names it
// \Container_<id> in the kernel's root namespace. It is opened for one change
// and closed at once: an open handle would keep the silo alive after its
// container. There are no states and no locks.
package silo

import (
	"context"
	"fmt"
	"math"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/isolation"
)

// jobName is the name of a container's job in the kernel's namespace (runhcs:
// hcs.System.openSilo).
func jobName(id string) string { return `\Container_` + id }

// GroupAffinity is GROUP_AFFINITY of winnt.h, of which a job object takes a list:
// https://learn.microsoft.com/windows/win32/api/winnt/ns-winnt-group_affinity
type GroupAffinity struct {
	mask  uint64
	group uint16
	_     [3]uint16 // reserved
}

// Affinities converts masks. Whether the host takes more than one group was
// decided before. Errors: InvalidArgument for what no machine has.
func Affinities(masks []isolation.AffinityMask) ([]GroupAffinity, error) {
	out := make([]GroupAffinity, 0, len(masks))
	for _, m := range masks {
		if m.Group > math.MaxUint16 || m.Mask == 0 {
			return nil, fault.New(fault.InvalidArgument, "affinity mask %#x of processor group %d: no machine has them", m.Mask, m.Group)
		}
		out = append(out, GroupAffinity{mask: m.Mask, group: uint16(m.Group)})
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Internal, "an affinity without masks")
	}
	return out, nil
}

// Affinity pins containers to processors. It implements pod.AffinitySetter and
// holds nothing.
type Affinity struct{}

// SetAffinity pins the container with the given system id: its processes and
// those it will start. It may be called as often as one likes, also while the
// container runs; the kernel moves what runs already. Errors: InvalidArgument
// for processors that this machine does not have, NotFound for a container
// that is not there.
func (Affinity) SetAffinity(_ context.Context, id string, masks []isolation.AffinityMask) error {
	list, err := Affinities(masks)
	if err == nil {
		err = setGroups(jobName(id), list)
	}
	if err != nil {
		return fmt.Errorf("pin container %s to processors: %w", id, err)
	}
	return nil
}
