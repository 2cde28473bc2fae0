// Package driver is what the two halves of the benchmark say to each other.
//
// Its stand-in for containerd (see [standin]) is cmd/benchdriver: it starts
// shims, calls them, takes their events, reads their output and says when what
// happened. The half on Linux reads a process's memory and processor time.
//
// Wall clocks of programs in one lab are the machine's, so that marks of the
// driver and times of the emulator's record compare.
package driver

import (
	"fmt"
	"time"

	"github.com/containerd/containerd/api/types"

	"github.com/isolrun/isol/test/standin"
)

// Exe is the driver's program.
const Exe = "benchdriver.exe"

// Op is what the driver shall do.
type Op string

// The operations. Each names the marks that it sets beside [Begin], and takes
// them in that order.
const (
	// Start runs the shim's start action and connects: [Answered], [Connected].
	Start Op = "start"
	// Create makes and starts the container's task: [Created], [Started].
	Create Op = "create"
	// Exec runs a further process until all of it is over: [Created],
	// [Started], [FirstByte] and [LastByte] if it has output, [Ended],
	// [Exited], [Deleted].
	Exec Op = "exec"
	// Call calls Request.Method Request.Count times: Reply.Calls.
	Call Op = "call"
	// Finish waits for the end of the task's first process, which it kills if
	// Request.Kill says so, and deletes the task: [Killed], [Ended],
	// [Exited], [Deleted].
	Finish Op = "finish"
	// Shutdown ends the shim: [Ended].
	Shutdown Op = "shutdown"
	// Clean runs the shim's delete action, as after the shim's end: [Answered].
	Clean Op = "clean"
	// Crowd does Start and Create for each of Request.Crowd, all at once:
	// [Connected] when the last is, [Started] when the last is. Disperse
	// kills, deletes and shuts down all of them: [Ended].
	Crowd    Op = "crowd"
	Disperse Op = "disperse"
	// Native makes Request.Count calls to the emulator that it answers at
	// once: Reply.Calls. It is what any program's call takes there and back.
	Native Op = "native"
	// Launch runs Request.Exe, which does nothing, Request.Count times:
	// Reply.Calls is each one's life, Reply.Ups until it has said that it is up.
	Launch Op = "launch"
	// Log answers what a shim has logged once Request.Text is in it: Reply.Log.
	Log Op = "log"
	// Direct runs a program without any shim, its output on a pipe of the
	// driver's: [FirstByte], [LastByte]. With Request.Exe its output goes to that
	// program instead, whose output is the driver's pipe: two pipes, as with a shim,
	// and the most that one can reach.
	Direct Op = "direct"
)

// Mark names a moment.
type Mark string

// The moments. Which operation takes which is said there.
const (
	Begin     Mark = "begin"
	Answered  Mark = "answered"  // start has written its answer and ended
	Connected Mark = "connected" // the pipe that it named is open
	Created   Mark = "created"   // Create or Exec has answered
	Started   Mark = "started"   // Start has answered
	FirstByte Mark = "first"     // some output has arrived
	LastByte  Mark = "last"      // the output's pipe was closed
	Killed    Mark = "killed"    // Kill has answered
	Ended     Mark = "ended"     // the process is gone, as the kernel says
	Exited    Mark = "exited"    // the event TaskExit has arrived
	Deleted   Mark = "deleted"   // Delete has answered
)

// Request is one thing to do. ID and Op are always needed, but for Crowd,
// Disperse, Launch and Native, which are about no one task.
type Request struct {
	Op     Op
	ID     string
	Bundle string // Start, Create: its path in the lab

	Exe     string // Start, Clean, Launch: the program; Direct: the relay, if any
	Legacy  bool   // Start: it reads no BootstrapParams, as runhcs
	Rootfs  []*types.Mount
	Exec    string   // Exec: its id
	Args    []string // Exec, Direct: the command line
	Streams bool     // Create, Exec: give the process an output
	Guest   bool     // Create, Exec: the process is in a VM, where its end cannot be seen: no [Ended]
	Kill    bool     // Finish
	Text    string   // Log: in one of the lines
	Method  string   // Call: "Stats", "Pids", "State" or "Connect"
	Count   int      // Call, Launch, Native
	Crowd   []Member // Crowd, Disperse
}

// String says which request it is.
func (r Request) String() string { return string(r.Op) + " " + r.ID }

// Member is one of a crowd.
type Member struct {
	ID, Bundle string
	Rootfs     []*types.Mount
}

// Span is from one moment to another.
type Span struct{ Begin, End time.Time }

// Reply is what came of a request.
type Reply struct {
	ShimPID uint32             `json:",omitempty"` // Start
	PID     uint32             `json:",omitempty"` // Create, Exec
	Bytes   int64              `json:",omitempty"` // Exec, Direct: of output
	Marks   map[Mark]time.Time `json:",omitempty"`
	Calls   []Span             `json:",omitempty"` // Call, Launch, Native
	Ups     []Span             `json:",omitempty"` // Launch
	Log     string             `json:",omitempty"` // Log
}

// Span is from one mark to another. It is an error if the driver did not set
// both.
func (r *Reply) Span(from, to Mark) (Span, error) {
	s := Span{r.Marks[from], r.Marks[to]}
	if s.Begin.IsZero() || s.End.IsZero() {
		return Span{}, fmt.Errorf("driver: no span from %q to %q among the marks %v", from, to, r.Marks)
	}
	return s, nil
}

// Client asks a driver.
type Client = standin.Client[Request, Reply]
