package hcstest

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

var processCases = []testCase{
	{name: "exit codes are 32 bits", run: exitCodes},
	{name: "output arrives whole and ends", run: output},
	{name: "input arrives and ends", run: input},
	{name: "streams that were not asked for are nil", run: nilStreams},
	{name: "a read is interrupted by closing the stream", run: interruptedRead},
	{name: "a program that is not there", run: missingProgram},
	{name: "a kill ends the process", run: kill},
	{name: "a signal ends the process", needs: Signals, run: signal},
	{name: "what has ended cannot be signalled", run: signalEnded},
	{name: "the console's size", needs: Console, run: resize},
	{name: "no console, no size", run: resizeWithoutConsole},
	{name: "many processes at once", run: manyProcesses},
	{name: "a closed process says so", run: closedProcess},
	{name: "closing a process does not end it", run: closeDoesNotEnd},
}

func exitCodes(t *testing.T, b *bench) {
	s := b.running(t)
	for _, want := range []uint32{0, 1, 255, 256, 0xC000013A} {
		if got := b.exitCode(t, b.exec(t, s, b.Commands.Exit(want), nil)); got != want {
			t.Errorf("exit code %#x, want %#x", got, want)
		}
	}
}

// readAll reads a stream to its end.
func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	raw, err := io.ReadAll(r)
	if err != nil {
		t.Errorf("read: %v", err)
	}
	return strings.TrimSpace(string(raw))
}

func output(t *testing.T, b *bench) {
	s := b.running(t)
	p := b.exec(t, s, b.Commands.Echo("to stdout"), nil)
	if got := readAll(t, p.Stdout()); got != "to stdout" {
		t.Errorf("stdout %q", got)
	}
	if got := readAll(t, p.Stderr()); got != "" {
		t.Errorf("stderr %q", got)
	}
	p = b.exec(t, s, b.Commands.EchoErr("to stderr"), nil)
	if got := readAll(t, p.Stderr()); got != "to stderr" {
		t.Errorf("stderr %q", got)
	}
	if code := b.exitCode(t, p); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func input(t *testing.T, b *bench) {
	s := b.running(t)
	p := b.exec(t, s, b.Commands.Cat, func(p *schema.ProcessParameters) { p.CreateStdInPipe = true })
	written := make(chan error, 1)
	go func() { // beside the reader: a pipe need not hold what nobody reads
		_, err := io.WriteString(p.Stdin(), "first\n")
		if err == nil {
			_, err = io.WriteString(p.Stdin(), "second\n")
		}
		for range 2 { // the second finds the input ended
			err = errors.Join(err, p.CloseStdin(b.ctx))
		}
		written <- err
	}()
	if got := strings.ReplaceAll(readAll(t, p.Stdout()), "\r", ""); got != "first\nsecond" {
		t.Errorf("stdout %q", got)
	}
	if err := <-written; err != nil {
		t.Errorf("write and close stdin: %v", err)
	}
	if code := b.exitCode(t, p); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if err := p.CloseStdin(b.ctx); err != nil {
		t.Errorf("close stdin of an ended process: %v", err)
	}
}

func nilStreams(t *testing.T, b *bench) {
	p := b.exec(t, b.running(t), b.Commands.Exit(0), func(p *schema.ProcessParameters) {
		p.CreateStdOutPipe, p.CreateStdErrPipe = false, false
	})
	if p.Stdin() != nil || p.Stdout() != nil || p.Stderr() != nil {
		t.Errorf("stdin %v, stdout %v, stderr %v: want nil", p.Stdin(), p.Stdout(), p.Stderr())
	}
	if err := p.CloseStdin(b.ctx); err != nil {
		t.Errorf("close stdin: %v", err)
	}
	b.exitCode(t, p)
}

func interruptedRead(t *testing.T, b *bench) {
	p := b.exec(t, b.running(t), b.Commands.Forever, nil)
	read := make(chan error)
	go func() {
		_, err := p.Stdout().Read(make([]byte, 1))
		read <- err
	}()
	if err := p.Stdout().Close(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-read:
		if err == nil {
			t.Error("the read succeeded")
		}
	case <-b.ctx.Done():
		t.Fatal("the read still waits: a relay would never end")
	}
}

func missingProgram(t *testing.T, b *bench) {
	s := b.running(t)
	_, err := s.CreateProcess(b.ctx, &schema.ProcessParameters{CommandLine: b.Commands.Missing, CreateStdOutPipe: true})
	fails(t, "create process", err, hcs.ErrFileNotFound)
	if code := b.exitCode(t, b.exec(t, s, b.Commands.Exit(3), nil)); code != 3 {
		t.Errorf("the next process exited with %d, want 3", code)
	}
}

func kill(t *testing.T, b *bench) {
	p := b.exec(t, b.running(t), b.Commands.Forever, nil)
	delivered, err := p.Kill(b.ctx)
	if err != nil || !delivered {
		t.Fatalf("kill: %v, %v", delivered, err)
	}
	b.done(t, "the process", p.Done())
	if _, err := p.ExitCode(); err != nil {
		t.Errorf("exit code: %v", err)
	}
}

func signal(t *testing.T, b *bench) {
	for _, sig := range []schema.Signal{schema.CtrlC, schema.CtrlShutdown} {
		p := b.exec(t, b.running(t), b.Commands.Forever, nil)
		delivered, err := p.Signal(b.ctx, sig)
		if err != nil || !delivered {
			t.Fatalf("%s: %v, %v", sig, delivered, err)
		}
		b.done(t, "the process that got "+string(sig), p.Done())
	}
}

func signalEnded(t *testing.T, b *bench) {
	p := b.exec(t, b.running(t), b.Commands.Exit(0), nil)
	b.done(t, "the process", p.Done())
	if delivered, err := p.Signal(b.ctx, schema.CtrlC); delivered || err != nil {
		t.Errorf("signal: %v, %v; want not delivered and no error", delivered, err)
	}
	if delivered, err := p.Kill(b.ctx); delivered || err != nil {
		t.Errorf("kill: %v, %v; want not delivered and no error", delivered, err)
	}
}

func resize(t *testing.T, b *bench) {
	p := b.exec(t, b.running(t), b.Commands.Forever, func(p *schema.ProcessParameters) {
		p.EmulateConsole, p.CreateStdErrPipe, p.ConsoleSize = true, false, []uint16{25, 80}
	})
	if err := p.Resize(b.ctx, schema.ConsoleSize{Height: 50, Width: 132}); err != nil {
		t.Error(err)
	}
}

func resizeWithoutConsole(t *testing.T, b *bench) {
	p := b.exec(t, b.running(t), b.Commands.Forever, nil)
	fails(t, "resize", p.Resize(b.ctx, schema.ConsoleSize{Height: 50, Width: 132}), hcs.ErrInvalidState)
}

func manyProcesses(t *testing.T, b *bench) {
	s := b.running(t)
	const n = 8
	var group sync.WaitGroup
	errs := make(chan error, n)
	for i := range n {
		group.Go(func() { errs <- b.echo(s, fmt.Sprintf("process %d", i)) })
	}
	group.Wait()
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// echo runs a process and checks that its output is its own.
func (b *bench) echo(s hcs.Compute, text string) error {
	p, err := s.CreateProcess(b.ctx, &schema.ProcessParameters{CommandLine: b.Commands.Echo(text), CreateStdOutPipe: true})
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }()
	raw, err := io.ReadAll(p.Stdout())
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(raw)); got != text {
		return fmt.Errorf("output %q, want %q", got, text)
	}
	select {
	case <-p.Done():
		_, err = p.ExitCode()
		return err
	case <-b.ctx.Done():
		return errors.New("the process has not ended")
	}
}

