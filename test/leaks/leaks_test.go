package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/lab"
)

// The short form of make leaks: a shim that dies must leave nothing that an
// operator would have to find and remove by hand.
func TestNothingIsLeftOfAKilledShim(t *testing.T) {
	lab.Require(t)
	var out bytes.Buffer
	err := run(t.Context(), []string{"-short", "-mode", "both"}, &out, t.Output())
	t.Logf("%s", &out)
	if err != nil {
		t.Error(err)
	}
}

// CI and people read the last line and the exit code.
func TestReport(t *testing.T) {
	isol, runhcs := shims[0], shims[1]
	for name, tc := range map[string]struct {
		results []result
		last    string
		fails   bool
	}{
		"isol leaves nothing":        {[]result{{shim: isol, points: 4}, {shim: runhcs, points: 6, leaking: 3, left: 5}}, "leaks: 10 kill points, isol 0, runhcs 3", false},
		"isol leaves something":      {[]result{{shim: isol, points: 4, leaking: 1, left: 2}}, "leaks: 4 kill points, isol 1, runhcs 0", true},
		"in both modes":              {[]result{{shim: isol, points: 4}, {shim: isol, mode: hyperv, points: 2, leaking: 2, left: 2}}, "leaks: 6 kill points, isol 2, runhcs 0", true},
		"a container stays":          {[]result{{shim: isol, points: 4, stuck: 1}}, "leaks: 4 kill points, isol 0, runhcs 0", true},
		"another failure does":       {[]result{{shim: isol, points: 4, others: 2, othersLeaking: 1}}, "leaks: 4 kill points, isol 0, runhcs 0", true},
		"isol failed before a point": {[]result{{shim: isol, points: 4, unreached: 1}}, "leaks: 4 kill points, isol 0, runhcs 0", true},
		"isol was never killed":      {[]result{{shim: isol, missed: 4}}, "leaks: 0 kill points, isol 0, runhcs 0", true},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			err := report(&out, tc.results)
			if (err != nil) != tc.fails {
				t.Errorf("error %v", err)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if got := lines[len(lines)-1]; got != tc.last {
				t.Errorf("last line %q, want %q", got, tc.last)
			}
		})
	}
}

// What earlier points have left must not be counted at each later one.
func TestAdded(t *testing.T) {
	old := hcsemu.Entry{Kind: "active layer", ID: `C:\s\1`}
	handle := hcsemu.Entry{Kind: "system handle", ID: "7", System: "a"}
	other := hcsemu.Entry{Kind: "system handle", ID: "7", System: "b"}
	got := added(hcsemu.Ledger{old, handle}, hcsemu.Ledger{old, other})
	if d := cmp.Diff(hcsemu.Ledger{other}, got); d != "" {
		t.Error(d)
	}
}

// A point that no call reached shows nothing and must not count as one.
func TestFaultAt(t *testing.T) {
	calls := []hcsemu.Call{{Function: "NameToGuid"}, {Function: "ActivateLayer", Fault: "after:kill"}, {Function: "DeactivateLayer"}}
	if got := faultAt(calls, hcsemu.ActionKill); got != "ActivateLayer" {
		t.Errorf("killed at %q", got)
	}
	if got := faultAt(calls[:1], hcsemu.ActionKill); got != "" {
		t.Errorf("not killed, and yet at %q", got)
	}
}

// A call that asks nobody cannot hang on a real machine: that a shim does not
// survive it would be held against it without a reason.
func TestAsks(t *testing.T) {
	for function, want := range map[string]bool{
		"HcsCreateComputeSystem": true, "GcsRpcModifySettings": true, "GetLayerMountPath": true,
		"HcsCloseProcess": false, "HcsSetComputeSystemCallback": false, "NameToGuid": false,
	} {
		if got := asks(function); got != want {
			t.Errorf("asks(%s) = %v", function, got)
		}
	}
}

func TestWrongCommandLines(t *testing.T) {
	for _, args := range [][]string{{"-mode", "vm"}, {"process"}, {"-n", "3"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
	for flag, want := range map[string][]mode{"process": {process}, "hyperv": {hyperv}, "both": {process, hyperv}, "hyperv-pod": {hypervPod}, "all": {process, hyperv, processPod, hypervPod}} {
		o, err := parse([]string{"-mode", flag}, io.Discard)
		if err != nil {
			t.Error(err)
		}
		if d := cmp.Diff(want, o.modes); d != "" {
			t.Errorf("-mode %s: %s", flag, d)
		}
	}
}
