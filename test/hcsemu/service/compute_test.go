package service

import (
	"strings"
	"testing"

	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/wire"
)

// A container's life, as a shim lives it through computecore.dll.
func TestContainer(t *testing.T) {
	b := newBench(t)
	f := b.front(7, "computecore.dll")
	events := f.events()
	system := f.system("c1")
	f.call(hcsemu.OK, "HcsSetComputeSystemCallback", system)
	properties := f.call(hcsemu.OK, "HcsGetComputeSystemProperties", system, wire.String("{}"))
	if !strings.Contains(properties[0].Text, `"SystemType":"Container"`) {
		t.Errorf("properties %s", properties[0].Text)
	}

	process := f.handle()
	params := f.encode(schema.ProcessParameters{CommandLine: "cmd /c echo hello", CreateStdOutPipe: true})
	info := f.call(hcsemu.OK, "HcsCreateProcess", system, process, wire.String(params))
	if len(info) != 5 || info[1].Number == 0 || info[2].Number != 0 || info[3].Number == 0 || info[4].Number != 0 {
		t.Errorf("process information %+v", info)
	}
	f.call(hcsemu.OK, "HcsSetProcessCallback", process)
	if out, err := drain(b.exporter.last().Out); err != nil || strings.TrimSpace(out) != "hello" {
		t.Errorf("output %q, %v", out, err)
	}
	if ev := f.event(events); ev.Subscription != process.Number || ev.Type != uint32(hcsemu.EventProcessExited) || !strings.Contains(ev.Data, `"ExitCode":0`) {
		t.Errorf("event %+v, want the process's exit", ev)
	}
	again := f.call(hcsemu.OK, "HcsGetProcessInfo", process, wire.Value{})
	if again[1].Number != info[1].Number || again[3].Number != 0 {
		t.Errorf("process information again %+v: pipes are handed out once", again)
	}
	f.call(hcsemu.OK, "HcsGetProcessProperties", process, wire.Value{})
	f.call(hcsemu.OK, "HcsCloseProcess", process, wire.Value{})

	f.call(hcsemu.OK, "HcsTerminateComputeSystem", system, wire.Value{})
	if ev := f.event(events); ev.Subscription != system.Number || ev.Type != uint32(hcsemu.EventSystemExited) {
		t.Errorf("event %+v, want the system's exit", ev)
	}
	f.call(hcsemu.OK, "HcsCloseComputeSystem", system, wire.Value{})
	f.call(hcsemu.EHandle, "HcsStartComputeSystem", system, wire.Value{})
	b.nothingLeft()
}

// Kill goes by a second handle, since the first may be stuck in a signal.
func TestSecondHandles(t *testing.T) {
	b := newBench(t)
	f := b.front(7, "computecore.dll")
	system, process := f.system("c1"), f.handle()
	params := f.encode(schema.ProcessParameters{CommandLine: "forever"})
	info := f.call(hcsemu.OK, "HcsCreateProcess", system, process, wire.String(params))
	system2, process2 := f.handle(), f.handle()
	f.call(hcsemu.OK, "HcsOpenComputeSystem", system2, wire.String("c1"))
	f.call(hcsemu.OK, "HcsOpenProcess", system2, process2, info[1])
	f.call(hcsemu.OK, "HcsTerminateProcess", process2, wire.Value{})
	exit := f.call(hcsemu.OK, "HcsWaitForProcessExit", process, wire.Number(infinite))
	if !strings.Contains(exit[0].Text, `"Exited":true`) {
		t.Errorf("exit %s", exit[0].Text)
	}
	f.call(hcsemu.EOperationTimeout, "HcsWaitForComputeSystemExit", system, wire.Number(1))
	f.call(hcsemu.ESystemNotFound, "HcsOpenComputeSystem", f.handle(), wire.String("c2"))
	f.call(hcsemu.EHandle, "HcsWaitForProcessExit", f.handle(), wire.Number(1))
}

// A shim that dies is the end of its containers, even with a call under way.
func TestDeath(t *testing.T) {
	b := newBench(t)
	f := b.front(7, "computecore.dll")
	f.events()
	f.call(hcsemu.OK, "HcsSetComputeSystemCallback", f.system("c1"))
	b.ok(b.emulator.AddFaults(hcsemu.Fault{Function: "HcsGetServiceProperties", Action: hcsemu.ActionHang, Name: "h"}))
	b.ok(wire.Write(f.conn, wire.Request{Call: 999, Name: "HcsGetServiceProperties", Args: []wire.Value{{}}}.Frame()))
	b.ok(f.conn.Close())
	b.await("the connection's end", f.ended)
	b.nothingLeft()
}

// A process has one session, whichever DLLs it loads and unloads.
func TestTwoDLLs(t *testing.T) {
	b := newBench(t)
	compute, layers := b.front(7, "computecore.dll"), b.front(7, "vmcompute.dll")
	system := compute.system("c1")
	layers.call(hcsemu.OK, "LayerExists", wire.Value{}, wire.String(`C:\layers\none`))
	b.ok(layers.conn.Close())
	b.await("the end of vmcompute.dll", layers.ended)
	compute.call(hcsemu.OK, "HcsGetComputeSystemProperties", system, wire.Value{})
	b.ok(compute.conn.Close())
	b.await("the end of computecore.dll", compute.ended)
	b.nothingLeft()
}

