package silo

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"unicode/utf16"
	"unsafe"

	"github.com/isolrun/isol/test/hcsemu"
	"golang.org/x/sys/windows"
)

const (
	exitTerminated  = 1067       // ERROR_PROCESS_ABORTED, what HCS terminates with
	exitControlSent = 0xC000013A // STATUS_CONTROL_C_EXIT, the default of control events
)

// createMu keeps two starts apart: a handle that is inheritable for one child
// must not be there when another is made, or its pipe never ends.
var createMu sync.Mutex

// process is one process of a silo.
type process struct {
	silo   *silo
	handle windows.Handle
	pid    uint32
	stdio  hcsemu.Stdio
	input  *input // nil without
	done   chan struct{}
	code   uint32 // once done is closed

	mu     sync.Mutex
	closed bool // handle was closed; guarded by mu
}

// startProcess makes the pipes and the process.
func startProcess(s *silo, job windows.Handle, launch Launch, spec hcsemu.ProcessSpec) (*process, error) {
	p := &process{silo: s, done: make(chan struct{})}
	child, err := p.openPipes(spec)
	if err == nil {
		err = p.create(job, launch, child)
	}
	for _, h := range child {
		if h != 0 {
			_ = windows.CloseHandle(h) // the process has its own
		}
	}
	if err != nil {
		if p.input != nil {
			p.input.discard()
			p.input = nil
		}
		p.dropPipes()
		return nil, err
	}
	if p.input != nil {
		if spec.Console {
			p.input.interrupt = func() { _ = p.Signal(hcsemu.CtrlC) } // it may have ended
		}
		go p.input.run()
	}
	go p.wait()
	return p, nil
}

// openPipes makes the pipes that the caller wants and returns the process's
// ends of input, output and error.
func (p *process) openPipes(spec hcsemu.ProcessSpec) (child [3]windows.Handle, err error) {
	pipes := p.silo.pipes
	if spec.Stdin {
		var near windows.Handle
		if p.stdio.InPipe, near, err = pipes.open(false, true); err != nil {
			return child, err
		}
		if p.input, child[0], err = newInput(near); err != nil {
			return child, err
		}
	}
	if spec.Stdout {
		if p.stdio.OutPipe, child[1], err = pipes.open(true, false); err != nil {
			return child, err
		}
	}
	switch {
	case spec.Console: // a console has one output
		child[2] = child[1]
		if child[1] != 0 {
			err = windows.DuplicateHandle(windows.CurrentProcess(), child[1], windows.CurrentProcess(), &child[2],
				0, false, windows.DUPLICATE_SAME_ACCESS)
		}
	case spec.Stderr:
		p.stdio.ErrPipe, child[2], err = pipes.open(true, false)
	}
	return child, err
}

// create starts the process in the job.
func (p *process) create(job windows.Handle, launch Launch, child [3]windows.Handle) error {
	strings := make([]*uint16, 3)
	for i, s := range []string{launch.Application, launch.CommandLine, launch.Directory} {
		var err error
		if strings[i], err = windows.UTF16PtrFromString(s); err != nil {
			return &hcsemu.Error{Code: hcsemu.EInvalidArg, Message: fmt.Sprintf("%q: %v", s, err)}
		}
	}
	startup := windows.StartupInfo{
		Flags:    windows.STARTF_USESTDHANDLES,
		StdInput: child[0], StdOutput: child[1], StdErr: child[2],
	}
	startup.Cb = uint32(unsafe.Sizeof(startup))
	env := environmentBlock(launch.Environment)
	var info windows.ProcessInformation

	createMu.Lock()
	setInheritable(child, true)
	err := windows.CreateProcess(strings[0], strings[1], nil, nil, true,
		windows.CREATE_SUSPENDED|windows.CREATE_UNICODE_ENVIRONMENT|windows.DETACHED_PROCESS,
		&env[0], strings[2], &startup, &info)
	setInheritable(child, false)
	createMu.Unlock()
	if err != nil {
		return startError(launch.Application, err)
	}
	defer windows.CloseHandle(info.Thread)
	err = windows.AssignProcessToJobObject(job, info.Process)
	if mask := p.silo.pinned(); err == nil && mask != 0 {
		err = setProcessAffinityMask(info.Process, mask)
	}
	if err == nil {
		_, err = windows.ResumeThread(info.Thread)
	}
	if err != nil {
		_ = windows.TerminateProcess(info.Process, exitTerminated) // the error below says what went wrong
		_ = windows.CloseHandle(info.Process)
		return startError(launch.Application, err)
	}
	p.handle, p.pid = info.Process, info.ProcessId
	return nil
}

