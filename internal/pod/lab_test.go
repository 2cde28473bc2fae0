package pod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/network"
	"github.com/isolrun/isol/internal/oci"
	"github.com/isolrun/isol/internal/undo"
	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/layerdriver"
	"github.com/isolrun/isol/test/hcsemu/netdriver"
)

// lab is a pod on an emulated machine.
type lab struct {
	*testing.T
	emu    *hcsemu.Emulator
	client *hcsemu.Client
	pod    *Pod
	stdio  *clientEnds
	events *journalOfEvents
	bundle string
	extra  func(*Config)
	killed func() // called when a fault kills the shim
	cni    *cni   // nil: no networks

	policies map[string]string // of the endpoint of that name, in the words of its document
	jobs     *jobs             // nil: no HostProcess containers
	shape    func(*CreateTask) // makes wholeLife's request another; nil: it is a process container's
}

// scratch is the writable layer of the tests' containers.
const scratch = `C:\snapshots\3`

func newLab(t *testing.T, options ...func(*Config)) *lab {
	t.Helper()
	l := &lab{T: t, stdio: &clientEnds{open: map[string]*ends{}}, events: &journalOfEvents{}}
	l.emu = hcsemu.New(hcsemu.Config{Kill: func(hcsemu.Caller) {
		if l.killed != nil {
			l.killed()
		}
	}})
	t.Cleanup(l.emu.Close)
	l.bundle = t.TempDir()
	l.extra = func(c *Config) {
		for _, o := range options {
			o(c)
		}
	}
	l.shim(1)
	return l
}

// shim makes a new shim process with the given pid, and its pod.
func (l *lab) shim(pid uint32) {
	l.Helper()
	l.client = l.emu.Connect(hcsemu.Caller{PID: pid, Exe: "containerd-shim-isol-v1.exe"})
	cfg := Config{
		Owner: "containerd-shim-isol-v1.exe", HostBuild: 20348, Host: hcsemu.HostOn(l.client),
		Layers: layers.NewStore(layerdriver.New(l.client)), Stdio: l.stdio, Events: l.events,
		Networks: network.New(netdriver.New(l.client)),
	}
	if l.jobs != nil {
		cfg.Jobs = l.jobs.connect(l.client)
	}
	if l.extra != nil {
		l.extra(&cfg)
	}
	cfg.Undo = undo.Machine{Host: cfg.Host, Owner: cfg.Owner, Layers: cfg.Layers, Networks: cfg.Networks, Jobs: cfg.Jobs, Origin: "LAB"}.Undoers()
	p, err := New(cfg)
	if err != nil {
		l.Fatal(err)
	}
	l.pod = p
}

// request is a standalone process container that runs command.
func (l *lab) request(id, command string) CreateTask {
	return CreateTask{
		ID: id, Bundle: l.bundle, Process: oci.Process{CommandLine: command},
		Plan:   &isolation.Plan{ID: id, Mode: isolation.ModeProcess, Role: isolation.RoleStandalone, Container: isolation.Container{HostName: "web"}},
		Layers: layers.Layers{Parents: []string{`C:\snapshots\2`, `C:\snapshots\1`}, Scratch: scratch},
		Stdio:  StdioConfig{Stdin: "in", Stdout: "out"},
	}
}

func (l *lab) create(id, command string) {
	l.Helper()
	l.must(l.pod.Create(l.Context(), l.request(id, command)))
}

func (l *lab) start(id, execID string) uint32 {
	l.Helper()
	pid, err := l.pod.Start(l.Context(), id, execID)
	l.must(err)
	return pid
}

// run creates and starts a task.
func (l *lab) run(id, command string) uint32 {
	l.Helper()
	l.create(id, command)
	return l.start(id, "")
}

// exec creates and starts an exec.
func (l *lab) exec(id, execID, command string) uint32 {
	l.Helper()
	l.must(l.addExec(id, execID, command))
	return l.start(id, execID)
}

func (l *lab) addExec(id, execID, command string) error {
	return l.pod.CreateExec(l.Context(), CreateExec{ID: id, ExecID: execID, Process: oci.Process{CommandLine: command},
		Stdio: StdioConfig{Stdin: "in", Stdout: "out"}})
}

func (l *lab) wait(id, execID string) Exit {
	l.Helper()
	exit, err := l.pod.Wait(l.Context(), id, execID)
	l.must(err)
	return exit
}

func (l *lab) kill(id, execID string) error {
	return l.pod.Kill(l.Context(), Kill{ID: id, ExecID: execID, Signal: SignalKill})
}

