package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/template"

	"github.com/isolrun/isol/test/parity/compare"
)

// pageFile is what -doc writes, from the root of the tree.
const pageFile = "docs/parity.md"

//go:embed page.md.tmpl
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// sections are the tables of rules.
var sections = []struct {
	Title string
	Rules []compare.Rule
}{
	{"What runs", refusalRules},
	{"What containerd is answered", answerRules},
	{"Calls for a container", callRules},
	{"Utility VMs", vmRules},
	{"Networks", networkRules},
}

// page is what the template shows.
type page struct {
	Line         string
	Groups       []groupRow
	Sections     []section
	Translations []compare.Translation
	Steps        []stepRow
}

type groupRow struct {
	Name, About            string
	Runs, Equal, Explained int
}

type section struct {
	Title string
	Rules []ruleRow
}

type ruleRow struct{ What, Why, Label, Link, Where string }

type stepRow struct{ Name, Calls string }

// writeDoc writes docs/parity.md.
func (r *report) writeDoc() error {
	text, err := r.page()
	if err != nil {
		return err
	}
	if _, err := os.Stat(pageFile); err != nil {
		return fmt.Errorf("%w: -doc needs the root of the tree as the current folder", err)
	}
	return os.WriteFile(pageFile, text, 0o644)
}

func (r *report) page() ([]byte, error) {
	p := page{Line: r.line(), Groups: r.groups(), Translations: compare.Translations, Steps: r.steps()}
	for _, s := range sections {
		rows := section{Title: s.Title}
		for _, rule := range s.Rules {
			rows.Rules = append(rows.Rules, ruleRow{rule.What, rule.Why, label(rule.Link), rule.Link, where(r.verdict.Uses[rule.Name])})
		}
		p.Sections = append(p.Sections, rows)
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func (r *report) groups() []groupRow {
	var rows []groupRow
	for _, x := range r.runs {
		if len(rows) == 0 || rows[len(rows)-1].Name != x.Group {
			rows = append(rows, groupRow{Name: x.Group, About: x.GroupAbout})
		}
		row := &rows[len(rows)-1]
		row.Runs++
		if slices.Contains(r.verdict.Equal, x.ID()) {
			row.Equal++
		}
		if slices.Contains(r.verdict.Explained, x.ID()) {
			row.Explained++
		}
	}
	return rows
}

// label is a link's text: the page's name.
func label(link string) string {
	file, _, _ := strings.Cut(link, "#")
	return strings.TrimSuffix(file[strings.LastIndexByte(file, '/')+1:], ".md")
}

// where names the scenarios, or the first of many.
func where(runs []string) string {
	const most = 3
	var list []string
	for _, x := range runs[:min(most, len(runs))] {
		list = append(list, "`"+x+"`")
	}
	text := strings.Join(list, ", ")
	if n := len(runs) - most; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// tour is the scenario whose calls the page lists.
const tour = "life/tour/process"

// steps are isol's calls in the tour, step by step, as they were made.
func (r *report) steps() []stepRow {
	o := r.isol[tour]
	if o == nil {
		return nil
	}
	var rows []stepRow
	for _, result := range o.Results {
		var calls []string
		for _, c := range o.Calls {
			if c.Step == result.Step {
				calls = append(calls, c.Name)
			}
		}
		if len(calls) == 0 {
			continue
		}
		if n := len(rows); n > 0 && rows[n-1].Name == result.Step {
			rows[n-1].Calls += ", " + strings.Join(calls, ", ")
			continue
		}
		rows = append(rows, stepRow{result.Step, strings.Join(calls, ", ")})
	}
	return rows
}