// vmcompute.dll gives the older codes.
func TestOlderCodes(t *testing.T) {
	b := newBench(t)
	f := b.front(7, "VMCompute.dll")
	f.call(0xC037010E, "HcsOpenComputeSystem", f.handle(), wire.String("none"))
}

// A call that was cancelled ends, and has done nothing.
func TestCancelOperation(t *testing.T) {
	b := newBench(t)
	f := b.front(7, "computecore.dll")
	system := f.handle()
	f.call(hcsemu.OK, "HcsCreateComputeSystem", system, wire.String("c1"), wire.String(f.document()))
	b.ok(b.emulator.AddFaults(hcsemu.Fault{Function: "HcsStartComputeSystem", Action: hcsemu.ActionHang, Name: "h"}))
	b.ok(wire.Write(f.conn, wire.Request{Call: 999, Name: "HcsStartComputeSystem", Args: []wire.Value{system, {}}}.Frame()))
	for b.emulator.Hanging("h") == 0 { // other calls of the same client go on meanwhile
		f.call(hcsemu.OK, "HcsGetComputeSystemProperties", system, wire.Value{})
	}
	f.call(hcsemu.OK, "HcsCancelOperation", wire.Number(9999)) // an unknown call is no error
	f.call(hcsemu.OK, "HcsCancelOperation", wire.Number(999))
	var starts []hcsemu.Call
	for len(starts) == 0 { // it is recorded when it ends
		f.call(hcsemu.OK, "HcsGetComputeSystemProperties", system, wire.Value{})
		starts = b.emulator.Calls(hcsemu.CallFilter{Function: "HcsStartComputeSystem"})
	}
	if starts[0].Code != hcsemu.EAbort {
		t.Errorf("the cancelled start ended with %v", starts[0].Code)
	}
	f.call(hcsemu.OK, "HcsStartComputeSystem", system, wire.Value{})
}

// If the caller cannot be given the pipes, no process is left running for nobody.
func TestExportFails(t *testing.T) {
	b := newBench(t)
	f := b.front(7, "computecore.dll")
	system := f.system("c1")
	b.exporter.err = errNoHandles
	params := f.encode(schema.ProcessParameters{CommandLine: "forever", CreateStdOutPipe: true})
	outs := f.call(hcsemu.EFail, "HcsCreateProcess", system, f.handle(), wire.String(params))
	if len(outs) != 1 || outs[0].Tag != wire.TagNull {
		t.Errorf("outs %+v", outs)
	}
	f.call(hcsemu.OK, "HcsTerminateComputeSystem", system, wire.Value{})
	f.call(hcsemu.OK, "HcsCloseComputeSystem", system, wire.Value{})
	b.nothingLeft()
}

// A callback can be set again after it was taken away: the front sends the
// second registration and no word about the first.
func TestSubscribeAgain(t *testing.T) {
	b := newBench(t)
	f := b.front(7, "computecore.dll")
	events := f.events()
	system := f.system("c1")
	f.call(hcsemu.OK, "HcsSetComputeSystemCallback", system)
	f.call(hcsemu.OK, "HcsSetComputeSystemCallback", system)
	f.call(hcsemu.EHandle, "HcsSetComputeSystemCallback", f.handle())
	f.call(hcsemu.OK, "HcsTerminateComputeSystem", system, wire.Value{})
	if ev := f.event(events); ev.Type != uint32(hcsemu.EventSystemExited) {
		t.Errorf("event %+v", ev)
	}
	f.call(hcsemu.OK, "HcsCloseComputeSystem", system, wire.Value{})
	process := f.system("c2")
	f.call(hcsemu.OK, "HcsSetComputeSystemCallback", process)
	f.call(hcsemu.OK, "HcsTerminateComputeSystem", process, wire.Value{})
	if ev := f.event(events); ev.Subscription != process.Number {
		t.Errorf("event %+v of the closed handle came twice", ev)
	}
}

// The service's own calls, and those on VM access, pass through.
func TestMachineWide(t *testing.T) {
	b := newBench(t)
	f := b.front(7, "computecore.dll")
	answer := f.call(hcsemu.OK, "HcsGetServiceProperties", wire.String(`{"PropertyTypes":["Basic"]}`))
	if !strings.Contains(answer[0].Text, "SupportedSchemaVersions") {
		t.Errorf("service properties %s", answer[0].Text)
	}
	f.call(hcsemu.OK, "HcsGrantVmAccess", wire.String("vm"), wire.String(`C:\disk.vhdx`))
	f.call(hcsemu.OK, "HcsRevokeVmAccess", wire.String("vm"), wire.String(`C:\disk.vhdx`))
	list := f.call(hcsemu.OK, "HcsEnumerateComputeSystems", wire.Value{})
	if list[0].Text != "[]" {
		t.Errorf("systems %s, want none", list[0].Text)
	}
	f.call(hcsemu.OK, "HNSCall", wire.String("GET"), wire.String("/globals/version"), wire.Value{})
}
