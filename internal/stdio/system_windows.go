package stdio

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"
)

// namedPipes is the System of Windows.
type namedPipes struct{}

func native() System { return namedPipes{} }

// Dial implements System. go-winio waits while a pipe is busy and fails at
// once when there is none.
func (namedPipes) Dial(ctx context.Context, path string) (net.Conn, error) {
	return winio.DialPipeContext(ctx, path)
}

// loggerPipeACL lets SYSTEM, administrators and the owner open a logger's
// pipe and nobody else: what a container writes may be secret.
// https://learn.microsoft.com/windows/win32/secauthz/ace-strings
const loggerPipeACL = "D:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;GA;;;OW)"

// Listen implements System.
func (namedPipes) Listen(path string) (net.Listener, error) {
	return winio.ListenPipe(path, &winio.PipeConfig{SecurityDescriptor: loggerPipeACL})
}

// Lost implements System. These are what a write to a pipe returns when its
// other end is closed:
// https://learn.microsoft.com/windows/win32/debug/system-error-codes--0-499-
func (namedPipes) Lost(err error) bool {
	return errors.Is(err, windows.ERROR_BROKEN_PIPE) ||
		errors.Is(err, windows.ERROR_NO_DATA) ||
		errors.Is(err, windows.ERROR_PIPE_NOT_CONNECTED)
}

// StartLogger implements System.
func (namedPipes) StartLogger(c LoggerCommand) (LoggerProcess, error) {
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env = c.Env // exec adds SYSTEMROOT, without which few programs start
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return loggerProcess{cmd}, nil
}

type loggerProcess struct{ cmd *exec.Cmd }

func (p loggerProcess) Wait() error { return p.cmd.Wait() }
func (p loggerProcess) Kill() error { return p.cmd.Process.Kill() }

// closedFile reports the errors of a pipe whose other or own end is closed.
func closedFile(err error) bool {
	return errors.Is(err, os.ErrClosed) || errors.Is(err, windows.ERROR_BROKEN_PIPE) ||
		errors.Is(err, windows.ERROR_NO_DATA)
}
