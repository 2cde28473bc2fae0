package service

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/wire"
)

// A test asks the service what is left, what was called, and makes it fail.
func TestAdministration(t *testing.T) {
	b := newBench(t)
	f := b.front(7, "computecore.dll")
	system := f.system("c1")

	var ledger hcsemu.Ledger
	b.ok(json.Unmarshal([]byte(f.call(hcsemu.OK, AdminLedger, wire.Value{})[0].Text), &ledger))
	if len(ledger) != 2 || ledger.Empty() {
		t.Errorf("ledger of one container: %v", ledger)
	}
	var calls []hcsemu.Call
	answer := f.call(hcsemu.OK, AdminCalls, wire.String(`{"Function":"HcsStartComputeSystem"}`))
	b.ok(json.Unmarshal([]byte(answer[0].Text), &calls))
	if len(calls) != 1 || calls[0].Caller.Exe != "shim.exe" || calls[0].Caller.PID != 7 {
		t.Errorf("calls %+v", calls)
	}
	f.call(hcsemu.EInvalidArg, AdminCalls, wire.String("no JSON"))

	const plan = `[{"function":"HcsGetComputeSystemProperties","action":"fail","code":"0x80070005","times":-1}]`
	f.call(hcsemu.OK, AdminFaults, wire.String(plan))
	f.call(hcsemu.EAccessDenied, "HcsGetComputeSystemProperties", system, wire.Value{})
	f.call(hcsemu.OK, AdminFaults, wire.Value{})
	f.call(hcsemu.OK, "HcsGetComputeSystemProperties", system, wire.Value{})
	f.call(hcsemu.OK, AdminAddFaults, wire.String(plan))
	f.call(hcsemu.EAccessDenied, "HcsGetComputeSystemProperties", system, wire.Value{})
	refusal := f.call(hcsemu.EInvalidArg, AdminFaults, wire.String(`[{"function":"*","action":"explode"}]`))
	if !strings.Contains(refusal[0].Text, "explode") {
		t.Errorf("refusal of a wrong plan: %s", refusal[0].Text)
	}
	if n := f.call(hcsemu.OK, AdminHanging, wire.String("none"))[0].Text; n != "0" {
		t.Errorf("hanging calls %s", n)
	}
	if n := f.call(hcsemu.OK, AdminRelease, wire.String("none"))[0].Text; n != "0" {
		t.Errorf("released calls %s", n)
	}
}

// The compute service can go and come back, and a container can crash.
func TestDisturbances(t *testing.T) {
	b := newBench(t)
	f := b.front(7, "computecore.dll")
	events := f.events()
	system := f.system("c1")
	f.call(hcsemu.OK, "HcsSetComputeSystemCallback", system)
	f.call(hcsemu.OK, AdminDisconnect, wire.Value{})
	if ev := f.event(events); ev.Type != uint32(hcsemu.EventServiceDisconnect) {
		t.Errorf("event %+v, want the disconnect", ev)
	}
	f.call(hcsemu.EServiceDisconnect, "HcsGetComputeSystemProperties", system, wire.Value{})
	f.call(hcsemu.EServiceNotAvailable, "HcsEnumerateComputeSystems", wire.Value{})
	f.call(hcsemu.OK, AdminRestore, wire.Value{})
	again := f.handle()
	f.call(hcsemu.OK, "HcsOpenComputeSystem", again, wire.String("c1"))
	f.call(hcsemu.OK, "HcsSetComputeSystemCallback", again)
	f.call(hcsemu.OK, AdminCrash, wire.String("c1"))
	if ev := f.event(events); ev.Type != uint32(hcsemu.EventSystemExited) || int32(ev.Status) >= 0 {
		t.Errorf("event %+v, want an unexpected exit", ev)
	}
	f.call(hcsemu.ESystemNotFound, AdminCrash, wire.String("c1"))
}
