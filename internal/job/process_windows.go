package job

import (
	"crypto/rand"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"unicode/utf16"
	"unsafe"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"

	"github.com/isolrun/isol/internal/hcs"
)

// procThreadAttributeJobList is PROC_THREAD_ATTRIBUTE_JOB_LIST: the process is
// in the job before it runs.
// https://learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-updateprocthreadattribute
const procThreadAttributeJobList = 0x0002000D

// child is a started process.
type child struct {
	ports   *ports
	key     uintptr
	wait    windows.Handle // of RegisterWaitForSingleObject
	process windows.Handle
	pid     uint32
	streams [3]io.ReadWriteCloser // ours: input, output, errors; nil where there is none
	hidden  [3]bool               // those that a console needs and the caller did not ask for

	once sync.Once
	done chan struct{}
	code uint32 // once done is closed

	mu      sync.Mutex
	console windows.Handle // pseudo console, 0 for none. Guarded by mu.
	closed  bool           // Guarded by mu.
}

// Start implements Object.
func (o *object) Start(c Command) (_ Child, err error) {
	p := &child{ports: o.ports, done: make(chan struct{})}
	theirs, err := p.openStreams(c)
	defer func() {
		for _, h := range theirs {
			if h != 0 {
				err = errors.Join(err, windows.CloseHandle(h)) // the process has its own
			}
		}
		if err != nil {
			if p.process != 0 {
				_ = windows.TerminateProcess(p.process, terminated) // err says why it may not run
			}
			err = errors.Join(failed("CreateProcessAsUserW", c.Program, err), p.Close())
		}
	}()
	if err != nil {
		return nil, err
	}
	if err = o.on("CreateProcessAsUserW", func(job windows.Handle) error { return p.create(job, c, theirs) }); err != nil {
		return nil, err
	}
	return p, o.ports.watch(p)
}

// openStreams makes the pipes and returns the process's ends, or makes the
// console on them, which then has them.
func (p *child) openStreams(c Command) (theirs [3]windows.Handle, err error) {
	wanted := [3]bool{c.Stdin, c.Stdout, c.Stderr}
	if c.Console != nil {
		p.hidden = [3]bool{!c.Stdin, !c.Stdout, true}
		wanted = [3]bool{true, true, false} // a console needs both, whoever listens
	}
	for i, want := range wanted {
		if !want {
			// Programs that are given nothing at all misbehave in their own ways.
			if c.Console == nil {
				if theirs[i], err = openNul(); err != nil {
					return theirs, err
				}
			}
			continue
		}
		if p.streams[i], theirs[i], err = openPipe(i > 0); err != nil {
			return theirs, err
		}
	}
	if c.Console == nil {
		return theirs, nil
	}
	size := windows.Coord{X: int16(c.Console.Columns), Y: int16(c.Console.Rows)}
	if err := windows.CreatePseudoConsole(size, theirs[0], theirs[1], 0, &p.console); err != nil {
		return theirs, failed("CreatePseudoConsole", "", err)
	}
	if p.hidden[1] {
		go func() { _, _ = io.Copy(io.Discard, p.streams[1]) }() // ends with the console
	}
	return theirs, nil
}

// openNul opens the device that takes everything and gives nothing.
func openNul() (windows.Handle, error) {
	name, err := wide("NUL")
	if err != nil {
		return 0, err
	}
	sa := windows.SecurityAttributes{Length: uint32(unsafe.Sizeof(windows.SecurityAttributes{})), InheritHandle: 1}
	h, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, &sa, windows.OPEN_EXISTING, 0, 0)
	return h, failed("CreateFileW", "NUL", err)
}

// pipeACL lets SYSTEM, administrators and the owner open a pipe for the moment
// until its one instance is taken.
// https://learn.microsoft.com/windows/win32/secauthz/ace-strings
const pipeACL = "D:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;GA;;;OW)"

// pipeBuffer is the size of the pipes' buffers.
const pipeBuffer = 64 << 10

