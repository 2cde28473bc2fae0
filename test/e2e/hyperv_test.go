package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/vm"
	"github.com/isolrun/isol/test/lab"
)

// settled fails the test if anything of a VM is left.
func settled(t *testing.T, l *lab.Lab) {
	t.Helper()
	clean(t, l)
	ctx, cancel := context.WithTimeout(t.Context(), soonLimit)
	defer cancel()
	if err := l.WaitGuests(ctx); err != nil {
		t.Errorf("guests: %v", err)
	}
}

func programs(t *testing.T, l *lab.Lab, name string) int {
	t.Helper()
	processes, err := l.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, p := range processes {
		if strings.EqualFold(p.Name, name) {
			n++
		}
	}
	return n
}

// Hyper-V isolation's promise: the host sees the VM's worker and nothing of
// what runs in it. All that works in process mode works there.
func TestHyperV(t *testing.T) {
	l := vms.of(t)
	m := emulated{l}
	t.Run("output and exit code", func(t *testing.T) {
		if out := must(t, m, "run", "--rm", "--isolated", "--runtime", isol, m.Image(), "hv1", "cmd", "/c", "echo hello"); strings.TrimSpace(out) != "hello" {
			t.Errorf("printed %q", out)
		}
		if r := ctr(t, m, "run", "--rm", "--isolated", "--runtime", isol, m.Image(), "hv2", "cmd", "/c", "exit 7"); r.ExitCode != 7 {
			t.Errorf("exit code %d, want 7: %s", r.ExitCode, r.Stderr)
		}
		settled(t, l)
	})
	t.Run("life", func(t *testing.T) {
		must(t, m, "run", "-d", "--isolated", "--runtime", isol, m.Image(), "hv3", "ping", "-t", "localhost")
		if out := must(t, m, "task", "ps", "hv3"); !strings.Contains(out, "ping.exe") {
			t.Errorf("the container's processes: %s", out)
		}
		if n := programs(t, l, "ping.exe"); n != 0 {
			t.Errorf("the host sees %d ping.exe of the VM", n)
		}
		if n := programs(t, l, "vmwp.exe"); n != 1 {
			t.Errorf("the host has %d vmwp.exe, want the VM's", n)
		}
		if out := must(t, m, "task", "exec", "--exec-id", "e1", "hv3", "cmd", "/c", "echo from the VM"); strings.TrimSpace(out) != "from the VM" {
			t.Errorf("exec printed %q", out)
		}
		if r := ctr(t, m, "task", "exec", "--exec-id", "e2", "hv3", "nosuchprogram.exe"); r.ExitCode == 0 || !strings.Contains(r.Stderr, "nosuchprogram.exe") {
			t.Errorf("exec of nothing: %d, %q", r.ExitCode, r.Stderr)
		}
		if out := must(t, m, "task", "metrics", "hv3"); !strings.Contains(out, "memory.commit_bytes") {
			t.Errorf("metrics: %s", out)
		}
		remove(t, m, "hv3")
		if n := programs(t, l, "vmwp.exe"); n != 0 {
			t.Errorf("%d vmwp.exe are left", n)
		}
		settled(t, l)
	})
	t.Run("output in bulk", func(t *testing.T) {
		const size = 8 << 20
		r, err := m.Ctr(t.Context(), "", "run", "--rm", "--isolated", "--runtime", isol, m.Image(), "hv4", "probe", "spew", "8388608")
		if err != nil || r.ExitCode != 0 || len(r.Stdout) != size {
			t.Errorf("exit %d, %v, %d bytes of %d arrived: %s", r.ExitCode, err, len(r.Stdout), size, r.Stderr)
		}
		settled(t, l)
	})
	t.Run("crash of the guest", func(t *testing.T) {
		must(t, m, "run", "-d", "--isolated", "--runtime", isol, m.Image(), "hv5", "probe", "sleep", "600")
		if _, err := l.Machine(vm.Crash, "hv5@vm"); err != nil {
			t.Fatal(err)
		}
		stopped := false
		for deadline := time.Now().Add(20 * time.Second); !stopped && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			stopped = strings.Contains(must(t, m, "task", "ls"), "STOPPED")
		}
		if !stopped {
			t.Error("the task looks alive over a dead VM")
		}
		must(t, m, "task", "delete", "-f", "hv5")
		must(t, m, "container", "delete", "hv5")
		settled(t, l)
	})
	t.Run("boot fails", func(t *testing.T) {
		for _, function := range []string{"HcsCreateComputeSystem", "HcsStartComputeSystem", "HcsModifyComputeSystem"} {
			if err := l.Faults(hcsemu.Fault{Function: function, Action: hcsemu.ActionFail, Code: "0x80370106"}); err != nil {
				t.Fatal(err)
			}
			r := ctr(t, m, "run", "--rm", "--isolated", "--runtime", isol, m.Image(), "hv6", "cmd")
			if r.ExitCode == 0 || !strings.Contains(r.Stderr, "hv6") {
				t.Errorf("%s fails: exit %d, %q", function, r.ExitCode, r.Stderr)
			}
			ctr(t, m, "container", "delete", "hv6")
			if err := l.Faults(); err != nil {
				t.Fatal(err)
			}
			settled(t, l)
		}
	})
}

// Without a hypervisor the refusal comes from isol, before any VM is tried,
// and says what to do.
func TestNoHypervisor(t *testing.T) {
	m := machine(t)
	if _, real := m.(host); real {
		t.Skip("whether this host has a hypervisor is not known")
	}
	r := ctr(t, m, "run", "--rm", "--isolated", "--runtime", isol, m.Image(), "nohv", "cmd")
	if r.ExitCode == 0 || !strings.Contains(r.Stderr, "hypervisor") {
		t.Errorf("exit %d, %q", r.ExitCode, r.Stderr)
	}
	ctr(t, m, "container", "delete", "nohv")
}
