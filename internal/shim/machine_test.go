package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	bootapi "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	taskv2 "github.com/containerd/containerd/api/runtime/task/v2"
	task "github.com/containerd/containerd/api/runtime/task/v3"
	events "github.com/containerd/containerd/api/services/ttrpc/events/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/ttrpc"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/shim/launch"
	"github.com/isolrun/isol/internal/stdio"
	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/guest"
	"github.com/isolrun/isol/test/hcsemu/layerdriver"
	"github.com/isolrun/isol/test/hcsemu/netdriver"
)

// The layers of the tests' containers.
const (
	baseLayer    = `C:\snapshots\1`
	scratchLayer = `C:\snapshots\3`
)

// lab is a shim in this process, on an emulated machine, with a containerd
// that is this test.
type lab struct {
	*testing.T
	emu      *hcsemu.Emulator
	pipes    *pipes
	ctrd     *containerd
	conn     *ttrpc.Client
	tasks    task.TTRPCTaskService
	tasks2   taskv2.TTRPCTaskService
	ended    <-chan struct{} // closed when the shim has shut down
	machines *guest.Machines
	bundle   string
}

// The log of a whole shim is of use only where a test is watched.
func TestMain(m *testing.M) {
	if args, ok := os.LookupEnv(childEnv); ok {
		child(strings.Split(args, "|"))
		return
	}
	os.Exit(m.Run())
}

type labOption func(*Machine, *bootapi.BootstrapParams)

// withOptions gives the shim runtime options at its start, as TOML.
func withOptions(t *testing.T, toml string) labOption {
	return func(_ *Machine, p *bootapi.BootstrapParams) {
		t.Helper()
		if err := p.AddExtension(anyOptions(t, toml)); err != nil {
			t.Fatal(err)
		}
	}
}

// withVMs lets the shim boot utility VMs.
func withVMs(m *Machine, _ *bootapi.BootstrapParams) {
	m.VM.NameToGUID = func(string) (string, error) { return "", nil }
}

func newLab(t *testing.T, opts ...labOption) *lab {
	t.Helper()
	t.Setenv("ProgramData", t.TempDir())
	l := &lab{T: t, pipes: newPipes(), bundle: t.TempDir(), machines: &guest.Machines{Runner: hcsemu.NewScripted(), Build: 20348}}
	l.emu = hcsemu.New(hcsemu.Config{Hypervisor: true, Runner: l.machines})
	t.Cleanup(l.emu.Close)
	client := l.emu.Connect(hcsemu.Caller{PID: 4711, Exe: Owner})
	l.ctrd = newContainerd(t)
	m := Machine{
		Host:   func(*hcs.CallTable) (hcs.Host, error) { return hcsemu.HostOn(client), nil },
		Layers: func() layers.Store { return layers.NewStore(layerdriver.New(client)) },
		Probe: func() (host.Facts, error) {
			facts, _ := host.Preset("server2022")
			return facts, nil
		},
		Image:   func([]string) (host.Image, error) { return host.Image{}, nil },
		Network: netdriver.New(client),
		Pipes:   l.pipes,
		System:  launch.Native(),
	}
	params := &bootapi.BootstrapParams{InstanceID: "c1", Namespace: "default", ContainerdTtrpcAddress: l.ctrd.address}
	for _, o := range opts {
		o(&m, params)
	}
	if m.VM.NameToGUID != nil { // see withVMs
		m.VM.Sockets = l.machines.Sockets
		m.VM.NameToGUID = func(name string) (string, error) {
			id, err := client.NameToGUID(context.Background(), name)
			return fmt.Sprint(id), err
		}
	}
	end := newEnding()
	s, err := newServer(m, launch.Flags{Namespace: "default", ID: "c1"}, params, logOf(t), end)
	if err != nil {
		t.Fatal(err)
	}
	l.ended = end.done
	l.conn = serveOn(t, s)
	conn := l.conn
	l.tasks, l.tasks2 = task.NewTTRPCTaskClient(conn), taskv2.NewTTRPCTaskClient(conn)
	t.Cleanup(func() {
		end.begin()
		<-end.done
	})
	return l
}

// testLog is a test's output for as long as the test lasts: a shim that is
// ending has more to say than a test waits for.
type testLog struct {
	mu  sync.Mutex
	out io.Writer // nil once the test is over; guarded by mu
}

func logOf(t *testing.T) *testLog {
	l := &testLog{out: t.Output()}
	t.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.out = nil
	})
	return l
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out == nil {
		return len(p), nil
	}
	return l.out.Write(p)
}

// serveOn serves on a socket, as serve does on a pipe.
func serveOn(t *testing.T, srv *ttrpc.Server) *ttrpc.Client {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(shortDir(t), "s"))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(context.Background(), ln) }()
	conn, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client := ttrpc.NewClient(conn)
	t.Cleanup(func() { _ = client.Close(); _ = srv.Close() })
	return client
}