// openPipe makes a pipe whose near end is overlapped, so that a read of it
// takes no thread and can be broken off, which anonymous pipes can't.
func openPipe(weRead bool) (near io.ReadWriteCloser, far windows.Handle, err error) {
	name, err := wide(`\\.\pipe\isol-stdio-` + rand.Text())
	if err != nil {
		return nil, 0, err
	}
	sd, err := windows.SecurityDescriptorFromString(pipeACL)
	if err != nil {
		return nil, 0, failed("ConvertStringSecurityDescriptorToSecurityDescriptorW", pipeACL, err)
	}
	sa := windows.SecurityAttributes{Length: uint32(unsafe.Sizeof(windows.SecurityAttributes{})), SecurityDescriptor: sd}
	open, access := uint32(windows.PIPE_ACCESS_OUTBOUND), uint32(windows.GENERIC_READ)
	if weRead {
		open, access = windows.PIPE_ACCESS_INBOUND, windows.GENERIC_WRITE
	}
	server, err := windows.CreateNamedPipe(name, open|windows.FILE_FLAG_FIRST_PIPE_INSTANCE|windows.FILE_FLAG_OVERLAPPED,
		windows.PIPE_TYPE_BYTE|windows.PIPE_REJECT_REMOTE_CLIENTS, 1, pipeBuffer, pipeBuffer, 0, &sa)
	if err != nil {
		return nil, 0, failed("CreateNamedPipeW", "", err)
	}
	// Inheritable: every start in this program lists what its process inherits,
	// os/exec's too, so no other process gets it.
	sa = windows.SecurityAttributes{Length: sa.Length, InheritHandle: 1}
	far, err = windows.CreateFile(name, access, 0, &sa, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		return nil, 0, errors.Join(failed("CreateFileW", "pipe", err), windows.CloseHandle(server))
	}
	near, err = winio.NewOpenFile(server)
	if err != nil {
		return nil, 0, errors.Join(err, windows.CloseHandle(server), windows.CloseHandle(far))
	}
	return near, far, nil
}

// create starts the process in the job. Only the handles of its streams are
// inherited.
func (p *child) create(job windows.Handle, c Command, theirs [3]windows.Handle) error {
	attributes, err := windows.NewProcThreadAttributeList(3)
	if err != nil {
		return err
	}
	defer attributes.Delete()
	if err := attributes.Update(procThreadAttributeJobList, unsafe.Pointer(&job), unsafe.Sizeof(job)); err != nil {
		return err
	}
	startup := windows.StartupInfoEx{ProcThreadAttributeList: attributes.List()}
	startup.Cb = uint32(unsafe.Sizeof(startup))
	// Also with a console: a process would else take over the shim's own streams.
	startup.Flags = windows.STARTF_USESTDHANDLES
	flags := uint32(windows.CREATE_UNICODE_ENVIRONMENT | windows.EXTENDED_STARTUPINFO_PRESENT | windows.CREATE_BREAKAWAY_FROM_JOB)
	var inherited []windows.Handle
	if p.console != 0 {
		// The attribute's value is the handle itself, not a pointer to it.
		err = attributes.Update(windows.PROC_THREAD_ATTRIBUTE_PSEUDOCONSOLE, *(*unsafe.Pointer)(unsafe.Pointer(&p.console)), unsafe.Sizeof(p.console))
	} else {
		flags |= windows.CREATE_NO_WINDOW
		startup.StdInput, startup.StdOutput, startup.StdErr = theirs[0], theirs[1], theirs[2]
		for _, h := range theirs {
			if h != 0 {
				inherited = append(inherited, h)
			}
		}
		if len(inherited) > 0 {
			err = attributes.Update(windows.PROC_THREAD_ATTRIBUTE_HANDLE_LIST, unsafe.Pointer(&inherited[0]), uintptr(len(inherited))*unsafe.Sizeof(inherited[0]))
		}
	}
	if err != nil {
		return err
	}
	return p.createWith(c, flags, len(inherited) > 0, &startup)
}

