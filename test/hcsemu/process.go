package hcsemu

import (
	"context"
	"time"

	"github.com/isolrun/isol/internal/hcs/schema"
)

// process is one process that was started through the service. Its fields are
// guarded by the emulator's mu; system, pid, running, console, command, owner
// and since never change.
type process struct {
	system  *system
	pid     uint32
	running RunningProcess
	console bool
	command string
	owner   Caller
	since   time.Time

	handles  int
	taken    bool // its pipes have been handed out
	exited   bool
	exitCode uint32
	closed   bool // running was given up
}

// CreateProcess is the request of [Client.CreateProcess].
type CreateProcess struct {
	Handle     Handle // reserved, or 0
	System     Handle
	Parameters string
}

// ProcessInformation is what HcsCreateProcess and HcsGetProcessInfo return.
type ProcessInformation struct {
	Handle Handle
	PID    uint32
	Stdio  Stdio // given out once: a pipe has one taker
}

// status is the process's state as HCS tells it.
func (p *process) status() string {
	return encode(schema.ProcessStatus{ProcessID: p.pid, Exited: p.exited, ExitCode: p.exitCode})
}

// event is the notification of the process's end.
func (p *process) event() Event { return Event{Type: EventProcessExited, Data: p.status()} }

// CreateProcess starts a process in a running container.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcscreateprocess
func (c *Client) CreateProcess(ctx context.Context, req CreateProcess) (ProcessInformation, error) {
	var info ProcessInformation
	var proc *process
	call := request{
		function: "HcsCreateProcess", about: req.System, args: Args{"parameters": document(req.Parameters)},
		undo: func(context.Context) {
			_ = proc.running.Kill() // it may have ended already
			closeStdio(info.Stdio)
			_ = c.drop(info.Handle)
		},
	}
	err := c.do(ctx, call, func(ctx context.Context) (_ any, err error) {
		if proc, err = c.startProcess(ctx, req); err != nil {
			return nil, err
		}
		info, err = c.handOut(req.Handle, proc)
		return map[string]any{"handle": uint64(info.Handle), "pid": info.PID}, err
	})
	if err != nil {
		if req.Handle != 0 {
			_ = c.drop(req.Handle)
		}
		return ProcessInformation{}, err
	}
	return info, nil
}

// startProcess checks the parameters, runs the process and watches it.
func (c *Client) startProcess(ctx context.Context, req CreateProcess) (*process, error) {
	e := c.e
	params, err := decode[schema.ProcessParameters](e, req.Parameters, EInvalidJSON)
	if err != nil {
		return nil, err
	}
	if err := checkProcess(params); err != nil {
		return nil, err
	}
	e.mu.Lock()
	sys, err := c.systemLocked(req.System)
	if err == nil {
		err = sys.requireLocked(stateRunning)
	}
	if err == nil && sys.silo == nil {
		err = fail(ESystemNotConfigured, "processes of machine %q are started by its guest", sys.id)
	}
	if err != nil {
		e.mu.Unlock()
		return nil, err
	}
	silo := sys.silo
	sys.live++ // the system must not finish while the process is being started
	e.mu.Unlock()

	running, err := silo.Start(ctx, processSpec(params))
	e.mu.Lock()
	if err != nil {
		sys.live--
		cleanup := e.finishIfOverLocked(sys)
		e.mu.Unlock()
		cleanup()
		return nil, err
	}
	p := &process{
		system: sys, pid: running.PID(), running: running, console: params.EmulateConsole,
		command: params.CommandLine, owner: c.caller, since: e.config.Now(), handles: 1,
	}
	sys.processes[p.pid] = p
	ending := sys.ending != nil
	e.mu.Unlock()
	go e.watchProcess(p)
	if ending {
		_ = running.Kill() // an end that came while it started missed it
	}
	return p, nil
}

