package figure

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// Report is all that one run has found.
type Report struct {
	Time      time.Time // when it ended
	Machine   string    // what it ran on: system, processors, Wine
	Rounds    int
	Shims     []Shim // the first is the one that the project is about
	Reference string // name of the shim that ratios are to
	Figures   []Figure
	Samples   Samples
	Floors    []Figure // what was measured without any shim, noted under the name Without
}

// Without is the name under which floors are noted: no shim can do better.
const Without = "no shim"

// floors are lines about what was measured without a shim; empty for nothing.
func (r *Report) floors() string {
	var parts []string
	for _, f := range r.Floors {
		parts = append(parts, fmt.Sprintf("%s %s %s", f.Name, f.value(Summarize(r.Samples[f.ID][Without])), f.Unit))
	}
	if parts == nil {
		return ""
	}
	return Without + ":\n  " + strings.Join(parts, "\n  ")
}

// Shim is one of those compared.
type Shim struct {
	Name    string `json:"name"`
	Version string `json:"version"` // as the program says it
}

// names are the shims' names.
func (r *Report) names() []string {
	var names []string
	for _, s := range r.Shims {
		names = append(names, s.Name)
	}
	return names
}

// Missing returns the figures that were not obtained, as "figure of shim".
func (r *Report) Missing() []string {
	var missing []string
	for _, f := range r.Figures {
		for _, shim := range r.names() {
			if len(r.Samples[f.ID][shim]) == 0 && (shim != r.Reference || !f.Alone) {
				missing = append(missing, f.ID+" of "+shim)
			}
		}
	}
	return missing
}

// verdict says whether the project's shim reaches what a figure should be;
// empty where there is nothing to reach or nothing was obtained.
func (r *Report) verdict(f Figure) string {
	own := Summarize(r.Samples[f.ID][r.Shims[0].Name])
	ratio := Ratio(own, Summarize(r.Samples[f.ID][r.Reference]))
	if !f.goals() || own.Count == 0 || (f.Goal != 0 && math.IsNaN(ratio)) {
		return ""
	}
	if f.Met(own.Median, ratio) {
		return "met"
	}
	return "missed"
}

// rows is the table: a head and a row per figure.
func (r *Report) rows() [][]string {
	head := []string{"figure", "unit"}
	head = append(head, r.names()...)
	for _, s := range r.Shims {
		if s.Name != r.Reference {
			head = append(head, s.Name+"/"+r.Reference)
		}
	}
	rows := [][]string{append(head, "goal", "")}
	for _, f := range r.Figures {
		row := []string{f.Name, f.Unit}
		for _, s := range r.Shims {
			row = append(row, f.value(Summarize(r.Samples[f.ID][s.Name])))
		}
		for _, s := range r.Shims {
			if s.Name == r.Reference {
				continue
			}
			row = append(row, ratioText(Ratio(Summarize(r.Samples[f.ID][s.Name]), Summarize(r.Samples[f.ID][r.Reference]))))
		}
		rows = append(rows, append(row, f.goalText(), r.verdict(f)))
	}
	return rows
}

func ratioText(ratio float64) string {
	if math.IsNaN(ratio) {
		return "–"
	}
	return fmt.Sprintf("%.2f", ratio)
}

// WriteTable writes the table for a terminal.
func (r *Report) WriteTable(w io.Writer) error {
	rows := r.rows()
	widths := make([]int, len(rows[0]))
	for i := range widths {
		var column []string
		for _, row := range rows {
			column = append(column, row[i])
		}
		widths[i] = widest(column)
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[i]-len([]rune(cell))+2))
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	if floors := r.floors(); floors != "" {
		_, err := fmt.Fprintln(w, floors)
		return err
	}
	return nil
}

// jsonFigure is a figure in the JSON form.
type jsonFigure struct {
	ID      string               `json:"id"`
	Name    string               `json:"name"`
	Unit    string               `json:"unit"`
	Meaning string               `json:"meaning"`
	Goal    float64              `json:"goal,omitempty"`
	Limit   float64              `json:"limit,omitempty"`
	Verdict string               `json:"verdict,omitempty"`
	Shims   map[string]Summary   `json:"shims"`
	Ratio   map[string]float64   `json:"ratio,omitempty"` // to the reference
	Values  map[string][]float64 `json:"values"`          // each sample, in the order in which it was taken
}

// WriteJSON writes all of the report, samples included.
func (r *Report) WriteJSON(w io.Writer) error {
	doc := struct {
		Time      time.Time    `json:"time"`
		Machine   string       `json:"machine"`
		Rounds    int          `json:"rounds"`
		Reference string       `json:"reference"`
		Shims     []Shim       `json:"shims"`
		Figures   []jsonFigure `json:"figures"`
		Floors    []jsonFigure `json:"floors"` // what was measured without a shim
	}{Time: r.Time, Machine: r.Machine, Rounds: r.Rounds, Reference: r.Reference, Shims: r.Shims}
	for _, f := range r.Floors {
		values := r.Samples[f.ID][Without]
		doc.Floors = append(doc.Floors, jsonFigure{
			ID: f.ID, Name: f.Name, Unit: f.Unit, Meaning: f.Meaning,
			Shims: map[string]Summary{Without: Summarize(values)}, Values: map[string][]float64{Without: values},
		})
	}
	for _, f := range r.Figures {
		j := jsonFigure{
			ID: f.ID, Name: f.Name, Unit: f.Unit, Meaning: f.Meaning, Goal: f.Goal, Limit: f.Limit, Verdict: r.verdict(f),
			Shims: map[string]Summary{}, Ratio: map[string]float64{}, Values: map[string][]float64{},
		}
		for _, s := range r.Shims {
			j.Values[s.Name] = r.Samples[f.ID][s.Name]
			j.Shims[s.Name] = Summarize(j.Values[s.Name])
		}
		for _, s := range r.Shims {
			if ratio := Ratio(j.Shims[s.Name], j.Shims[r.Reference]); s.Name != r.Reference && !math.IsNaN(ratio) {
				j.Ratio[s.Name] = ratio
			}
		}
		doc.Figures = append(doc.Figures, j)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(doc)
}
