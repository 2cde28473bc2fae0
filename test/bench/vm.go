package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/isolrun/isol/test/bench/driver"
	"github.com/isolrun/isol/test/bench/figure"
)

// vmRound measures a shim once with a container in a utility VM of its own.
func (b *bench) vmRound(ctx context.Context, s shim) error {
	if err := b.lab.HoldGuests(ctx, 1); err != nil {
		return err
	}
	t, err := b.newTask(ctx, s, container{args: []string{"probe", "sleep"}, isolated: true})
	if err != nil {
		return fmt.Errorf("%s with a VM: %w", s.name, err)
	}
	err = steps(
		func() error { return t.working("vm.boot.cpu", 1, func() error { return t.create("vm.boot") }) },
		t.bootPhases,
		func() error { return t.memory("vm.memory") },
		func() error {
			return t.working("vm.exec.cpu", float64(t.size.execs), func() error { return t.execs("vm.exec") })
		},
		t.loggedExecs,
		func() error {
			return t.working("vm.stdout.cpu", megabytes(float64(t.size.spew)), func() error { return t.spew("vm.stdout") })
		},
		t.own,
		func() error { return t.finish(true) },
		t.shutdown,
		func() error { return b.lab.WaitGuests(ctx) },
	)
	if err != nil {
		return fmt.Errorf("%s with a VM: %w", s.name, err)
	}
	return nil
}

// bootPhases takes the phases of the boot from isol's log.
func (t *task) bootPhases() error {
	if t.shim.legacy {
		return nil // runhcs says nothing of the kind
	}
	r, err := t.do(driver.Request{Op: driver.Log, Text: phasesMessage})
	if err != nil {
		return err
	}
	phases, err := readPhases(r.Log)
	if err != nil {
		return err
	}
	for _, p := range phases {
		id := "vm.phase." + p.name
		if !slices.Contains(t.phases, p.name) {
			t.bench.phases = append(t.bench.phases, p.name)
		}
		t.samples.Add(id, t.shim.name, milliseconds(p.took))
	}
	return nil
}

// loggedExecs takes isol's share of the execs' starts from isol's log.
func (t *task) loggedExecs() error {
	if t.shim.legacy {
		return nil
	}
	r, err := t.do(driver.Request{Op: driver.Log, Text: fmt.Sprintf("exec=e%d ", t.size.execs-1)})
	if err != nil {
		return err
	}
	own, err := readExecs(r.Log)
	for _, d := range own {
		t.samples.Add("vm.exec.logged", t.shim.name, milliseconds(d))
	}
	return err
}

// readExecs reads isol's share of each exec that has started.
func readExecs(log string) (own []time.Duration, _ error) {
	for line := range strings.Lines(log) {
		fields := strings.Fields(line)
		if !slices.Contains(fields, "msg=started") || slices.Contains(fields, `exec=""`) {
			continue
		}
		i := slices.IndexFunc(fields, func(f string) bool { return strings.HasPrefix(f, "own=") })
		if i < 0 {
			return nil, fmt.Errorf("isol's share of the exec is not in %q", strings.TrimSpace(line))
		}
		d, err := time.ParseDuration(strings.TrimPrefix(fields[i], "own="))
		if err != nil {
			return nil, err
		}
		own = append(own, d)
	}
	if len(own) == 0 {
		return nil, errors.New("isol's log has no line about an exec that has started")
	}
	return own, nil
}

type phase struct {
	name string
	took time.Duration
}

// phasesMessage is what isol logs when a task has started, with a duration per phase.
const phasesMessage = "msg=phases "

// readPhases reads the durations in the line of a log about a task's start, in
// their order.
func readPhases(log string) ([]phase, error) {
	for line := range strings.Lines(log) {
		if !strings.Contains(line, phasesMessage) {
			continue
		}
		var phases []phase
		for _, field := range strings.Fields(line) {
			name, value, ok := strings.Cut(field, "=")
			if !ok {
				continue
			}
			if took, err := time.ParseDuration(value); err == nil {
				phases = append(phases, phase{name, took})
			}
		}
		if len(phases) == 0 {
			return nil, fmt.Errorf("no phase has a duration in %q", strings.TrimSpace(line))
		}
		return phases, nil
	}
	return nil, errors.New("isol's log has no line with " + phasesMessage)
}

// phaseFigures are the figures of the phases that were seen.
func (b *bench) phaseFigures() []figure.Figure {
	var all []figure.Figure
	for _, name := range b.phases {
		f := figure.Figure{
			ID: "vm.phase." + name, Name: "VM: phase " + name, Unit: "ms", Digits: 1, Alone: true,
			Meaning: "as isol logs it for each boot, guest and emulator included",
		}
		if name == "own" {
			f.Name, f.Limit = "VM: own share of all phases, as logged", 50
			f.Meaning = "as isol logs it for each boot: without waiting for the compute service, the layer store and the guest"
		}
		all = append(all, f)
	}
	return all
}
