// Command gendoc writes docs/annotations.md from the annotation table of
// package oci. It takes the file to write as its only argument.
package main

import (
	"fmt"
	"os"

	"github.com/isolrun/isol/internal/oci"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gendoc FILE")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], oci.Markdown(), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
