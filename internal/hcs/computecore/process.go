package computecore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// eventGrace is how long the exit event of a process may lag behind a call that
// found the process gone. The reference does the same, as a way round a deadlock
// of the service that swallows the event.
const eventGrace = 5 * time.Second

// process is a process of a system.
type process struct {
	object
	system  *system
	pid     uint32
	console bool
	outcome outcome

	stdin, stdout, stderr io.ReadWriteCloser // nil where not asked for
	stdinEnded            atomic.Bool
}

var _ hcs.Process = (*process)(nil)

// CreateProcess implements hcs.System.
func (s *system) CreateProcess(ctx context.Context, params *schema.ProcessParameters) (hcs.Process, error) {
	const name = "HcsCreateProcess"
	text, err := encode(name, s.id, params)
	if err != nil {
		return nil, err
	}
	p, err := await(ctx, s.calls, name, s.id, func() (*process, error) {
		system, err := s.ref.use()
		if err != nil {
			return nil, failure(name, s.id, err, "")
		}
		defer s.ref.done()
		native, info, err := s.startProcess(ctx, system, text)
		if err != nil {
			return nil, err
		}
		p, err := s.adoptProcess(native, info, params)
		if err != nil {
			s.discardProcess(native, true)
		}
		return p, err
	}, func(p *process, err error) {
		if err == nil {
			_, _ = p.Kill(context.Background()) // nobody knows the process: Close is all that is left
			_ = p.Close()
		}
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// startProcess makes the native process and learns its id and pipes. On failure
// nothing is left.
func (s *system) startProcess(ctx context.Context, system handle, text string) (handle, processInformation, error) {
	var native handle
	r, err := track(ctx, s.n, call{name: "HcsCreateProcess", id: s.id, process: true, invoke: func(op handle) (err error) {
		native, err = s.n.createProcess(system, text, op)
		return err
	}})
	if err == nil {
		return native, r.info, nil
	}
	if native == 0 {
		return 0, processInformation{}, err
	}
	// The service may answer the call itself and leave the operation without a
	// result: then the process can be asked. As runhcs does.
	if ctx.Err() == nil && !errors.Is(err, hcs.ErrTimeout) {
		r, again := track(ctx, s.n, call{name: "HcsGetProcessInfo", id: s.id, process: true, invoke: func(op handle) error {
			return s.n.processInfo(native, op)
		}})
		if again == nil {
			return native, r.info, nil
		}
	}
	// A wait that was given up says nothing of the process: it may run, or will.
	s.discardProcess(native, ctx.Err() != nil || errors.Is(err, hcs.ErrTimeout))
	return 0, processInformation{}, err
}

// discardProcess gives up a handle that did not become a process.
func (s *system) discardProcess(native handle, terminate bool) {
	if terminate {
		_ = send(s.n, call{name: "HcsTerminateProcess", id: s.id, invoke: func(op handle) error {
			return s.n.terminateProcess(native, op)
		}}, 0) // best effort: the caller has a better error
	}
	s.n.closeProcess(native)
}

// adoptProcess makes a process of a native handle. The pipes' handles are
// closed on failure; the process's handle is then still the caller's.
func (s *system) adoptProcess(native handle, info processInformation, params *schema.ProcessParameters) (*process, error) {
	p := &process{
		object: object{n: s.n, calls: s.calls, id: fmt.Sprintf("%s process %d", s.id, info.ProcessID)},
		system: s, pid: info.ProcessID, console: params.EmulateConsole,
		outcome: outcome{done: make(chan struct{})},
	}
	if err := p.openStreams(info); err != nil {
		return nil, failure("open pipes", p.id, err, "")
	}
	cb := s.host.events.register(p.receive)
	if err := s.n.setProcessCallback(native, cb); err != nil {
		s.host.events.unregister(cb)
		p.closeStreams()
		return nil, failure("HcsSetProcessCallback", p.id, err, "")
	}
	p.ref.h = native
	p.ref.release = func(native handle) {
		s.n.closeProcess(native)
		s.host.events.unregister(cb)
	}
	return p, nil
}

// openStreams makes files of the pipes. On failure every handle is closed.
func (p *process) openStreams(info processInformation) error {
	var failed error
	for _, s := range []struct {
		h  handle
		to *io.ReadWriteCloser
	}{{info.StdInput, &p.stdin}, {info.StdOutput, &p.stdout}, {info.StdError, &p.stderr}} {
		if s.h == 0 || s.h == noHandle {
			continue
		}
		if failed != nil {
			p.n.closeFile(s.h)
			continue
		}
		f, err := p.n.stream(s.h)
		if err != nil {
			p.n.closeFile(s.h)
			failed = err
			continue
		}
		*s.to = f
	}
	if failed != nil {
		p.closeStreams()
	}
	return failed
}

// closeStreams interrupts whoever reads or writes.
func (p *process) closeStreams() {
	for _, f := range []io.ReadWriteCloser{p.stdin, p.stdout, p.stderr} {
		if f != nil {
			_ = f.Close() // the file answers only that it was closed before
		}
	}
}

// receive takes events; it runs on a thread of the service.
func (p *process) receive(typ eventType, data string) {
	switch typ {
	case eventProcessExited:
		p.outcome.set(processExit(p.id, data))
	case eventServiceDisconnect:
		p.outcome.set(0, lost("watch process", p.id))
	}
}

// PID implements hcs.Process.
func (p *process) PID() uint32 { return p.pid }

// Stdin implements hcs.Process.
func (p *process) Stdin() io.WriteCloser {
	if p.stdin == nil {
		return nil
	}
	return p.stdin
}

// Stdout implements hcs.Process.
func (p *process) Stdout() io.ReadCloser {
	if p.stdout == nil {
		return nil
	}
	return p.stdout
}

// Stderr implements hcs.Process.
func (p *process) Stderr() io.ReadCloser {
	if p.stderr == nil {
		return nil
	}
	return p.stderr
}

// CloseStdin implements hcs.Process.
func (p *process) CloseStdin(ctx context.Context) error {
	if p.stdin == nil || p.stdinEnded.Load() || p.exited() {
		return nil
	}
	err := p.modify(ctx, &schema.ProcessModifyRequest{
		Operation:   schema.ProcessCloseHandle,
		CloseHandle: &schema.CloseHandle{Handle: schema.HandleStdIn},
	})
	if err != nil && !ended(err) {
		return err
	}
	p.stdinEnded.Store(true)
	_ = p.stdin.Close() // the file answers only that it was closed before
	return nil
}

// Resize implements hcs.Process.
func (p *process) Resize(ctx context.Context, size schema.ConsoleSize) error {
	if !p.console {
		return &hcs.Error{Op: "resize console", ID: p.id, Result: "the process has no console", Err: hcs.ErrInvalidState}
	}
	return p.modify(ctx, &schema.ProcessModifyRequest{Operation: schema.ProcessConsoleSize, ConsoleSize: &size})
}

func (p *process) modify(ctx context.Context, req *schema.ProcessModifyRequest) error {
	const name = "HcsModifyProcess"
	text, err := encode(name, p.id, req)
	if err != nil {
		return err
	}
	_, err = p.operate(ctx, name, func(h, op handle) error { return p.n.modifyProcess(h, op, text) })
	return err
}

// Signal implements hcs.Process.
func (p *process) Signal(ctx context.Context, sig schema.Signal) (bool, error) {
	const name = "HcsSignalProcess"
	if p.exited() {
		return false, nil
	}
	text, err := encode(name, p.id, schema.SignalProcessOptions{Signal: sig})
	if err != nil {
		return false, err
	}
	_, err = p.operate(ctx, name, func(h, op handle) error { return p.n.signalProcess(h, op, text) })
	return p.delivered(err)
}

// Kill implements hcs.Process. The service serialises what is sent to a process
// per system handle, so that a kill would wait behind a signal that hangs: it
// goes through a system handle of its own, as runhcs does. Nothing is asked of
// that handle and no event is wanted of it, so unlike runhcs no callback is set
// and no properties are read.
func (p *process) Kill(ctx context.Context) (bool, error) {
	const name = "HcsTerminateProcess"
	if p.exited() {
		return false, nil
	}
	_, err := await(ctx, p.calls, name, p.id, func() (struct{}, error) {
		if _, err := p.ref.use(); err != nil {
			return struct{}{}, failure(name, p.id, err, "")
		}
		defer p.ref.done()
		return struct{}{}, p.kill(ctx)
	}, nil)
	// A process that is already being terminated answers "access denied":
	// https://learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-terminateprocess
	if errors.Is(err, hcs.ErrAccessDenied) {
		return true, nil
	}
	return p.delivered(err)
}

func (p *process) kill(ctx context.Context) error {
	system, err := p.n.openSystem(p.system.id)
	if err != nil {
		return failure("HcsOpenComputeSystem", p.system.id, err, "")
	}
	defer p.n.closeSystem(system)
	native, err := p.n.openProcess(system, p.pid)
	if err != nil {
		return failure("HcsOpenProcess", p.id, err, "")
	}
	defer p.n.closeProcess(native)
	_, err = track(ctx, p.n, call{name: "HcsTerminateProcess", id: p.id, invoke: func(op handle) error {
		return p.n.terminateProcess(native, op)
	}})
	return err
}

// delivered reads the error of a signal. If the service says that the process
// has ended, its exit event is due.
func (p *process) delivered(err error) (bool, error) {
	switch {
	case err == nil:
		return true, nil
	case !ended(err):
		return false, err
	}
	time.AfterFunc(eventGrace, func() { p.outcome.set(0, lost("watch process", p.id)) })
	return false, nil
}

// ended reports whether err says that the process is gone. Invalid state is
// what the service says of a process that is on its way out.
func ended(err error) bool {
	for _, gone := range []error{hcs.ErrProcessEnded, hcs.ErrNotFound, hcs.ErrAlreadyStopped, hcs.ErrInvalidState} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return false
}

// exited reports whether the process is known to have ended. After Close that
// is not known: the call itself then says ErrClosed.
func (p *process) exited() bool {
	return p.outcome.known() && !errors.Is(p.outcome.err, hcs.ErrClosed)
}

// Done implements hcs.Process.
func (p *process) Done() <-chan struct{} { return p.outcome.done }

// ExitCode implements hcs.Process.
func (p *process) ExitCode() (uint32, error) { return p.outcome.code, p.outcome.err }

// Close implements hcs.Process. The native handle goes when the last call that
// uses it has returned.
func (p *process) Close() error {
	if p.ref.close() {
		p.closeStreams()
		p.outcome.set(0, &hcs.Error{Op: "watch process", ID: p.id, Err: hcs.ErrClosed})
	}
	return nil
}
