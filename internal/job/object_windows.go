package job

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/isolrun/isol/internal/silo"
)

// Information classes of job objects that x/sys does not have.
// https://learn.microsoft.com/windows/win32/api/winnt/ne-winnt-jobobjectinfoclass
const (
	classMemoryUsage   = 28 // JobObjectMemoryUsageInformation
	classCreateSilo    = 35 // JobObjectCreateSilo
	classIOAttribution = 42 // JobObjectIoAttribution
)

// object is an open job object. Its handle does not change until it is closed;
// open guards it against being closed under a call.
type object struct {
	name    string
	ports   *ports
	key     uintptr // of the completion port
	emptied chan struct{}

	open   sync.RWMutex
	handle windows.Handle // 0 once closed. Guarded by open.

	mu     sync.Mutex
	limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION // as set. Guarded by mu.
	peak   uint64                                       // of the commit, where Windows does not say it. Guarded by mu.
}

// newObject makes the job object.
func newObject(p *ports, name string) (_ *object, err error) {
	handle, err := createJob(name)
	if err != nil {
		return nil, failed("CreateJobObjectW", name, err)
	}
	o := &object{name: name, ports: p, handle: handle, emptied: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.Close())
		}
	}()
	if err := p.attach(o); err != nil {
		return nil, failed("SetInformationJobObject", name, err)
	}
	o.limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	if err := o.set(windows.JobObjectExtendedLimitInformation, unsafe.Pointer(&o.limits), unsafe.Sizeof(o.limits)); err != nil {
		return nil, err
	}
	// Storage is counted from now on where Windows has that; Usage knows other ways.
	_ = o.set(classIOAttribution, unsafe.Pointer(&ioAttribution{Flags: 1}), unsafe.Sizeof(ioAttribution{}))
	return o, nil
}

// createJob refuses a job object that is there already. What is made has to be
// told from what was found by the last error, which only this form of call keeps.
func createJob(name string) (windows.Handle, error) {
	p, err := wide(name)
	if err != nil {
		return 0, err
	}
	r, _, last := modkernel32.NewProc("CreateJobObjectW").Call(0, uintptr(unsafe.Pointer(p)))
	if r == 0 {
		return 0, last
	}
	if errors.Is(last, windows.ERROR_ALREADY_EXISTS) {
		return 0, errors.Join(last, windows.CloseHandle(windows.Handle(r)))
	}
	return windows.Handle(r), nil
}

// on calls f with the handle.
func (o *object) on(call string, f func(windows.Handle) error) error {
	o.open.RLock()
	defer o.open.RUnlock()
	if o.handle == 0 {
		return failed(call, o.name, windows.ERROR_INVALID_HANDLE)
	}
	return failed(call, o.name, f(o.handle))
}

func (o *object) set(class uint32, info unsafe.Pointer, size uintptr) error {
	return o.on(fmt.Sprintf("SetInformationJobObject(%d)", class), func(h windows.Handle) error {
		_, err := windows.SetInformationJobObject(h, class, uintptr(info), uint32(size))
		return err
	})
}

func (o *object) query(class int32, info unsafe.Pointer, size uintptr) error {
	return o.on(fmt.Sprintf("QueryInformationJobObject(%d)", class), func(h windows.Handle) error {
		return windows.QueryInformationJobObject(h, class, uintptr(info), uint32(size), nil)
	})
}

func promote(h windows.Handle) error {
	_, err := windows.SetInformationJobObject(h, classCreateSilo, 0, 0)
	return err
}

// Promote implements Object.
func (o *object) Promote() error {
	return o.on("SetInformationJobObject(JobObjectCreateSilo)", promote)
}

// Flags of BfSetupFilter, as hcsshim has them.
const (
	bindReadOnly    = 0x1 // BINDFLT_FLAG_READ_ONLY_MAPPING
	bindCurrentSilo = 0x4 // BINDFLT_FLAG_USE_CURRENT_SILO_MAPPING
)

// Bind implements Object.
func (o *object) Bind(root, target string, readOnly bool) error {
	flags := uint32(bindCurrentSilo)
	if readOnly {
		flags |= bindReadOnly
	}
	wroot, err := wide(root)
	if err != nil {
		return failed("BfSetupFilter", root, err)
	}
	wtarget, err := wide(target)
	if err != nil {
		return failed("BfSetupFilter", target, err)
	}
	return o.on("BfSetupFilter "+target+" at "+root+" for", func(h windows.Handle) error {
		err := bfSetupFilter(h, flags, wroot, wtarget, nil, 0)
		var hr syscall.Errno
		if errors.As(err, &hr) && int32(uint32(hr)) >= 0 { // a success of its own
			return nil
		}
		return err
	})
}

// cpuRate is JOBOBJECT_CPU_RATE_CONTROL_INFORMATION.
// https://learn.microsoft.com/windows/win32/api/winnt/ns-winnt-jobobject_cpu_rate_control_information
type cpuRate struct{ flags, value uint32 }

const (
	rateEnabled = 0x1 // JOB_OBJECT_CPU_RATE_CONTROL_ENABLE
	rateWeight  = 0x2 // JOB_OBJECT_CPU_RATE_CONTROL_WEIGHT_BASED
	rateHardCap = 0x4 // JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP
)

