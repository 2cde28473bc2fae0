package main

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the outputs in the pages of docs and the golden files")

const command = "$ go run ./cmd/isolctl "

// pages show commands of isolctl, at least so many.
var pages = []struct {
	path     string
	commands int
}{
	{"docs/isolation.md", 20},
	{"docs/kubernetes.md", 8},
	{"docs/nerdctl.md", 8},
}

// Every command that a page shows gives the output that stands below it: else
// the page explains rules that isol does not follow.
func TestDocumentedCommands(t *testing.T) {
	t.Chdir("../..")
	for _, page := range pages {
		t.Run(page.path, func(t *testing.T) {
			text, err := os.ReadFile(page.path)
			if err != nil {
				t.Fatal(err)
			}
			got, ran := replay(t, string(text))
			if ran < page.commands {
				t.Errorf("%s shows only %d commands", page.path, ran)
			}
			if *update {
				if err := os.WriteFile(page.path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("%s (-stands there +is printed; run with -update):\n%s", page.path, diff)
			}
		})
	}
}

// replay runs the commands of a page and returns it with what they print, and
// how many there were.
func replay(t *testing.T, text string) (string, int) {
	t.Helper()
	var out []string
	ran := 0
	inBlock, skip := false, false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "```console":
			inBlock, skip = true, false
		case inBlock && line == "```":
			inBlock, skip = false, false
		case inBlock && strings.HasPrefix(line, command):
			out = append(out, line)
			out = append(out, shell(t, strings.TrimPrefix(line, command))...)
			skip = true // what stood there
			ran++
			continue
		case skip:
			continue
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n") + "\n", ran
}

// shell runs one command line of the page and returns the lines it prints. With
// "> FILE" it compares the file.
func shell(t *testing.T, line string) []string {
	t.Helper()
	line, file, redirected := strings.Cut(line, " > ")
	var stdout, stderr bytes.Buffer
	args := strings.Fields(line)
	if args[0] == "explain" && !slices.Contains(args, "--host") {
		args = slices.Insert(args, 1, "--host", defaultHost) // what the page assumes; Windows would probe itself
	}
	if err := run(append([]string{"isolctl"}, args...), &stdout, &stderr); err != nil {
		return append(lines(stdout.String()), "isolctl: "+err.Error(), "exit status 1")
	}
	if !redirected {
		return lines(stdout.String())
	}
	if *update {
		if err := os.WriteFile(file, stdout.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), stdout.String()); diff != "" {
		t.Errorf("%s (-is +should be):\n%s", file, diff)
	}
	return nil
}

func lines(s string) []string {
	if s = strings.TrimRight(s, "\n"); s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}
