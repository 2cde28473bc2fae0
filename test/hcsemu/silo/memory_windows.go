package silo

// memoryCounters is PROCESS_MEMORY_COUNTERS_EX.
// https://learn.microsoft.com/windows/win32/api/psapi/ns-psapi-process_memory_counters_ex
type memoryCounters struct {
	Size                       uint32
	PageFaultCount             uint32
	PeakWorkingSetSize         uintptr
	WorkingSetSize             uintptr
	QuotaPeakPagedPoolUsage    uintptr
	QuotaPagedPoolUsage        uintptr
	QuotaPeakNonPagedPoolUsage uintptr
	QuotaNonPagedPoolUsage     uintptr
	PagefileUsage              uintptr
	PeakPagefileUsage          uintptr
	PrivateUsage               uintptr
}

// private is about the private working set, which these counters do not tell:
// what is resident, and no more than is committed. PrivateUsage is documented to
// be the same as PagefileUsage; Wine leaves it 0.
func (m *memoryCounters) private() uint64 { return uint64(min(m.PagefileUsage, m.WorkingSetSize)) }
