// Command parity runs Microsoft's runhcs shim and isol's side by side on one
// emulated machine, through a corpus of scenarios, and compares what they do:
// documents, messages to guests, process parameters, changes, layer and
// network calls and their order, events and their order, exit codes, gRPC codes.
//
//	go run ./test/parity [-short] [-run REGEXP] [-v] [-doc] [-keep FILE] [-from FILE]
//
// What differs is explained by the rules of this package (rules_*.go), or the
// command fails. A rule that explains nothing fails it too. docs/parity.md,
// which -doc writes, is the table of the rules. -keep writes what was seen to a
// file, and -from compares that anew, which needs no lab.
package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/signal"
	"regexp"
	"time"

	"github.com/isolrun/isol/test/parity/compare"
	"github.com/isolrun/isol/test/parity/scenario"
)

//go:embed scenarios/*.json
var corpus embed.FS

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "parity:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	short, verbose, doc bool
	only                *regexp.Regexp
	keep, from          string
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	set := flag.NewFlagSet("parity", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.BoolVar(&o.short, "short", false, "only the scenarios of the short form")
	set.BoolVar(&o.verbose, "v", false, "print each difference and what explains it")
	set.BoolVar(&o.doc, "doc", false, "write docs/parity.md; needs all scenarios")
	set.StringVar(&o.keep, "keep", "", "write what was seen to this `file`")
	set.StringVar(&o.from, "from", "", "compare what an earlier run kept in this `file`")
	only := set.String("run", "", "only the scenarios whose id matches this `regexp`")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if o.doc && (o.short || *only != "") {
		return o, errors.New("-doc needs all scenarios: leave -short and -run out")
	}
	if *only != "" {
		var err error
		if o.only, err = regexp.Compile(*only); err != nil {
			return o, err
		}
	}
	return o, nil
}

// partial says whether rules may be unused, because scenarios are left out.
func (o options) partial() bool { return o.short || o.only != nil }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	runs, err := selected(o)
	if err != nil {
		return err
	}
	seen, err := observe(ctx, o, runs, stderr)
	if err != nil {
		return err
	}
	r := judge(o, runs, seen)
	if o.doc {
		if err := r.writeDoc(); err != nil {
			return err
		}
	}
	r.write(stdout, o.verbose)
	return r.err()
}

// selected are the scenarios to run, in the corpus's order.
func selected(o options) ([]scenario.Run, error) {
	files, err := fs.Sub(corpus, "scenarios")
	if err != nil {
		return nil, err
	}
	all, err := scenario.Load(files)
	if err != nil {
		return nil, err
	}
	var runs []scenario.Run
	for _, r := range all {
		if (!o.short || r.IsShort()) && (o.only == nil || o.only.MatchString(r.ID())) {
			runs = append(runs, r)
		}
	}
	if len(runs) == 0 {
		return nil, errors.New("no scenario is selected")
	}
	return runs, nil
}

// records are what was recorded, by scenario and shim.
type records map[string]map[compare.Who]*compare.Raw

// observe runs the scenarios, or reads what an earlier run has kept.
func observe(ctx context.Context, o options, runs []scenario.Run, progress io.Writer) (records, error) {
	if o.from != "" {
		return readRecords(o.from)
	}
	seen, err := playAll(ctx, runs, progress)
	if err == nil && o.keep != "" {
		err = seen.addTo(o.keep)
	}
	return seen, err
}

func playAll(ctx context.Context, runs []scenario.Run, progress io.Writer) (_ records, err error) {
	s, err := openStage(ctx, progress)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	seen := records{}
	for i, r := range runs {
		began := time.Now()
		for again := 0; again <= repeats; again++ {
			if seen[r.ID()], err = s.play(ctx, r); err != nil {
				return nil, err
			}
			if !late(seen[r.ID()]) {
				break
			}
			fmt.Fprintf(progress, "parity: %s took too long: once more\n", r.ID())
		}
		fmt.Fprintf(progress, "parity: %d of %d, %s, %s\n", i+1, len(runs), r.ID(), time.Since(began).Round(10*time.Millisecond))
	}
	return seen, nil
}

// repeats is how often a scenario is played again in which a limit ran out: on a
// machine that is busy with other things that says nothing about a shim. What
// still hangs then is a difference.
const repeats = 2

// late says whether a limit ran out.
func late(seen map[compare.Who]*compare.Raw) bool {
	for _, raw := range seen {
		for _, r := range raw.Reply.Results {
			if r.Code == "timeout" || r.Code == "alive" {
				return true
			}
		}
	}
	return false
}

func readRecords(name string) (records, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var seen records
	if err := json.Unmarshal(text, &seen); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return seen, nil
}

// addTo adds the records to a file's, whose older ones of the same scenarios go.
func (r records) addTo(name string) error {
	all, err := readRecords(name)
	if errors.Is(err, fs.ErrNotExist) {
		all, err = records{}, nil
	}
	if err != nil {
		return err
	}
	maps.Copy(all, r)
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o644)
}