// shortDir is a folder whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "isol")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// spec writes the bundle's config.json: a process container that runs command,
// changed by change.
func (l *lab) spec(command string, change func(*specs.Spec)) {
	l.Helper()
	s := &specs.Spec{
		Version: "1.1.0",
		Process: &specs.Process{CommandLine: command, Cwd: `C:\`},
		Root:    &specs.Root{},
		Windows: &specs.Windows{},
	}
	if change != nil {
		change(s)
	}
	data, err := json.Marshal(s)
	if err != nil {
		l.Fatal(err)
	}
	l.file("config.json", string(data))
}

func (l *lab) file(name, text string) {
	l.Helper()
	if err := os.WriteFile(filepath.Join(l.bundle, name), []byte(text), 0o600); err != nil {
		l.Fatal(err)
	}
}

// request is the create of task c1 with the client's output pipe served.
func (l *lab) request() *task.CreateTaskRequest {
	return &task.CreateTaskRequest{ID: "c1", Bundle: l.bundle, Rootfs: rootfs(), Stdout: l.pipes.serve("c1-stdout")}
}

func rootfs() []*types.Mount {
	return []*types.Mount{{
		Type: "windows-layer", Source: scratchLayer,
		Options: []string{"rw", `parentLayerPaths=["C:\\snapshots\\1"]`},
	}}
}

func (l *lab) must(_ any, err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// clean checks that the emulated machine has everything back.
func (l *lab) clean() {
	l.Helper()
	if leaks := l.emu.Ledger().Leaks(); len(leaks) > 0 {
		l.Errorf("left on the machine:\n%v", leaks)
	}
}

// pipes is a client's named pipes, over net.Pipe. What arrives is kept.
type pipes struct {
	mu   sync.Mutex
	open map[string]*clientPipe
}

type clientPipe struct {
	conn chan net.Conn
	text chan string // all of it, at its end
}

func newPipes() *pipes { return &pipes{open: map[string]*clientPipe{}} }

// serve serves an output pipe and returns its path.
func (p *pipes) serve(name string) string {
	path := `\\.\pipe\` + name
	c := &clientPipe{conn: make(chan net.Conn, 1), text: make(chan string, 1)}
	p.mu.Lock()
	p.open[path] = c
	p.mu.Unlock()
	return path
}

// text waits for the end of an output and returns it.
func (p *pipes) textOf(t *testing.T, name string) string {
	t.Helper()
	p.mu.Lock()
	c := p.open[`\\.\pipe\`+name]
	p.mu.Unlock()
	select {
	case text := <-c.text:
		return text
	case <-time.After(10 * time.Second):
		t.Fatalf("the output %s does not end", name)
		return ""
	}
}

// input returns the client's end of an input that the shim has dialled.
func (p *pipes) input(name string) net.Conn {
	p.mu.Lock()
	c := p.open[`\\.\pipe\`+name]
	p.mu.Unlock()
	return <-c.conn
}

func (p *pipes) Dial(_ context.Context, path string) (net.Conn, error) {
	p.mu.Lock()
	c := p.open[path]
	p.mu.Unlock()
	if c == nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	ours, theirs := net.Pipe()
	if strings.HasSuffix(path, "stdin") {
		c.conn <- theirs
		return ours, nil
	}
	go func() {
		b, _ := io.ReadAll(theirs)
		c.text <- string(b)
	}()
	return ours, nil
}

func (p *pipes) Listen(string) (net.Listener, error) { return nil, errors.New("not here") }
func (p *pipes) Lost(error) bool                     { return false }
func (p *pipes) StartLogger(stdio.LoggerCommand) (stdio.LoggerProcess, error) {
	return nil, errors.New("not here")
}

// containerd is the events service of a containerd that may go away.
type containerd struct {
	t       *testing.T
	address string

	mu   sync.Mutex
	srv  *ttrpc.Server
	got  []*types.Envelope
	more chan struct{}
}

func newContainerd(t *testing.T) *containerd {
	c := &containerd{t: t, address: filepath.Join(shortDir(t), "e"), more: make(chan struct{}, 1024)}
	c.start()
	t.Cleanup(c.stop)
	return c
}

func (c *containerd) start() {
	c.t.Helper()
	srv, err := ttrpc.NewServer()
	if err != nil {
		c.t.Fatal(err)
	}
	events.RegisterTTRPCEventsService(srv, c)
	ln, err := net.Listen("unix", c.address)
	if err != nil {
		c.t.Fatal(err)
	}
	go func() { _ = srv.Serve(context.Background(), ln) }()
	c.mu.Lock()
	c.srv = srv
	c.mu.Unlock()
}

func (c *containerd) stop() {
	c.mu.Lock()
	srv := c.srv
	c.srv = nil
	c.mu.Unlock()
	if srv == nil {
		return
	}
	// What it has taken it also answers: an event whose answer is lost is
	// rightly sent again.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = srv.Shutdown(ctx)
	_ = srv.Close()
}

func (c *containerd) Forward(_ context.Context, r *events.ForwardRequest) (*emptypb.Empty, error) {
	c.mu.Lock()
	c.got = append(c.got, r.Envelope)
	c.mu.Unlock()
	c.more <- struct{}{}
	return &emptypb.Empty{}, nil
}

// topics waits for n events and returns their topics.
func (c *containerd) topics(n int) []string {
	c.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		c.mu.Lock()
		var topics []string
		for _, e := range c.got {
			topics = append(topics, e.Topic)
		}
		c.mu.Unlock()
		if len(topics) >= n {
			return topics
		}
		select {
		case <-c.more:
		case <-deadline:
			c.t.Fatalf("only %d of %d events came: %v", len(topics), n, topics)
		}
	}
}

// processAny is an exec's process as containerd's clients send it.
func processAny(t *testing.T, command string) *anypb.Any {
	t.Helper()
	data, err := json.Marshal(specs.Process{CommandLine: command, Cwd: `C:\`})
	if err != nil {
		t.Fatal(err)
	}
	return &anypb.Any{TypeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Process", Value: data}
}
