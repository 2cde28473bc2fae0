package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// report prints a line for each phase and the sum. It is an error if isol
// leaves anything.
func report(w io.Writer, results []result) error {
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "shim\tisolation\tnative calls\tmessages\tkill points\tof them leaking\tthings left\tnot removable\tother failures\tof them leaking")
	points, leaking := 0, map[string]int{}
	failed := false
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", r.shim.name, r.mode, r.calls, r.messages, r.points, r.leaking, r.left, r.stuck, r.others, r.othersLeaking)
		points += r.points
		leaking[r.shim.name] += r.leaking
		failed = failed || r.shim.ours() && (r.leaking+r.stuck+r.othersLeaking+r.unreached > 0 || r.points == 0)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		for _, kind := range slices.Sorted(maps.Keys(r.kinds)) {
			fmt.Fprintf(w, "%s, %s, at kill points: %d times a %s is left\n", r.shim.name, r.mode, r.kinds[kind], kind)
		}
	}
	_, err := fmt.Fprintf(w, "\nleaks: %d kill points, isol %d, runhcs %d\n", points, leaking["isol"], leaking["runhcs"])
	if err == nil && failed {
		err = fmt.Errorf("isol leaves something behind, or was not killed where it was to be")
	}
	return err
}