// processSpec is what a runner needs of the parameters. ConsoleSize is rows,
// columns. Source: ProcessParameters of the published schema.
func processSpec(params *schema.ProcessParameters) ProcessSpec {
	spec := ProcessSpec{
		ApplicationName: params.ApplicationName, CommandLine: params.CommandLine,
		WorkingDirectory: params.WorkingDirectory, Environment: params.Environment, User: params.User,
		Console: params.EmulateConsole, Rows: 25, Columns: 80,
		Stdin: params.CreateStdInPipe, Stdout: params.CreateStdOutPipe, Stderr: params.CreateStdErrPipe,
	}
	if len(params.ConsoleSize) == 2 && params.ConsoleSize[0] > 0 && params.ConsoleSize[1] > 0 {
		spec.Rows, spec.Columns = params.ConsoleSize[0], params.ConsoleSize[1]
	}
	return spec
}

// handOut gives the caller its handle and pipes. The handle that startProcess
// counted is dropped with the process if the caller has gone.
func (c *Client) handOut(reserved Handle, p *process) (ProcessInformation, error) {
	e := c.e
	e.mu.Lock()
	h, kept := c.fillLocked(reserved, &reference{process: p})
	p.taken = true
	e.mu.Unlock()
	info := ProcessInformation{Handle: h, PID: p.pid, Stdio: p.running.Stdio()}
	if kept {
		return info, nil
	}
	_ = p.running.Kill() // it may have ended already
	closeStdio(info.Stdio)
	e.releaseProcess(p)
	return ProcessInformation{}, fail(EHandle, "the handle was closed before the process was there")
}

func closeStdio(s Stdio) {
	if s.In != nil {
		_ = s.In.Close()
	}
	if s.Out != nil {
		_ = s.Out.Close()
	}
	if s.Err != nil {
		_ = s.Err.Close()
	}
}

// watchProcess waits for the process's end and tells who subscribed. The
// system's own end follows the ends of all its processes.
func (e *Emulator) watchProcess(p *process) {
	<-p.running.Done()
	e.mu.Lock()
	p.exited, p.exitCode = true, p.running.ExitCode()
	if p.system.processes[p.pid] == p { // else the pid has a new owner already
		delete(p.system.processes, p.pid)
	}
	p.system.live--
	e.publishLocked(nil, p, p.event())
	cleanup := e.finishIfOverLocked(p.system)
	over := p.giveUpLocked()
	e.mu.Unlock()
	cleanup()
	if over {
		p.running.Close()
	}
}

// giveUpLocked reports, once, that the process has ended and nobody holds it.
func (p *process) giveUpLocked() bool {
	if !p.exited || p.handles > 0 || p.closed {
		return false
	}
	p.closed = true
	return true
}

// releaseProcess gives up one handle's hold on a process. The process runs on.
func (e *Emulator) releaseProcess(p *process) {
	e.mu.Lock()
	p.handles--
	over := p.giveUpLocked()
	e.mu.Unlock()
	if over {
		p.running.Close()
	}
}

// OpenProcess returns a handle to a running process of a system. One that has
// ended is not found: as runhcs relies on it, whose kill takes
// ERROR_NOT_FOUND and HCS_E_PROCESS_ALREADY_STOPPED for an ended process.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsopenprocess
func (c *Client) OpenProcess(ctx context.Context, system Handle, pid uint32) (Handle, error) {
	var h Handle
	req := request{
		function: "HcsOpenProcess", about: system, args: Args{"pid": pid},
		undo: func(context.Context) { _ = c.drop(h) },
	}
	err := c.do(ctx, req, func(context.Context) (any, error) {
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		sys, err := c.systemLocked(system)
		if err != nil {
			return nil, err
		}
		if sys.state == stateStopped {
			return nil, sys.requireLocked(stateRunning)
		}
		p := sys.processes[pid]
		if p == nil {
			return nil, fail(EElementNotFound, "compute system %q has no process %d", sys.id, pid)
		}
		var kept bool
		if h, kept = c.fillLocked(0, &reference{process: p}); !kept {
			return nil, ended(c.ctx)
		}
		p.handles++
		return uint64(h), nil
	})
	if err != nil {
		return 0, err
	}
	return h, nil
}

// CloseProcess gives up a handle. It does not end the process.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcscloseprocess
func (c *Client) CloseProcess(h Handle) error { return c.closeHandle("HcsCloseProcess", h) }

