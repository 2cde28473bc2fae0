// Command cover reads a Go coverage profile and fails if the platform-neutral
// packages of the product have less of their statements covered than asked.
//
//	go run ./test/cover -min 85 out/cover.out
//
// Left out are generated files, *_windows.go leaves (which the profile of a
// Linux run does not have) and commands' main packages, which only wire.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strings"
)

const module = "github.com/isolrun/isol/"

// count is covered statements of all statements.
type count struct{ covered, total int }

func (c count) percent() float64 {
	if c.total == 0 {
		return 100
	}
	return 100 * float64(c.covered) / float64(c.total)
}

func main() {
	minimum := flag.Float64("min", 85, "percent of statements that must be covered")
	flag.Parse()
	if err := run(flag.Arg(0), *minimum, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cover:", err)
		os.Exit(1)
	}
}

func run(profile string, minimum float64, out io.Writer) error {
	f, err := os.Open(profile)
	if err != nil {
		return err
	}
	defer f.Close()
	packages, err := parse(f)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(packages))
	var all count
	for name, c := range packages {
		names = append(names, name)
		all.covered += c.covered
		all.total += c.total
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(out, "%6.1f %%  %s\n", packages[name].percent(), name)
	}
	fmt.Fprintf(out, "%6.1f %%  of %d statements in platform-neutral packages, at least %.0f %% wanted\n", all.percent(), all.total, minimum)
	if all.total == 0 {
		return fmt.Errorf("%s has no statement of %sinternal", profile, module)
	}
	if all.percent() < minimum {
		return fmt.Errorf("%.1f %% of the statements are covered, at least %.0f %% are wanted", all.percent(), minimum)
	}
	return nil
}

// parse sums a profile per package. A block that stands more than once (one
// line for each test binary that saw it) is covered if any line says so.
func parse(r io.Reader) (map[string]count, error) {
	type block struct {
		statements int
		covered    bool
	}
	blocks := map[string]block{}
	s := bufio.NewScanner(r)
	for n := 1; s.Scan(); n++ {
		if strings.HasPrefix(s.Text(), "mode:") {
			continue
		}
		fields := strings.Fields(s.Text())
		if len(fields) != 3 {
			return nil, fmt.Errorf("line %d is not a coverage block: %q", n, s.Text())
		}
		var statements, hits int
		if _, err := fmt.Sscan(fields[1]+" "+fields[2], &statements, &hits); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		b := blocks[fields[0]]
		blocks[fields[0]] = block{statements, b.covered || hits > 0}
	}
	packages := map[string]count{}
	for where, b := range blocks {
		file, _, _ := strings.Cut(where, ":")
		rel, ok := strings.CutPrefix(file, module+"internal/")
		if !ok || strings.HasSuffix(file, ".pb.go") || strings.HasPrefix(path.Base(file), "z") {
			continue
		}
		dir := "internal/" + path.Dir(rel)
		c := packages[dir]
		c.total += b.statements
		if b.covered {
			c.covered += b.statements
		}
		packages[dir] = c
	}
	return packages, s.Err()
}
