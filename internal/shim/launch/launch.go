// Package launch is what the shim's binary does besides serving: start, delete
// and -info, and what start and serve agree on.
//
//	containerd ──exec──▶ start ──spawn──▶ serve            (DETACHED, cwd outside the bundle)
//	               │       │  stdin: BootstrapParams          │
//	               │       │  stdout, stderr: until ready     │ listens on the pipe
//	               │       ◀──────── Ready, streams closed ───┤
//	               ◀─ BootstrapResult{3, pipe, ttrpc}         │
//	               ────────────── ttrpc ──────────────────────▶
//
// # Start
//
// A pod's workload gets the address of its sandbox's pipe and no process. Else
// start refuses an id whose pipe somebody serves already, runs its own program
// with the same flags and `-socket`, hands it the bootstrap parameters on
// stdin (the runtime options in them decide its log), and waits until serve
// says that its pipe is there (see [Ready]) or the process ends. A serve that ends first makes start fail with
// what it wrote and its exit code. Nothing is written to stderr on success,
// because containerd reads both streams as the answer.
//
// # Delete
//
// Delete runs when the shim has gone. It replays the journal of the bundle,
// terminates <id> and <id>@vm if isol made them, tells what the crash file
// says, and answers status 255. It ends within [DeleteLimit], below the 5 s
// that containerd waits, and may be repeated, also at the same time.
//
// containerd removes the bundle sooner or later, whatever delete answers. So
// what could not be released in time moves with its journal to the backlog, and
// a helper goes on in the background ([Manager.Finish]):
//
//	bundle\isol.journal ──delete──▶ backlog ──helper, next start, isolctl prune──▶ (gone)
//
// The helper leaves alone what a new task of the same id may mean; the start of
// such a task finishes its id's part itself, or fails and says why. A journal
// that is refused, or damaged, is an error: it stays in the bundle.
//
// # Info
//
// Info touches neither HCS nor the disk and does not fail: containerd asks
// before each create and logs a failure as an error.
package launch

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/shim/crash"
)

// The time limits of the actions.
const (
	ReadyLimit  = 30 * time.Second        // from spawn to a pipe that answers
	DeleteLimit = 4500 * time.Millisecond // containerd kills delete after 5 s
	replayLimit = 3 * time.Second         // of it, for releasing; the rest is for handing over
)

// Name is the runtime's name as containerd's configuration spells it.
const Name = "io.containerd.isol.v1"

// Manager does the actions. Its fields are set before use.
type Manager struct {
	Version, Revision string
	System            System
	// Host is asked for only by delete, so that start and info never load
	// HCS.
	Host func() (hcs.Host, error)
	// Undo releases what journals name; compute systems always.
	Undo func(hcs.Host) journal.Undoers
	// Owner is the owner of the systems that isol makes.
	Owner string
	Crash crash.Dir
	// Backlog is where journals are kept that delete could not finish.
	Backlog journal.Backlog
	Log     *slog.Logger
}

// System is what the actions need of the operating system.
type System interface {
	// Dial connects to a pipe. One that nobody serves is an error that
	// matches fs.ErrNotExist, at once.
	Dial(ctx context.Context, address string) (net.Conn, error)
	// Listen serves a pipe that only administrators and the system may open.
	Listen(address string) (net.Listener, error)
	// Spawn runs this program again, detached: it outlives this process and
	// holds none of its handles. It returns when that process has called
	// [Ready]. Otherwise the error says how the process ended and what it
	// wrote, or matches the end of ctx, at which the process is killed.
	//
	// One that is Alone has no streams, and nobody waits for it: Spawn returns
	// when it has been made.
	Spawn(ctx context.Context, c Command) error
}

// Command is the process to run: serve, or the helper, which is Alone.
type Command struct {
	Args  []string
	Stdin []byte
	Alone bool
}

func invalid(format string, args ...any) error {
	return fault.New(fault.InvalidArgument, format, args...)
}
