package isolation

import (
	"math"

	"github.com/isolrun/isol/internal/oci"
)

// NUMA is the virtual NUMA topology of a utility VM: sizes from which the
// platform makes nodes, or the nodes themselves.
type NUMA struct {
	NodeProcessors uint32     `json:"nodeProcessors,omitempty"` // most processors of a node
	NodeMemoryMB   uint64     `json:"nodeMemoryMB,omitempty"`   // most memory of a node
	Preferred      []uint32   `json:"preferred,omitempty"`      // physical nodes
	Nodes          []NUMANode `json:"nodes,omitempty"`
}

// NUMANode is one virtual node.
type NUMANode struct {
	Physical   uint32 `json:"physical"` // anyPhysicalNode: the platform's choice
	Processors uint32 `json:"processors"`
	MemoryMB   uint64 `json:"memoryMB"` // HCS calls it memory blocks, which are of 1 MB
}

// The bounds of a topology, and the number that leaves the physical node to the
// platform. As runhcs checks them (internal/vm/vmutils/numa.go).
const (
	maxNUMANodes    = 64
	anyPhysicalNode = 0xFF
)

// vmNUMA reads the topology. runhcs drops one that is given in part; here it
// is refused, as whoever wrote it has counted on it.
func (d *decision) vmNUMA(u *UVM) error {
	a := d.req.Annotations
	processors, memory := a.Uint(oci.KeyUVMNodeProcessors), a.Uint(oci.KeyUVMNodeMemoryMB)
	mapped, preferred := a.UintList(oci.KeyUVMMappedNodes), a.UintList(oci.KeyUVMPreferredNodes)
	counts, blocks := a.UintList(oci.KeyUVMNodeProcessorCounts), a.UintList(oci.KeyUVMNodeMemoryBlocks)
	sizes := processors.V != 0 || memory.V != 0
	nodes := mapped.Set() || counts.Set() || blocks.Set()
	switch {
	case !sizes && !nodes && !preferred.Set():
		return nil
	case sizes && nodes:
		return d.invalid("keep the sizes per node, or the list of nodes", "%s and %s give two virtual NUMA topologies",
			firstSet(processors.Source, memory.Source), firstSet(mapped.Source, counts.Source, blocks.Source))
	case !nodes && (processors.V == 0 || memory.V == 0):
		return d.invalid("give both "+string(oci.KeyUVMNodeProcessors)+" and "+string(oci.KeyUVMNodeMemoryMB),
			"%s is a part of a virtual NUMA topology, whose sizes per node are processors and memory", firstSet(processors.Source, memory.Source, preferred.Source))
	case u.AllowOvercommit:
		return d.invalid("set "+string(oci.KeyUVMOvercommit)+" = false", "a virtual NUMA topology (%s) needs physical memory, and the VM's is overcommitted",
			firstSet(processors.Source, mapped.Source, counts.Source, blocks.Source))
	case nodes && (len(mapped.V) != len(counts.V) || len(mapped.V) != len(blocks.V)):
		return d.invalid("give one number of each for every node", "the virtual NUMA topology has %d physical nodes, %d counts of processors and %d of memory blocks",
			len(mapped.V), len(counts.V), len(blocks.V))
	}
	u.NUMA = &NUMA{NodeProcessors: uint32(processors.V), NodeMemoryMB: memory.V, Preferred: narrow(preferred.V)}
	for i, physical := range mapped.V {
		u.NUMA.Nodes = append(u.NUMA.Nodes, NUMANode{Physical: uint32(physical), Processors: uint32(counts.V[i]), MemoryMB: blocks.V[i]})
	}
	return d.checkNUMANodes(u)
}

// checkNUMANodes holds the nodes against each other and against the VM's size.
func (d *decision) checkNUMANodes(u *UVM) error {
	nodes := u.NUMA.Nodes
	if len(nodes) == 0 {
		return nil
	}
	if len(nodes) > maxNUMANodes {
		return d.invalid("", "%d virtual NUMA nodes: at most %d", len(nodes), maxNUMANodes)
	}
	var processors, memory uint64
	for i, n := range nodes {
		switch {
		case n.Physical != anyPhysicalNode && n.Physical >= maxNUMANodes:
			return d.invalid("", "virtual NUMA node %d is on physical node %d: 0 to %d, or %d for any", i, n.Physical, maxNUMANodes-1, anyPhysicalNode)
		case (n.Physical == anyPhysicalNode) != (nodes[0].Physical == anyPhysicalNode):
			return d.invalid("name the physical node of all or of none", "virtual NUMA node %d is on physical node %d and node 0 on %d", i, n.Physical, nodes[0].Physical)
		case n.MemoryMB == 0 || n.MemoryMB > math.MaxInt32:
			return d.invalid("", "virtual NUMA node %d has %d MB of memory", i, n.MemoryMB)
		}
		processors, memory = processors+uint64(n.Processors), memory+n.MemoryMB
	}
	if processors != uint64(u.Processor.Count) || memory != u.MemoryMB {
		return d.invalid("make the sums those of the VM, or give the VM the sums",
			"the virtual NUMA nodes have %d processors and %d MB, the utility VM has %d and %d MB", processors, memory, u.Processor.Count, u.MemoryMB)
	}
	return nil
}

// narrow narrows numbers that the annotation table has bounded.
func narrow(in []uint64) []uint32 {
	var out []uint32
	for _, v := range in {
		out = append(out, uint32(v))
	}
	return out
}

// firstSet returns the first input that said something.
func firstSet(sources ...oci.Source) oci.Source {
	for _, s := range sources {
		if s != "" {
			return s
		}
	}
	return ""
}
