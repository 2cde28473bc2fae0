package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/shim"
)

// vmSuffix ends the ids of utility VMs, after their pod's.
const vmSuffix = "@vm"

// listed is a compute system of isol's.
type listed struct {
	ID        string            `json:"id"`
	Type      schema.SystemType `json:"type"`
	State     schema.State      `json:"state"`
	Namespace string            `json:"namespace,omitempty"` // of the task; empty if it has no bundle
	Shim      string            `json:"shim"`
}

// What list says of a system's shim.
const (
	shimRuns     = "runs"
	shimGone     = "gone"      // prune releases what it has left
	shimNoBundle = "no bundle" // containerd knows no task of this id
	shimUnknown  = "unknown"
)

func listCommand(m machine) *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "print isol's compute systems and whether their shims run",
		Flags: []cli.Flag{stateFlag(), formatFlag()},
		Action: func(ctx context.Context, c *cli.Command) error {
			state, err := stateOf(c)
			if err != nil {
				return err
			}
			all, err := m.list(ctx, state)
			if err != nil {
				return err
			}
			if c.String("format") == "json" {
				return writeJSON(c.Root().Writer, all)
			}
			return writeListed(c.Root().Writer, all)
		},
	}
}

// list asks the compute service for isol's systems, ordered by id. Containers
// in a utility VM are the guest's and not among them.
func (m machine) list(ctx context.Context, state string) ([]listed, error) {
	host, err := m.host()
	if err != nil {
		return nil, err
	}
	systems, err := host.List(ctx, schema.SystemQuery{Owners: []string{shim.Owner}})
	if err != nil {
		return nil, err
	}
	found, err := bundles(state)
	if err != nil {
		return nil, err
	}
	all := []listed{}
	for _, s := range systems {
		l := listed{ID: s.ID, Type: s.SystemType, State: s.State, Shim: shimNoBundle}
		for _, b := range found {
			if b.ID == strings.TrimSuffix(s.ID, vmSuffix) {
				l.Namespace, l.Shim = b.Namespace, m.shimState(ctx, b)
				break
			}
		}
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b listed) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

func (m machine) shimState(ctx context.Context, b bundle) string {
	runs, err := m.shimRuns(ctx, b)
	switch {
	case err != nil:
		return shimUnknown
	case runs:
		return shimRuns
	}
	return shimGone
}

func writeListed(w io.Writer, all []listed) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SYSTEM\tTYPE\tSTATE\tNAMESPACE\tSHIM")
	for _, l := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", l.ID, l.Type, l.State, cmp.Or(l.Namespace, "-"), l.Shim)
	}
	return t.Flush()
}
