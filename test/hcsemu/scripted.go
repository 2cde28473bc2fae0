package hcsemu

import (
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Exit codes that Windows gives processes that do not end by themselves.
const (
	exitTerminated  = 1067       // ERROR_PROCESS_ABORTED, what HCS terminates with
	exitControlSent = 0xC000013A // STATUS_CONTROL_C_EXIT, the default of control events
)

// Program is a scripted program. It returns its exit code, and soon after
// [Exec.Killed] is closed.
type Program func(*Exec) uint32

// Exec is one run of a program.
type Exec struct {
	Args    []string // the program's name first
	Spec    ProcessSpec
	Silo    SiloSpec
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer // the same as Stdout with a console
	Killed  <-chan struct{}
	Resized <-chan [2]uint16 // rows, columns

	process *scriptedProcess
}

// Signals returns the control events from now on, and takes their default
// away, which is to end the process.
func (x *Exec) Signals() <-chan Signal {
	x.process.mu.Lock()
	defer x.process.mu.Unlock()
	x.process.handled = true
	return x.process.signals
}

// Sleep waits. It reports false if the process was killed.
func (x *Exec) Sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-x.Killed:
		return false
	}
}

// Scripted is a [Runner] whose programs are Go functions, found by the base
// name of the command line's first word, without ".exe". Any other command is
// not found. Users other than the built-in ones are unknown.
type Scripted struct {
	mu       sync.Mutex
	programs map[string]Program // guarded by mu
	lastPID  uint32             // guarded by mu
}

// NewScripted returns a Scripted with the programs of programs.go.
func NewScripted() *Scripted {
	return &Scripted{programs: standardPrograms(), lastPID: 1000}
}

// Handle adds or replaces a program.
func (s *Scripted) Handle(name string, p Program) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.programs[strings.ToLower(name)] = p
}

// find returns the program that a command line names.
func (s *Scripted) find(args []string) Program {
	if len(args) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.programs[strings.TrimSuffix(strings.ToLower(baseName(args[0])), ".exe")]
}

// NewSilo implements [Runner].
func (s *Scripted) NewSilo(_ context.Context, spec SiloSpec) (Silo, error) {
	return &scriptedSilo{runner: s, spec: spec, running: map[uint32]*scriptedProcess{}}, nil
}

// scriptedSilo is one container's scripted processes.
type scriptedSilo struct {
	runner *Scripted
	spec   SiloSpec

	mu       sync.Mutex
	running  map[uint32]*scriptedProcess // guarded by mu
	userTime time.Duration               // of processes that have ended; guarded by mu
	written  uint64                      // bytes of output; guarded by mu
	peak     int                         // of processes at once; guarded by mu
	ended    bool                        // guarded by mu
}

// builtInUsers are the names that a scripted container knows.
var builtInUsers = []string{
	"", "containeruser", "containeradministrator", `user manager\containeruser`, `user manager\containeradministrator`,
	`nt authority\system`, `nt authority\local service`, `nt authority\network service`,
}

// Start implements [Silo].
func (s *scriptedSilo) Start(_ context.Context, spec ProcessSpec) (RunningProcess, error) {
	line := spec.CommandLine
	if line == "" {
		line = spec.ApplicationName
	}
	args := splitCommandLine(line)
	program := s.runner.find(args)
	if program == nil {
		return nil, fail(EFileNotFound, "the container has no program for %q", line)
	}
	if !slices.Contains(builtInUsers, strings.ToLower(spec.User)) {
		return nil, fail(ENoSuchUser, "the container has no user %q", spec.User)
	}
	if dir := spec.WorkingDirectory; dir != "" && !absolute(dir) {
		return nil, fail(EDirectory, "the working directory %q is not absolute", dir)
	}
	p := newScriptedProcess(s, spec)
	s.runner.mu.Lock()
	s.runner.lastPID += 4 // Windows' pids are multiples of four
	p.pid = s.runner.lastPID
	s.runner.mu.Unlock()

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, fail(EInvalidState, "the container has ended")
	}
	s.running[p.pid] = p
	s.peak = max(s.peak, len(s.running))
	p.image, p.created = strings.ToLower(baseName(args[0])), time.Now()
	go p.run(program, args)
	return p, nil
}

// Processes implements [Silo].
func (s *scriptedSilo) Processes() []ProcessFact {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []ProcessFact
	for _, pid := range slices.Sorted(maps.Keys(s.running)) {
		p := s.running[pid]
		list = append(list, ProcessFact{
			PID: pid, ImageName: p.image, Created: p.created, UserTime: time.Since(p.created),
			CommitBytes: 1 << 20, PrivateWorkingSet: 1 << 19, SharedWorkingSet: 1 << 18,
		})
	}
	return list
}

// Usage implements [Silo]: each process takes a mebibyte and all of its time.
func (s *scriptedSilo) Usage() Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := Usage{UserTime: s.userTime, WriteBytes: s.written, WriteCount: s.written / 8192}
	for _, p := range s.running {
		u.UserTime += time.Since(p.created)
	}
	u.CommitBytes, u.PrivateWSet = uint64(len(s.running))<<20, uint64(len(s.running))<<19
	u.PeakCommitBytes = uint64(s.peak) << 20
	return u
}

