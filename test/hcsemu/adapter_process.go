package hcsemu

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// hostProcess implements hcs.Process.
type hostProcess struct {
	c      *Client
	system string
	info   ProcessInformation
	end    *end
}

var _ hcs.Process = (*hostProcess)(nil)

func (p *hostProcess) event(ev Event) {
	const op = "HcsEventProcessExited"
	switch ev.Type {
	case EventServiceDisconnect:
		p.end.reach(0, &hcs.Error{Op: op, ID: p.system, Code: uint32(EServiceDisconnect), Err: hcs.ErrDisconnected})
	case EventProcessExited:
		var status schema.ProcessStatus
		if err := json.Unmarshal([]byte(ev.Data), &status); err != nil || status.LastWaitResult != 0 {
			p.end.reach(0, &hcs.Error{Op: op, ID: p.system, Result: ev.Data, Err: hcs.ErrUnknown})
			return
		}
		p.end.reach(status.ExitCode, nil)
	}
}

func (p *hostProcess) PID() uint32           { return p.info.PID }
func (p *hostProcess) Stdin() io.WriteCloser { return p.info.Stdio.In }
func (p *hostProcess) Stdout() io.ReadCloser { return p.info.Stdio.Out }
func (p *hostProcess) Stderr() io.ReadCloser { return p.info.Stdio.Err }
func (p *hostProcess) Done() <-chan struct{} { return p.end.done }

func (p *hostProcess) ExitCode() (uint32, error) {
	<-p.end.done
	return p.end.code, p.end.err
}

func (p *hostProcess) CloseStdin(ctx context.Context) error {
	err := p.modify(ctx, schema.ProcessModifyRequest{
		Operation: schema.ProcessCloseHandle, CloseHandle: &schema.CloseHandle{Handle: schema.HandleStdIn},
	})
	if errors.Is(err, hcs.ErrProcessEnded) {
		return nil // its input has ended with it
	}
	return err
}

func (p *hostProcess) Resize(ctx context.Context, size schema.ConsoleSize) error {
	return p.modify(ctx, schema.ProcessModifyRequest{Operation: schema.ProcessConsoleSize, ConsoleSize: &size})
}

func (p *hostProcess) modify(ctx context.Context, req schema.ProcessModifyRequest) error {
	return portError(ctx, "HcsModifyProcess", p.system, p.c.ModifyProcess(ctx, p.info.Handle, encode(req)))
}

func (p *hostProcess) Signal(ctx context.Context, sig schema.Signal) (bool, error) {
	err := p.c.SignalProcess(ctx, p.info.Handle, encode(schema.SignalProcessOptions{Signal: sig}))
	return delivered(portError(ctx, "HcsSignalProcess", p.system, err))
}

func (p *hostProcess) Kill(ctx context.Context) (bool, error) {
	err := p.c.TerminateProcess(ctx, p.info.Handle, "")
	return delivered(portError(ctx, "HcsTerminateProcess", p.system, err))
}

// delivered: a signal to what has ended is not an error, it is not delivered.
func delivered(err error) (bool, error) {
	if errors.Is(err, hcs.ErrProcessEnded) || errors.Is(err, hcs.ErrAlreadyStopped) {
		return false, nil
	}
	return err == nil, err
}

// Close gives up the handle and the streams.
func (p *hostProcess) Close() error {
	closeStdio(p.info.Stdio)
	err := p.c.CloseProcess(p.info.Handle)
	p.end.reach(0, &hcs.Error{Op: "HcsCloseProcess", ID: p.system, Err: hcs.ErrClosed})
	return closeError(err)
}
