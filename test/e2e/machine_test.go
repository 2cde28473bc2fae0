package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/isolrun/isol/test/lab"
)

const (
	isol   = "io.containerd.isol.v1"
	runhcs = "io.containerd.runhcs.v1"

	runhcsShim = "containerd-shim-runhcs-v1.exe"
)

// Machine is a Windows machine with containerd and isol's shim.
type Machine interface {
	// Ctr runs ctr.exe with the given input.
	Ctr(ctx context.Context, stdin string, args ...string) (lab.Result, error)
	// Image is a Windows image that fits the machine.
	Image() string
	// HasProcess says whether the machine's process list has the program under this id.
	HasProcess(ctx context.Context, pid, program string) (bool, error)
}

// emulated is the lab's machine.
type emulated struct{ *lab.Lab }

func (m emulated) Ctr(ctx context.Context, stdin string, args ...string) (lab.Result, error) {
	p, err := m.StartProcess(ctx, lab.Command{Args: append([]string{lab.CtrExe}, args...), Stdin: strings.NewReader(stdin)})
	if err != nil {
		return lab.Result{}, err
	}
	return p.Wait()
}

func (m emulated) HasProcess(ctx context.Context, pid, program string) (bool, error) {
	processes, err := m.Processes(ctx)
	for _, p := range processes {
		if fmt.Sprint(p.PID) == pid && strings.EqualFold(p.Name, program) {
			return true, nil
		}
	}
	return false, err
}

// host is the Windows machine that the test runs on.
type host struct{ image string }

func (m host) Ctr(ctx context.Context, stdin string, args ...string) (lab.Result, error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, "ctr.exe", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil
	}
	return lab.Result{Stdout: out.String(), Stderr: errs.String(), ExitCode: cmd.ProcessState.ExitCode()}, err
}

func (m host) Image() string { return m.image }

func (m host) HasProcess(ctx context.Context, pid, program string) (bool, error) {
	out, err := exec.CommandContext(ctx, "tasklist.exe", "/FI", "PID eq "+pid, "/FO", "CSV", "/NH").Output()
	return strings.Contains(strings.ToLower(string(out)), strings.ToLower(program)), err
}

// A sharedLab is a lab that many tests run in: booting one takes seconds. A test
// that fails gives it up, and the next has one without what that test has left.
// Tests use it one after the other.
type sharedLab struct {
	start func(*testing.T) (*lab.Lab, error)
	lab   *lab.Lab // nil before the first test, and after one that failed
	err   error    // of a lab that did not start: the next would not either
}

// The labs of this package's tests.
var (
	shared = sharedLab{start: func(t *testing.T) (*lab.Lab, error) { return boot(t, lab.Config{}) }}
	vms    = sharedLab{start: bootCrossings} // with a hypervisor, and what crossings lead to
	pods   = sharedLab{start: func(t *testing.T) (*lab.Lab, error) { return boot(t, lab.Config{CRI: true, Guests: 2}) }}
)

// of returns the lab for a test, which fails if it leaves anything there.
func (s *sharedLab) of(t *testing.T) *lab.Lab {
	t.Helper()
	if os.Getenv("ISOL_E2E_HOST") != "" {
		t.Skip("needs an emulated machine")
	}
	lab.Require(t)
	if s.lab == nil && s.err == nil {
		s.lab, s.err = s.start(t)
	}
	if s.err != nil {
		t.Fatal(s.err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	watch(t, s.lab)
	return s.lab
}

// close may be called again.
func (s *sharedLab) close() error {
	l := s.lab
	if l == nil {
		return nil
	}
	s.lab = nil
	return l.Close()
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, s := range []*sharedLab{&shared, &vms, &pods} {
		if err := s.close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// machine returns the machine to test on. The test fails if it leaves anything
// in an emulated machine's ledger.
func machine(t *testing.T) Machine {
	t.Helper()
	if os.Getenv("ISOL_E2E_HOST") != "" {
		image := os.Getenv("ISOL_E2E_IMAGE")
		if image == "" {
			t.Skip("ISOL_E2E_IMAGE names no image: pull a Windows image that fits this host and name it")
		}
		return host{image}
	}
	return emulated{shared.of(t)}
}

// watch fails the test if it leaves anything in a lab that others use as well.
func watch(t *testing.T, l *lab.Lab) {
	t.Cleanup(func() {
		if err := l.Faults(); err != nil {
			t.Error(err)
		}
		clean(t, l)
		if t.Failed() {
			t.Log(lab.Notable(l.Logs()))
		}
	})
}

// boot starts a lab with both shims. It lives until TestMain ends it.
func boot(t *testing.T, cfg lab.Config) (*lab.Lab, error) {
	progress := func(line string) { t.Log("lab: " + line) }
	shim, err := lab.BuildIsolShim(t.Context(), progress)
	if err != nil {
		return nil, err
	}
	cfg.Shims, cfg.Out = map[string]string{lab.IsolShim: shim}, t.Output()
	return lab.Start(context.WithoutCancel(t.Context()), cfg)
}

// clean fails the test if the emulated services have not everything back, or if
// a process of a shim or a container is left. A deleted task's shim may still be
// on its way out.
func clean(t *testing.T, l *lab.Lab) {
	t.Helper()
	for deadline := time.Now().Add(soonLimit / 2); ; time.Sleep(50 * time.Millisecond) {
		left, err := leftovers(l)
		if err != nil {
			t.Fatal(err)
		}
		if left == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("left behind:\n%s", left)
			return
		}
	}
}

// leftovers lists what of containers is on the machine. The processes are only
// asked for when the ledger is empty: that costs a process.
func leftovers(l *lab.Lab) (string, error) {
	ledger, err := l.Ledger()
	if err != nil || !ledger.Empty() {
		return ledger.Leaks().String(), err
	}
	processes, err := l.Processes(context.Background()) // the test's context ends before Cleanup
	var left []string
	for _, p := range processes {
		switch name := strings.ToLower(p.Name); name {
		case lab.IsolShim, runhcsShim, "ping.exe", "probe.exe", "cmd.exe":
			left = append(left, fmt.Sprintf("process %d %s", p.PID, name))
		}
	}
	return strings.Join(left, "\n"), err
}

// ctr runs ctr and returns what it left; only a ctr that can't run is fatal.
func ctr(t *testing.T, m Machine, args ...string) lab.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	r, err := m.Ctr(ctx, "", args...)
	if err != nil {
		t.Fatalf("ctr %s: %v\n%s%s", strings.Join(args, " "), err, r.Stdout, r.Stderr)
	}
	return r
}

// must runs ctr, which must succeed, and returns its output.
func must(t *testing.T, m Machine, args ...string) string {
	t.Helper()
	r := ctr(t, m, args...)
	if r.ExitCode != 0 {
		t.Fatalf("ctr %s: exit %d\n%s%s", strings.Join(args, " "), r.ExitCode, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// remove takes a container with its task away.
func remove(t *testing.T, m Machine, id string) {
	t.Helper()
	ctr(t, m, "task", "kill", "-s", "SIGKILL", id)
	ctr(t, m, "task", "delete", "-f", id)
	must(t, m, "container", "delete", id)
}
