package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/shim/diagnostics"
	"github.com/isolrun/isol/internal/uvm"
)

// askLimit is how long a shim has to answer.
const askLimit = 15 * time.Second

func showCommand(m machine) *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "print what a pod is and does: tasks, utility VM, phases, plan, calls under way",
		ArgsUsage: "ID",
		Flags: []cli.Flag{stateFlag(), namespaceFlag(), formatFlag(), &cli.DurationFlag{
			Name: "older-than", Value: 0, Usage: "list calls under way from this age on",
		}},
		Action: m.asking(func(ctx context.Context, c *cli.Command, conn net.Conn) error {
			report, err := diagnostics.Show(ctx, conn, diagnostics.Question{OlderThan: c.Duration("older-than")})
			if err != nil {
				return err
			}
			if c.String("format") == "json" {
				return writeJSON(c.Root().Writer, report)
			}
			return writeReport(c.Root().Writer, report)
		}),
	}
}

func stacksCommand(m machine) *cli.Command {
	return &cli.Command{
		Name:      "stacks",
		Usage:     "print the goroutine stacks of a pod's shim, and of its guest's agent",
		ArgsUsage: "ID",
		Flags:     []cli.Flag{stateFlag(), namespaceFlag()},
		Action: m.asking(func(ctx context.Context, c *cli.Command, conn net.Conn) error {
			stacks, err := diagnostics.AskStacks(ctx, conn)
			if err != nil {
				return err
			}
			p := &printer{w: c.Root().Writer}
			p.printf("shim\n\n%s\n", strings.TrimSpace(stacks.Shim))
			if stacks.Guest != "" {
				p.printf("\nguest\n\n%s\n", strings.TrimSpace(stacks.Guest))
			}
			return p.err
		}),
	}
}

// asking is the action of a command that asks a shim: the one of the pod or task
// that the command line names.
func (m machine) asking(ask func(ctx context.Context, c *cli.Command, conn net.Conn) error) cli.ActionFunc {
	return func(ctx context.Context, c *cli.Command) error {
		ctx, cancel := context.WithTimeout(ctx, askLimit)
		defer cancel()
		conn, err := m.shimOf(ctx, c)
		if err != nil {
			return err
		}
		return ask(ctx, c, conn)
	}
}

func namespaceFlag() cli.Flag {
	return &cli.StringFlag{Name: "namespace", Usage: "containerd's namespace of the pod, where its id is in several"}
}

// shimOf connects to the shim of the pod or task that the command line names.
func (m machine) shimOf(ctx context.Context, c *cli.Command) (net.Conn, error) {
	if c.NArg() != 1 {
		return nil, errors.New("name one pod or task by its id: isolctl list prints them")
	}
	state, err := stateOf(c)
	if err != nil {
		return nil, err
	}
	b, err := findBundle(state, c.String("namespace"), c.Args().First())
	if err != nil {
		return nil, err
	}
	address, err := b.address()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	conn, err := m.dial(ctx, address)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the shim of %s does not run: nobody serves %s (isolctl prune releases what it has left)", b.ID, address)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the shim of %s: %w", b.ID, err)
	}
	return conn, nil
}

// findBundle returns the bundle of the pod or task with this id. The id of a
// pod's utility VM is as good as the pod's.
func findBundle(state, namespace, id string) (bundle, error) {
	all, err := bundles(state)
	if err != nil {
		return bundle{}, err
	}
	id = strings.TrimSuffix(id, vmSuffix)
	var found []bundle
	for _, b := range all {
		if b.ID == id && (namespace == "" || b.Namespace == namespace) {
			found = append(found, b)
		}
	}
	switch len(found) {
	case 0:
		where := "in any namespace"
		if namespace != "" {
			where = "in namespace " + namespace
		}
		return bundle{}, fmt.Errorf("there is no pod or task %s %s below %s (isolctl list prints them)", id, where, state)
	case 1:
		return found[0], nil
	}
	return bundle{}, fmt.Errorf("%s is the id of tasks in namespaces %s and %s: name one with --namespace", id, found[0].Namespace, found[1].Namespace)
}

// writeReport prints what a person reads.
func writeReport(w io.Writer, r diagnostics.Report) error {
	p := &printer{w: w}
	p.printf("pod     %s, namespace %s\n", r.Pod, r.Namespace)
	p.printf("shim    pid %d, version %s, up %s, %d goroutines, heap %d KiB\n",
		r.Shim.PID, r.Shim.Version, time.Since(r.Shim.Started).Round(time.Second), r.Shim.Goroutines, r.Shim.HeapBytes>>10)
	if r.VM != nil {
		p.vm(r.VM)
	}
	for _, t := range r.Tasks {
		p.task(t)
	}
	if len(r.Calls) > 0 {
		p.printf("\ncalls under way\n")
		for _, c := range r.Calls {
			p.printf("  %-10s %s %s\n", c.For.Round(time.Millisecond), c.Op, c.Subject)
		}
	}
	return p.err
}

func (p *printer) vm(v *uvm.Snapshot) {
	p.printf("VM      %s, %s, booted from %s\n", v.ID, v.State, v.Image)
	if v.Reason != "" {
		p.printf("        ended: %s\n", v.Reason)
	}
	if v.Error != "" {
		p.printf("        %s\n", v.Error)
	}
	p.printf("        %d shares, %d disks, %d adapters, %d namespaces, %d pipes\n", v.Shares, v.Disks, v.Adapters, v.Namespaces, v.Pipes)
}

func (p *printer) task(t diagnostics.Task) {
	p.printf("\ntask    %s\n", processText(t.Process))
	if t.Plan != nil {
		p.printf("        %s\n", modeText(t.Plan))
	}
	p.printf("        bundle %s\n", t.Bundle)
	for _, e := range t.Execs {
		p.printf("  exec  %s\n", processText(e))
	}
	p.phases(t.Phases)
	if t.Plan == nil {
		return
	}
	p.printf("  why\n")
	for _, r := range t.Plan.Reasons {
		p.printf("    %s: %s: %s\n", r.Decision, r.Input, r.Why)
	}
	p.crossings(t.Plan)
}

func processText(d diagnostics.Process) string {
	s := d.ID + ", " + d.State
	if d.PID != 0 {
		s += fmt.Sprintf(", pid %d", d.PID)
	}
	if d.Exit != nil {
		s += fmt.Sprintf(", exit status %d at %s", *d.Exit, d.ExitedAt.Format(time.RFC3339))
	}
	return s
}

func (p *printer) phases(spans []hcs.Span) {
	if len(spans) == 0 || p.err != nil {
		return
	}
	t := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  PHASE\tTOOK\tWAITED\tOWN")
	for _, s := range spans {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", s.Phase, short(s.Took), short(s.Waited), short(s.Own()))
	}
	p.err = t.Flush()
}

func short(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
