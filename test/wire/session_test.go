package wire

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/pod"
	"github.com/isolrun/isol/internal/shim/admission"
	"github.com/isolrun/isol/internal/shim/service"
	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/layerdriver"
)

// The ttrpc client of containerd 1.6 goes through a container's life: the names
// of services and methods, headers, codes of errors and the messages within
// messages must be what it expects.
func TestGogoSession(t *testing.T) {
	exe, err := gogo()
	if err != nil {
		t.Fatal(err)
	}
	emulator := hcsemu.New(hcsemu.Config{})
	t.Cleanup(emulator.Close)
	address := serve(t, emulator)
	bundle := t.TempDir()
	const config = `{"ociVersion":"1.0.2","process":{"commandLine":"ping -t localhost","cwd":"C:\\"},"root":{"path":""},"windows":{"layerFolders":[]}}`
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), exe, address, bundle)
	cmd.Stderr = &stderr
	got, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	const want = `state before create: error, of a task that is not there: true
create: ok
start: has a pid: true
state: RUNNING, exit time set: false
exec: ok
pids: *options.ProcessDetails, of the process: true
stats: *stats.Statistics, of Windows: true
kill: ok
wait: failed: true, exit time set: true
delete: failed: true
kill after delete: error, of a task that is not there: true
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if leaks := emulator.Ledger().Leaks(); len(leaks) > 0 {
		t.Errorf("left on the machine:\n%v", leaks)
	}
}

// serve serves the Task API of a pod on an emulated machine and returns its socket.
func serve(t *testing.T, emulator *hcsemu.Emulator) string {
	t.Helper()
	const owner = "containerd-shim-isol-v1.exe"
	client := emulator.Connect(hcsemu.Caller{PID: 4711, Exe: owner})
	log := slog.New(slog.DiscardHandler)
	p, err := pod.New(pod.Config{
		Owner: owner, HostBuild: 20348, Host: hcsemu.HostOn(client), Layers: layers.NewStore(layerdriver.New(client)),
		Stdio: noStreams{}, Events: noEvents{}, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &service.Service{Namespace: "default", Pod: p, Log: log, Exit: func() {}, Admit: &admission.Reader{
		Probe: func() (host.Facts, error) { return host.Load("server2022") },
		Image: func([]string) (host.Image, error) { return host.Image{}, nil },
		Log:   log,
	}}
	server, err := ttrpc.NewServer(ttrpc.WithUnaryServerInterceptor(service.Interceptor(log, func() {})))
	if err != nil {
		t.Fatal(err)
	}
	s.Register(server)
	dir, err := os.MkdirTemp("", "isol") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	listener, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(context.Background(), listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

// noEvents and noStreams stand for a containerd that reads neither: what they
// carry is tested elsewhere.
type noEvents struct{}

func (noEvents) Publish(pod.Event) {}

type noStreams struct{}

func (noStreams) Open(context.Context, string, string, pod.StdioConfig) (pod.Streams, error) {
	return noStreams{}, nil
}
func (noStreams) Relay(io.WriteCloser, io.Reader, io.Reader) {}
func (noStreams) CloseStdin() error                          { return nil }
func (noStreams) Drain(context.Context, time.Duration) error { return nil }
func (noStreams) Close() error                               { return nil }
