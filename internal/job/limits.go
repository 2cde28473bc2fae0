package job

import (
	"fmt"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
)

// Limits are a job object's limits; nil and 0 mean that nothing is said.
type Limits struct {
	// Rate is the share of all processors in ten-thousandths, Weight the
	// relative weight from 1 to 9. At most one of them is set.
	// https://learn.microsoft.com/windows/win32/api/winnt/ns-winnt-jobobject_cpu_rate_control_information
	Rate   uint32
	Weight uint32

	Memory   uint64 // bytes that all processes together may commit
	Affinity []isolation.AffinityMask
}

// limitsOf converts a plan's limits.
func limitsOf(c *isolation.Container, processors uint32) Limits {
	l := processorLimits(c.Processor, processors)
	l.Memory = c.MemoryMB << 20
	l.Affinity = c.Affinity
	return l
}

// maxRate is all processors.
const maxRate = 10000

// processorLimits converts processor limits. Job objects count no processors:
// as runhcs does, a count becomes its share of the host's. A container's weight
// goes to 10 000, a job's to 9.
func processorLimits(p isolation.Processor, processors uint32) Limits {
	switch {
	case p.Count != 0:
		rate := uint64(p.Count) * maxRate / uint64(max(processors, 1))
		return Limits{Rate: uint32(max(min(rate, maxRate), 1))}
	case p.Limit != 0:
		return Limits{Rate: min(p.Limit, maxRate)}
	case p.Weight != 0:
		return Limits{Weight: 1 + 8*min(p.Weight, maxRate)/maxRate}
	}
	return Limits{}
}

// changedLimits converts a modification of a running container.
func changedLimits(req *schema.ModificationRequest, processors uint32) (Limits, error) {
	if req.RequestType == schema.RequestUpdate {
		switch settings := req.Settings.(type) {
		case uint64:
			if req.ResourcePath == schema.PathContainerMemory {
				return Limits{Memory: settings << 20}, nil
			}
		case *schema.ContainerProcessor:
			return processorLimits(isolation.Processor{Count: settings.Count, Limit: uint32(settings.Maximum), Weight: uint32(settings.Weight)}, processors), nil
		}
	}
	return Limits{}, fmt.Errorf("%s of %s: %w", req.RequestType, req.ResourcePath,
		&fault.Error{Kind: fault.Unimplemented, Err: hcs.ErrNotSupported, Hint: "memory and processors of a running HostProcess container can be changed"})
}
