package isolation

// Size is what a pod's limits make of its utility VM; 0 leaves a part as it is.
type Size struct {
	MemoryMB uint64 // even, as HCS takes it
	Limit    uint32 // of 10 000: the part of the VM's processors that the pod may use
}

// Resize returns the size of the pod's VM for new limits of the pod as a whole,
// by the rule by which it was sized at first: the limit and the guest's own
// share, and never less memory than the VM was planned with. Its processors
// can't change while it runs, so a quota (microseconds of each period, 0 or
// less for none) becomes the part of them that the VM may use.
func (p *Plan) Resize(limitMB uint64, quota, period int64) Size {
	var s Size
	vm := p.UVM
	if vm == nil {
		return s
	}
	if limitMB != 0 {
		s.MemoryMB = max(vm.MemoryMB, limitMB+vm.OverheadMB)
		s.MemoryMB += s.MemoryMB % 2
	}
	if quota > 0 && vm.Processor.Count > 0 {
		if period <= 0 {
			period = 100_000 // the kubelet's own
		}
		share := float64(quota) / float64(period) / float64(vm.Processor.Count)
		s.Limit = uint32(min(max(share*10_000, 1), 10_000))
	}
	return s
}
