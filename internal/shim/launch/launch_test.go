package launch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	bootapi "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	task "github.com/containerd/containerd/api/runtime/task/v2"
	"github.com/containerd/containerd/api/types"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/shim/crash"
	"github.com/isolrun/isol/internal/undo"
	"github.com/isolrun/isol/test/hcsemu"
)

func TestAddress(t *testing.T) {
	got, err := Address("k8s.io", "c1")
	if want := `\\.\pipe\ProtectedPrefix\Administrators\containerd-shim-k8s.io-c1-pipe`; err != nil || got != want {
		t.Errorf("%q, %v; tools look for %q", got, err, want)
	}
	for _, tc := range []struct{ name, ns, id, says string }{
		{"backslash would make a path of the name", "default", `a\b`, `'\\'`},
		{"Windows turns a slash into a backslash", "default", "a/b", `'/'`},
		{"control character", "default", "a\nb", `'\n'`},
		{"not text", "default", "a\xffb", "cannot hold"},
		{"namespace too", `de\fault`, "a", "the namespace"},
		{"empty id", "default", "", "the id is empty"},
		{"too long", "default", strings.Repeat("a", 200), "Windows takes 256"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Address(tc.ns, tc.id)
			if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%q, error %v, want InvalidArgument with %q", got, err, tc.says)
			}
		})
	}
}

// What the three generations of containerd send must all be understood, and
// noise refused.
func TestBootstrap(t *testing.T) {
	options := &anypb.Any{TypeUrl: "runtimeoptions.v1.Options", Value: []byte("toml")}
	flags := Flags{Namespace: "default", ID: "c1", Address: "grpc", Binary: "containerd.exe", Debug: true}
	env := func(name string) string { return map[string]string{Env: "ttrpc"}[name] }
	modern := &bootapi.BootstrapParams{InstanceID: "c1", Namespace: "default", ContainerdTtrpcAddress: "t"}
	if err := modern.AddExtension(options); err != nil {
		t.Fatal(err)
	}
	old := &bootapi.BootstrapParams{
		InstanceID: "c1", Namespace: "default", LogLevel: bootapi.LogLevel_LOG_LEVEL_DEBUG,
		ContainerdTtrpcAddress: "ttrpc", ContainerdGrpcAddress: "grpc", ContainerdBinary: "containerd.exe",
	}
	oldWithOptions := proto.CloneOf(old)
	if err := oldWithOptions.AddExtension(options); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name   string
		stdin  []byte
		want   *bootapi.BootstrapParams
		legacy bool
		says   string
	}{
		{"containerd 2.3 and later", marshal(t, modern), modern, false, ""},
		{"a bare Any, from earlier or for a binary named as runhcs's", marshal(t, options), oldWithOptions, true, ""},
		{"nothing", nil, old, true, ""},
		{"parameters of another task", marshal(t, &bootapi.BootstrapParams{InstanceID: "c2", Namespace: "default", ContainerdVersion: "2"}), nil, true, "stdin of start"},
		{"noise", []byte("\xff\xff\xff"), nil, true, "stdin of start"},
		{"an Any without a type", marshal(t, &anypb.Any{Value: []byte("x")}), nil, true, "without a type"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got, legacy, err := Bootstrap(tc.stdin, flags, env)
			if tc.says != "" {
				if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("error %v, want %q", err, tc.says)
				}
				return
			}
			if err != nil || legacy != tc.legacy {
				t.Errorf("legacy %v, error %v", legacy, err)
			}
			if diff := cmp.Diff(tc.want, got, protocmp.Transform()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if url, value := Options(modern); url != options.TypeUrl || string(value) != "toml" {
		t.Errorf("options %q %q", url, value)
	}
	if url, _ := Options(old); url != "" {
		t.Errorf("options out of nothing: %q", url)
	}
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzBootstrap(f *testing.F) {
	f.Add([]byte("\x0a\x02c1\x12\x07default"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, stdin []byte) {
		params, _, err := Bootstrap(stdin, Flags{ID: "c1", Namespace: "default"}, func(string) string { return "" })
		if err == nil && (params.InstanceID != "c1" || params.Namespace != "default") {
			t.Errorf("parameters of %s/%s for c1", params.Namespace, params.InstanceID)
		}
	})
}

func TestParseFlags(t *testing.T) {
	got, err := ParseFlags([]string{"-namespace", "k8s.io", "-address", "a", "-publish-binary", "b", "-id", "c1", "-bundle", `C:\b`, "-debug", "delete"})
	want := Flags{Namespace: "k8s.io", Address: "a", Binary: "b", ID: "c1", Bundle: `C:\b`, Debug: true, Action: "delete"}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ParseFlags([]string{"-nonsense"}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("unknown flag: %v", err)
	}
}

// machine is a System whose child is a function.
type machine struct {
	mu      sync.Mutex
	served  map[string]bool
	spawned []Command
	child   func(ctx context.Context) error // what becomes of a child
}

func (m *machine) Dial(_ context.Context, address string) (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.served[address] {
		return nil, &fs.PathError{Op: "open", Path: address, Err: fs.ErrNotExist}
	}
	ours, theirs := net.Pipe()
	_ = theirs.Close()
	return ours, nil
}

func (m *machine) Listen(string) (net.Listener, error) { return nil, errors.New("not here") }

func (m *machine) serve(address string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.served == nil {
		m.served = map[string]bool{}
	}
	m.served[address] = true
}

func (m *machine) Spawn(ctx context.Context, c Command) error {
	m.spawned = append(m.spawned, c)
	return m.child(ctx)
}

func params() *bootapi.BootstrapParams {
	return &bootapi.BootstrapParams{
		InstanceID: "c1", Namespace: "default", LogLevel: bootapi.LogLevel_LOG_LEVEL_DEBUG,
		ContainerdGrpcAddress: "grpc", ContainerdBinary: "containerd.exe",
	}
}

const c1Pipe = `\\.\pipe\ProtectedPrefix\Administrators\containerd-shim-default-c1-pipe`

// start must answer what lets containerd 2.4 talk version 3 and spare an -info,
// and hand the parameters to serve.
func TestStartSpawnsServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &machine{}
		sys.child = func(context.Context) error {
			time.Sleep(70 * time.Millisecond)
			sys.serve(c1Pipe)
			return nil
		}
		m := &Manager{System: sys}
		result, err := m.start(t.Context(), t.TempDir(), params())
		if err != nil {
			t.Fatal(err)
		}
		if result.Version != 3 || result.Protocol != "ttrpc" || result.Address != c1Pipe {
			t.Errorf("answer %v", result)
		}
		var mounts types.MountCapabilities
		if ok, err := result.FindExtension(&mounts); !ok || err != nil || !cmp.Equal(mounts.Types, []string{"windows-layer"}) {
			t.Errorf("mount capabilities %v %v %v", ok, &mounts, err)
		}
		c := sys.spawned[0]
		var passed bootapi.BootstrapParams
		if err := proto.Unmarshal(c.Stdin, &passed); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(params(), &passed, protocmp.Transform()); diff != "" {
			t.Errorf("serve gets other parameters (-want +got):\n%s", diff)
		}
		flags, err := ParseFlags(c.Args)
		if err != nil || flags.Socket != c1Pipe || flags.Action != "serve" || !flags.Debug || flags.ID != "c1" || flags.Bundle == "" {
			t.Errorf("serve gets flags %+v, %v", flags, err)
		}
	})
}

