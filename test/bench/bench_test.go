package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/api/types"
	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/test/bench/figure"
	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/lab"
)

// Each figure must be obtained of each shim: which value it has is for people
// to judge, since no two machines give the same.
func TestAllFiguresAreObtained(t *testing.T) {
	lab.Require(t)
	o, err := parse([]string{"-short", "-json", artefact}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	report, err := measure(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if missing := report.Missing(); len(missing) > 0 {
		t.Errorf("not obtained: %s", strings.Join(missing, ", "))
	}
	if err := errors.Join(report.WriteTable(t.Output()), writeFile(o.json, report.WriteJSON)); err != nil {
		t.Error(err)
	}
}

// artefact is where the test leaves its numbers, for CI to keep.
const artefact = "../../out/bench-short.json"

// The own share of a boot is blamed on isol: the wait for a guest is not, and
// only that of its own machine.
func TestGuestWaits(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	call := func(pid uint32, function string, from, to int) hcsemu.Call {
		return hcsemu.Call{Caller: hcsemu.Caller{PID: pid}, Function: function, Time: at(from), Duration: at(to).Sub(at(from))}
	}
	calls := []hcsemu.Call{
		call(1, "HcsCreateComputeSystem", 0, 5),
		call(1, "HcsStartComputeSystem", 10, 20),
		call(2, "HcsStartComputeSystem", 11, 30),
		call(1, "GcsNegotiateProtocol", 80, 90),
		call(2, "GcsNegotiateProtocol", 95, 96),
	}
	for pid, want := range map[uint32][]figure.Span{1: {{Begin: at(20), End: at(80)}}, 2: {{Begin: at(30), End: at(95)}}, 3: nil} {
		if diff := cmp.Diff(want, guestWaits(calls, pid)); diff != "" {
			t.Errorf("process %d (-want +got):\n%s", pid, diff)
		}
	}
}

// The phases of a boot are in isol's log for people first: what a field of it
// means must not depend on where it stands.
func TestReadPhases(t *testing.T) {
	const log = `level=INFO msg="serving" took=5ms
level=INFO msg=phases namespace=default id=c1 create=11.2ms start=1.5s connect=80µs
`
	got, err := readPhases(log)
	want := []phase{{"create", 11200 * time.Microsecond}, {"start", 1500 * time.Millisecond}, {"connect", 80 * time.Microsecond}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(phase{})); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for name, log := range map[string]string{"no such line": `msg="serving" took=5ms`, "no durations": `msg=phases id=c1`} {
		if got, err := readPhases(log); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The line is for people first, as that of the phases is; the init has one too,
// which must not count as an exec.
func TestReadExecs(t *testing.T) {
	const log = `level=INFO msg=started namespace=default id=c1 exec="" pid=8 steps.start=3ms own=9ms
level=INFO msg=started namespace=default id=c1 exec=e0 pid=12 steps.process=30ms own=1.5ms
level=INFO msg=started namespace=default id=c1 exec=e1 pid=16 steps.process=30ms own=800µs
`
	got, err := readExecs(log)
	if diff := cmp.Diff([]time.Duration{1500 * time.Microsecond, 800 * time.Microsecond}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for name, log := range map[string]string{
		"no such line": `msg=started exec="" own=1ms`, "no share": `msg=started exec=e0 pid=1`, "no duration": `msg=started exec=e0 own=1`,
	} {
		if got, err := readExecs(log); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What launching a program takes is taken away once per program, and a time
// that was shorter by chance is nothing, not less.
func TestTakeAwayLaunches(t *testing.T) {
	b := &bench{samples: figure.Samples{}}
	for _, ms := range []float64{90, 100, 110} {
		b.samples.Add("launch", figure.Without, ms)
		b.samples.Add("launch.up", figure.Without, ms-20)
	}
	b.launched("start.own", "isol", 200*time.Millisecond)
	b.launched("delete.own", "isol", 95*time.Millisecond)
	b.takeAwayLaunches()
	b.takeAwayLaunches() // nothing is taken twice
	want := map[string]map[string][]float64{"start.own": {"isol": {20}}, "delete.own": {"isol": {0}}}
	for id, values := range want {
		if diff := cmp.Diff(values, b.samples[id]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
	}
}

// A build to compare is named on the command line: a slip must not be taken for
// a file of an odd name.
func TestParse(t *testing.T) {
	o, err := parse([]string{"-rounds", "3", "-shim", "old=out/old.exe", "-only", "vm"}, t.Output())
	if err != nil || o.size.rounds != 3 || len(o.extra) != 1 || len(o.parts) != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range [][]string{{"-shim", "old"}, {"-shim", "=x"}, {"-shim", "old="}, {"-only", "VM"}, {"-rounds", "x"}} {
		if _, err := parse(bad, t.Output()); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// Throughput without a shim is that of the image's own program.
func TestImageFile(t *testing.T) {
	mount := &types.Mount{Type: "windows-layer", Options: []string{"rw", `parentLayerPaths=["C:\\snapshots\\1"]`}}
	got, err := imageFile([]*types.Mount{mount}, `Windows\x.exe`)
	if want := `C:\snapshots\1\Files\Windows\x.exe`; err != nil || got != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	for name, option := range map[string]string{
		"no parent": "rw", "two": `parentLayerPaths=["a","b"]`, "noise": "parentLayerPaths=x",
	} {
		if got, err := imageFile([]*types.Mount{{Options: []string{option}}}, "x"); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}
