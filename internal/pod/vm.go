package pod

import (
	"context"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/layers"
)

// VMs boots utility VMs. internal/uvm implements it.
type VMs interface {
	// Boot boots the VM of plan from the layers of its sandbox. What of it
	// outlives the process it writes to j before, and strikes when it is
	// released, as long as the VM lives. A failed Boot leaves nothing, or else
	// leaves it in j.
	Boot(ctx context.Context, plan *isolation.UVM, l layers.Layers, j *journal.Journal) (VM, error)
}

// VM is a booted utility VM. All methods may be called from any goroutine.
// What is released after the VM has ended is released without error: it ended
// with the VM.
type VM interface {
	// Mount makes a container's root file system in the VM. The paths of the
	// result are the guest's.
	Mount(ctx context.Context, l layers.Layers) (layers.Mounted, func(context.Context) error, error)

	// Share shares a directory or file of the host, Attach a disk, SharePipe a
	// named pipe. Each returns where the guest finds it, and its release.
	Share(ctx context.Context, path string, readOnly bool) (string, func(context.Context) error, error)
	Attach(ctx context.Context, disk schema.Attachment) (string, func(context.Context) error, error)
	SharePipe(ctx context.Context, hostPath string) (string, func(context.Context) error, error)

	// SandboxDirectory makes a directory that the containers of the VM share
	// and returns where the guest finds it. It goes with the VM.
	SandboxDirectory(ctx context.Context, name string) (string, error)

	// Assign gives the VM a device of the host and returns the location paths
	// by which the guest knows it. InstallDrivers installs the drivers in a
	// folder of the host.
	Assign(ctx context.Context, device string) ([]string, func(context.Context) error, error)
	InstallDrivers(ctx context.Context, folder string) (func(context.Context) error, error)

	// Connect gives the VM the adapters of a network namespace of the host. A
	// failed Connect leaves nothing in the VM.
	Connect(ctx context.Context, namespaceID string) (func(context.Context) error, error)

	// AddSocketService lets the guest reach an hvsocket service of the host.
	AddSocketService(ctx context.Context, service string, config schema.HvSocketServiceConfig) (func(context.Context) error, error)

	// Create makes a container in the VM.
	Create(ctx context.Context, id string, document *schema.ComputeSystem) (hcs.Compute, error)

	// Phases says how long each phase of booting took.
	Phases() []hcs.Span

	// Properties asks for the VM's own. SetMemory and SetProcessorLimits
	// change its size.
	Properties(ctx context.Context, query schema.PropertyQuery) (*schema.Properties, error)
	SetMemory(ctx context.Context, megabytes uint64) error
	SetProcessorLimits(ctx context.Context, limits schema.ProcessorLimits) error

	// HostProcess says whether the guest runs HostProcess containers.
	HostProcess() bool

	// SetCPUGroup moves the VM to another CPU group of the host.
	SetCPUGroup(ctx context.Context, id string) error

	// Done is closed when the VM has ended, Exit then says why: nil if Close
	// ended it.
	Done() <-chan struct{}
	Exit() error

	// Close ends the VM. It is idempotent and bounded by its own deadlines.
	Close() error
}
