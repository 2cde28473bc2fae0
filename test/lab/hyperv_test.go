package lab_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/isolrun/isol/test/hcsemu/vm"
	"github.com/isolrun/isol/test/lab"
)

// isolated are the arguments of ctr for a container in a VM of its own.
func isolated(more ...string) []string {
	return append([]string{"run", "--isolated", "--runtime", runhcs}, more...)
}

// nothingLeft fails the test unless all machines have ended as they should,
// with guests from which the host had taken back everything, and nothing of
// the guests runs any more.
func nothingLeft(t *testing.T, l *lab.Lab) {
	t.Helper()
	emptyLedger(t, l)
	machines, err := l.Machines()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range machines {
		if m.Running || m.Ended != vm.Off || len(m.Left) > 0 {
			t.Errorf("machine at the end: %+v", m)
		}
	}
	noGuests(t, l)
}

// noGuests fails the test if guests do not go with their machines.
func noGuests(t *testing.T, l *lab.Lab) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := l.WaitGuests(ctx); err != nil {
		t.Error(err)
	}
}

// programs returns the pids of the host's processes of that name.
func programs(t *testing.T, l *lab.Lab, name string) []string {
	t.Helper()
	processes, err := l.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var pids []string
	for _, p := range processes {
		if strings.EqualFold(p.Name, name) {
			pids = append(pids, strconv.FormatUint(uint64(p.PID), 10))
		}
	}
	return pids
}

// Microsoft's shim in Hyper-V mode, unmodified, is the witness that the
// emulated utility VM behaves as one: boot, bridge, devices, layers, stdio.
func TestRunhcsIsolated(t *testing.T) {
	l := start(t, lab.Config{Guests: 1})
	began := time.Now()
	out := ctr(t, l, isolated("--rm", l.Image(), "c1", "cmd", "/c", "echo hi")...)
	t.Logf("ctr run --isolated took %s", time.Since(began).Round(time.Millisecond))
	if strings.TrimSpace(out) != "hi" {
		t.Errorf("echo printed %q", out)
	}
	nothingLeft(t, l)

	r, err := l.Ctr(t.Context(), isolated("--rm", l.Image(), "c2", "probe", "exit", "7")...)
	if err != nil || r.ExitCode != 7 {
		t.Errorf("a container that exits with 7: %d, %v: %s", r.ExitCode, err, r.Stderr)
	}
	nothingLeft(t, l)
}

// The other half of the isolation walk-through: the container's process is in
// no list of the host's, one vmwp.exe per machine is.
func TestHostSeesNoProcessOfAVM(t *testing.T) {
	l := start(t, lab.Config{Guests: 2})
	for _, id := range []string{"c1", "c2"} {
		ctr(t, l, isolated("-d", l.Image(), id, "probe", "sleep", "600")...)
	}
	if inside := ctr(t, l, "task", "ps", "c1"); !strings.Contains(inside, "probe.exe") {
		t.Errorf("the container's own list: %q", inside)
	}
	if pids := programs(t, l, "probe.exe"); len(pids) > 0 {
		t.Errorf("the host sees the containers' processes %v", pids)
	}
	machines, err := l.Machines()
	if err != nil {
		t.Fatal(err)
	}
	var workers []string
	for _, m := range machines {
		workers = append(workers, strconv.FormatUint(uint64(m.WorkerPID), 10))
	}
	seen := programs(t, l, "vmwp.exe")
	slices.Sort(workers)
	slices.Sort(seen)
	if len(seen) != 2 || !slices.Equal(seen, workers) {
		t.Errorf("the host sees vmwp.exe as %v, the machines have %v", seen, workers)
	}
	for _, id := range []string{"c1", "c2"} {
		ctr(t, l, "task", "kill", "-s", "SIGKILL", id)
		ctr(t, l, "task", "delete", "-f", id)
		ctr(t, l, "container", "delete", id)
	}
	if pids := programs(t, l, "vmwp.exe"); len(pids) > 0 {
		t.Errorf("vmwp.exe outlives its machines: %v", pids)
	}
	nothingLeft(t, l)
}

// A machine that nobody asked for is refused, as on a computer without Hyper-V.
func TestNoHypervisor(t *testing.T) {
	l := start(t, lab.Config{})
	r, err := l.Ctr(t.Context(), isolated("--rm", l.Image(), "c1", "cmd", "/c", "echo hi")...)
	const notInstalled = "3224830210" // HCS_E_HYPERV_NOT_INSTALLED, for which Wine has no text
	if err != nil || r.ExitCode == 0 || !strings.Contains(r.Stderr, notInstalled) {
		t.Errorf("without a hypervisor: exit %d, %v: %s", r.ExitCode, err, r.Stderr)
	}
	emptyLedger(t, l)
}

// A guest that dies, and a worker process that does, end the machine: the
// host's systems are told, and nothing of the guest stays.
func TestMachineDies(t *testing.T) {
	for name, kill := range map[string]func(t *testing.T, l *lab.Lab, m vm.Status){
		"guest crashes": func(t *testing.T, l *lab.Lab, m vm.Status) {
			if _, err := l.Machine(vm.Crash, m.ID); err != nil {
				t.Fatal(err)
			}
		},
		"worker is killed": func(t *testing.T, l *lab.Lab, m vm.Status) {
			r, err := l.Run(t.Context(), "taskkill", "/f", "/pid", strconv.FormatUint(uint64(m.WorkerPID), 10))
			if err != nil || r.ExitCode != 0 {
				t.Fatalf("taskkill: %d, %v: %s", r.ExitCode, err, r.Stdout+r.Stderr)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t, lab.Config{Guests: 1})
			ctr(t, l, isolated("-d", l.Image(), "c1", "probe", "sleep", "600")...)
			machines, err := l.Machines()
			if err != nil || len(machines) != 1 || !machines[0].Running {
				t.Fatalf("machines: %+v, %v", machines, err)
			}
			kill(t, l, machines[0])
			noGuests(t, l)
			if machines, err = l.Machines(); err != nil || len(machines) != 1 || !machines[0].Crashed {
				t.Errorf("after the crash: %+v, %v", machines, err)
			}
			if pids := programs(t, l, "vmwp.exe"); len(pids) > 0 {
				t.Errorf("vmwp.exe outlives its machine: %v", pids)
			}
			// What its shim leaves behind is the shim's matter.
		})
	}
}