func TestStartFailsWithTheReason(t *testing.T) {
	cases := []struct {
		name   string
		sys    func(m *machine)
		params func(p *bootapi.BootstrapParams)
		kind   fault.Kind
		says   string
	}{
		{
			name: "serve dies at start",
			sys: func(m *machine) {
				m.child = func(context.Context) error {
					return errors.New("exit status 1: io.containerd.isol.v1: serve the log: access denied")
				}
			},
			kind: fault.Internal, says: "access denied",
		},
		{
			name: "serve hangs",
			sys: func(m *machine) {
				m.child = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
			},
			kind: fault.DeadlineExceeded, says: "was not ready",
		},
		{
			name: "the id is taken",
			sys:  func(m *machine) { m.serve(c1Pipe) },
			kind: fault.AlreadyExists, says: c1Pipe,
		},
		{
			name:   "an id that a pipe cannot hold",
			sys:    func(*machine) {},
			params: func(p *bootapi.BootstrapParams) { p.InstanceID = `a\b` },
			kind:   fault.InvalidArgument, says: "pipe cannot hold",
		},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := &machine{}
				tc.sys(sys)
				p := params()
				if tc.params != nil {
					tc.params(p)
				}
				_, err := (&Manager{System: sys}).start(t.Context(), t.TempDir(), p)
				if !fault.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("error %v (%v), want %v with %q", err, fault.KindOf(err), tc.kind, tc.says)
				}
			})
		})
	}
}

