package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/vm"
)

// patience is how long a client waits for a call that hangs.
const patience = 3 * time.Second

// failure is something that goes wrong and ends no shim.
type failure struct {
	name string
	do   func(ctx context.Context, l life) error
}

// failures are those of a phase.
func (p *phase) failures() []failure {
	if p.short && !p.shim.ours() || p.mode.pod() { // what they show, tasks that are alone show
		return nil
	}
	all := []failure{{"the compute service goes and comes back", p.serviceGoes}}
	if p.mode.inVM() {
		all = append(all, failure{"the virtual machine crashes", p.disturbed(vm.Crash)})
		if !p.short {
			all = append(all, failure{"the guest says nothing any more", p.disturbed(vm.Hang)},
				failure{"the guest's bridge ends", p.disturbed(vm.CloseBridge)})
		}
	}
	return all
}

// fail lets one thing go wrong and prints what is left.
func (p *phase) fail(ctx context.Context, r *result, f failure) error {
	left, err := p.watched(ctx, func(l life) error { return f.do(inNamespace(ctx), l) })
	var stuck *stuckError
	if err != nil && !errors.As(err, &stuck) {
		return err
	}
	r.others++
	if len(left) > 0 || stuck != nil {
		r.othersLeaking++
	}
	p.printf("%s, %s: %s: %d left\n", p.shim.name, p.mode, f.name, len(left))
	if stuck != nil {
		p.printf("  containerd cannot remove the container: %v\n", stuck)
	}
	if len(left) > 0 && p.shim.ours() {
		p.printf("%s\n", indent(left.String()))
	}
	return nil
}

// serviceGoes restarts the compute service under a running container, as a
// Windows update does.
func (p *phase) serviceGoes(ctx context.Context, l life) error {
	if err := p.containerd.start(ctx, l); err != nil {
		return err
	}
	if err := p.Disconnect(); err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// A shim may say that the container has ended, or not know it: both are
	// put right by removing it.
	_ = p.containerd.wait(short, l.task.GetContainerID(), "")
	return p.Restore()
}

// disturbed does something to the virtual machine of a running container.
func (p *phase) disturbed(verb vm.Verb) func(context.Context, life) error {
	return func(ctx context.Context, l life) error {
		if err := p.containerd.start(ctx, l); err != nil {
			return err
		}
		machines, err := p.Machines()
		if err != nil {
			return err
		}
		i := slices.IndexFunc(machines, func(s vm.Status) bool { return s.Running })
		if i < 0 {
			return errors.New("no virtual machine runs")
		}
		if _, err := p.Machine(verb, machines[i].ID); err != nil {
			return err
		}
		short, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		_ = p.containerd.wait(short, l.task.GetContainerID(), "") // as in serviceGoes
		return nil
	}
}

// series is something that goes wrong at one call of a life after the other and
// ends no shim.
type series struct {
	name  string // what does, after "each of 3 calls"
	at    func(function string) bool
	fault hcsemu.Fault // at such a call
	live  func(ctx context.Context, l life) error
}

// held is the name of a call that hangs.
const held = "held"

// series are those of a phase. They are not for the short form, nor for pods: as
// failures.
func (p *phase) series() []series {
	if p.short || p.mode.pod() {
		return nil
	}
	return []series{
		{"hangs", asks, hcsemu.Fault{Name: held, Action: hcsemu.ActionHang}, p.giveUp},
		{"finds the disk full", needsRoom, hcsemu.Fault{Action: hcsemu.ActionFail, Code: fmt.Sprintf("%#x", uint32(hcsemu.EDiskFull))}, p.live},
	}
}

// asks says whether a call asks somebody who may not answer. What only gives a
// handle back or notes a callback does not, nor does the name of a layer.
func asks(function string) bool {
	return function != "" && function != "NameToGuid" && !strings.HasPrefix(function, "HcsClose") && !strings.HasSuffix(function, "Callback")
}

// needsRoom says whether a call makes something on the host's disk: a layer's
// mount, a system's or a machine's files, a namespace's state.
func needsRoom(function string) bool {
	switch function {
	case "ActivateLayer", "PrepareLayer", "HcsCreateComputeSystem", "HcsStartComputeSystem", "HcsModifyComputeSystem",
		"HcsCreateProcess", "HcnCreateNamespace":
		return true
	}
	return false
}

// goThrough lets one call of a life after the other go wrong. Calls that come in
// another order in the life that is meant show nothing; how many they are is printed.
func (p *phase) goThrough(ctx context.Context, r *result, s series, calls []hcsemu.Call) error {
	planned, points, bad, things := 0, 0, 0, 0
	for i, c := range calls {
		if !s.at(c.Function) {
			continue
		}
		planned++
		k, err := p.strike(ctx, s.fault, i+1, s.live)
		if err != nil {
			return fmt.Errorf("call %d (%s) %s: %w", i+1, c.Function, s.name, err)
		}
		if s.at(k.at) {
			points++
		} else if k.at != "" {
			continue
		}
		if k.clean() {
			continue
		}
		bad++
		things += len(k.left)
		p.tell(fmt.Sprintf("%s, %s: call %d, %s, %s", p.shim.name, p.mode, i+1, k.at, s.name), k)
	}
	r.others += points
	r.othersLeaking += bad
	if points == 0 {
		r.unreached += planned
	}
	p.printf("%s, %s: each of %d calls %s: %d left, by %d of them\n", p.shim.name, p.mode, points, s.name, things, bad)
	if points < planned {
		p.printf("%s, %s: %d more calls did not come as in the first life\n", p.shim.name, p.mode, planned-points)
	}
	return nil
}

// giveUp waits as long as a client does that gives up, then removes the
// container while the call still hangs.
func (p *phase) giveUp(ctx context.Context, l life) error {
	ctx = inNamespace(ctx)
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	lived := p.containerd.live(short, l) // ends with the client's patience
	removed, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_ = p.containerd.removeTask(removed, l.task.GetContainerID()) // watched tries again, without the hang
	return lived
}
