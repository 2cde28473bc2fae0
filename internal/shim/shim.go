// Package shim puts the parts of the shim's binary together: which action runs,
// what serve is made of, and how it ends.
//
//	main ─▶ Run ─┬─ -version   prints
//	             ├─ -info ────▶ launch.Manager
//	             ├─ delete ───▶ launch.Manager
//	             ├─ finish ───▶ launch.Manager: what delete had no time for
//	             ├─ start ────▶ launch.Manager, which runs serve; the answer is a
//	             │              BootstrapResult, or an address for a containerd before
//	             │              2.3 or a binary named as runhcs's
//	             └─ serve ────▶ log pipe, newServer, API pipe ─▶ service.Service
//
// The protocol is that of containerd's pkg/shim, which is not used because of
// what it brings: see docs/performance.md.
//
// # Serve
//
// The server is made from the bootstrap parameters that start passes on
// stdin: the runtime options in them decide the log level, the log file, and
// how long a lost reader is dialled. Options that cannot be read do not keep
// the shim from serving: the create carries them again and answers with the
// reason and a code.
//
// # End
//
// A shim ends when containerd calls Shutdown with the id that it was started
// for: what runs is ended, events are delivered, the process exits. A shim that
// nobody calls within [IdleLimit] of its start ends too: the containerd that
// started it has died in between.
package shim

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/job"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/network"
	"github.com/isolrun/isol/internal/pod"
	"github.com/isolrun/isol/internal/shim/launch"
	"github.com/isolrun/isol/internal/stdio"
)

// IdleLimit is how long a shim waits for its first call.
const IdleLimit = 60 * time.Second

// maxStdin bounds what containerd may send: options are a few kilobytes.
const maxStdin = 10 << 20

// Owner is the owner that isol's compute systems carry, and by which delete
// knows them.
const Owner = "containerd-shim-isol-v1.exe"

// Machine is the adapters of one machine, as main wires them. Nothing is
// loaded before its function is called.
type Machine struct {
	Host     func(*hcs.CallTable) (hcs.Host, error) // takes note of its calls in the table, which may be nil
	Layers   func() layers.Store
	Probe    func() (host.Facts, error)
	Image    func(layers []string) (host.Image, error)
	Network  network.Driver                         // host compute network: namespaces and endpoints
	Affinity pod.AffinitySetter                     // nil: none
	Jobs     job.System                             // job objects, accounts and folders of the host; nil: no HostProcess containers
	Source   func(path string) (host.Source, error) // follows a path to where it leads; nil: paths are taken as written
	VM       VMSystem
	Pipes    stdio.System
	System   launch.System
}

// Run does what the command line says. It ends the process on failure, with a
// sentence on stderr.
func Run(ctx context.Context, m Machine) {
	if err := run(ctx, m, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s\n", launch.Name, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, m Machine, args []string) error {
	flags, err := launch.ParseFlags(args)
	tuneRuntime(!flags.Info && flags.Action != "start" && flags.Action != "delete")
	switch {
	case err != nil:
		return err
	case flags.Version:
		_, err := fmt.Printf("%s %s\n", launch.Name, versionText(buildVersion()))
		return err
	case flags.Info:
		return answer(newManager(m).Info(os.Stdin))
	case flags.Action == "delete":
		response, err := newManager(m).Delete(ctx, flags.Namespace, flags.ID, flags.Bundle)
		if err != nil {
			return err
		}
		return answer(response)
	case flags.Action == "finish": // who waits for nothing of it
		return newManager(m).Finish(ctx)
	case flags.Action == "start":
		return start(ctx, newManager(m), flags)
	}
	return serve(ctx, m, flags)
}

// answer writes what containerd reads on stdout.
func answer(message proto.Message) error {
	data, err := proto.Marshal(message)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(data)
	return err
}

// start answers in the form that the containerd understands that asks.
func start(ctx context.Context, manager *launch.Manager, flags launch.Flags) error {
	input, err := io.ReadAll(io.LimitReader(os.Stdin, maxStdin))
	if err != nil {
		return fmt.Errorf("read stdin: %w", err)
	}
	params, legacy, err := launch.Bootstrap(input, flags, os.Getenv)
	if err != nil {
		return err
	}
	result, err := manager.Start(ctx, params)
	if err != nil {
		return err
	}
	if legacy {
		// A bare address is what every version reads: it means version 2, ttrpc.
		_, err = fmt.Print(result.Address)
		return err
	}
	return answer(result)
}
