package hcsemu

import (
	"context"
	"io"
	"time"
)

// Runner runs the processes of containers. The lab's service implements it
// with CreateProcess and job objects, tests on Linux use [Scripted].
type Runner interface {
	// NewSilo makes the place in which a container's processes run. It is
	// called when the system is started; the emulator ends it with Close.
	NewSilo(ctx context.Context, spec SiloSpec) (Silo, error)
}

// Reserver is a [Runner] whose containers are there by name from their creation
// on: their job objects, which callers open between create and start.
type Reserver interface {
	// Reserve makes what is there of a created container. The emulator calls
	// release at the container's end.
	Reserve(id string) (release func(), err error)
}

// SiloSpec says what a container's processes see.
type SiloSpec struct {
	ID          string            // the system's id; its job object is \Container_<id>
	Volume      string            // the mounted root, \\?\Volume{guid}\
	RootDirs    []string          // folders whose Files\ make up C:, topmost first, the scratch before the layers
	Hostname    string            // "" for the runner's own
	Directories []MappedDirectory // host directories seen inside
	Pipes       []MappedPipe      // host pipes seen inside
}

// MappedDirectory is a host directory that a container sees.
type MappedDirectory struct {
	HostPath, ContainerPath string
	ReadOnly                bool
}

// MappedPipe is a host pipe that a container sees as \\.\pipe\<ContainerName>.
type MappedPipe struct{ HostPath, ContainerName string }

// Silo is a running container's set of processes. Its methods may be called
// from any goroutine.
type Silo interface {
	// Start starts a process. An error that is an HRESULT (or wraps one) is
	// what the caller of HcsCreateProcess gets: EFileNotFound, EAccessDenied,
	// ELogonFailure, EDirectory. The emulator owns the Process.
	Start(ctx context.Context, spec ProcessSpec) (RunningProcess, error)

	// Processes lists what runs now, children of started processes included.
	Processes() []ProcessFact

	// Usage returns the resources used since the silo was made.
	Usage() Usage

	// Terminate ends all processes at once. It is idempotent.
	Terminate()

	// Close gives the silo up after its processes have ended. It is idempotent.
	Close()
}

// ProcessSpec is a process to start.
type ProcessSpec struct {
	ApplicationName  string
	CommandLine      string
	WorkingDirectory string
	Environment      map[string]string
	User             string
	Console          bool // a console is emulated: one output stream, resizable
	Rows, Columns    uint16
	Stdin            bool // the caller wants these pipes
	Stdout           bool
	Stderr           bool
}

// RunningProcess is a process that was started. Its methods may be called from
// any goroutine.
type RunningProcess interface {
	// PID is the id by which the host knows the process.
	PID() uint32

	// Stdio returns the caller's ends of the pipes. It is the same each time.
	Stdio() Stdio

	// Done is closed when the process has ended.
	Done() <-chan struct{}

	// ExitCode is valid once Done is closed.
	ExitCode() uint32

	// Kill ends the process at once. It returns EProcessAlreadyStopped after the end.
	Kill() error

	// Signal delivers a control event. It returns EElementNotFound after the end.
	Signal(Signal) error

	// Resize sets the size of the console.
	Resize(rows, columns uint16) error

	// CloseStdin ends the process's input; what was written before is still read.
	CloseStdin() error

	// Close gives up the emulator's interest after the end: pipes that the
	// caller has not taken are released.
	Close()
}

// Stdio is the caller's end of a process's pipes. A runner in the caller's own
// process fills the streams; one in another process fills the names, and the
// front opens them in the caller. What was not asked for is nil or "".
type Stdio struct {
	In       io.WriteCloser
	Out, Err io.ReadCloser

	InPipe, OutPipe, ErrPipe string
}

// Signal is a control event, as SignalProcessOptions names it.
type Signal string

// The control events. Source: as runhcs does: internal/signals.
const (
	CtrlC        Signal = "CtrlC"
	CtrlBreak    Signal = "CtrlBreak"
	CtrlClose    Signal = "CtrlClose"
	CtrlLogOff   Signal = "CtrlLogOff"
	CtrlShutdown Signal = "CtrlShutdown"
)

// ProcessFact is one row of a process list.
type ProcessFact struct {
	PID               uint32
	ImageName         string
	Created           time.Time
	UserTime          time.Duration
	KernelTime        time.Duration
	CommitBytes       uint64
	PrivateWorkingSet uint64
	SharedWorkingSet  uint64
}

// Usage is what a silo has used.
type Usage struct {
	UserTime, KernelTime                      time.Duration
	CommitBytes, PeakCommitBytes, PrivateWSet uint64
	ReadCount, ReadBytes                      uint64
	WriteCount, WriteBytes                    uint64
}
