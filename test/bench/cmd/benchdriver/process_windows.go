package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"

	"github.com/isolrun/isol/test/bench/driver"
)

// running is a process of the emulated machine: those of process containers
// have the same id inside and on the host.
type running struct{ handle windows.Handle }

// openProcess returns nothing for a process in a VM, which the host cannot see.
func openProcess(r driver.Request, pid uint32) (*running, error) {
	if r.Guest {
		return nil, nil
	}
	h, err := windows.OpenProcess(windows.SYNCHRONIZE|windows.PROCESS_QUERY_INFORMATION, false, pid)
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	return &running{h}, nil
}

// ended waits for the process's end and says when it was.
func (r *running) ended(ctx context.Context) (time.Time, error) {
	defer windows.CloseHandle(r.handle) //nolint:errcheck // nothing depends on it
	left := limit
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	if event, err := windows.WaitForSingleObject(r.handle, uint32(left.Milliseconds())); err != nil || event != windows.WAIT_OBJECT_0 {
		return time.Time{}, fmt.Errorf("wait for the process: event %#x, %w", event, err)
	}
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(r.handle, &created, &exited, &kernel, &user); err != nil {
		return time.Time{}, fmt.Errorf("times of the process: %w", err)
	}
	return time.Unix(0, exited.Nanoseconds()), nil
}

// sink is a pipe that a process's output goes to.
type sink struct {
	path     string
	listener net.Listener
	done     chan struct{}

	// valid once done is closed
	first, last time.Time
	bytes       int64
	err         error
}

// readSize is the buffer with which containerd's clients read an output (pkg/cio).
const readSize = 32 << 10

// newSink serves a pipe as containerd's clients do, and reads from whoever
// dials it.
func newSink(id string) (*sink, error) {
	s := &sink{path: `\\.\pipe\isol-bench-` + id + "-stdout", done: make(chan struct{})}
	var err error
	s.listener, err = winio.ListenPipe(s.path, nil)
	if err != nil {
		return nil, err
	}
	go s.read()
	return s, nil
}

func (s *sink) read() {
	defer close(s.done)
	conn, err := s.listener.Accept()
	if err != nil {
		s.err = err
		return
	}
	defer conn.Close()
	buffer := make([]byte, readSize)
	for {
		n, err := conn.Read(buffer)
		s.last = time.Now()
		if n > 0 && s.bytes == 0 {
			s.first = s.last
		}
		s.bytes += int64(n)
		if err == io.EOF {
			return
		}
		if err != nil {
			s.err = err
			return
		}
	}
}

// wait returns when the output has ended.
func (s *sink) wait(ctx context.Context, m *marks) error {
	defer s.listener.Close()
	select {
	case <-s.done:
	case <-ctx.Done():
		return fmt.Errorf("the output of %s has not ended: %w", s.path, ctx.Err())
	}
	if s.bytes > 0 {
		m.was(driver.FirstByte, s.first)
	}
	m.was(driver.LastByte, s.last)
	m.Bytes = s.bytes
	return s.err
}

// direct runs a program whose output is a pipe of ours, or through a relay.
func (d *drive) direct(ctx context.Context, r driver.Request, m *marks) error {
	s, err := newSink(r.ID)
	if err != nil {
		return err
	}
	out, err := openPipe(ctx, s.path)
	if err != nil {
		return err
	}
	p := pipeline{ends: []*os.File{out}}
	p.cmds = append(p.cmds, exec.CommandContext(ctx, r.Args[0], r.Args[1:]...))
	p.cmds[0].Stdout = out
	if r.Exe != "" {
		if err := p.relay(exec.CommandContext(ctx, r.Exe, "-relay")); err != nil {
			return errors.Join(err, out.Close())
		}
	}
	m.at(driver.Begin)
	if err := p.start(); err != nil {
		return err
	}
	if err := s.wait(ctx, m); err != nil {
		return err
	}
	return p.wait()
}

// pipeline is programs that write to each other.
type pipeline struct {
	cmds []*exec.Cmd
	ends []*os.File // what they get of us
}

// pipeBuffer is the buffer of a process's output in the emulator (test/hcsemu/silo).
const pipeBuffer = 64 << 10

// relay puts a program behind the first, between it and its output.
func (p *pipeline) relay(cmd *exec.Cmd) error {
	var read, write windows.Handle
	if err := windows.CreatePipe(&read, &write, nil, pipeBuffer); err != nil {
		return fmt.Errorf("create pipe: %w", err)
	}
	in, out := os.NewFile(uintptr(read), "relay"), os.NewFile(uintptr(write), "relayed")
	cmd.Stdin, cmd.Stdout, p.cmds[0].Stdout = in, p.cmds[0].Stdout, out
	p.cmds, p.ends = append(p.cmds, cmd), append(p.ends, in, out)
	return nil
}

// start gives the programs their ends. If one does not start, those before it
// find theirs broken and end.
func (p *pipeline) start() error {
	var err error
	for _, cmd := range p.cmds {
		err = errors.Join(err, cmd.Start())
	}
	for _, end := range p.ends {
		_ = end.Close() // the programs have their own
	}
	return err
}

func (p *pipeline) wait() error {
	var err error
	for _, cmd := range p.cmds {
		err = errors.Join(err, cmd.Wait())
	}
	return err
}

// openPipe opens a pipe as a handle that a child can write to as to a file. A
// pipe that nobody accepts yet is busy.
func openPipe(ctx context.Context, path string) (*os.File, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	for {
		h, err := windows.CreateFile(name, windows.GENERIC_WRITE, 0, nil, windows.OPEN_EXISTING, 0, 0)
		switch {
		case err == nil:
			return os.NewFile(uintptr(h), path), nil
		case !errors.Is(err, windows.ERROR_PIPE_BUSY) || ctx.Err() != nil:
			return nil, fmt.Errorf("open %s: %w", path, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// launch times programs that do nothing.
func launch(ctx context.Context, r driver.Request, m *marks) error {
	for range r.Count {
		cmd := exec.CommandContext(ctx, r.Exe, r.Args...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		began := time.Now()
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("launch: %w", err)
		}
		if _, err := out.Read(make([]byte, 16)); err != nil {
			return errors.Join(fmt.Errorf("launch: %s said nothing: %w", r.Exe, err), cmd.Wait())
		}
		m.Ups = append(m.Ups, driver.Span{Begin: began, End: time.Now()})
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("launch: %w", err)
		}
		m.Calls = append(m.Calls, driver.Span{Begin: began, End: time.Now()})
	}
	return nil
}