func (p *child) createWith(c Command, flags uint32, inherits bool, startup *windows.StartupInfoEx) error {
	texts := make([]*uint16, 3)
	for i, s := range []string{c.Program, c.Line, c.Folder} {
		var err error
		if texts[i], err = wide(s); err != nil {
			return err
		}
	}
	t, ok := c.Token.(*token)
	if !ok {
		return windows.ERROR_INVALID_HANDLE
	}
	env := environmentBlock(c.Environment)
	var info windows.ProcessInformation

	err := windows.CreateProcessAsUser(t.handle, texts[0], texts[1], nil, nil, inherits, flags, &env[0], texts[2], &startup.StartupInfo, &info)
	if err != nil {
		return err
	}
	p.process, p.pid = info.Process, info.ProcessId
	return windows.CloseHandle(info.Thread)
}

// environmentBlock is what CreateProcess takes: strings one after another, and
// an empty one.
func environmentBlock(env []string) []uint16 {
	var block []uint16
	for _, entry := range env {
		if strings.IndexByte(entry, 0) >= 0 {
			continue // the spec's reader refuses it
		}
		block = append(block, utf16.Encode([]rune(entry))...)
		block = append(block, 0)
	}
	return append(block, 0, 0)
}

// ended is called once when the process has ended.
func (p *child) ended() {
	p.once.Do(func() {
		p.mu.Lock()
		if !p.closed {
			if err := windows.GetExitCodeProcess(p.process, &p.code); err != nil {
				p.code = terminated
			}
		}
		p.mu.Unlock()
		close(p.done)
		// The console writes what it still has and ends, and so does our read
		// of it. Older Windows waits here until all is read.
		go p.closeConsole()
	})
}

func (p *child) closeConsole() {
	p.mu.Lock()
	console := p.console
	p.console = 0
	p.mu.Unlock()
	if console != 0 {
		windows.ClosePseudoConsole(console)
	}
}

// PID implements Child, as do the methods below.
func (p *child) PID() uint32 { return p.pid }

// Stdin is the near end of the input.
func (p *child) Stdin() io.WriteCloser {
	if p.streams[0] == nil || p.hidden[0] {
		return nil
	}
	return p.streams[0]
}

// Stdout is the near end of the output.
func (p *child) Stdout() io.ReadCloser {
	if p.streams[1] == nil || p.hidden[1] {
		return nil
	}
	return p.streams[1]
}

// Stderr is the near end of the errors.
func (p *child) Stderr() io.ReadCloser {
	if p.streams[2] == nil || p.hidden[2] {
		return nil
	}
	return p.streams[2]
}

// Resize sets the console's size.
func (p *child) Resize(s Size) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.console == 0 {
		return hcs.ErrInvalidState
	}
	return failed("ResizePseudoConsole", "", windows.ResizePseudoConsole(p.console, windows.Coord{X: int16(s.Columns), Y: int16(s.Rows)}))
}

// Kill ends the process.
func (p *child) Kill() (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || ended(p.process) {
		return false, nil
	}
	err := windows.TerminateProcess(p.process, terminated)
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) { // it is ending already
		return false, nil
	}
	return err == nil, failed("TerminateProcess", "", err)
}

// Done is closed when the process has ended.
func (p *child) Done() <-chan struct{} { return p.done }

// ExitCode is its exit code.
func (p *child) ExitCode() uint32 { return p.code }

// Close gives everything up.
func (p *child) Close() error {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	p.mu.Unlock()
	if !first {
		return nil
	}
	p.ports.forget(p)
	var errs []error
	if p.wait != 0 {
		// Without waiting: a callback on its way finds nothing to do.
		if err := unregisterWaitEx(p.wait, 0); err != nil && !errors.Is(err, windows.ERROR_IO_PENDING) {
			errs = append(errs, failed("UnregisterWaitEx", "", err))
		}
	}
	for _, s := range p.streams {
		if s != nil {
			if err := s.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	p.closeConsole()
	if p.process != 0 {
		errs = append(errs, failed("CloseHandle", "process", windows.CloseHandle(p.process)))
	}
	return errors.Join(errs...)
}