func setInheritable(handles [3]windows.Handle, on bool) {
	var flags uint32
	if on {
		flags = windows.HANDLE_FLAG_INHERIT
	}
	for _, h := range handles {
		if h != 0 {
			_ = windows.SetHandleInformation(h, windows.HANDLE_FLAG_INHERIT, flags) // fails on no valid handle
		}
	}
}

// environmentBlock is what CreateProcess takes: strings one after another, and
// an empty one.
func environmentBlock(env []string) []uint16 {
	var block []uint16
	for _, entry := range env {
		block = append(block, utf16.Encode([]rune(entry))...)
		block = append(block, 0)
	}
	return append(block, 0, 0)
}

// startError gives a failure of CreateProcess as an HRESULT.
func startError(application string, err error) error {
	code := hcsemu.EFail
	var errno syscall.Errno
	if errors.As(err, &errno) && errno < 0x10000 {
		code = hcsemu.HRESULT(0x80070000 | uint32(errno))
	}
	return &hcsemu.Error{Code: code, Message: fmt.Sprintf("start %s: %v", application, err)}
}

func (p *process) wait() {
	_, err := windows.WaitForSingleObject(p.handle, windows.INFINITE)
	if err == nil {
		err = windows.GetExitCodeProcess(p.handle, &p.code)
	}
	if err != nil {
		p.code = exitTerminated
	}
	p.silo.ended(p.handle)
	close(p.done)
	if p.input != nil {
		p.input.end()
	}
}

// PID implements [hcsemu.RunningProcess].
func (p *process) PID() uint32 { return p.pid }

// Stdio implements [hcsemu.RunningProcess].
func (p *process) Stdio() hcsemu.Stdio { return p.stdio }

// Done implements [hcsemu.RunningProcess].
func (p *process) Done() <-chan struct{} { return p.done }

// ExitCode implements [hcsemu.RunningProcess].
func (p *process) ExitCode() uint32 { return p.code }

// whileRunning calls f if the process has not ended, and gives what gone says
// otherwise. A failure of f means that the process is ending.
func (p *process) whileRunning(gone hcsemu.HRESULT, f func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
		return gone
	default:
	}
	if p.closed || f() != nil {
		return gone
	}
	return nil
}

// Kill implements [hcsemu.RunningProcess].
func (p *process) Kill() error {
	return p.whileRunning(hcsemu.EProcessAlreadyStopped, func() error {
		return windows.TerminateProcess(p.handle, exitTerminated)
	})
}

// Signal implements [hcsemu.RunningProcess].
func (p *process) Signal(signal hcsemu.Signal) error {
	return p.whileRunning(hcsemu.EElementNotFound, func() error {
		if err := sendControlEvent(p.handle, signal); err == nil {
			return nil
		}
		// Nothing listens, so the event has its default effect.
		return windows.TerminateProcess(p.handle, exitControlSent)
	})
}

// Resize implements [hcsemu.RunningProcess]; see Console in the package comment.
func (p *process) Resize(_, _ uint16) error { return nil }

// CloseStdin implements [hcsemu.RunningProcess].
func (p *process) CloseStdin() error {
	if p.input != nil {
		p.input.end()
	}
	return nil
}

// Close implements [hcsemu.RunningProcess].
func (p *process) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		_ = windows.CloseHandle(p.handle)
	}
	p.dropPipes()
}

func (p *process) dropPipes() {
	if p.input != nil {
		p.input.end()
	}
	p.silo.pipes.drop(p.stdio.InPipe, p.stdio.OutPipe, p.stdio.ErrPipe)
}
