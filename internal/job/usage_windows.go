package job

import (
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// ioAttribution is JOBOBJECT_IO_ATTRIBUTION_INFORMATION.
// https://learn.microsoft.com/windows-hardware/drivers/ddi/ntddk/ (as hcsshim has it)
type ioAttribution struct {
	Flags       uint32
	Read, Write ioStats
}

type ioStats struct {
	Count                  uintptr
	QueueTime, ServiceTime uint64
	Bytes                  uint64
}

// accounting is JOBOBJECT_BASIC_AND_IO_ACCOUNTING_INFORMATION.
// https://learn.microsoft.com/windows/win32/api/winnt/ns-winnt-jobobject_basic_and_io_accounting_information
type accounting struct {
	User, Kernel             int64
	PeriodUser, PeriodKernel int64
	Faults, Total            uint32
	Active, Terminated       uint32
	IO                       windows.IO_COUNTERS
}

// memoryUsage is JOBOBJECT_MEMORY_USAGE_INFORMATION, as hcsshim has it.
type memoryUsage struct{ Commit, Peak uint64 }

// memoryCounters is PROCESS_MEMORY_COUNTERS_EX.
// https://learn.microsoft.com/windows/win32/api/psapi/ns-psapi-process_memory_counters_ex
type memoryCounters struct {
	Size, Faults                uint32
	PeakWorkingSet, WorkingSet  uintptr
	PeakPagedPool, PagedPool    uintptr
	PeakNonPaged, NonPaged      uintptr
	PagefileUsage, PeakPagefile uintptr
	Private                     uintptr
}

// vmCounters is VM_COUNTERS_EX2, of NtQueryInformationProcess's class
// ProcessVmCounters, as hcsshim has it.
type vmCounters struct {
	PeakVirtualSize, VirtualSize uintptr
	Faults                       uint32
	Memory                       [8]uintptr // from PeakWorkingSetSize to PeakPagefileUsage
	PrivateUsage                 uintptr
	PrivateWorkingSet            uintptr
	SharedCommit                 uint64
}

// Usage implements Object. Windows counts for the whole job, what has ended
// included; what it does not count is summed up over what runs.
func (o *object) Usage() (Usage, error) {
	pids, err := o.Processes()
	if err != nil {
		return Usage{}, err
	}
	sum := o.sum(pids)
	u := sum
	var a accounting
	if o.query(windows.JobObjectBasicAndIoAccountingInformation, unsafe.Pointer(&a), unsafe.Sizeof(a)) == nil && a.User+a.Kernel > 0 {
		u.User, u.Kernel = time.Duration(a.User)*100, time.Duration(a.Kernel)*100
		u.Reads, u.ReadBytes = a.IO.ReadOperationCount, a.IO.ReadTransferCount
		u.Writes, u.WriteBytes = a.IO.WriteOperationCount, a.IO.WriteTransferCount
	}
	io := ioAttribution{Flags: 1}
	if o.query(classIOAttribution, unsafe.Pointer(&io), unsafe.Sizeof(io)) == nil {
		u.Reads, u.ReadBytes = uint64(io.Read.Count), io.Read.Bytes
		u.Writes, u.WriteBytes = uint64(io.Write.Count), io.Write.Bytes
	}
	var m memoryUsage
	if o.query(classMemoryUsage, unsafe.Pointer(&m), unsafe.Sizeof(m)) == nil {
		u.Commit, u.CommitPeak = m.Commit, m.Peak
		return u, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.peak = max(o.peak, u.Commit)
	u.CommitPeak = o.peak
	return u, nil
}

// sum adds up what the processes have used.
func (o *object) sum(pids []uint32) Usage {
	var u Usage
	o.each(pids, func(d Details, io windows.IO_COUNTERS) {
		u.Kernel += d.Kernel
		u.User += d.User
		u.Commit += d.Commit
		u.PrivateWorkingSet += d.PrivateWorkingSet
		u.Reads += io.ReadOperationCount
		u.ReadBytes += io.ReadTransferCount
		u.Writes += io.WriteOperationCount
		u.WriteBytes += io.WriteTransferCount
	})
	return u
}

// Details implements Object.
func (o *object) Details(pids []uint32) []Details {
	out := make([]Details, 0, len(pids))
	o.each(pids, func(d Details, _ windows.IO_COUNTERS) { out = append(out, d) })
	return out
}

// each describes those of the processes that still run in the job.
func (o *object) each(pids []uint32, f func(Details, windows.IO_COUNTERS)) {
	for _, pid := range pids {
		process, err := windows.OpenProcess(windows.PROCESS_QUERY_INFORMATION|windows.PROCESS_VM_READ, false, pid)
		if err != nil { // a protected process lets itself be asked for less
			process, err = windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
		}
		if err != nil {
			continue // it has just ended
		}
		if in, err := o.holds(process); err == nil && in {
			f(describe(pid, process))
		}
		_ = windows.CloseHandle(process)
	}
}

// describe reads what Windows says of a process; what it does not say stays 0.
func describe(pid uint32, process windows.Handle) (d Details, io windows.IO_COUNTERS) {
	d.PID, d.Image = pid, imageName(process)
	var born, died, kernel, user windows.Filetime
	if windows.GetProcessTimes(process, &born, &died, &kernel, &user) == nil {
		d.Created = time.Unix(0, born.Nanoseconds())
		d.Kernel, d.User = span(kernel), span(user)
	}
	_ = getProcessIoCounters(process, &io)
	m := memoryCounters{Size: uint32(unsafe.Sizeof(memoryCounters{}))}
	if getProcessMemoryInfo(process, &m, m.Size) == nil {
		d.Commit = uint64(m.PagefileUsage)
		d.PrivateWorkingSet = privateWorkingSet(process, uint64(min(m.Private, m.WorkingSet)))
		d.SharedWorkingSet = uint64(m.WorkingSet) - min(d.PrivateWorkingSet, uint64(m.WorkingSet))
	}
	return d, io
}

// privateWorkingSet asks for the number itself, or takes what it can't be more than.
func privateWorkingSet(process windows.Handle, atMost uint64) uint64 {
	const processVMCounters = 3
	var v vmCounters
	if windows.NtQueryInformationProcess(process, processVMCounters, unsafe.Pointer(&v), uint32(unsafe.Sizeof(v)), nil) != nil {
		return atMost
	}
	return uint64(v.PrivateWorkingSet)
}

func imageName(process windows.Handle) string {
	buf := make([]uint16, windows.MAX_LONG_PATH)
	size := uint32(len(buf))
	if err := windows.QueryFullProcessImageName(process, 0, &buf[0], &size); err != nil {
		return ""
	}
	return base(windows.UTF16ToString(buf[:size]))
}