func closedProcess(t *testing.T, b *bench) {
	p := b.exec(t, b.running(t), b.Commands.Forever, func(p *schema.ProcessParameters) {
		p.EmulateConsole, p.CreateStdErrPipe = true, false
	})
	for range 2 {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	b.done(t, "what can no longer be observed", p.Done())
	_, err := p.ExitCode()
	fails(t, "exit code", err, hcs.ErrClosed)
	_, err = p.Signal(b.ctx, schema.CtrlC)
	fails(t, "signal", err, hcs.ErrClosed)
	_, err = p.Kill(b.ctx)
	fails(t, "kill", err, hcs.ErrClosed)
	fails(t, "resize", p.Resize(b.ctx, schema.ConsoleSize{Height: 1, Width: 1}), hcs.ErrClosed)
	if _, err := p.Stdout().Read(make([]byte, 1)); err == nil {
		t.Error("a read of a closed process's output succeeded")
	}
}

func closeDoesNotEnd(t *testing.T, b *bench) {
	s := b.running(t)
	p := b.exec(t, s, b.Commands.Forever, nil)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	props, err := s.Properties(b.ctx, schema.PropertyQuery{PropertyTypes: []schema.PropertyType{schema.PropertyProcessList}})
	if err != nil {
		t.Fatal(err)
	}
	for _, listed := range props.ProcessList {
		if listed.ProcessID == p.PID() {
			return
		}
	}
	t.Errorf("process %d is not among %+v", p.PID(), props.ProcessList)
}
