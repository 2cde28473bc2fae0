package figure

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// The plot's measures and colours.
const (
	plotWidth = 18 * vg.Centimeter
	rowHeight = 0.7 * vg.Centimeter
	barWidth  = 0.4 * vg.Centimeter
)

var (
	metColor    = color.RGBA{0x2b, 0x8a, 0x3e, 0xff}
	missedColor = color.RGBA{0xe0, 0x8e, 0x0b, 0xff}
	noGoalColor = color.RGBA{0x86, 0x8e, 0x96, 0xff}
)

// bar is a row of the plot: what the project's shim costs of what the
// reference costs. Where more is better it is the other way round, so that
// shorter is better everywhere.
type bar struct {
	name  string
	ratio float64
	color color.Color
}

// bars are the rows of the plot, the first figure on top.
func (r *Report) bars() []bar {
	var bars []bar
	for _, f := range r.Figures {
		ratio := Ratio(Summarize(r.Samples[f.ID][r.Shims[0].Name]), Summarize(r.Samples[f.ID][r.Reference]))
		if math.IsNaN(ratio) {
			continue
		}
		b := bar{f.Name, ratio, noGoalColor}
		switch r.verdict(f) {
		case "met":
			b.color = metColor
		case "missed":
			b.color = missedColor
		}
		if f.More {
			b.name, b.ratio = b.name+" (inverse)", 1/ratio
		}
		bars = append(bars, b)
	}
	slices.Reverse(bars) // the axis goes upwards
	return bars
}

// WritePlot writes the ratios as an SVG.
func (r *Report) WritePlot(w io.Writer) error {
	bars := r.bars()
	p := plot.New()
	p.Title.Text = fmt.Sprintf("%s / %s: shorter is better", r.Shims[0].Name, r.Reference)
	p.X.Min, p.X.Max = 0, 1
	names := make([]string, len(bars))
	for i, b := range bars {
		names[i] = b.name
		p.X.Max = max(p.X.Max, b.ratio)
		chart, err := plotter.NewBarChart(plotter.Values{b.ratio}, barWidth)
		if err != nil {
			return fmt.Errorf("plot %s: %w", b.name, err)
		}
		chart.Horizontal, chart.XMin, chart.Color, chart.LineStyle.Width = true, float64(i), b.color, 0
		p.Add(chart)
	}
	for _, at := range []float64{0.5, 1} {
		line, err := plotter.NewLine(plotter.XYs{{X: at, Y: -0.5}, {X: at, Y: float64(len(bars)) - 0.5}})
		if err != nil {
			return fmt.Errorf("plot: %w", err)
		}
		line.LineStyle.Dashes = []vg.Length{3, 3}
		p.Add(line)
	}
	p.NominalY(names...)
	picture, err := p.WriterTo(plotWidth, rowHeight*vg.Length(len(bars)+3), "svg")
	if err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	_, err = picture.WriteTo(w)
	return err
}
