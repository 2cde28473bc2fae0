package dlltest

import (
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Microsoft/hcsshim"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/computecore"
	"github.com/isolrun/isol/internal/hcs/hcstest"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// rootfs mounts a writable layer over one parent, as a shim does, and returns
// the storage of a container on it and how to give it up.
func rootfs(t *testing.T) (storage *schema.Storage, release func()) {
	t.Helper()
	home := t.TempDir()
	di := hcsshim.DriverInfo{HomeDir: home}
	base := filepath.Join(home, "base")
	check(t, hcsshim.CreateLayer(di, "base", ""))
	check(t, hcsshim.CreateSandboxLayer(di, "scratch", "", []string{base}))
	check(t, hcsshim.ActivateLayer(di, "scratch"))
	check(t, hcsshim.PrepareLayer(di, "scratch", []string{base}))
	volume, err := hcsshim.GetLayerMountPath(di, "scratch")
	check(t, err)
	id, err := hcsshim.NameToGuid("base")
	check(t, err)
	storage = &schema.Storage{Path: volume, Layers: []schema.Layer{{ID: id.ToString(), Path: base}}}
	return storage, func() { unmount(t, di, "scratch") }
}

// unmount retries while a container that has just ended still holds the layer.
func unmount(t *testing.T, di hcsshim.DriverInfo, id string) {
	t.Helper()
	var err error
	for range 100 {
		if err = hcsshim.UnprepareLayer(di, id); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	check(t, err)
	check(t, hcsshim.DeactivateLayer(di, id))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func document(t *testing.T) *schema.ComputeSystem {
	t.Helper()
	storage, release := rootfs(t)
	t.Cleanup(release)
	return container(storage)
}

func container(storage *schema.Storage) *schema.ComputeSystem {
	return &schema.ComputeSystem{
		Owner: "dlltest", SchemaVersion: schema.V21(), ShouldTerminateOnLastHandleClosed: true,
		Container: &schema.Container{Storage: storage},
	}
}

func host(t *testing.T) hcs.Host {
	t.Helper()
	h, err := computecore.New(nil)
	check(t, err)
	return h
}

// isol's adapter keeps the port's promises over computecore.dll.
func TestComputeCore(t *testing.T) {
	hcstest.Run(t, func(t *testing.T) hcstest.Env {
		return hcstest.Env{
			Host: host(t), Document: document,
			Commands: hcstest.Commands{
				Forever: command("forever"), Cat: command("cat"), Missing: `C:\none\missing.exe`,
				Exit:    func(code uint32) string { return command("exit", strconv.FormatUint(uint64(code), 10)) },
				Echo:    func(text string) string { return command("echo", text) },
				EchoErr: func(text string) string { return command("echoerr", text) },
			},
		}
	})
}

// start runs a command in a new container, with output.
func start(t *testing.T, line string, change func(*schema.ProcessParameters)) hcs.Process {
	t.Helper()
	s, err := host(t).Create(t.Context(), "dlltest-"+strconv.FormatInt(time.Now().UnixNano(), 36), document(t))
	check(t, err)
	t.Cleanup(func() { _ = s.Close() })
	check(t, s.Start(t.Context()))
	params := &schema.ProcessParameters{CommandLine: line, CreateStdOutPipe: true}
	if change != nil {
		change(params)
	}
	p, err := s.CreateProcess(t.Context(), params)
	check(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// Output is not copied on its way: the rate is what Wine's pipes give.
func TestThroughput(t *testing.T) {
	const megabytes = 64
	p := start(t, command("flood", strconv.Itoa(megabytes)), nil)
	begin := time.Now()
	n, err := io.Copy(io.Discard, p.Stdout())
	check(t, err)
	if n != megabytes<<20 {
		t.Errorf("%d bytes, want %d MiB", n, megabytes)
	}
	t.Logf("%.0f MB/s", float64(n)/1e6/time.Since(begin).Seconds())
}

// A container sees its own variables and few of the host's.
func TestEnvironment(t *testing.T) {
	p := start(t, command("environment"), func(p *schema.ProcessParameters) {
		p.Environment = map[string]string{"GREETING": "hello world"}
	})
	out, err := io.ReadAll(p.Stdout())
	check(t, err)
	text := string(out)
	if !strings.Contains(text, "GREETING=hello world") || !strings.Contains(strings.ToUpper(text), "SYSTEMROOT=") {
		t.Errorf("variables are missing:\n%s", text)
	}
	if strings.Contains(text, "ISOL_HVSOCK_DIR") {
		t.Errorf("the host's variables show:\n%s", text)
	}
}
