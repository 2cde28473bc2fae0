package hcsemu

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/isolrun/isol/internal/hcs/schema"
)

// SystemProperties answers a PropertyQuery. The basic properties are always
// there: runhcs reads SystemType, RuntimeOsType, Owner and RuntimeId with the
// empty query right after it has created or opened a system.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsgetcomputesystemproperties
func (c *Client) SystemProperties(ctx context.Context, h Handle, query string) (string, error) {
	e := c.e
	req := request{function: "HcsGetComputeSystemProperties", about: h, args: Args{"query": document(query)}}
	return c.ask(ctx, req, func(context.Context) (string, error) {
		q, err := decode[schema.PropertyQuery](e, query, EInvalidJSON)
		if err != nil {
			return "", err
		}
		if len(q.Queries) > 0 {
			return "", fail(ENotSupported, "property queries with parameters are not emulated")
		}
		e.mu.Lock()
		sys, err := c.systemLocked(h)
		if err == nil && sys.state == stateStopped {
			err = sys.requireLocked(stateRunning)
		}
		if err != nil {
			e.mu.Unlock()
			return "", err
		}
		props := sys.basicLocked()
		silo, started, assigned := sys.silo, sys.started, e.memoryOf(sys)
		e.mu.Unlock()

		for _, t := range q.PropertyTypes {
			if err := e.addProperty(props, t, silo, started, assigned); err != nil {
				return "", err
			}
		}
		return encode(props), nil
	})
}

func (s *system) basicLocked() *schema.Properties {
	return &schema.Properties{
		ID: s.id, Name: s.id, SystemType: s.kind, RuntimeOSType: s.os, Owner: s.doc.Owner,
		RuntimeID: string(s.runtimeID), State: s.state.name(),
	}
}

// memoryOf is a machine's memory in MB, 0 for a container.
func (e *Emulator) memoryOf(sys *system) uint64 {
	if vm := sys.doc.VirtualMachine; vm != nil {
		return vm.ComputeTopology.Memory.SizeInMB
	}
	return 0
}

// addProperty fills in one property type. Without a silo, before the start and
// for machines, lists and counters are empty.
func (e *Emulator) addProperty(props *schema.Properties, t schema.PropertyType, silo Silo, started time.Time, assigned uint64) error {
	switch t {
	case schema.PropertyStatistics:
		props.Statistics = e.statistics(silo, started)
	case schema.PropertyProcessList:
		props.ProcessList = processList(silo)
	case schema.PropertyMemory:
		if assigned == 0 {
			return fail(ENotSupported, "a container has no property %s", t)
		}
		props.Memory = &schema.MemoryInformationForVM{
			VirtualNodeCount: 1,
			VirtualMachineMemory: &schema.VMMemory{
				AvailableMemory: int32(assigned / 2), ReservedMemory: assigned * pagesPerMB, AssignedMemory: assigned * pagesPerMB,
			},
		}
	case schema.PropertyTerminateOnLastHandleClosed, schema.PropertyGuestConnection:
		// the zero answer: the first is not shown by any caller of ours, the
		// second exists only with the service's own guest connection
	default:
		return fail(ENotSupported, "property %s is not emulated", t)
	}
	return nil
}

const pagesPerMB = 256

func (e *Emulator) statistics(silo Silo, started time.Time) *schema.Statistics {
	now := e.config.Now()
	stats := &schema.Statistics{
		Timestamp: now.UTC(), ContainerStartTime: started.UTC(),
		Processor: &schema.ProcessorStats{}, Memory: &schema.MemoryStats{}, Storage: &schema.StorageStats{},
	}
	if silo == nil {
		return stats
	}
	u := silo.Usage()
	stats.Uptime100ns = ticks(now.Sub(started))
	stats.Processor.RuntimeUser100ns, stats.Processor.RuntimeKernel100ns = ticks(u.UserTime), ticks(u.KernelTime)
	stats.Processor.TotalRuntime100ns = ticks(u.UserTime + u.KernelTime)
	stats.Memory.MemoryUsageCommitBytes = u.CommitBytes
	stats.Memory.MemoryUsageCommitPeakBytes = u.PeakCommitBytes
	stats.Memory.MemoryUsagePrivateWorkingSetBytes = u.PrivateWSet
	stats.Storage.ReadCountNormalized, stats.Storage.ReadSizeBytes = u.ReadCount, u.ReadBytes
	stats.Storage.WriteCountNormalized, stats.Storage.WriteSizeBytes = u.WriteCount, u.WriteBytes
	return stats
}

// ticks is a duration in units of 100 ns.
func ticks(d time.Duration) uint64 { return uint64(max(d, 0) / 100) }

func processList(silo Silo) []schema.ProcessDetails {
	if silo == nil {
		return nil
	}
	var list []schema.ProcessDetails
	for _, p := range silo.Processes() {
		list = append(list, schema.ProcessDetails{
			ProcessID: p.PID, ImageName: p.ImageName, CreateTimestamp: p.Created.UTC(),
			UserTime100ns: ticks(p.UserTime), KernelTime100ns: ticks(p.KernelTime), MemoryCommitBytes: p.CommitBytes,
			MemoryWorkingSetPrivateBytes: p.PrivateWorkingSet, MemoryWorkingSetSharedBytes: p.SharedWorkingSet,
		})
	}
	return list
}

// EnumerateSystems lists the systems that match a SystemQuery, by id.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsenumeratecomputesystems
func (c *Client) EnumerateSystems(ctx context.Context, query string) (string, error) {
	e := c.e
	req := request{function: "HcsEnumerateComputeSystems", args: Args{"query": document(query)}}
	return c.ask(ctx, req, func(context.Context) (string, error) {
		q, err := decode[schema.SystemQuery](e, query, EInvalidJSON)
		if err != nil {
			return "", err
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		found := []schema.SystemSummary{}
		for _, s := range e.systems {
			if wanted(q.IDs, s.id) && wanted(q.Names, s.id) && wanted(q.Types, s.kind) && wanted(q.Owners, s.doc.Owner) {
				found = append(found, schema.SystemSummary{
					ID: s.id, Name: s.id, SystemType: s.kind, RuntimeOSType: s.os, Owner: s.doc.Owner,
					RuntimeID: string(s.runtimeID), State: s.state.name(),
				})
			}
		}
		slices.SortFunc(found, func(a, b schema.SystemSummary) int { return strings.Compare(a.ID, b.ID) })
		return encode(found), nil
	})
}

// wanted says whether a list, empty for all, has value.
func wanted[T comparable](list []T, value T) bool {
	return len(list) == 0 || slices.Contains(list, value)
}
