package gcs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// process is a process in the VM, as hcs.Process.
type process struct {
	guest                 *Guest
	container             string
	pid                   uint32
	stdin, stdout, stderr *channel

	wait WaitResponse // the reader's goroutine writes it, also after Close
	done chan struct{}
	once sync.Once
	code uint32 // written before done is closed
	err  error  // likewise

	closeStdin sync.Once
	inputEnded chan struct{} // closed when stdinErr is set
	stdinErr   error
}

var _ hcs.Process = (*process)(nil)

// execute starts a process and asks at once for its exit.
func (g *Guest) execute(ctx context.Context, id string, params *schema.ProcessParameters) (_ hcs.Process, err error) {
	p := &process{guest: g, container: id, done: make(chan struct{}), inputEnded: make(chan struct{})}
	defer func() {
		if err != nil {
			_ = p.Close() // the reason of the failure is err
		}
	}()
	req := ExecuteRequest{RequestBase: p.base()}
	req.Settings.ProcessParameters = Embedded{params}
	if err := p.listen(params, &req.Settings); err != nil {
		return nil, g.failed(ProcExecuteProcess, id, err)
	}
	var resp ExecuteResponse
	err = g.callOrUndo(ctx, ProcExecuteProcess, id, &req, &resp, func(body []byte) {
		var late ExecuteResponse
		if json.Unmarshal(body, &late) == nil {
			g.attempt(ProcSignalProcess, id, &SignalRequest{p.base(), late.ProcessID, nil})
		}
	})
	if err != nil {
		return nil, err
	}
	p.pid = resp.ProcessID
	// The process runs: a caller who gives up now must not leave it unobserved.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.cfg.Timeout)
	defer cancel()
	wait := WaitRequest{RequestBase: p.base(), ProcessID: p.pid, TimeoutInMs: waitForever}
	if _, _, err := g.bridge.send(ctx, ProcWaitForProcess, &wait, &p.wait, p.ended); err != nil {
		return nil, g.failed(ProcWaitForProcess, id, fmt.Errorf("process %d runs but its exit can't be observed: %w", p.pid, err))
	}
	return p, nil
}

// listen opens a channel for each stream that the parameters ask for.
func (p *process) listen(params *schema.ProcessParameters, settings *ExecuteSettings) error {
	services, ports := &RelayServices{}, &RelayPorts{}
	if p.guest.Windows() {
		settings.StdioRelaySettings = services
	} else {
		settings.VsockStdioRelaySettings = ports
	}
	for _, s := range []struct {
		want    bool
		channel **channel
		service *string
		port    *uint32
	}{
		{params.CreateStdInPipe, &p.stdin, &services.StdIn, &ports.StdIn},
		{params.CreateStdOutPipe, &p.stdout, &services.StdOut, &ports.StdOut},
		{params.CreateStdErrPipe, &p.stderr, &services.StdErr, &ports.StdErr},
	} {
		if !s.want {
			continue
		}
		c, port, err := p.guest.stdioListener()
		if err != nil {
			return err
		}
		*s.channel, *s.service, *s.port = c, ServiceID(port), port
	}
	return nil
}

// ended runs when the guest has answered the wait, or never will.
func (p *process) ended(err error) {
	p.once.Do(func() {
		if err == nil {
			err = resultError(ProcWaitForProcess, p.guest.subject(p.container), p.wait.base())
		} else {
			err = p.guest.failed(ProcWaitForProcess, p.container, err)
		}
		p.code, p.err = p.wait.ExitCode, err
		close(p.done)
	})
}

func (p *process) base() RequestBase { return RequestBase{ContainerID: p.container} }

func (p *process) PID() uint32 { return p.pid }

// Stdin and its siblings return nil interfaces, not nil pointers in one.
func (p *process) Stdin() io.WriteCloser {
	if p.stdin == nil {
		return nil
	}
	return p.stdin
}

func (p *process) Stdout() io.ReadCloser { return reader(p.stdout) }
func (p *process) Stderr() io.ReadCloser { return reader(p.stderr) }

func reader(c *channel) io.ReadCloser {
	if c == nil {
		return nil
	}
	return c
}

// CloseStdin ends the input once; a guest that never connects to the stream, or
// takes nothing from it, keeps nobody waiting longer than ctx.
func (p *process) CloseStdin(ctx context.Context) error {
	if p.stdin == nil {
		return nil
	}
	p.closeStdin.Do(func() {
		go func() {
			p.stdinErr = p.stdin.CloseWrite()
			close(p.inputEnded)
		}()
	})
	select {
	case <-p.inputEnded:
		return p.stdinErr
	case <-ctx.Done():
		return p.guest.failed(ProcExecuteProcess, p.container, fmt.Errorf("end of input: %w", contextError(ctx)))
	}
}

func (p *process) Resize(ctx context.Context, size schema.ConsoleSize) error {
	req := ResizeRequest{RequestBase: p.base(), ProcessID: p.pid, Height: size.Height, Width: size.Width}
	return p.guest.call(ctx, ProcResizeConsole, p.container, &req, &ResponseBase{})
}

func (p *process) Signal(ctx context.Context, sig schema.Signal) (bool, error) {
	return p.signal(ctx, &schema.SignalProcessOptions{Signal: sig})
}

func (p *process) Kill(ctx context.Context) (bool, error) { return p.signal(ctx, nil) }

// signal delivers a signal; without options it kills. A guest that does not
// know the process any more has ended it, so the wait's answer is complete or
// on its way: that is "not delivered", never an error.
func (p *process) signal(ctx context.Context, options *schema.SignalProcessOptions) (bool, error) {
	select {
	case <-p.done:
		return false, nil
	default:
	}
	err := p.guest.call(ctx, ProcSignalProcess, p.container, &SignalRequest{p.base(), p.pid, options}, &ResponseBase{})
	switch {
	case errors.Is(err, hcs.ErrNotFound), errors.Is(err, hcs.ErrProcessEnded):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, nil
}

func (p *process) Done() <-chan struct{} { return p.done }

func (p *process) ExitCode() (uint32, error) { return p.code, p.err }

func (p *process) Close() error {
	p.once.Do(func() {
		p.err = p.guest.failed(ProcWaitForProcess, p.container, hcs.ErrClosed)
		close(p.done)
	})
	var errs []error
	for _, c := range []*channel{p.stdin, p.stdout, p.stderr} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}
