// Package shim puts the parts of the shim's binary together around containerd's
// pkg/shim: which action runs, what serve is made of, and how it ends.
//
//	main ─▶ Run ─┬─ -version            prints
//	             ├─ -info, delete ─────▶ pkg/shim ─▶ launch.Manager
//	             ├─ start ─────────────▶ pkg/shim ─▶ launch.Manager   (containerd ≥ 2.3)
//	             │    └────────────────▶ launch.Manager, plain answer (older containerd, or a
//	             │                                                     binary named as runhcs's)
//	             └─ serve ─────────────▶ pkg/shim ─▶ newServer ─▶ service.Service
//
// # Serve
//
// pkg/shim opens containerd's log pipe, the ttrpc server and its pipe. The
// rest comes from one plugin that Run registers, which is how pkg/shim takes
// services. It is made from the bootstrap parameters that start passes on
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

	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/shim"
	"github.com/containerd/log"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/layers"
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
	Host     func() (hcs.Host, error)
	Layers   func() layers.Store
	Probe    func() (host.Facts, error)
	Image    func(layers []string) (host.Image, error)
	Affinity pod.AffinitySetter // nil: none
	VM       VMSystem
	Pipes    stdio.System
	System   launch.System
}

// Run does what the command line says. It ends the process on failure, as
// pkg/shim does.
func Run(ctx context.Context, m Machine) {
	if err := run(ctx, m, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s\n", launch.Name, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, m Machine, args []string) error {
	manager := newManager(m)
	flags, err := launch.ParseFlags(args)
	switch {
	case err != nil:
		return err
	case flags.Version:
		fmt.Printf("%s %s\n", launch.Name, versionText(buildVersion()))
		return nil
	case flags.Info || flags.Action == "delete":
	case flags.Action == "start":
		if done, err := start(ctx, manager, flags); done {
			return err
		}
	default:
		if err := serve(ctx, m, flags); err != nil {
			return err
		}
	}
	shim.RunShim(ctx, manager)
	return nil
}

// start handles a containerd that pkg/shim refuses, and otherwise leaves its
// input where pkg/shim reads it.
func start(ctx context.Context, manager *launch.Manager, flags launch.Flags) (done bool, err error) {
	input, err := io.ReadAll(io.LimitReader(os.Stdin, maxStdin))
	if err != nil {
		return true, fmt.Errorf("read stdin: %w", err)
	}
	params, legacy, err := launch.Bootstrap(input, flags, os.Getenv)
	if err != nil {
		return true, err
	}
	if !legacy {
		os.Stdin, err = rewound(input)
		return err != nil, err
	}
	result, err := manager.Start(namespaces.WithNamespace(ctx, flags.Namespace), params)
	if err != nil {
		return true, err
	}
	// A bare address is what every version reads: it means version 2, ttrpc.
	_, err = fmt.Print(result.Address)
	return true, err
}

// rewound returns a file that yields input.
func rewound(input []byte) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		_, _ = w.Write(input) // a reader that has gone is no loss
		_ = w.Close()
	}()
	return r, nil
}

// containerdLog is the logger that pkg/shim points at containerd's log pipe.
func containerdLog() *log.Entry { return log.L }
