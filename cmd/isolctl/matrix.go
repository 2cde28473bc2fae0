package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"github.com/isolrun/isol/internal/isolation"
)

func matrixCommand() *cli.Command {
	return &cli.Command{
		Name:  "matrix",
		Usage: "print which image fits which host in which mode",
		Flags: []cli.Flag{formatFlag()},
		Action: func(_ context.Context, c *cli.Command) error {
			cells := isolation.Matrix(isolation.MatrixHosts(), isolation.MatrixImages())
			if c.String("format") == "json" {
				return writeJSON(c.Root().Writer, cells)
			}
			return writeMatrix(c.Root().Writer, cells)
		},
	}
}

// writeMatrix prints a row for each host and a column for each image.
func writeMatrix(w io.Writer, cells []isolation.Cell) error {
	fits := map[[2]uint32]string{}
	for _, c := range cells {
		if c.OK && c.Mode != isolation.ModeHostProcess {
			key := [2]uint32{c.Host, c.Image}
			fits[key] = strings.TrimSpace(fits[key] + " " + c.Mode.String())
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "HOST")
	for _, i := range isolation.MatrixImages() {
		fmt.Fprintf(t, "\tIMAGE %d", i)
	}
	fmt.Fprintln(t)
	for _, h := range isolation.MatrixHosts() {
		fmt.Fprint(t, h)
		for _, i := range isolation.MatrixImages() {
			s := fits[[2]uint32{h, i}]
			if s == "" {
				s = "-"
			}
			fmt.Fprintf(t, "\t%s", s)
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, `
A HostProcess container takes any image. On host 14393 process isolation wants
equal revisions too, and isol itself needs host 17763 or later.`)
	return err
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
