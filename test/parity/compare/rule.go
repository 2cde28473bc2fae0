package compare

import (
	"regexp"
	"strings"
)

// Rule explains a difference. All of its patterns must match; "*" stands for
// any text, "%" stands between alternatives, and an empty pattern matches everything.
type Rule struct {
	Name   string // unique
	Runs   string // of scenarios' ids: "resources/*/hyperv"
	Path   string // of the difference
	Isol   string // what isol has; None for nothing
	Runhcs string

	What string // the difference in words, for docs/parity.md
	Why  string // why isol does it so
	Link string // to the decision, from docs/
}

// None matches a value that is not there.
const None = "∅"

// matches says whether the rule explains d.
func (r Rule) matches(d Difference) bool {
	return anyGlob(alternatives(r.Runs), d.Run) && anyGlob(alternatives(r.Path), d.Path) && value(r.Isol, d.Isol) && value(r.Runhcs, d.Runhcs)
}

func alternatives(pattern string) []string {
	if pattern == "" {
		return nil
	}
	return strings.Split(pattern, "%")
}

func anyGlob(patterns []string, text string) bool {
	if len(patterns) == 0 {
		return true
	}
	for _, p := range patterns {
		if glob(p, text) {
			return true
		}
	}
	return false
}

func value(pattern, text string) bool {
	switch pattern {
	case "":
		return true
	case None:
		return text == ""
	}
	return text != "" && anyGlob(alternatives(pattern), text)
}

// glob says whether all of text matches the pattern.
func glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile(`(?s)^` + strings.Join(parts, ".*") + `$`).MatchString(text)
}

// Verdict is what came of the comparison of a corpus.
type Verdict struct {
	Equal       []string            // ids of scenarios without differences
	Explained   []string            // with differences that rules explain
	Unexplained []Difference        // that no rule explains
	Uses        map[string][]string // by rule, the scenarios in which it explains something
	Stale       []string            // rules that explain nothing
}

// Judge applies the rules to what was found, by scenario.
func Judge(order []string, found map[string][]Difference, rules []Rule) *Verdict {
	v := &Verdict{Uses: map[string][]string{}}
	for _, run := range order {
		open := 0
		used := map[string]bool{}
		for _, d := range found[run] {
			r := explanation(d, rules)
			if r == nil {
				v.Unexplained = append(v.Unexplained, d)
				open++
				continue
			}
			if !used[r.Name] {
				used[r.Name] = true
				v.Uses[r.Name] = append(v.Uses[r.Name], run)
			}
		}
		switch {
		case len(found[run]) == 0:
			v.Equal = append(v.Equal, run)
		case open == 0:
			v.Explained = append(v.Explained, run)
		}
	}
	for _, r := range rules {
		if len(v.Uses[r.Name]) == 0 {
			v.Stale = append(v.Stale, r.Name)
		}
	}
	return v
}

// explanation is the first rule that explains a difference, nil for none.
func explanation(d Difference, rules []Rule) *Rule {
	for i := range rules {
		if rules[i].matches(d) {
			return &rules[i]
		}
	}
	return nil
}
