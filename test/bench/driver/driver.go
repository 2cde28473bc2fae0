// Package driver is what the two halves of the benchmark say to each other.
//
// Times of a few hundred microseconds cannot be taken across a relay. So the half
// that stands in for containerd is a Windows program, cmd/benchdriver, which
// runs beside the shims, starts them, calls them over ttrpc, takes their
// events and reads their output; and the half that knows the plan runs on
// Linux, where a process's memory and processor time can be read. This one
// asks, one [Request] at a time, and that one answers with a [Reply]:
// JSON, one line each, over standard input and output.
//
//	bench (Linux) ──Request──▶ benchdriver (Windows) ──ttrpc──▶ shim ──▶ emulator
//	              ◀──Reply────                       ◀─events──
//
// Wall clocks of programs in one lab are the machine's, so that marks of the
// driver and times of the emulator's record compare.
package driver

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/containerd/api/types"
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
	// Log answers what a shim has logged so far: Reply.Log.
	Log Op = "log"
	// Direct runs a program without any shim, its output on a pipe of the
	// driver's: [FirstByte], [LastByte]. It is the most that a shim can reach.
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

	Exe     string // Start, Clean, Launch: the program
	Legacy  bool   // Start: it reads no BootstrapParams, as runhcs
	Rootfs  []*types.Mount
	Exec    string   // Exec: its id
	Args    []string // Exec, Direct: the command line
	Streams bool     // Create, Exec: give the process an output
	Guest   bool     // Create, Exec: the process is in a VM, where its end cannot be seen: no [Ended]
	Kill    bool     // Finish
	Method  string   // Call: "Stats", "Pids", "State" or "Connect"
	Count   int      // Call, Launch, Native
	Crowd   []Member // Crowd, Disperse
}

// Member is one of a crowd.
type Member struct {
	ID, Bundle string
	Rootfs     []*types.Mount
}

// Span is from one moment to another.
type Span struct{ Begin, End time.Time }

// Reply is what came of a request. With an Error the rest means nothing.
type Reply struct {
	Error   string             `json:",omitempty"`
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

// Client asks a driver. One goroutine may use it at a time.
type Client struct {
	out *json.Encoder
	in  *json.Decoder
}

// NewClient returns a client of the driver whose standard input and output
// these are.
func NewClient(stdin io.Writer, stdout io.Reader) *Client {
	return &Client{out: json.NewEncoder(stdin), in: json.NewDecoder(bufio.NewReader(stdout))}
}

// Do asks for one thing and waits for the reply. What the driver could not do
// is an error.
func (c *Client) Do(r Request) (*Reply, error) {
	if err := c.out.Encode(r); err != nil {
		return nil, fmt.Errorf("driver: %s %s: %w", r.Op, r.ID, err)
	}
	var reply Reply
	if err := c.in.Decode(&reply); err != nil {
		return nil, fmt.Errorf("driver: %s %s: %w", r.Op, r.ID, err)
	}
	if reply.Error != "" {
		return nil, fmt.Errorf("driver: %s %s: %s", r.Op, r.ID, reply.Error)
	}
	return &reply, nil
}

// Serve answers requests with what do returns, until there are no more.
func Serve(in io.Reader, out io.Writer, do func(Request) (*Reply, error)) error {
	requests, replies := json.NewDecoder(bufio.NewReader(in)), json.NewEncoder(out)
	for {
		var r Request
		err := requests.Decode(&r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("driver: read a request: %w", err)
		}
		reply, err := do(r)
		if err != nil {
			reply = &Reply{Error: err.Error()}
		}
		if err := replies.Encode(reply); err != nil {
			return fmt.Errorf("driver: write a reply: %w", err)
		}
	}
}