// SetLimits implements Object.
func (o *object) SetLimits(l Limits) error {
	if l.Memory != 0 {
		o.mu.Lock()
		limits := o.limits
		o.mu.Unlock()
		limits.BasicLimitInformation.LimitFlags |= windows.JOB_OBJECT_LIMIT_JOB_MEMORY
		limits.JobMemoryLimit = uintptr(l.Memory)
		if err := o.set(windows.JobObjectExtendedLimitInformation, unsafe.Pointer(&limits), unsafe.Sizeof(limits)); err != nil {
			return err
		}
		o.mu.Lock()
		o.limits = limits
		o.mu.Unlock()
	}
	rate := cpuRate{flags: rateEnabled}
	switch {
	case l.Rate != 0:
		rate.flags, rate.value = rateEnabled|rateHardCap, l.Rate
	case l.Weight != 0:
		rate.flags, rate.value = rateEnabled|rateWeight, l.Weight
	}
	if rate.value != 0 {
		if err := o.set(windows.JobObjectCpuRateControlInformation, unsafe.Pointer(&rate), unsafe.Sizeof(rate)); err != nil {
			return err
		}
	}
	if len(l.Affinity) == 0 {
		return nil
	}
	masks, err := silo.Affinities(l.Affinity)
	if err != nil {
		return err
	}
	return o.set(windows.JobObjectGroupInformationEx, unsafe.Pointer(&masks[0]), uintptr(len(masks))*unsafe.Sizeof(masks[0]))
}

// Processes implements Object.
func (o *object) Processes() (pids []uint32, err error) {
	err = o.on("QueryInformationJobObject", func(h windows.Handle) error {
		pids, err = processesOf(h)
		return err
	})
	return pids, err
}

// processesOf asks with more room until all fit.
// https://learn.microsoft.com/windows/win32/api/winnt/ns-winnt-jobobject_basic_process_id_list
func processesOf(job windows.Handle) ([]uint32, error) {
	const header = 8 // two counts of 32 bits before the list
	for room := 16; ; room *= 2 {
		list := make([]uintptr, 1+room)
		err := windows.QueryInformationJobObject(job, windows.JobObjectBasicProcessIdList,
			uintptr(unsafe.Pointer(&list[0])), uint32(header+room*int(unsafe.Sizeof(list[0]))), nil)
		if errors.Is(err, windows.ERROR_MORE_DATA) {
			continue
		}
		if err != nil {
			return nil, err
		}
		listed := *(*uint32)(unsafe.Add(unsafe.Pointer(&list[0]), 4))
		pids := make([]uint32, 0, listed)
		for _, id := range list[1 : 1+min(int(listed), room)] {
			pids = append(pids, uint32(id))
		}
		return pids, nil
	}
}

// Terminate implements Object.
func (o *object) Terminate(exitCode uint32) error {
	return o.on("TerminateJobObject", func(h windows.Handle) error { return windows.TerminateJobObject(h, exitCode) })
}

// Emptied implements Object.
func (o *object) Emptied() <-chan struct{} { return o.emptied }

// Close implements Object.
func (o *object) Close() error {
	o.open.Lock()
	defer o.open.Unlock()
	if o.handle == 0 {
		return nil
	}
	o.ports.detach(o)
	err := windows.CloseHandle(o.handle)
	o.handle = 0
	return failed("CloseHandle", o.name, err)
}

// controlRoutine is the function of kernel32.dll that runs a process's control
// handlers. As runhcs does: Windows offers no other way to reach one process
// with any of the events. System DLLs lie at the same address in every process.
const controlRoutine = "CtrlRoutine"

// Signal implements Object.
func (o *object) Signal(pid uint32, event ControlEvent) (bool, error) {
	const access = windows.PROCESS_CREATE_THREAD | windows.PROCESS_QUERY_INFORMATION | windows.PROCESS_VM_OPERATION |
		windows.PROCESS_VM_WRITE | windows.PROCESS_VM_READ
	process, err := windows.OpenProcess(access, false, pid)
	if errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
		return false, nil // there is no such process
	}
	if err != nil {
		return false, failed("OpenProcess", fmt.Sprint(pid), err)
	}
	defer windows.CloseHandle(process)
	if in, err := o.holds(process); err != nil || !in {
		return false, err
	}
	routine := modkernel32.NewProc(controlRoutine)
	if err := routine.Find(); err != nil {
		return false, failed("find", controlRoutine, err)
	}
	thread, err := createRemoteThread(process, nil, 0, routine.Addr(), uintptr(event), 0, nil)
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) && ended(process) {
		return false, nil // it is ending: no thread is made in it any more
	}
	if err != nil {
		return false, failed("CreateRemoteThread", fmt.Sprint(pid), err)
	}
	return true, failed("CloseHandle", "thread", windows.CloseHandle(thread))
}

// holds says whether a process is in the job: its id may be another's by now.
func (o *object) holds(process windows.Handle) (bool, error) {
	var in int32
	err := o.on("IsProcessInJob", func(h windows.Handle) error { return isProcessInJob(process, h, &in) })
	return in != 0, err
}

func ended(process windows.Handle) bool {
	event, err := windows.WaitForSingleObject(process, 0)
	return err == nil && event == windows.WAIT_OBJECT_0
}

// span is a FILETIME that holds a duration.
func span(t windows.Filetime) time.Duration {
	return time.Duration(uint64(t.HighDateTime)<<32|uint64(t.LowDateTime)) * 100
}