// ProcessInfo returns the pid and, if nobody has them yet, the pipes.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsgetprocessinfo
func (c *Client) ProcessInfo(ctx context.Context, h Handle) (ProcessInformation, error) {
	var info ProcessInformation
	err := c.do(ctx, request{function: "HcsGetProcessInfo", about: h}, func(context.Context) (any, error) {
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		p, err := c.processLocked(h)
		if err != nil {
			return nil, err
		}
		info = ProcessInformation{Handle: h, PID: p.pid}
		if !p.taken {
			p.taken, info.Stdio = true, p.running.Stdio()
		}
		return map[string]any{"pid": p.pid}, nil
	})
	if err != nil {
		return ProcessInformation{}, err
	}
	return info, nil
}

// ProcessProperties returns a ProcessStatus.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsgetprocessproperties
func (c *Client) ProcessProperties(ctx context.Context, h Handle, query string) (string, error) {
	req := request{function: "HcsGetProcessProperties", about: h, args: Args{"query": document(query)}}
	return c.ask(ctx, req, func(context.Context) (string, error) {
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		p, err := c.processLocked(h)
		if err != nil {
			return "", err
		}
		return p.status(), nil
	})
}

// running returns what runs behind a process handle, or the code that says it has ended.
func (c *Client) running(h Handle, over HRESULT) (*process, error) {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	p, err := c.processLocked(h)
	if err != nil {
		return nil, err
	}
	if p.exited {
		return nil, fail(over, "process %d of %q has ended", p.pid, p.system.id)
	}
	return p, nil
}

// TerminateProcess ends a process at once.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsterminateprocess
func (c *Client) TerminateProcess(ctx context.Context, h Handle, options string) error {
	req := request{function: "HcsTerminateProcess", about: h, args: Args{"options": document(options)}}
	return c.simple(ctx, req, func(context.Context) error {
		p, err := c.running(h, EProcessAlreadyStopped)
		if err != nil {
			return err
		}
		return p.running.Kill()
	})
}

// SignalProcess delivers a control event.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcssignalprocess
func (c *Client) SignalProcess(ctx context.Context, h Handle, options string) error {
	req := request{function: "HcsSignalProcess", about: h, args: Args{"options": document(options)}}
	return c.simple(ctx, req, func(context.Context) error {
		opts, err := decode[schema.SignalProcessOptions](c.e, options, EInvalidJSON)
		if err != nil {
			return err
		}
		if opts.Signal == "" {
			return fail(EInvalidArg, "no signal is named")
		}
		p, err := c.running(h, EElementNotFound)
		if err != nil {
			return err
		}
		return p.running.Signal(Signal(opts.Signal))
	})
}

// ModifyProcess sets the console's size or closes the input.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsmodifyprocess
func (c *Client) ModifyProcess(ctx context.Context, h Handle, settings string) error {
	req := request{function: "HcsModifyProcess", about: h, args: Args{"settings": document(settings)}}
	return c.simple(ctx, req, func(context.Context) error {
		change, err := decode[schema.ProcessModifyRequest](c.e, settings, EInvalidJSON)
		if err != nil {
			return err
		}
		p, err := c.running(h, EElementNotFound)
		if err != nil {
			return err
		}
		return p.modify(change)
	})
}

func (p *process) modify(change *schema.ProcessModifyRequest) error {
	switch change.Operation {
	case schema.ProcessConsoleSize:
		size := change.ConsoleSize
		if size == nil || size.Height == 0 || size.Width == 0 {
			return fail(EInvalidArg, "ConsoleSize needs a Height and a Width greater than 0")
		}
		if !p.console {
			return fail(EInvalidState, "process %d has no console", p.pid)
		}
		return p.running.Resize(size.Height, size.Width)
	case schema.ProcessCloseHandle:
		if change.CloseHandle == nil || change.CloseHandle.Handle != schema.HandleStdIn {
			return fail(ENotSupported, "only StdIn can be closed here")
		}
		return p.running.CloseStdin()
	}
	return fail(EInvalidArg, "no operation is named")
}
