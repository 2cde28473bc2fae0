package main

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"
)

// containerdEntries are the runtime entries that deploy/install.ps1 writes too;
// a test holds the two together.
//
//go:embed containerd.toml
var containerdEntries string

// containerd's two ways to make a pod, as its config calls them.
const (
	podSandboxer  = "podsandbox"
	shimSandboxer = "shim"
)

// entriesFor returns the entries for one of them. The Sandbox API needs no
// pause image, so containerd need not pull one.
func entriesFor(sandboxer string) (string, error) {
	switch sandboxer {
	case podSandboxer:
		return containerdEntries, nil
	case shimSandboxer:
		const kind = "  runtime_type = \"io.containerd.isol.v1\"\n"
		return strings.ReplaceAll(containerdEntries, kind, kind+"  sandboxer = \"shim\"\n  disable_pause_image_pull = true\n"), nil
	}
	return "", fmt.Errorf("--sandboxer is %q: it is %s or %s", sandboxer, podSandboxer, shimSandboxer)
}

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
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "sandboxer", Value: podSandboxer, Usage: "who makes the pods: " + podSandboxer + ", with a pause image, or " + shimSandboxer + ", the shim itself through the Sandbox API"},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			entries, err := entriesFor(c.String("sandboxer"))
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(c.Root().Writer, entries)
			return err
		},
	}
}
