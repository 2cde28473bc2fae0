package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// docs/parity.md has a row for each rule and none for others, and speaks of
// this corpus: -doc writes it.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", pageFile))
	if err != nil {
		t.Fatal(err)
	}
	const stale = "docs/parity.md is not current, run `make parity-doc`: "
	rows := 0
	_, tables, _ := strings.Cut(string(text), "## What differs, and why")
	tables, _, _ = strings.Cut(tables, "## What is no difference")
	for line := range strings.Lines(tables) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| difference |") {
			rows++
		}
	}
	for _, r := range rules {
		if row := "| " + r.What + " | " + r.Why + " | [" + label(r.Link) + "](" + r.Link + ") | `"; !strings.Contains(tables, row) {
			t.Errorf("%sno row with a scenario for the rule %q", stale, r.Name)
		}
	}
	if rows != len(rules) {
		t.Errorf("%sit has %d rows, there are %d rules", stale, rows, len(rules))
	}
	all, err := selected(options{})
	if err != nil {
		t.Fatal(err)
	}
	if line := fmt.Sprintf("\nparity: %d scenarios, ", len(all)); !strings.Contains(string(text), line) {
		t.Errorf("%sit does not speak of %d scenarios", stale, len(all))
	}
}
