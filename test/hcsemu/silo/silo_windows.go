package silo

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/isolrun/isol/test/hcsemu"
	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// Runner is the emulator's runner of real processes.
type Runner struct {
	Pipes *Pipes
}

var (
	_ hcsemu.Runner   = (*Runner)(nil)
	_ hcsemu.Reserver = (*Runner)(nil)
)

// Reserve implements [hcsemu.Reserver]: the container's job object.
func (*Runner) Reserve(id string) (func(), error) {
	job, err := newJob(id)
	if err != nil {
		return nil, err
	}
	return func() { _ = windows.CloseHandle(job) }, nil
}

// NewSilo implements [hcsemu.Runner].
func (r *Runner) NewSilo(_ context.Context, spec hcsemu.SiloSpec) (hcsemu.Silo, error) {
	job, err := newJob(spec.ID)
	if err != nil {
		return nil, err
	}
	return &silo{
		pipes: r.Pipes, job: job, name: jobName(spec.ID), hostname: spec.Hostname,
		view: View{
			Roots: spec.RootDirs, Directories: spec.Directories, Host: hostEnvironment(),
			Exists: exists, IsDir: isDir,
		},
	}, nil
}

func hostEnvironment() map[string]string {
	env := map[string]string{}
	for _, entry := range os.Environ() {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
			env[strings.ToUpper(name)] = value
		}
	}
	return env
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// silo is a running container: a job object.
type silo struct {
	pipes    *Pipes
	view     View
	name     string // of the job
	hostname string

	mu   sync.Mutex
	job  windows.Handle // 0 once closed; guarded by mu
	past hcsemu.Usage   // of processes that have ended; guarded by mu
	own  []*process     // started here and not seen to end; guarded by mu
}

func jobName(id string) string { return `\Container_` + id }

// pinned returns the processors that the job was pinned to, 0 for all. Wine has
// no such limit of jobs: the lab's SetInformationJobObject (dll/src/jobs.c) pins
// what runs and leaves the mask in the registry for what is started later.
func (s *silo) pinned() uintptr {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, `Software\hcsemu\affinity`, registry.QUERY_VALUE)
	if err != nil {
		return 0 // nothing was ever pinned
	}
	defer key.Close()
	mask, _, err := key.GetIntegerValue(s.name)
	if err != nil {
		return 0
	}
	return uintptr(mask)
}

// newJob makes the container's job object, under the name by which runhcs
// opens it for statistics and affinity (NtOpenJobObject \Container_<id>). Its
// processes end with it.
func newJob(id string) (windows.Handle, error) {
	name, err := windows.NewNTUnicodeString(jobName(id))
	if err != nil {
		return 0, err
	}
	attributes := windows.OBJECT_ATTRIBUTES{ObjectName: name, Attributes: windows.OBJ_OPENIF}
	attributes.Length = uint32(unsafe.Sizeof(attributes))
	var job windows.Handle
	if err := ntCreateJobObject(&job, 0x1F001F /* JOB_OBJECT_ALL_ACCESS */, &attributes); err != nil {
		// Without a name the container runs as well.
		if job, err = windows.CreateJobObject(nil, nil); err != nil {
			return 0, fmt.Errorf("create job object: %w", err)
		}
	}
	var limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)))
	if err != nil {
		_ = windows.CloseHandle(job)
		return 0, fmt.Errorf("limit job object: %w", err)
	}
	return job, nil
}

// Start implements [hcsemu.Silo].
func (s *silo) Start(ctx context.Context, spec hcsemu.ProcessSpec) (hcsemu.RunningProcess, error) {
	launch, err := s.view.Launch(spec, s.hostname)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	job := s.job
	s.mu.Unlock()
	if job == 0 {
		return nil, hcsemu.EInvalidState
	}
	p, err := startProcess(s, job, launch, spec)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own = append(s.own, p)
	return p, nil
}

// ownPidsLocked returns the ids of the processes that were started here and run.
func (s *silo) ownPidsLocked() []uint32 {
	s.own = slices.DeleteFunc(s.own, func(p *process) bool {
		select {
		case <-p.done:
			return true
		default:
			return false
		}
	})
	pids := make([]uint32, 0, len(s.own))
	for _, p := range s.own {
		pids = append(pids, p.pid)
	}
	return pids
}

// ended adds what a process has used to the past.
func (s *silo) ended(process windows.Handle) {
	var u hcsemu.Usage
	addTimes(&u, process)
	addIO(&u, process)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past.UserTime += u.UserTime
	s.past.KernelTime += u.KernelTime
	s.past.ReadCount += u.ReadCount
	s.past.ReadBytes += u.ReadBytes
	s.past.WriteCount += u.WriteCount
	s.past.WriteBytes += u.WriteBytes
}

