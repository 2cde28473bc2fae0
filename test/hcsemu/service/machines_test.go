package service

import (
	"context"
	"testing"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/wire"
)

// machines answers what it was asked.
type machines struct{}

func (machines) List() any { return []string{"m1"} }

func (machines) Do(_ context.Context, verb, id string) (any, error) {
	if verb != "left" {
		return nil, &hcsemu.Error{Code: hcsemu.ESystemNotFound, Message: verb + " of " + id}
	}
	return []string{id}, nil
}

// A test lists and disturbs virtual machines; a service without guests has none.
func TestMachines(t *testing.T) {
	b := newBench(t)
	none := b.front(7, "hcsemu")
	if all := none.call(hcsemu.OK, AdminMachines, wire.Value{})[0].Text; all != "[]" {
		t.Errorf("machines of a service without guests: %s", all)
	}
	none.call(hcsemu.EInvalidArg, AdminMachine, wire.String("crash m1"))

	b = newBench(t)
	b.server.config.Machines = machines{}
	f := b.front(8, "hcsemu")
	if all := f.call(hcsemu.OK, AdminMachines, wire.Value{})[0].Text; all != `["m1"]` {
		t.Errorf("machines: %s", all)
	}
	if left := f.call(hcsemu.OK, AdminMachine, wire.String("left pod@vm"))[0].Text; left != `["pod@vm"]` {
		t.Errorf("left: %s", left)
	}
	f.call(hcsemu.ESystemNotFound, AdminMachine, wire.String("crash m2"))
	f.call(hcsemu.EInvalidArg, AdminMachine, wire.String("crash"))
}
