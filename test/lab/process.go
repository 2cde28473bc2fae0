package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Result is what a program that ended has left.
type Result struct {
	Stdout   string
	Stderr   string
	ExitCode int // the low eight bits of the Windows exit code: all that Linux hands on
}

// Command is a Windows program to start. The zero value of each field but Args
// is a fine choice.
type Command struct {
	Args   []string  // the program, by its Windows path or its name in system32, and its arguments
	Env    []string  // further variables, NAME=value
	Stdin  io.Reader // nil is an input that has ended
	Stdout io.Writer // nil keeps what is written for Wait
	Stderr io.Writer // nil keeps what is written for Wait

	// Terminal gives the program a console of Rows by Columns, as a person
	// at a keyboard has it. Its output, error output included, is Stdout.
	Terminal      bool
	Rows, Columns uint16
}

// Process is a Windows program that was started.
type Process struct {
	cmd            *exec.Cmd
	stdout, stderr *buffer
	terminal       *terminal // nil without one
	done           chan struct{}
	err            error // how Wait of the command ended; valid once done is closed
}

// buffer is a bytes.Buffer that may be read while it is written.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

// Write appends p.
func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns what was written so far.
func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// StartProcess starts a program in the lab. It ends with ctx, with Kill, or at
// the latest with the lab.
func (l *Lab) StartProcess(ctx context.Context, c Command) (*Process, error) {
	if len(c.Args) == 0 {
		return nil, errors.New("lab: a command without a program")
	}
	cmd := l.prefix.command(ctx, c.Args[0], c.Args[1:]...)
	cmd.Env = append(cmd.Env, c.Env...)
	p := &Process{cmd: cmd, stdout: &buffer{}, stderr: &buffer{}, done: make(chan struct{})}
	stdout, stderr := io.Writer(p.stdout), io.Writer(p.stderr)
	if c.Stdout != nil {
		stdout = c.Stdout
	}
	if c.Stderr != nil {
		stderr = c.Stderr
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, stdout, stderr
	if c.Terminal {
		var err error
		if p.terminal, err = newTerminal(cmd, c, stdout); err != nil {
			return nil, err
		}
	}
	if err := cmd.Start(); err != nil {
		p.terminal.close()
		return nil, fmt.Errorf("lab: start %s: %w", c.Args[0], err)
	}
	p.terminal.started()
	go func() {
		p.err = cmd.Wait()
		p.terminal.close()
		close(p.done)
	}()
	return p, nil
}

// Wait waits for the program's end. A program that ran has a Result whatever
// its exit code; the error is for one that did not, or that was killed.
func (p *Process) Wait() (Result, error) {
	<-p.done
	r := Result{Stdout: p.stdout.String(), Stderr: p.stderr.String(), ExitCode: p.cmd.ProcessState.ExitCode()}
	if r.ExitCode >= 0 {
		return r, nil
	}
	return r, fmt.Errorf("lab: %s: %w: %s", p.cmd.Args[1], p.err, r.Stderr)
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Output returns what the program has written to its output so far.
func (p *Process) Output() string { return p.stdout.String() }

// Kill ends the program at once, as TerminateProcess does: nothing of it runs
// any more, its pipes break, its children live on.
func (p *Process) Kill() error {
	err := p.cmd.Process.Kill()
	<-p.done
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Resize changes the size of the program's terminal.
func (p *Process) Resize(rows, columns uint16) error {
	if p.terminal == nil {
		return errors.New("lab: the program has no terminal")
	}
	return resizeTerminal(p.terminal.master, rows, columns)
}

// Dialog is a program that is asked over its standard input and answers over
// its standard output.
type Dialog struct {
	*Process
	In  *os.File  // what is written is the program's input
	Out io.Reader // what the program has written; it ends with the program
}

// StartDialog starts a program to talk to. It ends when its input does, with
// Close, and as StartProcess says.
func (l *Lab) StartDialog(ctx context.Context, args ...string) (*Dialog, error) {
	// A pipe of the kernel: one that a goroutine copies from would keep a program
	// that has ended from being waited for until somebody asks it more.
	input, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("lab: start %s: %w", args[0], err)
	}
	out, output := io.Pipe()
	p, err := l.StartProcess(ctx, Command{Args: args, Stdin: input, Stdout: output})
	if err = errors.Join(err, input.Close()); err != nil {
		return nil, errors.Join(err, in.Close())
	}
	go func() {
		<-p.Done()
		output.Close()
	}()
	return &Dialog{Process: p, In: in, Out: out}, nil
}

// Close ends the program's input and waits for its end.
func (d *Dialog) Close() error {
	err := d.In.Close()
	_, waited := d.Wait()
	return errors.Join(err, waited)
}

// Run runs a Windows program to its end. An exit code other than zero is a
// Result, not an error.
func (l *Lab) Run(ctx context.Context, args ...string) (Result, error) {
	p, err := l.StartProcess(ctx, Command{Args: args})
	if err != nil {
		return Result{}, err
	}
	return p.Wait()
}

// Ctr runs ctr.exe with these arguments.
func (l *Lab) Ctr(ctx context.Context, args ...string) (Result, error) {
	return l.Run(ctx, append([]string{CtrExe}, args...)...)
}

// Script is a shell script that runs a program in the lab with its own
// arguments behind it. A program "wine" is whatever the first argument says.
func (l *Lab) Script(program string) string {
	var b strings.Builder
	b.WriteString("#!/bin/sh\nexec env -i")
	for _, v := range l.prefix.environment() {
		b.WriteString(" " + quote(v))
	}
	b.WriteString(` TERM="$TERM" ` + quote(l.prefix.tools.wine))
	if program != "wine" {
		b.WriteString(" " + quote(program))
	}
	b.WriteString(` "$@"` + "\n")
	return b.String()
}

// quote is s as one word of a shell command.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// Dial connects to a named pipe in the lab, such as [ContainerdPipe] or the
// address of a shim. The connection ends with ctx.
func (l *Lab) Dial(ctx context.Context, pipe string) (net.Conn, error) {
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("lab: dial %s: %w", pipe, err)
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lab: dial %s: %w", pipe, err), inRead.Close(), inWrite.Close())
	}
	cmd := l.prefix.command(ctx, pipeExe, pipe)
	stderr := &buffer{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inRead, outWrite, stderr
	err = cmd.Start()
	err = errors.Join(err, inRead.Close(), outWrite.Close())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lab: dial %s: %w", pipe, err), inWrite.Close(), outRead.Close())
	}
	c := &pipeConn{pipe: pipe, in: inWrite, out: outRead, ended: make(chan struct{})}
	go func() {
		if err := cmd.Wait(); err != nil {
			c.err = fmt.Errorf("lab: pipe %s: %w: %s", pipe, err, stderr)
		}
		close(c.ended)
	}()
	return c, nil
}

// pipeConn is a connection through a labpipe process.
type pipeConn struct {
	pipe    string
	in, out *os.File
	ended   chan struct{}
	err     error // why labpipe failed; valid once ended is closed
}

var _ net.Conn = (*pipeConn)(nil)

// Read reads what the server of the pipe wrote. At the end it says why
// labpipe could not reach the pipe, if so.
func (c *pipeConn) Read(p []byte) (int, error) {
	n, err := c.out.Read(p)
	if errors.Is(err, io.EOF) {
		<-c.ended
		if c.err != nil {
			err = c.err
		}
	}
	return n, err
}

// Write writes to the server of the pipe.
func (c *pipeConn) Write(p []byte) (int, error) { return c.in.Write(p) }

// Close hangs up.
func (c *pipeConn) Close() error { return errors.Join(c.in.Close(), c.out.Close()) }

// LocalAddr returns the pipe's name.
func (c *pipeConn) LocalAddr() net.Addr { return pipeAddr(c.pipe) }

// RemoteAddr returns the pipe's name.
func (c *pipeConn) RemoteAddr() net.Addr { return pipeAddr(c.pipe) }

// SetDeadline sets both deadlines.
func (c *pipeConn) SetDeadline(t time.Time) error {
	return errors.Join(c.out.SetReadDeadline(t), c.in.SetWriteDeadline(t))
}

// SetReadDeadline is as net.Conn has it.
func (c *pipeConn) SetReadDeadline(t time.Time) error { return c.out.SetReadDeadline(t) }

// SetWriteDeadline is as net.Conn has it.
func (c *pipeConn) SetWriteDeadline(t time.Time) error { return c.in.SetWriteDeadline(t) }

// pipeAddr is the name of a pipe as a network address.
type pipeAddr string

// Network returns "pipe".
func (pipeAddr) Network() string { return "pipe" }

// String returns the pipe's name.
func (a pipeAddr) String() string { return string(a) }