// pids lists the job's processes. Wine 8 lists a process in its job only some
// hundred milliseconds after it was put there: those started here are added.
func (s *silo) pids() []uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.job == 0 {
		return nil
	}
	// JOBOBJECT_BASIC_PROCESS_ID_LIST
	var list struct {
		Assigned, Listed uint32
		IDs              [1024]uintptr
	}
	err := windows.QueryInformationJobObject(s.job, windows.JobObjectBasicProcessIdList,
		uintptr(unsafe.Pointer(&list)), uint32(unsafe.Sizeof(list)), nil)
	pids := s.ownPidsLocked()
	if err != nil {
		return pids
	}
	for _, id := range list.IDs[:min(int(list.Listed), len(list.IDs))] {
		if !slices.Contains(pids, uint32(id)) {
			pids = append(pids, uint32(id))
		}
	}
	return pids
}

// each calls f for each process that runs.
func (s *silo) each(f func(pid uint32, process windows.Handle)) {
	for _, pid := range s.pids() {
		process, err := windows.OpenProcess(windows.PROCESS_QUERY_INFORMATION|windows.PROCESS_VM_READ, false, pid)
		if err != nil {
			continue // it has just ended
		}
		f(pid, process)
		_ = windows.CloseHandle(process)
	}
}

// Processes implements [hcsemu.Silo].
func (s *silo) Processes() []hcsemu.ProcessFact {
	var facts []hcsemu.ProcessFact
	s.each(func(pid uint32, process windows.Handle) {
		var created, exited, kernel, user windows.Filetime
		fact := hcsemu.ProcessFact{PID: pid, ImageName: imageName(process)}
		if windows.GetProcessTimes(process, &created, &exited, &kernel, &user) == nil {
			fact.Created = time.Unix(0, created.Nanoseconds())
			fact.KernelTime, fact.UserTime = span(kernel), span(user)
		}
		if m, ok := memoryOf(process); ok {
			fact.CommitBytes = uint64(m.PagefileUsage)
			fact.PrivateWorkingSet = m.private()
			fact.SharedWorkingSet = uint64(m.WorkingSetSize) - fact.PrivateWorkingSet
		}
		facts = append(facts, fact)
	})
	return facts
}

// Usage implements [hcsemu.Silo].
func (s *silo) Usage() hcsemu.Usage {
	s.mu.Lock()
	u := s.past
	s.mu.Unlock()
	s.each(func(_ uint32, process windows.Handle) {
		addTimes(&u, process)
		addIO(&u, process)
		if m, ok := memoryOf(process); ok {
			u.CommitBytes += uint64(m.PagefileUsage)
			u.PrivateWSet += m.private()
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past.PeakCommitBytes = max(s.past.PeakCommitBytes, u.CommitBytes)
	u.PeakCommitBytes = s.past.PeakCommitBytes
	return u
}

func addTimes(u *hcsemu.Usage, process windows.Handle) {
	var created, exited, kernel, user windows.Filetime
	if windows.GetProcessTimes(process, &created, &exited, &kernel, &user) == nil {
		u.KernelTime += span(kernel)
		u.UserTime += span(user)
	}
}

func addIO(u *hcsemu.Usage, process windows.Handle) {
	var io windows.IO_COUNTERS
	if getProcessIoCounters(process, &io) == nil {
		u.ReadCount += io.ReadOperationCount
		u.ReadBytes += io.ReadTransferCount
		u.WriteCount += io.WriteOperationCount
		u.WriteBytes += io.WriteTransferCount
	}
}

func memoryOf(process windows.Handle) (memoryCounters, bool) {
	m := memoryCounters{}
	m.Size = uint32(unsafe.Sizeof(m))
	err := getProcessMemoryInfo(process, &m, m.Size)
	return m, err == nil
}

// span is a FILETIME that holds a duration.
func span(t windows.Filetime) time.Duration {
	return time.Duration(uint64(t.HighDateTime)<<32|uint64(t.LowDateTime)) * 100
}

func imageName(process windows.Handle) string {
	buf := make([]uint16, windows.MAX_LONG_PATH)
	size := uint32(len(buf))
	if err := windows.QueryFullProcessImageName(process, 0, &buf[0], &size); err != nil {
		return ""
	}
	path := windows.UTF16ToString(buf[:size])
	return path[strings.LastIndexByte(path, '\\')+1:]
}

// Terminate implements [hcsemu.Silo].
func (s *silo) Terminate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.job != 0 {
		_ = windows.TerminateJobObject(s.job, exitTerminated) // the close that follows ends what is left
	}
}

// Close implements [hcsemu.Silo].
func (s *silo) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.job != 0 {
		_ = windows.CloseHandle(s.job)
		s.job = 0
	}
}
