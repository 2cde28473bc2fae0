// Command bench measures isol's shim beside Microsoft's runhcs shim, in one
// run on one emulated machine.
//
//	go run ./test/bench [-short] [-json FILE] [-doc] [-trace] [-shim NAME=FILE]...
//
// A round measures each shim in turn; which comes first alternates, so that
// what the machine does besides hits all alike. The table shows medians, the
// quartiles behind them, and the ratio to runhcs. docs/performance.md, which
// -doc writes, says how each figure is taken.
package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/isolrun/isol/test/bench/figure"
	"github.com/isolrun/isol/test/lab"
)

// reference is the shim that ratios are to.
const reference = "runhcs"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	short bool
	size  size
	json  string
	doc   bool
	trace bool
	parts []part
	extra []string // NAME=FILE
}

// part is a part of the measurements.
type part string

// The parts.
const (
	onHost part = "host"  // containers on the host
	inVM   part = "vm"    // containers in utility VMs
	crowds part = "crowd" // many shims at once
)

var allParts = []part{onHost, inVM, crowds}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	var rounds int
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.BoolVar(&o.short, "short", false, "one small round: shows that all can be measured, not how much it is")
	set.IntVar(&rounds, "rounds", 0, "how many rounds; 0 for what is usual")
	set.StringVar(&o.json, "json", "out/bench.json", "write all samples to this `file`; empty for none")
	set.BoolVar(&o.doc, "doc", false, "write the report into docs/performance.md, and its plot beside that")
	set.BoolVar(&o.trace, "trace", false, "print when what happened: the driver's marks and the emulator's calls")
	set.Func("only", "measure one `part`: host, vm or crowd; may be repeated", func(s string) error {
		if !slices.Contains(allParts, part(s)) {
			return fmt.Errorf("want one of %q", allParts)
		}
		o.parts = append(o.parts, part(s))
		return nil
	})
	set.Func("shim", "compare a further build of isol's shim too, as `NAME=FILE`; may be repeated", func(s string) error {
		if name, file, ok := strings.Cut(s, "="); !ok || name == "" || file == "" {
			return errors.New("want NAME=FILE")
		}
		o.extra = append(o.extra, s)
		return nil
	})
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if o.parts == nil {
		o.parts = allParts
	}
	o.size = fullSize
	if o.short {
		o.size = shortSize
	}
	if rounds > 0 {
		o.size.rounds = rounds
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	report, err := measure(ctx, o, stderr)
	if err != nil {
		return err
	}
	if o.json != "" {
		if err := writeFile(o.json, report.WriteJSON); err != nil {
			return err
		}
	}
	if err := report.WriteTable(stdout); err != nil {
		return err
	}
	if o.doc {
		if err := writeDoc(report); err != nil {
			return err
		}
	}
	if missing := report.Missing(); len(missing) > 0 {
		return fmt.Errorf("not obtained: %s", strings.Join(missing, ", "))
	}
	return nil
}

// Where -doc writes, from the root of the tree.
const (
	page    = "docs/performance.md"
	picture = "performance.svg"
)

func writeDoc(report *figure.Report) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("%w: -doc needs the root of the tree as the current folder", err)
	}
	if text, err = report.Embed(text, picture); err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	if err := os.WriteFile(page, text, 0o644); err != nil {
		return err
	}
	return writeFile(filepath.Join(filepath.Dir(page), picture), report.WritePlot)
}

// measure does all rounds in a lab of its own.
func measure(ctx context.Context, o options, progress io.Writer) (_ *figure.Report, err error) {
	shims, err := programs(ctx, o, func(line string) { fmt.Fprintln(progress, line) })
	if err != nil {
		return nil, err
	}
	report := &figure.Report{Machine: machine(ctx), Rounds: o.size.rounds, Reference: reference, Floors: floors}
	for _, s := range shims {
		report.Shims = append(report.Shims, figure.Shim{Name: s.name, Version: s.version})
	}
	l, err := lab.Start(ctx, lab.Config{Guests: 1, Out: progress})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	var trace io.Writer
	if o.trace {
		trace = progress
	}
	b, err := openBench(ctx, l, shims, o.size, trace)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	b.parts, b.progress = o.parts, progress
	if err := b.rounds(ctx, shims); err != nil {
		return nil, err
	}
	report.Time, report.Samples = time.Now(), b.samples
	report.Figures = slices.Concat(figures(o), b.phaseFigures())
	return report, nil
}

// rounds measures all that there is to measure.
func (b *bench) rounds(ctx context.Context, shims []shim) error {
	if err := b.lab.HoldGuests(ctx, 1); err != nil { // it comes up before anything is measured
		return err
	}
	inTurn := slices.Clone(shims)
	each := func(p part, measure func(context.Context, shim) error) error {
		if !slices.Contains(b.parts, p) {
			return nil
		}
		for _, s := range inTurn {
			if err := measure(ctx, s); err != nil {
				return err
			}
		}
		slices.Reverse(inTurn)
		return nil
	}
	for i := range b.size.rounds {
		began := time.Now()
		err := steps(
			func() error { return b.floor(ctx) },
			func() error { return each(onHost, b.round) },
			func() error { return each(inVM, b.vmRound) },
		)
		if err != nil {
			return err
		}
		fmt.Fprintf(b.progress, "bench: round %d of %d, %s\n", i+1, b.size.rounds, time.Since(began).Round(time.Millisecond))
	}
	for range 1 + b.size.rounds/4 {
		if err := each(crowds, b.crowd); err != nil {
			return err
		}
	}
	b.takeAwayLaunches()
	return nil
}

// programs returns the shims, built alike, isol first.
func programs(ctx context.Context, o options, progress func(string)) ([]shim, error) {
	peers, err := lab.Peers(ctx, progress)
	if err != nil {
		return nil, err
	}
	isol, err := lab.BuildIsolShim(ctx, progress)
	if err != nil {
		return nil, err
	}
	all := []shim{newShim("isol", isol, lab.IsolShim)}
	for _, extra := range o.extra {
		name, file, _ := strings.Cut(extra, "=")
		all = append(all, newShim(name, file, lab.IsolShim))
	}
	runhcs := newShim(reference, peers.Runhcs, filepath.Base(peers.Runhcs))
	runhcs.legacy = true
	all = append(all, runhcs)
	for i := range all {
		if all[i].version, err = version(all[i].file); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func newShim(name, file, exe string) shim {
	return shim{name: name, file: file, exe: folder + `\` + name + `\` + exe}
}

// version is that of the module which a program's main package is of.
func version(file string) (string, error) {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("version of %s: %w", file, err)
	}
	for _, dep := range info.Deps {
		if strings.HasPrefix(info.Path, dep.Path+"/") {
			return dep.Version, nil
		}
	}
	return info.Main.Version, nil
}

// writeFile writes a file and the folder that it lies in.
func writeFile(name string, write func(io.Writer) error) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return write(f)
}
