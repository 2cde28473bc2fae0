package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"github.com/isolrun/isol/internal/journal"
)

// verdict is what prune makes of a bundle.
type verdict string

const (
	verdictRuns     verdict = "shim runs"     // left alone: what the journal names is in use
	verdictWould    verdict = "would release" // in a dry run
	verdictReleased verdict = "released"
	verdictFailed   verdict = "failed"  // the error says what is left and why
	verdictRefused  verdict = "refused" // of a record: isol would not have made it, so it does not undo it
)

// pruned is what prune found of a bundle that has a journal, and did.
type pruned struct {
	Namespace string           `json:"namespace"`
	ID        string           `json:"id"`
	Bundle    string           `json:"bundle"`
	Verdict   verdict          `json:"verdict"`
	Records   []journal.Record `json:"records"`        // released, or to be; last acquired first
	Left      []journal.Record `json:"left,omitempty"` // could not be released
	Refused   []journal.Record `json:"refused,omitempty"`
	Error     string           `json:"error,omitempty"`
}

func pruneCommand(m machine) *cli.Command {
	return &cli.Command{
		Name:  "prune",
		Usage: "release what shims that died have left",
		Description: "Replays the undo journal of each task whose shim does not answer any more. What a running shim holds is\n" +
			"left alone, and so is what isol has not made. It may run at any time, also twice at once. The journals that the\n" +
			"delete action could not finish, and whose bundles containerd has removed, are replayed too.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "print what would be released and change nothing"},
			stateFlag(), formatFlag(),
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			state, err := stateOf(c)
			if err != nil {
				return err
			}
			all, err := m.prune(ctx, state, c.Bool("dry-run"))
			if err != nil {
				return err
			}
			if c.String("format") == "json" {
				err = writeJSON(c.Root().Writer, all)
			} else {
				err = writePruned(c.Root().Writer, all)
			}
			return errors.Join(err, failures(all))
		},
	}
}

// prune goes through the bundles that have a journal. What fails for one keeps
// none of the others from being tried.
func (m machine) prune(ctx context.Context, state string, dry bool) ([]pruned, error) {
	found, err := bundles(state)
	if err != nil {
		return nil, err
	}
	more, err := kept(m.backlog)
	if err != nil {
		return nil, err
	}
	found = append(found, more...)
	undo := undoersOf(m, dry)
	all := []pruned{}
	for _, b := range found {
		p := pruned{Namespace: b.Namespace, ID: b.ID, Bundle: b.Path, Records: []journal.Record{}}
		has, err := m.pruneOne(ctx, b, &p, undo)
		if err != nil {
			p.Verdict, p.Error = verdictFailed, err.Error()
		}
		if has {
			all = append(all, p)
		}
	}
	return all, nil
}

// undoersOf opens the compute service when the first journal needs it. For a
// dry run it is nil.
func undoersOf(m machine, dry bool) func() (journal.Undoers, error) {
	if dry {
		return nil
	}
	var made *journal.Undoers
	return func() (journal.Undoers, error) {
		if made == nil {
			host, err := m.host()
			if err != nil {
				return journal.Undoers{}, err
			}
			u := m.undo(host)
			made = &u
		}
		return *made, nil
	}
}

// pruneOne decides about one bundle and reports whether it has a journal.
func (m machine) pruneOne(ctx context.Context, b bundle, p *pruned, undo func() (journal.Undoers, error)) (bool, error) {
	content, err := journal.Read(b.Journal)
	if err != nil {
		return true, err
	}
	if content.Header.ID == "" {
		// No journal, or one whose shim died in its first line: it names nothing.
		return false, nil
	}
	if err := content.Check(b.ID, m.origin); err != nil {
		return true, err
	}
	runs, err := m.shimRuns(ctx, b)
	if err != nil {
		return true, fmt.Errorf("left alone, since its shim may run: %w", err)
	}
	records, refused, wrong := content.Sift(b.ID)
	p.Records, p.Refused = append(p.Records, records...), refused
	switch {
	case runs:
		p.Verdict = verdictRuns
		return true, nil
	case undo == nil:
		p.Verdict = verdictWould
		if wrong != nil {
			p.Error = wrong.Error()
		}
		return true, nil
	}
	u, err := undo()
	if err != nil {
		p.Records, p.Left = []journal.Record{}, p.Records
		return true, err
	}
	r, err := journal.Replay(ctx, b.Journal, b.ID, u)
	p.Verdict, p.Records, p.Left, p.Refused = verdictReleased, append([]journal.Record{}, r.Undone...), r.Left, r.Refused
	return true, err
}

// failures is the error of a prune that could not release everything.
func failures(all []pruned) error {
	n := 0
	for _, p := range all {
		if p.Verdict == verdictFailed {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d journals could not be finished: see above; prune again when the cause is gone", n, len(all))
}

func writePruned(w io.Writer, all []pruned) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "no task has an undo journal: nothing to release")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAMESPACE\tTASK\tVERDICT\tKIND\tNAME")
	for _, p := range all {
		rows := 0
		row := func(v verdict, kind journal.Kind, name string) {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", p.Namespace, p.ID, v, kind, name)
			rows++
		}
		done := p.Verdict
		if done == verdictFailed {
			done = verdictReleased // those that were
		}
		for _, r := range p.Records {
			row(done, r.Kind, r.Name)
		}
		for _, r := range p.Left {
			row(verdictFailed, r.Kind, r.Name)
		}
		for _, r := range p.Refused {
			row(verdictRefused, r.Kind, r.Name)
		}
		if rows == 0 {
			row(p.Verdict, "-", "-")
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, p := range all {
		if p.Error != "" {
			if _, err := fmt.Fprintf(w, "\n%s/%s: %s\n", p.Namespace, p.ID, p.Error); err != nil {
				return err
			}
		}
	}
	return nil
}
