package job

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/windows"
)

// ports are where Windows tells of job objects and of processes: one completion
// port with one thread for all jobs, and one callback, on Windows' own threads,
// for all processes.
type ports struct {
	completion windows.Handle
	callback   uintptr

	mu      sync.Mutex
	last    uintptr
	jobs    map[uintptr]*object // by completion key. Guarded by mu.
	waiting map[uintptr]*child  // by the context of their waits. Guarded by mu.
}

func newPorts() (*ports, error) {
	port, err := windows.CreateIoCompletionPort(windows.InvalidHandle, 0, 0, 1)
	if err != nil {
		return nil, failed("CreateIoCompletionPort", "", err)
	}
	p := &ports{completion: port, jobs: map[uintptr]*object{}, waiting: map[uintptr]*child{}}
	p.callback = windows.NewCallback(func(context, timedOut uintptr) uintptr {
		p.mu.Lock()
		c := p.waiting[context]
		delete(p.waiting, context)
		p.mu.Unlock()
		if c != nil {
			c.ended()
		}
		return 0
	})
	go p.listen()
	return p, nil
}

// Messages of a job object's completion port.
// https://learn.microsoft.com/windows/win32/api/winnt/ns-winnt-jobobject_associate_completion_port
const (
	messageActiveProcessZero = 4 // JOB_OBJECT_MSG_ACTIVE_PROCESS_ZERO
	messageExitProcess       = 7 // JOB_OBJECT_MSG_EXIT_PROCESS
	messageAbnormalExit      = 8 // JOB_OBJECT_MSG_ABNORMAL_EXIT_PROCESS
)

// listen passes notices on for as long as the process lives.
func (p *ports) listen() {
	for {
		var message uint32
		var key uintptr
		var about *windows.Overlapped // a process id, not to be followed
		if windows.GetQueuedCompletionStatus(p.completion, &message, &key, &about, windows.INFINITE) != nil {
			return // the port is never closed: Windows has taken it
		}
		switch message {
		case messageActiveProcessZero, messageExitProcess, messageAbnormalExit:
			p.mu.Lock()
			o := p.jobs[key]
			p.mu.Unlock()
			if o == nil {
				continue
			}
			select {
			case o.emptied <- struct{}{}:
			default: // there is a notice already
			}
		}
	}
}

// attach makes the port hear of a job.
func (p *ports) attach(o *object) error {
	p.mu.Lock()
	p.last++
	o.key = p.last
	p.jobs[o.key] = o
	p.mu.Unlock()
	// JOBOBJECT_ASSOCIATE_COMPLETION_PORT: key, then port.
	info := [2]uintptr{o.key, uintptr(p.completion)}
	_, err := windows.SetInformationJobObject(o.handle, windows.JobObjectAssociateCompletionPortInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	return err
}

func (p *ports) detach(o *object) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.jobs, o.key)
}

// watch makes the callback call c.ended once its process has ended.
func (p *ports) watch(c *child) error {
	p.mu.Lock()
	p.last++
	c.key = p.last
	p.waiting[c.key] = c
	p.mu.Unlock()
	const executeOnlyOnce = 0x8 // WT_EXECUTEONLYONCE
	err := registerWaitForSingleObject(&c.wait, c.process, p.callback, c.key, windows.INFINITE, executeOnlyOnce)
	if err != nil {
		p.forget(c)
	}
	return failed("RegisterWaitForSingleObject", "", err)
}

func (p *ports) forget(c *child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, c.key)
}
