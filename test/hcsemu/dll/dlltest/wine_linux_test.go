package dlltest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/isolrun/isol/test/hcsemu/dll"
)

// winePaths are where distributions put Wine's loader.
var winePaths = []string{"/usr/lib/wine/wine64", "/usr/bin/wine64", "/usr/bin/wine"}

// machine is a Wine prefix with the DLLs in it.
type machine struct {
	t    *testing.T
	wine string
	dir  string
	env  []string
}

// The Windows half of this package passes under Wine, against the service.
func TestUnderWine(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Wine: not in short mode")
	}
	m := newMachine(t)
	m.build("hcsemu.exe", "build", "github.com/isolrun/isol/test/hcsemu/cmd/hcsemu")
	m.build("dlltest.exe", "test", "-c", ".")
	service := m.serve()

	out, err := m.run(`C:\dlltest.exe`, append([]string{"-test.v"}, filters()...)...)
	t.Logf("under Wine:\n%s", out)
	if err != nil {
		t.Errorf("the tests under Wine: %v", err)
	}
	if out, err := m.run(`C:\hcsemu.exe`, "ledger"); err != nil {
		t.Errorf("after all tests something is handed out: %v\n%s", err, out)
	}
	if out, err := m.run(`C:\hcsemu.exe`, "stop"); err != nil {
		t.Errorf("stop: %v\n%s", err, out)
	}
	_ = service.Wait() // the tests stop the service themselves; its own end says nothing
}

// filters hands -run of this test's command line to the tests under Wine, as
// in DLLTEST_RUN=TestNetworks.
func filters() []string {
	if run := os.Getenv("DLLTEST_RUN"); run != "" {
		return []string{"-test.run=" + run}
	}
	return nil
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir()}
	for _, path := range winePaths {
		if _, err := os.Stat(path); err == nil {
			m.wine = path
			break
		}
	}
	if m.wine == "" {
		t.Skip("Wine is not installed (Debian: apt-get install wine64)")
	}
	m.env = []string{
		"WINEPREFIX=" + m.dir, "WINEARCH=win64", "WINEDEBUG=-all", "HOME=" + m.dir, "PATH=/usr/bin:/bin",
		"WINEDLLOVERRIDES=mscoree=;mshtml=;winemenubuilder.exe=;bcryptprimitives=n",
		`ISOL_HVSOCK_DIR=C:\hvsock`,
	}
	t.Cleanup(m.stop)
	if out, err := m.run("wineboot", "--init"); err != nil {
		t.Fatalf("wineboot: %v\n%s", err, out)
	}
	err := dll.Build(t.Context(), m.path("windows/system32"))
	if errors.Is(err, dll.ErrNoCompiler) {
		t.Skip(err)
	}
	if err == nil {
		err = os.Mkdir(m.path("hvsock"), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// path is the place of a file of drive C:.
func (m *machine) path(name string) string { return filepath.Join(m.dir, "drive_c", name) }

func (m *machine) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, m.wine, append([]string{program}, args...)...)
	cmd.Env, cmd.Dir = m.env, m.dir
	return cmd
}

// run runs a program to its end and returns its output. That goes to a file
// and not to a pipe: Wine's server, which a program may start, would hold the pipe.
func (m *machine) run(program string, args ...string) (string, error) {
	m.t.Helper()
	file, err := os.CreateTemp(m.dir, "output-")
	if err != nil {
		m.t.Fatal(err)
	}
	defer file.Close()
	cmd := m.command(m.t.Context(), program, args...)
	cmd.Stdout, cmd.Stderr = file, file
	runErr := cmd.Run()
	out, err := os.ReadFile(file.Name())
	return strings.ReplaceAll(string(out), "\r", ""), errors.Join(runErr, err)
}

// build runs the go command for Windows; the result lies on drive C:.
func (m *machine) build(name string, args ...string) {
	m.t.Helper()
	args = append([]string{args[0], "-o", m.path(name)}, args[1:]...)
	cmd := exec.CommandContext(m.t.Context(), "go", args...)
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// serve starts the emulator's service and waits until it answers.
func (m *machine) serve() *exec.Cmd {
	m.t.Helper()
	cmd := m.command(m.t.Context(), `C:\hcsemu.exe`, "serve")
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	if out, err := m.run(`C:\hcsemu.exe`, "ping", "--timeout", "30s"); err != nil {
		m.t.Fatalf("the service does not answer: %v\n%s", err, out)
	}
	return cmd
}

// stop ends everything that runs in the prefix.
func (m *machine) stop() {
	for _, server := range []string{filepath.Join(filepath.Dir(m.wine), "wineserver"), "/usr/lib/wine/wineserver64", "/usr/bin/wineserver"} {
		cmd := exec.Command(server, "-k")
		cmd.Env = m.env
		if cmd.Run() == nil {
			return
		}
	}
}
