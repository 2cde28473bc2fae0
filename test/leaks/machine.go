package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/vm"
	"github.com/isolrun/isol/test/lab"
)

// settleLimit is how long a machine may take to give back what a killed
// program and containerd's cleanup left under way.
const settleLimit = 4 * time.Second

// machine is the emulated machine that all phases share.
type machine struct {
	*lab.Lab
	containerd *containerd
	seen       int // the last recorded call that was looked at
	names      int // of containers so far
}

func (m *machine) close() error {
	return errors.Join(m.containerd.conn.Close(), m.Close())
}

// calls returns the calls that the program has made since the last time.
func (m *machine) calls(exe string) ([]hcsemu.Call, error) {
	calls, err := m.Calls(hcsemu.CallFilter{Exe: exe, After: m.seen})
	for _, c := range calls {
		m.seen = max(m.seen, c.Seq)
	}
	return calls, err
}

// settle waits until the machine holds nothing that it did not hold before, and
// returns what it still holds when that took too long.
func (m *machine) settle(ctx context.Context, before hcsemu.Ledger) (hcsemu.Ledger, error) {
	limit := time.NewTimer(settleLimit)
	defer limit.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		now, err := m.Ledger()
		if err != nil {
			return nil, err
		}
		left := added(before, m.held(now))
		if len(left) == 0 {
			return nil, nil
		}
		select {
		case <-tick.C:
		case <-limit.C:
			return left, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// held is what must go with a container. Access to a file ends with the file,
// of which the ledger does not hear when containerd removes it.
func (m *machine) held(l hcsemu.Ledger) hcsemu.Ledger {
	return slices.DeleteFunc(slices.Clone(l), func(x hcsemu.Entry) bool {
		if x.Kind != "vm access" {
			return x.Lasting
		}
		_, err := os.Stat(m.Path(x.ID))
		return err != nil
	})
}

// added returns what is in now and not in before.
func added(before, now hcsemu.Ledger) hcsemu.Ledger {
	return slices.DeleteFunc(slices.Clone(now), func(x hcsemu.Entry) bool {
		return slices.ContainsFunc(before, func(y hcsemu.Entry) bool {
			return x.Kind == y.Kind && x.ID == y.ID && x.System == y.System
		})
	})
}

// quench ends the systems among what is left, so that they do not use up the
// machine under later points. Layers and the like stay: each point has its own.
func (m *machine) quench(left hcsemu.Ledger) error {
	machines, err := m.Machines()
	if err != nil {
		return err
	}
	for _, x := range left {
		if x.Kind != "system" {
			continue
		}
		if slices.ContainsFunc(machines, func(s vm.Status) bool { return s.ID == x.ID && s.Running }) {
			_, err = m.Machine(vm.Crash, x.ID)
		} else {
			err = m.Crash(x.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// remains counts the processes of a shim and the bundles of tasks.
func (m *machine) remains(ctx context.Context, exe string) (shims, bundles int, err error) {
	processes, err := m.Processes(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, p := range processes {
		if strings.EqualFold(p.Name, exe) {
			shims++
		}
	}
	entries, err := os.ReadDir(m.Path(lab.StateFolder + `\io.containerd.runtime.v2.task\` + namespace))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return shims, len(entries), err
}
