// Package driver is what the two halves of the parity test say to each other.
//
// The half that stands in for containerd is a Windows program,
// cmd/paritydriver. It runs beside the shims: it starts one, asks it what a
// scenario says, serves its pipes and takes its events. The half that knows the
// scenarios runs on Linux and reads the emulator's record afterwards. One
// [Request] is one run of one scenario; there is a driver for each shim, so
// that both run side by side.
//
//	parity (Linux) ──Request──▶ paritydriver (Windows) ──ttrpc──▶ shim ──▶ emulator
//	               ◀──Reply────                        ◀─events──
package driver

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/containerd/api/types"

	"github.com/isolrun/isol/test/parity/scenario"
)

// Exe is the driver's program.
const Exe = "paritydriver.exe"

// Request is a run, or with Network the making of one.
type Request struct {
	Exe    string          // the shim's program
	Legacy bool            // it reads no BootstrapParams, as runhcs
	Tasks  []Task          // in the order of the scenario
	Steps  []scenario.Step // of the scenario

	Network   string   `json:",omitempty"` // make a network of this kind: scenario.Scenario.Network
	Unnetwork *Network `json:",omitempty"` // remove one
}

// Task is a container that is ready to be created.
type Task struct {
	Name    string
	ID      string
	Bundle  string // its folder in the lab
	Sandbox string // the name of its pod's sandbox, "" outside of pods and for the sandbox itself
	Rootfs  []*types.Mount
	Options []byte // containerd.runhcs.v1.Options, empty for none
	TTY     bool
}

// Network is a network with what belongs to it.
type Network struct {
	Network   string
	Namespace string
	Endpoints []string
}

// Reply is what came of a request. With an Error the rest means nothing.
type Reply struct {
	Error   string           `json:",omitempty"`
	Network *Network         `json:",omitempty"`
	ShimPID uint32           `json:",omitempty"`
	Results []Result         `json:",omitempty"` // a result for each step that was taken, then the end's
	Events  []Event          `json:",omitempty"`
	Output  map[string]Bytes `json:",omitempty"` // by process and stream: "task/out"
}

// Bytes is the output of a process, as text.
type Bytes string

// Result is what a step gave.
type Result struct {
	Step    string // "task: start", "task/e1: kill 9"
	Code    string // gRPC's, "OK"; "died" when the shim is gone, "timeout" when it said nothing
	Message string `json:",omitempty"`
	Begin   time.Time
	Answer  map[string]any `json:",omitempty"` // without what differs from run to run
}

// Event is one that the shim has sent.
type Event struct {
	Topic string
	Body  map[string]any
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
		return nil, fmt.Errorf("driver: %w", err)
	}
	var reply Reply
	if err := c.in.Decode(&reply); err != nil {
		return nil, fmt.Errorf("driver: %w", err)
	}
	if reply.Error != "" {
		return nil, fmt.Errorf("driver: %s", reply.Error)
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
