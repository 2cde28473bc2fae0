package main

import (
	"testing"

	"github.com/isolrun/isol/test/lab"
	"github.com/isolrun/isol/test/parity/scenario"
)

// The short form: a scenario of each group. What differs from production's shim
// must be meant.
func TestParity(t *testing.T) {
	lab.Require(t)
	if err := run(t.Context(), []string{"-short"}, t.Output(), t.Output()); err != nil {
		t.Error(err)
	}
}

// The corpus is as large as the issue asks for, and the short form leaves no
// group out.
func TestCorpus(t *testing.T) {
	all, err := selected(options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 120 {
		t.Errorf("the corpus has %d scenarios, 120 are wanted at least", len(all))
	}
	short := map[string]int{}
	modes := map[scenario.Mode]int{}
	for _, r := range all {
		short[r.Group] += 0
		if r.IsShort() {
			short[r.Group]++
			modes[r.Mode]++
		}
	}
	for group, n := range short {
		if n == 0 {
			t.Errorf("no scenario of group %q is in the short form", group)
		}
	}
	if modes[scenario.Process] == 0 || modes[scenario.HyperV] == 0 {
		t.Errorf("the short form has %v", modes)
	}
}

// A rule is found by its name in docs/parity.md, and says why.
func TestRules(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rules {
		if r.Name == "" || seen[r.Name] {
			t.Errorf("a rule needs a name of its own: %q", r.Name)
		}
		seen[r.Name] = true
		if r.What == "" || r.Why == "" || r.Link == "" {
			t.Errorf("rule %q says nothing of what, why or where it was decided", r.Name)
		}
		if r.Path == "" && r.Runs == "" {
			t.Errorf("rule %q explains everything", r.Name)
		}
	}
}
