package launch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// maxOutput is how much of a failed serve's words start repeats.
const maxOutput = 16 << 10

// native is the System of this process.
type native struct{}

// Native returns the System of this operating system.
func Native() System { return native{} }

// Dial implements System.
func (native) Dial(ctx context.Context, address string) (net.Conn, error) { return dial(ctx, address) }

// Spawn implements System. The process's current directory is that of the
// program: one in the bundle would keep Windows from removing the bundle.
func (native) Spawn(c Command) (Child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return spawn(exe, c)
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

func spawn(exe string, c Command) (Child, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe, c.Args...)
	cmd.Dir = filepath.Dir(exe)
	cmd.Stdin = bytes.NewReader(c.Stdin)
	cmd.Stdout, cmd.Stderr = write, write
	cmd.SysProcAttr = detached()
	err = cmd.Start()
	_ = write.Close() // the child has its own
	if err != nil {
		_ = read.Close()
		return nil, err
	}
	p := &process{cmd: cmd, read: read, ready: make(chan struct{}), done: make(chan struct{}), drained: make(chan struct{})}
	go p.collect()
	go p.wait()
	return p, nil
}

// process is a Child that is a process.
type process struct {
	cmd     *exec.Cmd
	read    *os.File
	ready   chan struct{} // closed when it has written readyMark
	done    chan struct{} // closed when the process has ended
	drained chan struct{} // closed when its output has

	mu     sync.Mutex
	output bytes.Buffer // guarded by mu; at most maxOutput
}

func (p *process) wait() {
	_ = p.cmd.Wait() // the state is in ProcessState
	<-p.drained
	close(p.done)
}

func (p *process) collect() {
	defer close(p.drained)
	buf := make([]byte, 4<<10)
	for {
		n, err := p.read.Read(buf)
		p.mu.Lock()
		p.output.Write(buf[:min(n, maxOutput-p.output.Len())])
		ready := bytes.HasSuffix(buf[:n], []byte(readyMark)) || bytes.HasSuffix(p.output.Bytes(), []byte(readyMark))
		p.mu.Unlock()
		if ready {
			close(p.ready)
			return
		}
		if err != nil {
			return
		}
	}
}

// Ready implements Child.
func (p *process) Ready() <-chan struct{} { return p.ready }

// Done implements Child.
func (p *process) Done() <-chan struct{} { return p.done }

// Failure implements Child.
func (p *process) Failure() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	words := strings.TrimSpace(p.output.String())
	if words == "" {
		words = "it wrote nothing"
	}
	return fmt.Sprintf("%v: %s", p.cmd.ProcessState, words)
}

// Release implements Child.
func (p *process) Release() error { return p.read.Close() }

// Kill implements Child.
func (p *process) Kill() error { return p.cmd.Process.Kill() }
