package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/computecore"
	"github.com/isolrun/isol/internal/job"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/network"
	"github.com/isolrun/isol/internal/shim"
	"github.com/isolrun/isol/internal/shim/launch"
	"github.com/isolrun/isol/internal/undo"
)

// dialLimit is how long a shim has to accept a connection. One that is too busy
// for that runs, and is left alone.
const dialLimit = 2 * time.Second

// machine is what list and prune need of the machine that they run on. The
// adapters are those of the shim; elsewhere than on Windows their calls fail
// and say why, so that what only reads files works everywhere.
type machine struct {
	origin  string // as its journals name it; empty is not checked
	backlog journal.Backlog
	dial    func(ctx context.Context, address string) (net.Conn, error)
	host    func() (hcs.Host, error)
	undo    func(hcs.Host) journal.Undoers
}

func thisMachine() machine {
	name := origin()
	return machine{
		origin:  name,
		backlog: journal.DefaultBacklog(os.Getenv),
		dial:    launch.Native().Dial,
		host:    func() (hcs.Host, error) { return computecore.New(nil) },
		undo: func(h hcs.Host) journal.Undoers {
			return undo.Machine{
				Host: h, Owner: shim.Owner, Layers: layers.NewStore(layers.Windows()), Networks: network.New(network.Windows()),
				Jobs: job.NewHost(job.Native(), nil), Origin: name,
			}.Undoers()
		},
	}
}

// origin is how the shim on this machine names it in journals.
func origin() string {
	name, err := os.Hostname()
	if err != nil {
		return "" // not checked, as the shim does
	}
	return name
}

// stateFlag is --state of the commands that read containerd's bundles.
func stateFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "state", Value: defaultState(os.Getenv),
		Usage: "containerd's state folder, as `state` in its config.toml",
	}
}

// defaultState is where containerd keeps its state unless it is told otherwise.
// Source: containerd's defaults for Windows.
func defaultState(env func(string) string) string {
	if data := env("ProgramData"); data != "" {
		return filepath.Join(data, "containerd", "state")
	}
	return ""
}

func stateOf(c *cli.Command) (string, error) {
	state := c.String("state")
	if state == "" {
		return "", errors.New("ProgramData is not set, so containerd's state folder is not known: name it with --state")
	}
	return state, nil
}
