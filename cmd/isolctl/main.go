// Command isolctl is the operator's program: it shows what isol decides about a
// container and why, what isol's runtime entries look like, and what isol has on
// a machine. Only prune changes anything; only list, show, stacks and prune need Windows.
//
//	isolctl explain BUNDLE|config.json   the plan of a container, its reasons, its crossings
//	isolctl matrix                       which image fits which host in which mode
//	isolctl config containerd            the runtime entries for containerd's config
//	isolctl config runtimeclass          the RuntimeClasses for Kubernetes
//	isolctl list                         isol's compute systems and whether their shims run
//	isolctl show ID                      what a pod is and does: tasks, VM, phases, plan, calls
//	isolctl stacks ID                    the stacks of a pod's shim and of its guest's agent
//	isolctl prune [--dry-run]            releases what shims that died have left
//
// It exits with 1 and the error that the shim would give.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v3"
)

func main() {
	if err := run(os.Args, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "isolctl:", err)
		os.Exit(1)
	}
}

// run is the whole program: args[0] is its name. The error is for the caller to
// print; stderr gets the usage where the command line is wrong.
func run(args []string, stdout, stderr io.Writer) error {
	m := thisMachine()
	app := &cli.Command{
		Name:   "isolctl",
		Usage:  "show what isol decides about a container and why, and what it has on a machine",
		Writer: stdout, ErrWriter: stderr,
		Commands:       []*cli.Command{explainCommand(), matrixCommand(), configCommand(), listCommand(m), showCommand(m), stacksCommand(m), pruneCommand(m)},
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // run returns the error
	}
	return app.Run(context.Background(), args)
}

// formatFlag is --format of the commands that print tables.
func formatFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "format", Value: "text", Usage: "text or json",
		Validator: func(s string) error {
			if s != "text" && s != "json" {
				return fmt.Errorf("%q is not one of text, json", s)
			}
			return nil
		},
	}
}
