package launch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// maxOutput is how much of a failed serve's words start repeats: the last.
const maxOutput = 16 << 10

// native is the System of this process.
type native struct{}

// Native returns the System of this operating system.
func Native() System { return native{} }

// Dial implements System.
func (native) Dial(ctx context.Context, address string) (net.Conn, error) { return dial(ctx, address) }

// Spawn implements System. The process's current directory is that of the
// program: one in the bundle would keep Windows from removing the bundle.
func (native) Spawn(ctx context.Context, c Command) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	return spawn(ctx, exe, c)
}

// Listen implements System.
func (native) Listen(address string) (net.Listener, error) { return listen(address) }

// readyMark is the last that a serve process which can be called writes.
const readyMark = "serve is ready\n"

// Ready tells the start that spawned this process that the pipe is there. It
// is the last thing on the process's output streams, which it closes: nobody
// reads them any more.
func Ready() error {
	_, err := os.Stdout.WriteString(readyMark)
	return errors.Join(err, os.Stdout.Close(), os.Stderr.Close())
}

// spawn does without goroutines: each that waited in a call to the system
// would cost a thread, and start is run for every pod.
func spawn(ctx context.Context, exe string, c Command) error {
	cmd := exec.Command(exe, c.Args...)
	cmd.Dir = filepath.Dir(exe)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1") // see tuneRuntime in internal/shim
	cmd.SysProcAttr = detached()
	if c.Alone {
		if err := cmd.Start(); err != nil {
			return err
		}
		return cmd.Process.Release()
	}
	return spawnAndWait(ctx, cmd, c.Stdin)
}

func spawnAndWait(ctx context.Context, cmd *exec.Cmd, input []byte) error {
	stdin, params, err := os.Pipe()
	if err != nil {
		return err
	}
	words, output, err := os.Pipe()
	if err != nil {
		return errors.Join(err, stdin.Close(), params.Close())
	}
	defer words.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, output, output
	err = cmd.Start()
	_, _ = stdin.Close(), output.Close() // the child has its own
	if err != nil {
		return errors.Join(err, params.Close())
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
	_, _ = params.Write(input) // a child that does not read it says why below
	_ = params.Close()
	text, ready := awaitReady(words)
	if ready {
		return cmd.Process.Release()
	}
	ended := cmd.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %v", context.Cause(ctx), ended)
	}
	return fmt.Errorf("it ended before it was ready: %v: %s", cmd.ProcessState, text)
}

// awaitReady reads what a serve process writes until it is ready or has ended.
func awaitReady(words io.Reader) (text string, ready bool) {
	var output bytes.Buffer
	buf := make([]byte, 4<<10)
	for {
		n, err := words.Read(buf)
		output.Write(buf[:n])
		if bytes.HasSuffix(output.Bytes(), []byte(readyMark)) {
			return "", true
		}
		if err != nil {
			break
		}
		if extra := output.Len() - maxOutput; extra > 0 {
			output.Next(extra)
		}
	}
	if text = strings.TrimSpace(output.String()); text == "" {
		text = "it wrote nothing"
	}
	return text, false
}
