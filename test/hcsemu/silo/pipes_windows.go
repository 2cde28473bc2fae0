package silo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Microsoft/go-winio"
	"github.com/isolrun/isol/test/hcsemu"
	"golang.org/x/sys/windows"
)

// pipeBuffer is the size of the pipes' buffers.
const pipeBuffer = 64 << 10

// Pipes holds the callers' ends of processes' pipes until they are taken. Its
// methods may be called from any goroutine.
type Pipes struct {
	last atomic.Uint64

	mu   sync.Mutex
	ends map[string]windows.Handle // by name; guarded by mu
}

// NewPipes returns an empty Pipes.
func NewPipes() *Pipes { return &Pipes{ends: map[string]windows.Handle{}} }

// Export implements service.Exporter: it moves the ends that stdio names into
// the process pid. A name that was taken before gives 0.
func (p *Pipes) Export(pid uint32, stdio hcsemu.Stdio) (in, out, errs uint64, err error) {
	target, err := windows.OpenProcess(windows.PROCESS_DUP_HANDLE, false, pid)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("open process %d: %w", pid, err)
	}
	defer windows.CloseHandle(target)
	var moved [3]windows.Handle
	for i, name := range []string{stdio.InPipe, stdio.OutPipe, stdio.ErrPipe} {
		end := p.take(name)
		if end == 0 {
			continue
		}
		err := windows.DuplicateHandle(windows.CurrentProcess(), end, target, &moved[i], 0, false,
			windows.DUPLICATE_SAME_ACCESS|windows.DUPLICATE_CLOSE_SOURCE)
		if err != nil {
			closeIn(target, moved[:])
			return 0, 0, 0, fmt.Errorf("duplicate pipe: %w", err)
		}
	}
	return uint64(moved[0]), uint64(moved[1]), uint64(moved[2]), nil
}

// closeIn closes handles of another process.
func closeIn(process windows.Handle, handles []windows.Handle) {
	for _, h := range handles {
		if h != 0 {
			_ = windows.DuplicateHandle(process, h, 0, nil, 0, false, windows.DUPLICATE_CLOSE_SOURCE) // nothing else can be done
		}
	}
}

func (p *Pipes) take(name string) windows.Handle {
	p.mu.Lock()
	defer p.mu.Unlock()
	end := p.ends[name]
	delete(p.ends, name)
	return end
}

// drop closes the ends of the names that nobody has taken.
func (p *Pipes) drop(names ...string) {
	for _, name := range names {
		if end := p.take(name); end != 0 {
			_ = windows.CloseHandle(end)
		}
	}
}

// open makes a pipe and keeps its caller's end, which is overlapped, under the
// name that is returned with the other end. The two are connected before
// anyone has either, so that a process that writes at once finds a reader.
func (p *Pipes) open(callerReads bool, overlapped bool) (name string, near windows.Handle, err error) {
	name = `\\.\pipe\hcsemu-stdio-` + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatUint(p.last.Add(1), 10)
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return "", 0, err
	}
	open, access := uint32(windows.PIPE_ACCESS_INBOUND), uint32(windows.GENERIC_WRITE)
	if callerReads {
		open, access = windows.PIPE_ACCESS_OUTBOUND, windows.GENERIC_READ
	}
	if overlapped {
		open |= windows.FILE_FLAG_OVERLAPPED
	}
	near, err = windows.CreateNamedPipe(path, open|windows.FILE_FLAG_FIRST_PIPE_INSTANCE,
		windows.PIPE_TYPE_BYTE|windows.PIPE_REJECT_REMOTE_CLIENTS, 1, pipeBuffer, pipeBuffer, 0, nil)
	if err != nil {
		return "", 0, fmt.Errorf("create pipe: %w", err)
	}
	far, err := windows.CreateFile(path, access, 0, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_OVERLAPPED, 0)
	if err != nil {
		_ = windows.CloseHandle(near)
		return "", 0, fmt.Errorf("open pipe: %w", err)
	}
	p.mu.Lock()
	p.ends[name] = far
	p.mu.Unlock()
	return name, near, nil
}

// input is the relay of a process's standard input.
type input struct {
	handle    windows.Handle // of from, for looking only
	interrupt func()         // called for each Ctrl-C of a console, nil without one
	from      io.ReadCloser  // the caller's pipe
	to        *os.File       // the process's pipe

	endOnce sync.Once
	ended   chan struct{} // closed by end
}

// newInput returns the relay from near, which it owns, with the end for the
// process. The caller starts it with run.
func newInput(near windows.Handle) (_ *input, child windows.Handle, err error) {
	var write windows.Handle
	if err := windows.CreatePipe(&child, &write, nil, pipeBuffer); err != nil {
		_ = windows.CloseHandle(near)
		return nil, 0, fmt.Errorf("create pipe: %w", err)
	}
	from, err := winio.NewOpenFile(near)
	if err != nil {
		_ = windows.CloseHandle(near)
		_ = windows.CloseHandle(child)
		_ = windows.CloseHandle(write)
		return nil, 0, err
	}
	in := &input{handle: near, from: from, to: os.NewFile(uintptr(write), "stdin"), ended: make(chan struct{})}
	return in, child, nil
}

// run relays until the end was asked for, or until the process reads no more.
func (in *input) run() {
	defer in.from.Close()
	defer in.to.Close()
	buf := make([]byte, pipeBuffer)
	for {
		n, err := in.from.Read(buf)
		if keys := in.keys(buf[:n]); len(keys) > 0 { // nothing written would read as the end
			if _, werr := in.to.Write(keys); werr != nil {
				return
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, winio.ErrTimeout): // end was called: what is in the pipe is still due
			if !in.pending() {
				return
			}
			in.deadline(time.Time{})
		default: // the caller's end has gone; the input ends when HCS says so
			<-in.ended
			return
		}
		select {
		case <-in.ended:
			if !in.pending() {
				return
			}
		default:
		}
	}
}

// controlC is what a terminal sends for Ctrl-C.
const controlC = 0x03

// keys takes Ctrl-C out of a console's input and makes it the control event, as
// a console in its usual mode (ENABLE_PROCESSED_INPUT) does.
// https://learn.microsoft.com/windows/console/setconsolemode
func (in *input) keys(b []byte) []byte {
	if in.interrupt == nil || bytes.IndexByte(b, controlC) < 0 {
		return b
	}
	in.interrupt()
	return bytes.ReplaceAll(b, []byte{controlC}, nil)
}

// discard gives up a relay that was never run.
func (in *input) discard() {
	_ = in.from.Close() // nobody has written to it
	_ = in.to.Close()
}

// pending says whether the caller has written what was not read yet.
func (in *input) pending() bool {
	var available uint32
	err := peekNamedPipe(in.handle, nil, 0, nil, &available, nil)
	return err == nil && available > 0
}

// end ends the input after what was written before. It is idempotent.
func (in *input) end() {
	in.endOnce.Do(func() {
		close(in.ended)
		in.deadline(time.Now())
	})
}

func (in *input) deadline(t time.Time) {
	if d, ok := in.from.(interface{ SetReadDeadline(time.Time) error }); ok {
		_ = d.SetReadDeadline(t) // fails only on a closed file, which ends the read as well
	}
}
