package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/isolation"
)

// writeExplanation prints what a person reads: the choice, why, what lost, and
// what crosses the boundary.
func writeExplanation(w io.Writer, e explanation) error {
	t := &printer{w: w}
	t.summary(e)
	t.printf("\nwhy\n")
	for _, r := range e.Plan.Reasons {
		t.printf("  %s\n      %s: %s\n", r.Decision, r.Input, r.Why)
	}
	if len(e.Plan.Overruled) > 0 {
		t.printf("\noverruled\n")
		for _, o := range e.Plan.Overruled {
			t.printf("  %s said %s; %s decided\n", o.Input, o.Said, o.By)
		}
	}
	t.crossings(e.Plan)
	if n := e.Plan.Container.Network; e.Plan.Role != isolation.RoleWorkload && (n.NamespaceID != "" || len(n.EndpointIDs) > 0) {
		t.printf("  and the ports of the host that its endpoints publish: isolctl show lists them when it runs\n")
	}
	t.mounts(e.Plan)
	for _, d := range e.Documents {
		t.document(d)
	}
	return t.err
}

// printer keeps the first error of its writes.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *printer) summary(e explanation) {
	plan := e.Plan
	image := sourced(plan.Versions.Image, e.in.Image.OSSource)
	if plan.Bare {
		image = "none: the Sandbox API gives a pod no image"
	}
	rows := [][2]string{{"isolation", modeText(plan)}, {"host", hostText(e.in.Host)}, {"image", image}}
	if plan.InVM() {
		rows = append(rows, [2]string{"utility VM", vmText(plan, e.in.Pod)})
	}
	rows = append(rows, [2]string{"limits", limitsText(plan)})
	for _, r := range rows {
		p.printf("%-11s %s\n", r[0], r[1])
	}
}

func modeText(p *isolation.Plan) string {
	s := fmt.Sprintf("%s, %s guest, %s", p.Mode, p.Guest, p.Role)
	if p.SandboxID != "" {
		s += " of pod " + p.SandboxID
	}
	return s
}

func hostText(f host.Facts) string { return f.String() + ", from " + f.Source }

func sourced(v host.Version, source string) string {
	if source == "" || !v.Known() {
		return v.String()
	}
	return v.String() + ", from " + source
}

func vmText(p *isolation.Plan, pod *isolation.Plan) string {
	u := p.UVM
	if u == nil && pod != nil {
		u = pod.UVM
	}
	s := sourced(p.Versions.UVM, p.Versions.UVMSource)
	if u == nil {
		return s
	}
	if u.Late && p.Bare {
		s = "of the first container's image"
	}
	return fmt.Sprintf("%s: %s, %d MB, %d processors", u.ID, s, u.MemoryMB, u.Processor.Count)
}

func limitsText(p *isolation.Plan) string {
	c := p.Container
	var parts []string
	for _, l := range []struct {
		set  bool
		text string
	}{
		{c.MemoryMB != 0, fmt.Sprintf("%d MB of memory", c.MemoryMB)},
		{c.Count != 0, fmt.Sprintf("%d processors", c.Count)},
		{c.Limit != 0, fmt.Sprintf("%d of 10000 of the processors' time", c.Limit)},
		{c.Weight != 0, fmt.Sprintf("processor weight %d", c.Weight)},
		{c.Storage.IOPS != 0, fmt.Sprintf("%d IOPS", c.Storage.IOPS)},
		{c.Storage.Bandwidth != 0, fmt.Sprintf("%d bytes/s of storage", c.Storage.Bandwidth)},
	} {
		if l.set {
			parts = append(parts, l.text)
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func (p *printer) crossings(plan *isolation.Plan) {
	p.printf("\ncrosses the boundary\n")
	if len(plan.Crossings) == 0 {
		p.printf("  nothing\n")
		return
	}
	t := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  WHAT\tHOST\tINSIDE\tACCESS\tASKED FOR BY")
	for _, c := range plan.Crossings {
		access, inside := "read", c.Inside
		if c.Write {
			access = "read, write"
		}
		if inside == "" {
			inside = "-"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", c.Kind, c.Host, inside, access, c.Source)
	}
	if err := t.Flush(); p.err == nil {
		p.err = err
	}
}

// mounts says of each mount by what mechanism the container gets it, those
// among them that open nothing of the host.
func (p *printer) mounts(plan *isolation.Plan) {
	c := plan.Container
	if len(c.Mounts)+len(c.Pipes) == 0 {
		return
	}
	p.printf("\nmounts\n")
	t := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  INSIDE\tFROM\tHOW")
	for _, m := range c.Mounts {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", m.Destination, m.Source, m.How())
	}
	for _, pipe := range c.Pipes {
		fmt.Fprintf(t, "  \\\\.\\pipe\\%s\t%s\t%s\n", pipe.ContainerName, pipe.HostPath, pipe.How(plan.InVM()))
	}
	if err := t.Flush(); p.err == nil {
		p.err = err
	}
}

func (p *printer) document(d document) {
	p.printf("\ndocument: %s", d.Name)
	if d.For != "" {
		p.printf(", for %s", d.For)
	}
	p.printf("\n")
	if d.Note != "" {
		p.printf("(%s)\n", d.Note)
	}
	if d.Body != nil && p.err == nil {
		p.err = writeJSON(p.w, d.Body)
	}
}