// Terminate implements [Silo].
func (s *scriptedSilo) Terminate() {
	s.mu.Lock()
	s.ended = true
	left := slices.Collect(maps.Values(s.running))
	s.mu.Unlock()
	for _, p := range left {
		_ = p.Kill() // it may have ended meanwhile
	}
}

// Close implements [Silo].
func (s *scriptedSilo) Close() { s.Terminate() }

// scriptedProcess is one run.
type scriptedProcess struct {
	silo    *scriptedSilo
	spec    ProcessSpec
	pid     uint32
	image   string
	created time.Time
	killed  chan struct{}
	done    chan struct{}
	signals chan Signal
	resized chan [2]uint16
	in      *pipe // nil where not asked for, like out and err
	out     *pipe
	err     *pipe

	mu       sync.Mutex
	handled  bool   // control events go to the program; guarded by mu
	over     bool   // guarded by mu
	exitCode uint32 // guarded by mu
}

var _ RunningProcess = (*scriptedProcess)(nil)

func newScriptedProcess(s *scriptedSilo, spec ProcessSpec) *scriptedProcess {
	p := &scriptedProcess{
		silo: s, spec: spec, killed: make(chan struct{}), done: make(chan struct{}),
		signals: make(chan Signal, 16), resized: make(chan [2]uint16, 16),
	}
	if spec.Stdin {
		p.in = newPipe()
		p.in.holdWriters = true
	}
	if spec.Stdout {
		p.out = newPipe()
	}
	if spec.Stderr {
		p.err = newPipe()
	}
	return p
}

// run runs the program to its end.
func (p *scriptedProcess) run(program Program, args []string) {
	x := &Exec{
		Args: args, Spec: p.spec, Silo: p.silo.spec, Stdin: strings.NewReader(""),
		Killed: p.killed, Resized: p.resized, process: p,
	}
	if p.in != nil {
		x.Stdin = pipeReader{p.in}
	}
	x.Stdout, x.Stderr = countingWriter{p.silo, p.out}, countingWriter{p.silo, p.err}
	if p.spec.Console {
		x.Stderr = x.Stdout
	}
	p.finish(program(x))
}

// countingWriter is a standard stream: the caller's pipe or, without one, nothing.
type countingWriter struct {
	silo *scriptedSilo
	pipe *pipe
}

// Write implements io.Writer.
func (w countingWriter) Write(b []byte) (int, error) {
	n, err := len(b), error(nil)
	if w.pipe != nil {
		n, err = pipeWriter{w.pipe}.Write(b)
	}
	w.silo.mu.Lock()
	w.silo.written += uint64(n)
	w.silo.mu.Unlock()
	return n, err
}

// finish ends the process once: streams first, so that whoever hears of the
// end can read them to theirs.
func (p *scriptedProcess) finish(code uint32) {
	p.mu.Lock()
	if p.over {
		p.mu.Unlock()
		return
	}
	p.over, p.exitCode = true, code
	p.mu.Unlock()
	close(p.killed)
	if p.in != nil {
		_ = pipeReader{p.in}.Close()
	}
	for _, out := range []*pipe{p.out, p.err} {
		if out != nil {
			out.end()
		}
	}
	p.silo.mu.Lock()
	delete(p.silo.running, p.pid)
	p.silo.userTime += time.Since(p.created)
	p.silo.mu.Unlock()
	close(p.done)
}

func (p *scriptedProcess) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}

// PID implements [RunningProcess], as do the methods below.
func (p *scriptedProcess) PID() uint32           { return p.pid }
func (p *scriptedProcess) Done() <-chan struct{} { return p.done }

// ExitCode is valid once Done is closed.
func (p *scriptedProcess) ExitCode() uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exitCode
}

// Stdio returns the caller's ends.
func (p *scriptedProcess) Stdio() Stdio {
	var s Stdio
	if p.in != nil {
		s.In = pipeWriter{p.in}
	}
	if p.out != nil {
		s.Out = pipeReader{p.out}
	}
	if p.err != nil {
		s.Err = pipeReader{p.err}
	}
	return s
}

// Kill ends the process at once.
func (p *scriptedProcess) Kill() error {
	if p.ended() {
		return fail(EProcessAlreadyStopped, "process %d has ended", p.pid)
	}
	p.finish(exitTerminated)
	return nil
}

// Signal hands the event to the program or, if it does not listen, ends it.
func (p *scriptedProcess) Signal(sig Signal) error {
	p.mu.Lock()
	handled, over := p.handled, p.over
	p.mu.Unlock()
	switch {
	case over:
		return fail(EElementNotFound, "process %d has ended", p.pid)
	case !handled:
		p.finish(exitControlSent)
		return nil
	}
	select {
	case p.signals <- sig:
		return nil
	default:
		return fail(EFail, "process %d does not take its control events", p.pid)
	}
}

// Resize tells the program of the console's new size.
func (p *scriptedProcess) Resize(rows, columns uint16) error {
	if p.ended() {
		return fail(EElementNotFound, "process %d has ended", p.pid)
	}
	select {
	case p.resized <- [2]uint16{rows, columns}:
	default: // a program that does not look keeps only the first sizes
	}
	return nil
}

// CloseStdin ends the input after what was written.
func (p *scriptedProcess) CloseStdin() error {
	if p.in != nil {
		p.in.end()
	}
	return nil
}

// Close releases nothing: the streams are the caller's.
func (p *scriptedProcess) Close() {}
