package figure

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the goldens anew")

// A median that is off by one sample would move every ratio in the report.
func TestSummarize(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []float64
		want   Summary
	}{
		{"none", nil, Summary{}},
		{"one", []float64{7}, Summary{Count: 1, Median: 7, Low: 7, High: 7, Min: 7, Max: 7}},
		{"even, unsorted", []float64{4, 1, 3, 2}, Summary{Count: 4, Median: 2.5, Low: 1.75, High: 3.25, Min: 1, Max: 4}},
		{"one outlier", []float64{1, 1, 1, 1, 100}, Summary{Count: 5, Median: 1, Low: 1, High: 1, Min: 1, Max: 100}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Summarize(c.values)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The own share is what the report blames a shim for: time of others must be
// taken away once, and only where it lies within.
func TestOwn(t *testing.T) {
	zero := time.Unix(0, 0)
	span := func(from, to int) Span {
		return Span{zero.Add(time.Duration(from) * time.Millisecond), zero.Add(time.Duration(to) * time.Millisecond)}
	}
	of := span(10, 20)
	for _, c := range []struct {
		name   string
		others []Span
		want   time.Duration
	}{
		{"alone", nil, 10 * time.Millisecond},
		{"one within", []Span{span(12, 15)}, 7 * time.Millisecond},
		{"two that overlap", []Span{span(14, 16), span(12, 15)}, 6 * time.Millisecond},
		{"one within another", []Span{span(12, 18), span(13, 14)}, 4 * time.Millisecond},
		{"reaching out at both ends", []Span{span(5, 12), span(19, 30)}, 7 * time.Millisecond},
		{"before and after", []Span{span(1, 5), span(25, 30)}, 10 * time.Millisecond},
		{"all of it", []Span{span(0, 30)}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Own(of, c.others); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func report() *Report {
	s := Samples{}
	for i := range 4 {
		s.Add("exe", "isol", 8)
		s.Add("exe", "runhcs", 16)
		s.Add("create.own", "isol", 3+float64(i))
		s.Add("create.own", "runhcs", 5+float64(i))
		s.Add("stdout", "isol", 90)
		s.Add("stdout", "runhcs", 30)
		s.Add("connect", "isol", 0.5)
		s.Add("connect", "runhcs", 0.5)
		s.Add("vm.boot.own", "isol", 60)
		s.Add("vm.boot.own", "runhcs", 200)
		s.Add("vm.phase.start", "isol", 30)
	}
	s.Add("stdout", Without, 120)
	return &Report{
		Floors: []Figure{{ID: "stdout", Name: "stdout", Unit: "MB/s"}},
		Time:   time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC), Machine: "a machine", Rounds: 4,
		Shims: []Shim{{Name: "isol", Version: "v1.0.0"}, {Name: "runhcs", Version: "v0.14.1"}}, Reference: "runhcs", Samples: s,
		Figures: []Figure{
			{ID: "exe", Name: "exe", Unit: "MB", Goal: 0.6, Digits: 2, Meaning: "the file"},
			{ID: "create.own", Name: "create, own share", Unit: "ms", Goal: 0.5, Digits: 1, Meaning: "of Create"},
			{ID: "stdout", Name: "stdout", Unit: "MB/s", Goal: 2, More: true, Meaning: "bytes"},
			{ID: "connect", Name: "connect", Unit: "ms", Digits: 1, Meaning: "a call"},
			{ID: "vm.boot.own", Name: "VM boot, own share", Unit: "ms", Digits: 1, Limit: 50, Meaning: "of Create"},
			{ID: "vm.phase.start", Name: "VM: phase start", Unit: "ms", Digits: 1, Alone: true, Meaning: "from the log"},
		},
	}
}

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// Who reads the report reads this.
func TestPage(t *testing.T) {
	page := []byte("# Performance\n\n" + blockBegin + "\nold\n" + blockEnd + "\n\nwords of people\n")
	got, err := report().Embed(page, "performance.svg")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "page.md", got)
	again, err := report().Embed(got, "performance.svg")
	if err != nil || !bytes.Equal(got, again) {
		t.Errorf("a second run does not replace the first: %v\n%s", err, again)
	}
	if _, err := report().Embed([]byte("# Performance\n"), "x"); err == nil || !strings.Contains(err.Error(), blockBegin) {
		t.Errorf("a page without a place: %v", err)
	}
}

// A person at a terminal reads this.
func TestTable(t *testing.T) {
	var b bytes.Buffer
	if err := report().WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.txt", b.Bytes())
}

// CI keeps the JSON: who compares runs relies on its names, and its numbers
// must be those of the table.
func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := report().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", b.Bytes())
	var got struct {
		Figures []struct {
			ID    string
			Shims map[string]Summary
			Ratio map[string]float64
		}
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	create := got.Figures[1]
	if create.ID != "create.own" || create.Shims["isol"].Median != 4.5 || math.Abs(create.Ratio["isol"]-4.5/6.5) > 1e-9 {
		t.Errorf("%+v", create)
	}
}

// A goal is a ratio, or a limit of the value itself; what was not obtained
// reaches nothing and misses nothing.
func TestVerdict(t *testing.T) {
	of := func(isol, runhcs float64) *Report {
		s := Samples{}
		s.Add("x", "isol", isol)
		if runhcs != 0 {
			s.Add("x", "runhcs", runhcs)
		}
		return &Report{Shims: []Shim{{Name: "isol"}, {Name: "runhcs"}}, Reference: "runhcs", Samples: s}
	}
	for name, c := range map[string]struct {
		report *Report
		figure Figure
		want   string
	}{
		"no goal":               {of(1, 2), Figure{ID: "x"}, ""},
		"half":                  {of(1, 2), Figure{ID: "x", Goal: 0.5}, "met"},
		"more than half":        {of(1.1, 2), Figure{ID: "x", Goal: 0.5}, "missed"},
		"twice":                 {of(4, 2), Figure{ID: "x", More: true, Goal: 2}, "met"},
		"less than twice":       {of(3.9, 2), Figure{ID: "x", More: true, Goal: 2}, "missed"},
		"within the limit":      {of(5, 0), Figure{ID: "x", Limit: 5}, "met"},
		"beyond the limit":      {of(5.1, 100), Figure{ID: "x", Limit: 5}, "missed"},
		"nothing to compare":    {of(1, 0), Figure{ID: "x", Goal: 0.5}, ""},
		"limit, ratio to spare": {of(6, 100), Figure{ID: "x", Limit: 5, Goal: 0.5}, "missed"},
		"not obtained":          {of(1, 2), Figure{ID: "y", Limit: 5}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.report.verdict(c.figure); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// A figure that could not be taken must be named, not left out silently.
func TestMissing(t *testing.T) {
	r := report()
	if missing := r.Missing(); missing != nil {
		t.Errorf("missing %q of a whole report", missing)
	}
	delete(r.Samples["exe"], "runhcs")
	delete(r.Samples, "vm.phase.start")
	r.Figures = append(r.Figures, Figure{ID: "pids"})
	want := []string{"exe of runhcs", "vm.phase.start of isol", "pids of isol", "pids of runhcs"}
	if diff := cmp.Diff(want, r.Missing()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var b bytes.Buffer
	if err := r.WriteTable(&b); err != nil || !strings.Contains(b.String(), "–") {
		t.Errorf("the table of a report with holes: %v\n%s", err, b.String())
	}
}

// In the plot shorter must be better for every row.
func TestPlot(t *testing.T) {
	r := report()
	bars := r.bars()
	want := []bar{
		{"VM boot, own share", 0.3, missedColor},
		{"connect", 1, noGoalColor},
		{"stdout (inverse)", 1.0 / 3, metColor},
		{"create, own share", 4.5 / 6.5, missedColor},
		{"exe", 0.5, metColor},
	}
	if diff := cmp.Diff(want, bars, cmp.AllowUnexported(bar{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var b bytes.Buffer
	if err := r.WritePlot(&b); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"<svg", "create, own share", "isol / runhcs"} {
		if !strings.Contains(b.String(), word) {
			t.Errorf("the plot lacks %q", word)
		}
	}
}