// A container of a pod joins its sandbox's shim; no process is started.
func TestStartJoinsASandbox(t *testing.T) {
	const sandboxPipe = `\\.\pipe\ProtectedPrefix\Administrators\containerd-shim-default-s1-pipe`
	bundle := t.TempDir()
	spec := `{"ociVersion":"1.1.0","process":{"cwd":"C:\\","args":["x"]},"root":{"path":""},"windows":{"layerFolders":null},
		"annotations":{"io.kubernetes.cri.container-type":"container","io.kubernetes.cri.sandbox-id":"s1"}}`
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), []byte(spec), 0o600); err != nil {
		t.Fatal(err)
	}
	sys := &machine{}
	m := &Manager{System: sys}
	if _, err := m.start(t.Context(), bundle, params()); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "s1") {
		t.Errorf("a sandbox that is not there: %v", err)
	}
	sys.serve(sandboxPipe)
	result, err := m.start(t.Context(), bundle, params())
	if err != nil || result.Address != sandboxPipe || len(sys.spawned) != 0 {
		t.Errorf("answer %v, %v, %d processes", result, err, len(sys.spawned))
	}
}

// childEnv makes a test of this binary the serve process: its value says how
// it behaves.
const childEnv = "LAUNCH_TEST_CHILD"

// child is a serve process.
func child(how string) {
	params, err := io.ReadAll(os.Stdin)
	if err != nil {
		os.Exit(5)
	}
	fmt.Println("a warning of the runtime")
	switch how {
	case "fails":
		fmt.Fprintln(os.Stderr, strings.Repeat("x", 2*maxOutput), "child read", string(params))
		os.Exit(3)
	case "is ready":
		if err := Ready(); err != nil {
			os.Exit(4)
		}
		os.Exit(0)
	}
	select {} // it is killed
}

// What becomes of a real child must be what start goes by: its words and its
// code, that it is ready though it lives on, or that its time is over.
func TestSpawn(t *testing.T) {
	if how := os.Getenv(childEnv); how != "" {
		child(how)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := func(ctx context.Context, how string) error {
		t.Setenv(childEnv, how)
		return spawn(ctx, exe, Command{Args: []string{"-test.run", "^TestSpawn$", "-test.timeout", "20s"}, Stdin: []byte("parameters")})
	}
	if err := run(t.Context(), "is ready"); err != nil {
		t.Errorf("a child that is ready: %v", err)
	}
	err = run(t.Context(), "fails")
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "child read parameters") || len(err.Error()) > 2*maxOutput {
		t.Errorf("a child that fails: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := run(ctx, "hangs"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a child that hangs: %v", err)
	}
	for _, alone := range []bool{false, true} {
		if err := spawn(t.Context(), filepath.Join(t.TempDir(), "absent"), Command{Alone: alone}); err == nil {
			t.Error("a program that is not there was run")
		}
	}
	if _, err := Native().Dial(t.Context(), filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("dial of what nobody serves: %v", err)
	}
}

// A delete action has seconds, and on a node under load a process takes some to
// come up: the helper's are its own, and it outlives who started it.
func TestSpawnAlone(t *testing.T) {
	done := os.Getenv(doneEnv)
	if done != "" { // the helper: nobody hears it
		_, _ = fmt.Println("nobody reads this")
		if err := os.WriteFile(done, nil, 0o600); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	done = filepath.Join(t.TempDir(), "done")
	t.Setenv(doneEnv, done)
	ctx, cancel := context.WithCancel(t.Context())
	err = spawn(ctx, exe, Command{Args: []string{"-test.run", "^TestSpawnAlone$", "-test.timeout", "20s"}, Alone: true})
	cancel() // delete's time is up
	if err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(done); err == nil {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("the helper has not worked")
		}
	}
}

const doneEnv = "LAUNCH_TEST_DONE"

// deleteLab is an emulated machine on which a shim has died.
type deleteLab struct {
	layers.Store // nil: a call that delete should not make shows at once

	emu    *hcsemu.Emulator
	m      *Manager
	bundle string
	log    bytes.Buffer
	undone []string // scratches unmounted
}

const owner = "containerd-shim-isol-v1.exe"

func newDeleteLab(t *testing.T) *deleteLab {
	l := &deleteLab{emu: hcsemu.New(hcsemu.Config{TrustNames: true}), bundle: t.TempDir()}
	t.Cleanup(l.emu.Close)
	h := hcsemu.NewHost(l.emu, hcsemu.Caller{PID: 2, Exe: owner})
	l.m = &Manager{
		Host:  func() (hcs.Host, error) { return h, nil },
		Owner: owner,
		Crash: crash.Dir(t.TempDir()),
		Undo:  func(h hcs.Host) journal.Undoers { return undo.Machine{Host: h, Owner: owner, Layers: l}.Undoers() },
		Log:   slog.New(slog.NewTextHandler(&l.log, nil)),
	}
	return l
}

