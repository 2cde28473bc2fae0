package main

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/urfave/cli/v3"
)

// containerdEntries are the runtime entries that deploy/install.ps1 writes too;
// a test holds the two together.
//
//go:embed containerd.toml
var containerdEntries string

func configCommand() *cli.Command {
	return &cli.Command{
		Name:     "config",
		Usage:    "print configuration",
		Commands: []*cli.Command{containerdCommand(), runtimeClassCommand()},
	}
}

func containerdCommand() *cli.Command {
	return &cli.Command{
		Name:  "containerd",
		Usage: "print isol's runtime entries for containerd's config.toml",
		Action: func(_ context.Context, c *cli.Command) error {
			_, err := fmt.Fprint(c.Root().Writer, containerdEntries)
			return err
		},
	}
}
