package figure

import (
	"bytes"
	"fmt"
	"strings"
)

// The lines between which a page holds what a run has printed.
const (
	blockBegin = "<!-- test/bench -doc writes from here -->"
	blockEnd   = "<!-- to here -->"
)

// Embed returns the page with the report between the two lines that mark its
// place. picture is the path of the plot, as the page's links have it.
func (r *Report) Embed(page []byte, picture string) ([]byte, error) {
	before, rest, ok := bytes.Cut(page, []byte(blockBegin))
	_, after, ended := bytes.Cut(rest, []byte(blockEnd))
	if !ok || !ended {
		return nil, fmt.Errorf("the page has no place for the report: it needs the lines %q and %q", blockBegin, blockEnd)
	}
	block, err := r.markdown(picture)
	if err != nil {
		return nil, err
	}
	return bytes.Join([][]byte{before, []byte(blockBegin + "\n" + block + blockEnd), after}, nil), nil
}

func (r *Report) markdown(picture string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d rounds, on %s:\n\n```\n", r.Time.UTC().Format("2 January 2006"), r.Rounds, r.Machine)
	if err := r.WriteTable(&b); err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "```\n\n![ratios](%s)\n\n| figure | is |\n|---|---|\n", picture)
	for _, f := range r.Figures {
		fmt.Fprintf(&b, "| %s | %s |\n", f.Name, f.Meaning)
	}
	return b.String(), nil
}
