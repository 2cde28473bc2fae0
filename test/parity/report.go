package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/isolrun/isol/test/parity/compare"
	"github.com/isolrun/isol/test/parity/scenario"
)

// report is what a run of the corpus showed.
type report struct {
	runs    []scenario.Run
	found   map[string][]compare.Difference
	verdict *compare.Verdict
	isol    map[string]*compare.Observation // of isol, by scenario
	partial bool                            // not all scenarios ran
}

// judge compares what was recorded and applies the rules.
func judge(o options, runs []scenario.Run, seen records) *report {
	r := &report{found: map[string][]compare.Difference{}, isol: map[string]*compare.Observation{}, partial: o.partial()}
	var order []string
	for _, x := range runs {
		both := seen[x.ID()]
		if both == nil {
			continue // kept before the scenario was added
		}
		r.runs = append(r.runs, x)
		order = append(order, x.ID())
		r.isol[x.ID()] = compare.Observe(both[compare.Isol])
		r.found[x.ID()] = compare.Compare(x.ID(), r.isol[x.ID()], compare.Observe(both[compare.Runhcs]))
	}
	r.verdict = compare.Judge(order, r.found, rules)
	return r
}

// write prints what needs a look, and the line that counts.
func (r *report) write(w io.Writer, verbose bool) {
	if verbose {
		for _, x := range r.runs {
			for _, d := range r.found[x.ID()] {
				fmt.Fprintf(w, "%s\n", d)
			}
		}
	} else {
		r.writeUnexplained(w)
	}
	if !r.partial {
		for _, name := range r.verdict.Stale {
			fmt.Fprintf(w, "the rule %q explains nothing any more: remove it\n", name)
		}
	}
	fmt.Fprintln(w, r.line())
}

// writeUnexplained prints each unexplained difference once, with the scenarios that have it.
func (r *report) writeUnexplained(w io.Writer) {
	where := map[compare.Difference][]string{}
	for _, d := range r.verdict.Unexplained {
		key := d
		key.Run, key.Detail = "", ""
		where[key] = append(where[key], d.Run)
	}
	keys := slices.SortedFunc(maps.Keys(where), func(a, b compare.Difference) int {
		if n := len(where[b]) - len(where[a]); n != 0 {
			return n
		}
		return strings.Compare(a.Path+a.Isol, b.Path+b.Isol)
	})
	for _, d := range keys {
		d.Run = strings.Join(where[d], " ")
		for _, x := range r.verdict.Unexplained {
			if x.Path == d.Path && x.Isol == d.Isol && x.Runhcs == d.Runhcs {
				d.Detail = x.Detail
				break
			}
		}
		fmt.Fprintf(w, "unexplained, in %s\n", d)
	}
}

// line is the last line.
func (r *report) line() string {
	v := r.verdict
	return fmt.Sprintf("parity: %d scenarios, %d equal, %d explained, %d unexplained",
		len(r.runs), len(v.Equal), len(v.Explained), len(r.runs)-len(v.Equal)-len(v.Explained))
}

// err says why the run fails, nil if it does not.
func (r *report) err() error {
	if n := len(r.verdict.Unexplained); n > 0 {
		return fmt.Errorf("%d differences have no explanation: mend isol, or add a rule to test/parity/rules_*.go that says why", n)
	}
	if n := len(r.verdict.Stale); n > 0 && !r.partial {
		return fmt.Errorf("%d rules explain nothing any more", n)
	}
	return nil
}
