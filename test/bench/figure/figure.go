// Package figure turns what was measured into what is reported: samples to
// medians with their spread and ratios, and those to a table, to JSON and to
// docs/performance.md with its plot. It is pure: the same samples give the
// same report.
package figure

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Figure is something that is measured of every shim.
type Figure struct {
	ID      string  // "create.own"
	Name    string  // as the report calls it
	Unit    string  // "MB", "ms", "MB/s"
	More    bool    // more is better
	Goal    float64 // what the ratio to the reference should be at most (with More: at least); 0 for no goal
	Limit   float64 // what the value itself should be at most; 0 for no limit
	Alone   bool    // the reference has nothing that could be compared
	Digits  int     // behind the point
	Meaning string  // from when to when, how taken
}

// Samples are values by figure and shim.
type Samples map[string]map[string][]float64

// Add notes a value.
func (s Samples) Add(figure, shim string, value float64) {
	if s[figure] == nil {
		s[figure] = map[string][]float64{}
	}
	s[figure][shim] = append(s[figure][shim], value)
}

// Summary is the samples of one figure of one shim. The quartiles tell the
// spread: half of the samples lie between them.
type Summary struct {
	Count  int     `json:"count"`
	Median float64 `json:"median"`
	Low    float64 `json:"low"`  // first quartile
	High   float64 `json:"high"` // third quartile
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// Summarize returns the summary of values; of none, the zero Summary.
func Summarize(values []float64) Summary {
	if len(values) == 0 {
		return Summary{}
	}
	v := slices.Sorted(slices.Values(values))
	return Summary{
		Count: len(v), Min: v[0], Max: v[len(v)-1],
		Low: quantile(v, 0.25), Median: quantile(v, 0.5), High: quantile(v, 0.75),
	}
}

// quantile interpolates between the two nearest of the sorted values.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	below := int(at)
	if below+1 >= len(sorted) {
		return sorted[below]
	}
	return sorted[below] + (at-float64(below))*(sorted[below+1]-sorted[below])
}

// Span is from one moment to another.
type Span struct{ Begin, End time.Time }

// Own is what is left of a span when the time is taken away in which others
// were at work. Their spans may overlap each other and reach out of it.
func Own(of Span, others []Span) time.Duration {
	spans := slices.Clone(others)
	slices.SortFunc(spans, func(a, b Span) int { return a.Begin.Compare(b.Begin) })
	own, at := time.Duration(0), of.Begin
	for _, s := range spans {
		if s.Begin.After(of.End) {
			break
		}
		if s.Begin.After(at) {
			own += s.Begin.Sub(at)
		}
		if s.End.After(at) {
			at = s.End
		}
	}
	if at.Before(of.End) {
		own += of.End.Sub(at)
	}
	return own
}

// Ratio is a's median over b's; NaN if there is none.
func Ratio(a, b Summary) float64 {
	if b.Median == 0 || a.Count == 0 {
		return math.NaN()
	}
	return a.Median / b.Median
}

// Met says whether a value and its ratio to the reference's reach what the
// figure should be. A figure that should be nothing is always met.
func (f Figure) Met(value, ratio float64) bool {
	switch {
	case f.Limit != 0 && value > f.Limit:
		return false
	case f.Goal == 0:
		return true
	case f.More:
		return ratio >= f.Goal
	}
	return ratio <= f.Goal
}

// goals says whether there is anything to reach.
func (f Figure) goals() bool { return f.Goal != 0 || f.Limit != 0 }

// goalText is the goal as the report shows it.
func (f Figure) goalText() string {
	switch {
	case f.Limit != 0:
		return fmt.Sprintf("≤ %g %s", f.Limit, f.Unit)
	case f.Goal == 0:
		return "–"
	case f.More:
		return fmt.Sprintf("≥ %.2f", f.Goal)
	}
	return fmt.Sprintf("≤ %.2f", f.Goal)
}

// value is a median with its spread.
func (f Figure) value(s Summary) string {
	if s.Count == 0 {
		return "–"
	}
	text := fmt.Sprintf("%.*f", f.Digits, s.Median)
	if s.Low != s.High {
		text += fmt.Sprintf(" (%.*f–%.*f)", f.Digits, s.Low, f.Digits, s.High)
	}
	return text
}

// widest is the length of the longest text, in characters.
func widest(texts []string) int {
	n := 0
	for _, t := range texts {
		n = max(n, len([]rune(t)))
	}
	return n
}
