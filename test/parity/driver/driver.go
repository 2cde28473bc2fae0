// Package driver is what the two halves of the parity test say to each other.
//
// Its stand-in for containerd (see [standin]) is cmd/paritydriver: it asks a
// shim what a scenario says, serves its pipes and takes its events. The half on
// Linux reads the emulator's record afterwards. One [Request] is one run of one
// scenario; there is a driver for each shim, so that both run side by side.
package driver

import (
	"time"

	"github.com/containerd/containerd/api/types"

	"github.com/isolrun/isol/test/parity/scenario"
	"github.com/isolrun/isol/test/standin"
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

// String says which request it is.
func (r Request) String() string {
	switch {
	case r.Network != "":
		return "make a network"
	case r.Unnetwork != nil:
		return "remove a network"
	}
	return "play"
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

// Reply is what came of a request.
type Reply struct {
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

// Client asks a driver.
type Client = standin.Client[Request, Reply]
