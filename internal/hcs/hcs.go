// Package hcs is the port to the Host Compute Service: what isol needs of it,
// as interfaces with their contracts. internal/hcs/computecore is the adapter
// for Windows, test/hcsemu the emulator's; internal/hcs/hcstest is the
// conformance suite that both pass.
//
// # States of a system
//
//	           Create                Start
//	(absent) ─────────▶ Created ─────────────▶ Running
//	                       │ Terminate,           │ Shutdown, Terminate,
//	                       │ Close (last handle)  │ exit of its own accord, Close (last handle)
//	                       ▼                      ▼
//	                    Stopped ◀─────────────────┘     then the id is free again
//
// # Failure rules
//
// Every method that takes a context ends when the context does, with
// [ErrTimeout] or the context's cause, and leaves no operation of the service
// unattended: the operation is cancelled and its late result thrown away. Every
// error is an [*Error] that matches exactly one of the Err values by errors.Is
// and carries a fault kind.
//
// # Concurrency
//
// All methods of all interfaces may be called from any goroutine. No
// implementation parks an OS thread per system or process. Close may be called
// more than once and at the same time as other methods, which then fail with
// [ErrClosed].
package hcs

import (
	"context"
	"io"

	"github.com/isolrun/isol/internal/hcs/schema"
)

// Host is the compute service of one machine.
type Host interface {
	// Create makes a compute system from doc and returns it in state Created.
	// The caller owns the System and must Close it. Creation that fails leaves
	// nothing behind in the service. Errors: ErrAlreadyExists if id is in use,
	// ErrInvalidDocument, ErrImageMismatch, ErrNoHypervisor, ErrUnavailable,
	// ErrTimeout, ErrAccessDenied.
	Create(ctx context.Context, id string, doc *schema.ComputeSystem) (System, error)

	// Open returns another handle to a system of this host. Errors:
	// ErrNotFound, ErrUnavailable.
	Open(ctx context.Context, id string) (System, error)

	// List returns the systems of this host that match query, in no order. The
	// zero query matches all.
	List(ctx context.Context, query schema.SystemQuery) ([]schema.SystemSummary, error)

	// ServiceProperties asks the service for facts about the machine.
	ServiceProperties(ctx context.Context, query schema.ServicePropertyQuery) (*schema.ServiceProperties, error)

	// ModifyService changes a setting of the service (credential guard
	// instances, for example) and returns its answer, if any, as JSON.
	ModifyService(ctx context.Context, req *schema.ServiceModification) ([]byte, error)

	// GrantVMAccess lets the worker process of the VM with the given system id
	// open path. It is idempotent.
	GrantVMAccess(ctx context.Context, systemID, path string) error

	// RevokeVMAccess takes back what GrantVMAccess gave. It is idempotent.
	RevokeVMAccess(ctx context.Context, systemID, path string) error
}

// Compute is what containers have in common wherever they run: an HCS system
// on the host, or a container in a utility VM behind the guest bridge
// (internal/gcs). The pod's state machines know only this.
type Compute interface {
	// ID is the id given at creation.
	ID() string

	// Start runs the system. Errors: ErrInvalidState unless Created.
	Start(ctx context.Context) error

	// Shutdown asks the system to end and returns when the service has agreed,
	// not when the system has ended: wait for Done. A refusal is an error at
	// once, so that whoever asked can go on to Terminate. Errors:
	// ErrAlreadyStopped, ErrInvalidState.
	Shutdown(ctx context.Context) error

	// Terminate ends the system at once and returns when it has been asked.
	// Errors: ErrAlreadyStopped.
	Terminate(ctx context.Context) error

	// Properties returns the property types that query names.
	// Errors: ErrAlreadyStopped once the system has exited.
	Properties(ctx context.Context, query schema.PropertyQuery) (*schema.Properties, error)

	// Modify changes a running or created system. Errors: ErrNotSupported if
	// this Windows build has no such resource, ErrInvalidDocument.
	Modify(ctx context.Context, req *schema.ModificationRequest) error

	// CreateProcess starts a process. The caller owns the Process and its
	// streams and must Close it. Errors: ErrInvalidState unless Running;
	// ErrFileNotFound, ErrAccessDenied, ErrLogon if the command cannot be run as given.
	CreateProcess(ctx context.Context, params *schema.ProcessParameters) (Process, error)

	// Done is closed when the system has exited or can no longer be observed.
	Done() <-chan struct{}

	// Exit says how the system ended. It must be called only after Done is
	// closed. ErrUnexpectedExit means a crash, ErrGuestCrash one of the guest's
	// kernel, ErrDisconnected that the service went away and the system's fate
	// is not known.
	Exit() error

	// Close gives up the handle. With ShouldTerminateOnLastHandleClosed in its
	// document the system is terminated when the last handle goes. If the
	// system has not exited by then, Done is closed and Exit says ErrClosed.
	Close() error
}

// System is a compute system of the host.
type System interface {
	Compute

	// RuntimeID is the GUID by which hvsockets address a virtual machine. It
	// is the zero string for containers.
	RuntimeID() string

	// Crashed is closed when the service reports that the kernel of a virtual
	// machine's guest has crashed: nothing in the guest runs any more. The exit
	// follows when the dump has been written that the document asks for. It is
	// never closed for containers.
	Crashed() <-chan struct{}

	// Ending says in detail how the system ended. It must be called only after
	// Done is closed; its Err is what Exit returns.
	Ending() Ending
}

// Process is a process in a container.
type Process interface {
	// PID is the process id as the container's kernel counts it: in process
	// isolation that is the host's.
	PID() uint32

	// Stdin, Stdout and Stderr are the process's pipes, nil where the
	// parameters asked for none. Reads and writes are interruptible by closing
	// the stream. Closing Stdin alone does not end the process's input: that
	// is CloseStdin.
	Stdin() io.WriteCloser
	Stdout() io.ReadCloser
	Stderr() io.ReadCloser

	// CloseStdin ends the process's input. It is idempotent.
	CloseStdin(ctx context.Context) error

	// Resize sets the console's size. Errors: ErrInvalidState without console.
	Resize(ctx context.Context, size schema.ConsoleSize) error

	// Signal delivers sig. It reports false if the process had ended.
	Signal(ctx context.Context, sig schema.Signal) (delivered bool, err error)

	// Kill ends the process at once. It reports false if the process had
	// ended, and never waits behind a Signal that hangs: the reference uses a
	// second handle for that because HCS serialises signals per handle.
	Kill(ctx context.Context) (delivered bool, err error)

	// Done is closed when the process has exited or can no longer be observed.
	Done() <-chan struct{}

	// ExitCode must be called only after Done is closed. The error is not nil
	// if the process's fate is not known.
	ExitCode() (uint32, error)

	// Close gives up the handle and the streams. It does not end the process.
	// If the process has not exited by then, Done is closed and ExitCode says
	// ErrClosed.
	Close() error
}
