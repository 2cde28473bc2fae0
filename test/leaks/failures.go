package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	hanging := []string{"HcsCreateComputeSystem", "HcsStartComputeSystem", "HcsTerminateComputeSystem"}
	if !p.mode.inVM() { // in a machine, these are the guest's or other functions
		hanging = append(hanging, "ActivateLayer", "PrepareLayer", "HcsCreateProcess", "HcsTerminateProcess", "UnprepareLayer")
	}
	if p.short {
		hanging = nil
	}
	for _, function := range hanging {
		all = append(all, failure{function + " hangs", func(ctx context.Context, l life) error {
			return p.callHangs(ctx, l, function)
		}})
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

// callHangs holds a call until the container was removed, or as long as an
// operator would try.
func (p *phase) callHangs(ctx context.Context, l life, function string) error {
	err := p.Faults(hcsemu.Fault{Name: function, Function: function, Exe: p.shim.exe, Action: hcsemu.ActionHang})
	if err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_ = p.containerd.live(short, l) // ends with the client's patience
	removed, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_ = p.containerd.removeTask(removed, l.task.GetContainerID()) // watched tries again, without the hang
	if _, err := p.Release(function); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	return nil
}