func (l *lab) delete(id, execID string) Exit {
	l.Helper()
	exit, err := l.pod.Delete(l.Context(), id, execID)
	l.must(err)
	return exit
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l *lab) fault(f hcsemu.Fault) {
	l.Helper()
	l.must(l.emu.AddFaults(f))
	l.Cleanup(l.allCame)
}

// allCame fails the test if a fault was planned that never came: it did not
// show what it says. A plan that the test has cleared is not looked at.
func (l *lab) allCame() {
	for _, f := range l.emu.Unfired() {
		l.Errorf("a fault was planned that never came: %+v", f)
	}
}

// end stops what a test left running.
func (l *lab) end() {
	l.allCame()
	l.emu.ClearFaults()
	l.emu.Release("")
	if err := l.pod.Close(context.Background()); err != nil {
		l.Log("end of the lab:", err)
	}
	l.emu.Close()
}

// nothingLeft checks that the machine has everything back.
func (l *lab) nothingLeft() {
	l.Helper()
	l.cni.remove()
	if left := l.emu.Ledger().Leaks(); len(left) > 0 {
		l.Errorf("left behind:\n%s", left)
	}
	if open := l.stdio.stillOpen(); len(open) > 0 {
		l.Errorf("the client's ends are still open: %v", open)
	}
}

// functions returns the functions called so far, without the arguments.
func (l *lab) functions() []string {
	var out []string
	for _, c := range l.emu.Calls(hcsemu.CallFilter{}) {
		out = append(out, c.Function)
	}
	return out
}

// journalOfEvents is a Publisher that keeps what it gets, as lines.
type journalOfEvents struct {
	mu    sync.Mutex
	lines []string
}

func (j *journalOfEvents) Publish(e Event) {
	line := ""
	switch e := e.(type) {
	case TaskCreate:
		line = "create " + e.ID
	case TaskStart:
		line = "start " + e.ID
	case ExecAdded:
		line = "exec-added " + e.ID + "/" + e.ExecID
	case ExecStarted:
		line = "exec-started " + e.ID + "/" + e.ExecID
	case TaskExit:
		line = fmt.Sprintf("exit %s/%s %d", e.ID, e.ExecID, e.ExitStatus)
	case TaskDelete:
		line = "delete " + e.ID + "/" + e.ExecID
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journalOfEvents) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

// clientEnds is a StdioOpener whose client reads all and types what it is told.
type clientEnds struct {
	fail  error         // of the next Open
	hang  bool          // Open waits for its context
	stall chan struct{} // the client reads no output until it is closed

	mu   sync.Mutex
	open map[string]*ends
	last map[string]*ends
}

type ends struct {
	owner  *clientEnds
	key    string
	typed  *io.PipeWriter
	input  *io.PipeReader
	done   chan struct{} // the relay has ended
	closed bool

	mu      sync.Mutex
	output  bytes.Buffer
	relayed bool
}

func (c *clientEnds) Open(ctx context.Context, id, execID string, cfg StdioConfig) (Streams, error) {
	if c.hang {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.fail; err != nil {
		c.fail = nil
		return nil, err
	}
	e := &ends{owner: c, key: id + "/" + execID, done: make(chan struct{})}
	e.input, e.typed = io.Pipe()
	c.open[e.key] = e
	if c.last == nil {
		c.last = map[string]*ends{}
	}
	c.last[e.key] = e
	return e, nil
}

func (c *clientEnds) stillOpen() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for k := range c.open {
		out = append(out, k)
	}
	return out
}

// of returns the last ends opened for a process.
func (c *clientEnds) of(key string) *ends {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last[key]
}

func (e *ends) text() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.output.String()
}

func (e *ends) Relay(stdin io.WriteCloser, stdout, stderr io.Reader) {
	e.mu.Lock()
	e.relayed = true
	e.mu.Unlock()
	if stdin != nil {
		go func() {
			_, _ = io.Copy(stdin, e.input) // ends with either end
			_ = stdin.Close()
		}()
	}
	go func() {
		defer close(e.done)
		if e.owner.stall != nil {
			<-e.owner.stall
		}
		if stdout != nil {
			_, _ = io.Copy(e, stdout) // ends with the pipe
		}
	}()
}

func (e *ends) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.output.Write(b)
}

func (e *ends) CloseStdin() error { return e.typed.Close() }

func (e *ends) Drain(ctx context.Context, quiet time.Duration) error {
	e.mu.Lock()
	relayed := e.relayed
	e.mu.Unlock()
	if !relayed {
		return nil
	}
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (e *ends) Close() error {
	e.owner.mu.Lock()
	defer e.owner.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	if e.owner.open[e.key] == e {
		delete(e.owner.open, e.key)
	}
	return errors.Join(e.typed.Close(), e.input.Close())
}

func timeout(l *lab, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(l.Context(), d)
}
