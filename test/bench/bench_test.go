package main

import (
	"strings"
	"testing"

	"github.com/isolrun/isol/test/bench/driver"
	"github.com/isolrun/isol/test/lab"
)

// Each figure must be obtained of each shim: which value it has is for people
// to judge, since no two machines give the same.
func TestAllFiguresAreObtained(t *testing.T) {
	lab.Require(t)
	o, err := parse([]string{"-short"}, t.Output())
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
	if err := report.WriteTable(t.Output()); err != nil {
		t.Error(err)
	}
}

// A build to compare is named on the command line: a slip must not be taken for
// a file of an odd name.
func TestParse(t *testing.T) {
	o, err := parse([]string{"-rounds", "3", "-shim", "old=out/old.exe"}, t.Output())
	if err != nil || o.size.rounds != 3 || len(o.extra) != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range []string{"old", "=x", "old="} {
		if _, err := parse([]string{"-shim", bad}, t.Output()); err == nil {
			t.Errorf("-shim %q was taken", bad)
		}
	}
}

// Throughput without a shim is that of the image's own program.
func TestImageFile(t *testing.T) {
	mount := driver.Mount{Type: "windows-layer", Options: []string{"rw", `parentLayerPaths=["C:\\snapshots\\1"]`}}
	got, err := imageFile([]driver.Mount{mount}, `Windows\x.exe`)
	if want := `C:\snapshots\1\Files\Windows\x.exe`; err != nil || got != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	for name, option := range map[string]string{
		"no parent": "rw", "two": `parentLayerPaths=["a","b"]`, "noise": "parentLayerPaths=x",
	} {
		if got, err := imageFile([]driver.Mount{{Options: []string{option}}}, "x"); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}
