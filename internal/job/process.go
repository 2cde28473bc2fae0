package job

import (
	"context"
	"io"
	"sync"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// CreateProcess implements [hcs.Compute].
func (c *Container) CreateProcess(ctx context.Context, params *schema.ProcessParameters) (hcs.Process, error) {
	c.mu.Lock()
	if c.state != running {
		defer c.mu.Unlock()
		return nil, c.failed("run a process in", hcs.ErrInvalidState)
	}
	c.starting++
	c.mu.Unlock()

	p, err := within(ctx, "start", params.CommandLine, func() (*process, error) {
		defer c.started()
		return c.start(params)
	}, (*process).discard)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	over := c.state != running
	c.mu.Unlock()
	if over { // the end that was asked for meanwhile may have missed it
		p.discard()
		return nil, c.failed("run a process in", hcs.ErrAlreadyStopped)
	}
	return p, nil
}

func (c *Container) started() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.starting--
}

// start resolves the command and starts it.
func (c *Container) start(params *schema.ProcessParameters) (*process, error) {
	token, own, err := c.tokenFor(params.User)
	if err != nil {
		return nil, err
	}
	if own {
		defer token.Close() // a handle of our own: nothing depends on it once the process runs
	}
	theirs, err := token.Environment()
	if err != nil {
		return nil, err
	}
	env := environment(theirs, params.Environment, c.layout)
	folder := c.layout.workFolder(params.WorkingDirectory)
	// As runhcs does: a working folder that is not there is made. In a silo it is
	// the host's that Windows looks for, and what is bound hides it.
	if err := c.host.system.MakeFolder(folder); err != nil {
		return nil, fault.Wrap(err, "working folder", folder)
	}
	r, err := resolve(params.CommandLine, folder, valueOf(env, "PATH"), c.layout, c.facts, c.host.system.IsFile)
	if err != nil {
		return nil, err
	}
	command := Command{
		Program: r.program, Line: r.line, Folder: folder, Environment: env, Token: token,
		Stdin: params.CreateStdInPipe, Stdout: params.CreateStdOutPipe, Stderr: params.CreateStdErrPipe,
	}
	if params.EmulateConsole {
		command.Console = consoleSize(params.ConsoleSize)
	}
	child, err := c.object.Start(command)
	if err != nil {
		return nil, err
	}
	return newProcess(c.object, child, c.id, command.Console != nil), nil
}

// consoleSize takes height and width; the default is the reference's.
func consoleSize(size []uint16) *Size {
	out := &Size{Columns: 80, Rows: 25}
	if len(size) == 2 && size[0] != 0 && size[1] != 0 {
		out.Rows, out.Columns = size[0], size[1]
	}
	return out
}

// process implements [hcs.Process].
type process struct {
	object  Object
	child   Child
	id      string
	console bool

	done  chan struct{}
	ended sync.Once
	exit  error // set before done is closed
}

func newProcess(object Object, child Child, id string, console bool) *process {
	p := &process{object: object, child: child, id: id, console: console, done: make(chan struct{})}
	go func() {
		select {
		case <-child.Done():
			p.end(nil)
		case <-p.done:
		}
	}()
	return p
}

func (p *process) end(err error) {
	p.ended.Do(func() {
		p.exit = err
		close(p.done)
	})
}

// discard ends a process that nobody has asked for any more.
func (p *process) discard() {
	_, _ = p.child.Kill() // it may have ended
	_ = p.Close()
}

// PID implements hcs.Process, as do the methods below.
func (p *process) PID() uint32           { return p.child.PID() }
func (p *process) Stdin() io.WriteCloser { return p.child.Stdin() }
func (p *process) Stdout() io.ReadCloser { return p.child.Stdout() }
func (p *process) Stderr() io.ReadCloser { return p.child.Stderr() }

// CloseStdin ends the process's input.
func (p *process) CloseStdin(context.Context) error {
	if in := p.child.Stdin(); in != nil {
		return in.Close()
	}
	return nil
}

// Resize sets the console's size.
func (p *process) Resize(_ context.Context, size schema.ConsoleSize) error {
	if !p.console {
		return p.failed("resize", hcs.ErrInvalidState)
	}
	return p.child.Resize(Size{Columns: size.Width, Rows: size.Height})
}

// events are the control events by their names in documents.
var events = map[schema.Signal]ControlEvent{
	schema.CtrlC: EventCtrlC, schema.CtrlBreak: EventCtrlBreak, schema.CtrlClose: EventCtrlClose,
	schema.CtrlLogOff: EventCtrlLogOff, schema.CtrlShutdown: EventCtrlShutdown,
}

// Signal lets the process's control handlers run.
func (p *process) Signal(ctx context.Context, sig schema.Signal) (bool, error) {
	event, ok := events[sig]
	if !ok {
		return false, fault.New(fault.InvalidArgument, "%q is no control event", sig)
	}
	select {
	case <-p.done:
		return false, nil
	default:
	}
	return within(ctx, "signal", string(sig), func() (bool, error) { return p.object.Signal(p.child.PID(), event) }, nil)
}

// Kill ends the process.
func (p *process) Kill(context.Context) (bool, error) {
	select {
	case <-p.done:
		return false, nil
	default:
	}
	return p.child.Kill()
}

// Done is closed when the process has ended.
func (p *process) Done() <-chan struct{} { return p.done }

// ExitCode is its exit code.
func (p *process) ExitCode() (uint32, error) {
	if p.exit != nil {
		return 0, p.exit
	}
	return p.child.ExitCode(), nil
}

// Close gives up the handle and the streams.
func (p *process) Close() error {
	p.end(p.failed("close", hcs.ErrClosed))
	return p.child.Close()
}

func (p *process) failed(op string, err error) error {
	return &hcs.Error{Op: op + " process of HostProcess container", ID: p.id, Err: err}
}