// Unmount implements layers.Store; delete calls nothing else of it.
func (l *deleteLab) Unmount(_ context.Context, scratch string) error {
	l.undone = append(l.undone, scratch)
	return nil
}

// system leaves a system behind, as a shim that dies does.
func (l *deleteLab) system(t *testing.T, id, owner string) {
	t.Helper()
	h := hcsemu.NewHost(l.emu, hcsemu.Caller{PID: 3, Exe: owner})
	s, err := h.Create(t.Context(), id, &schema.ComputeSystem{
		Owner: owner, SchemaVersion: &schema.Version{Major: 2, Minor: 1},
		Container: &schema.Container{Storage: &schema.Storage{Path: `\\?\Volume{6e8c2a53-94d1-4a6b-a24f-5a3b6f6e1c11}\`,
			Layers: []schema.Layer{{ID: "6e8c2a53-94d1-4a6b-a24f-5a3b6f6e1c12", Path: `C:\l`}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (l *deleteLab) stop(t *testing.T, id string) (*task.DeleteResponse, error) {
	return l.m.Delete(t.Context(), "default", id, l.bundle)
}

func (l *deleteLab) ids(t *testing.T) []string {
	h := hcsemu.NewHost(l.emu, hcsemu.Caller{PID: 4, Exe: "test"})
	list, err := h.List(t.Context(), schema.SystemQuery{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, s := range list {
		ids = append(ids, s.ID)
	}
	return ids
}

// delete after a crash: what the shim left goes, what others own stays, the
// reason is told, and doing it again is fine.
func TestDeleteCleansUp(t *testing.T) {
	l := newDeleteLab(t)
	l.system(t, "c1", owner)
	l.system(t, "c2", owner)
	j, err := journal.Create(filepath.Join(l.bundle, journal.FileName), journal.Header{ID: "c1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []journal.Record{{Kind: journal.KindLayerMount, Name: `C:\snapshots\3`}, {Kind: journal.KindComputeSystem, Name: "c1"}} {
		if _, err := j.Acquire(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	crashFile := l.m.Crash.Path("default", "c1")
	if err := os.WriteFile(crashFile, []byte("panic: out of luck"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		status, err := l.stop(t, "c1")
		if err != nil || status.ExitStatus != 255 || !status.ExitedAt.IsValid() {
			t.Fatalf("status %v, %v", status, err)
		}
	}
	if diff := cmp.Diff([]string{"c2"}, l.ids(t)); diff != "" {
		t.Errorf("systems left (-want +got):\n%s", diff)
	}
	if !cmp.Equal(l.undone, []string{`C:\snapshots\3`}) {
		t.Errorf("undone %v", l.undone)
	}
	if !strings.Contains(l.log.String(), "out of luck") {
		t.Errorf("the crash is not told:\n%s", &l.log)
	}
}

// A system of the same id that another program made is not ours to end.
func TestDeleteLeavesOthersAlone(t *testing.T) {
	l := newDeleteLab(t)
	l.system(t, "c1", "docker")
	if _, err := l.stop(t, "c1"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"c1"}, l.ids(t)); diff != "" {
		t.Errorf("systems left (-want +got):\n%s", diff)
	}
}

// What cannot be released must be an error, so that containerd keeps the bundle
// with its journal and asks again.
func TestDeleteThatCannotClean(t *testing.T) {
	l := newDeleteLab(t)
	l.m.Host = func() (hcs.Host, error) { return nil, hcs.ErrUnavailable }
	if _, err := l.stop(t, "c1"); !errors.Is(err, hcs.ErrUnavailable) {
		t.Errorf("without HCS: %v", err)
	}
	if _, err := l.m.Delete(t.Context(), "", "c1", l.bundle); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("without a namespace: %v", err)
	}
}

func TestInfo(t *testing.T) {
	m := &Manager{Version: "v1", Revision: "abc"}
	options := &anypb.Any{TypeUrl: "runtimeoptions.v1.Options", Value: []byte("x")}
	for name, tc := range map[string]struct {
		stdin io.Reader
		want  *anypb.Any
	}{
		"options":       {bytes.NewReader(marshal(t, options)), options},
		"nothing":       {strings.NewReader(""), nil},
		"noise":         {strings.NewReader("\xff\xff"), nil},
		"broken reader": {broken{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			info := m.Info(tc.stdin)
			want := &types.RuntimeInfo{
				Name: "io.containerd.isol.v1", Version: &types.RuntimeVersion{Version: "v1", Revision: "abc"},
				Options: tc.want, Annotations: map[string]string{"containerd.io/runtime-allow-mounts": "windows-layer"},
			}
			if diff := cmp.Diff(want, info, protocmp.Transform()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }
