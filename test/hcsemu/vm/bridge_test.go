package vm

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/uvm"
	"github.com/isolrun/isol/test/hcsemu"
)

// messages are the recorded ones, in the order in which the host sent them.
func (b *bench) messages() []string {
	calls := b.emulator.Calls(hcsemu.CallFilter{Exe: "shim.exe", System: "pod@vm"})
	slices.SortFunc(calls, func(a, b hcsemu.Call) int { return cmp.Compare(a.Seq, b.Seq) })
	var names []string
	for _, c := range calls {
		if c.DLL == "guest bridge" {
			names = append(names, c.Function)
		}
	}
	return names
}

// What a shim tells the guest is as much a part of what it does as its calls
// to the host: without it in the record, nobody compares it or breaks it.
func TestBridgeIsRecorded(t *testing.T) {
	b := newBench(t, 1)
	b.run()
	want := []string{
		"GcsNegotiateProtocol", "GcsCreate", "GcsStart", // the machine
		"GcsModifySettings", "GcsModifySettings", "GcsModifySettings", // hvsockets, scratch, layers
		"GcsCreate", "GcsStart", // the container
	}
	got := b.messages()
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	creates := b.emulator.Calls(hcsemu.CallFilter{Function: "GcsCreate"})
	if len(creates) != 2 {
		t.Fatalf("%d containers were created, want the machine and web: %v", len(creates), got)
	}
	for i, id := range []string{`"ContainerId":"00000000-0000-0000-0000-000000000000"`, `"ContainerId":"web"`} {
		message := string(creates[i].Args["message"].(json.RawMessage))
		if !strings.Contains(message, id) {
			t.Errorf("message %d is %s, want %s in it", i, message, id)
		}
	}
}

// The fault plan treats a message as a call: one that fails before is not
// handled by the guest, one that fails after is, and the host is told the same.
func TestBridgeFaults(t *testing.T) {
	for when, left := range map[hcsemu.When][]string{"before": nil, "after": {"container"}} {
		t.Run(string(when), func(t *testing.T) {
			b := newBench(t, 1)
			u := b.boot()
			err := b.emulator.AddFaults(hcsemu.Fault{Function: "GcsCreate", When: when, Action: hcsemu.ActionFail, Code: "0x80370118"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.create(u); err == nil || !strings.Contains(err.Error(), "fault plan") {
				t.Errorf("create: %v, want the plan's failure", err)
			}
			answer, err := b.runner.Do(t.Context(), string(Left), "pod@vm")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, entry := range answer.([]string) {
				if strings.HasPrefix(entry, "container ") {
					got = append(got, "container")
				}
			}
			if diff := gocmp.Diff(left, got); diff != "" {
				t.Errorf("in the guest (-want +got):\n%s", diff)
			}
			if err := u.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A shim that is killed at a message never has its answer.
func TestBridgeKill(t *testing.T) {
	b := newBench(t, 1)
	b.cfg.Owner = "shim.exe"
	err := b.emulator.AddFaults(hcsemu.Fault{Function: "GcsNegotiateProtocol", When: "after", Action: hcsemu.ActionKill})
	if err != nil {
		t.Fatal(err)
	}
	if u, err := uvm.Boot(t.Context(), b.cfg); err == nil {
		t.Errorf("a killed shim has booted a machine: %v", u.Close())
	}
	calls := b.emulator.Calls(hcsemu.CallFilter{Function: "GcsNegotiateProtocol"})
	if len(calls) != 1 || calls[0].Fault != "after:kill" || calls[0].Code == hcsemu.OK {
		t.Errorf("record: %+v", calls)
	}
}
