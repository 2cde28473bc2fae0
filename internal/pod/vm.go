package pod

import (
	"context"
	"errors"
	"io"
	"sync"

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

	// Properties asks for the VM's own. SetMemory and SetProcessorLimits
	// change its size.
	Properties(ctx context.Context, query schema.PropertyQuery) (*schema.Properties, error)
	SetMemory(ctx context.Context, megabytes uint64) error
	SetProcessorLimits(ctx context.Context, limits schema.ProcessorLimits) error

	// SetCPUGroup moves the VM to another CPU group of the host.
	SetCPUGroup(ctx context.Context, id string) error

	// Done is closed when the VM has ended, Exit then says why: nil if Close
	// ended it.
	Done() <-chan struct{}
	Exit() error

	// Close ends the VM. It is idempotent and bounded by its own deadlines.
	Close() error
}

// sandboxPID is the pid that the sandbox of a Hyper-V pod shows: no process
// stands for it, and containerd takes 0 for "not started" (runhcs: the
// sandbox's exec shows 1).
const sandboxPID = 1

// vmSandbox is the container of a Hyper-V pod's sandbox: the VM itself, with
// one process that does nothing but live as long as the pod wants. So the
// sandbox goes through the same states as any task, and no pause process
// takes memory in the guest.
type vmSandbox struct {
	id string
	vm VM

	once sync.Once
	done chan struct{}
	exit error // written before done is closed
	idle *idleProcess
}

var (
	_ hcs.Compute = (*vmSandbox)(nil)
	_ hcs.Process = (*idleProcess)(nil)
)

func newVMSandbox(id string, vm VM) *vmSandbox {
	s := &vmSandbox{id: id, vm: vm, done: make(chan struct{}), idle: &idleProcess{done: make(chan struct{})}}
	go s.watch()
	return s
}

// watch ends the sandbox with its VM: it never looks alive over a dead one.
func (s *vmSandbox) watch() {
	select {
	case <-s.vm.Done():
		s.end(s.vm.Exit())
	case <-s.done:
	}
}

func (s *vmSandbox) end(err error) {
	s.once.Do(func() {
		s.exit = err
		s.idle.end(err)
		close(s.done)
	})
}

func (s *vmSandbox) ID() string { return s.id }

func (s *vmSandbox) Start(context.Context) error { return nil } // the VM runs already

func (s *vmSandbox) Shutdown(context.Context) error {
	s.end(nil)
	return nil
}

func (s *vmSandbox) Terminate(context.Context) error {
	s.end(nil)
	return nil
}

func (s *vmSandbox) Properties(ctx context.Context, q schema.PropertyQuery) (*schema.Properties, error) {
	props, err := s.vm.Properties(ctx, q)
	if props != nil {
		props.ProcessList = nil // the guest's processes are its containers'
	}
	return props, err
}

// Modify takes a container's resources for the VM's: what a pod is given, its
// VM gets.
func (s *vmSandbox) Modify(ctx context.Context, req *schema.ModificationRequest) error {
	switch settings := req.Settings.(type) {
	case uint64:
		return s.vm.SetMemory(ctx, settings+settings%2) // HCS takes even sizes only
	case *schema.ContainerProcessor:
		if settings.Count != 0 {
			return errors.Join(hcs.ErrNotSupported, errors.New("the number of a running virtual machine's processors cannot be changed"))
		}
		// A container's limit is in ten-thousandths, a VM's in hundred-thousandths.
		return s.vm.SetProcessorLimits(ctx, schema.ProcessorLimits{Limit: uint64(settings.Maximum) * 10, Weight: uint64(settings.Weight)})
	}
	return hcs.ErrNotSupported
}

func (s *vmSandbox) CreateProcess(context.Context, *schema.ProcessParameters) (hcs.Process, error) {
	if s.idle.take() {
		return s.idle, nil
	}
	return nil, &hcs.Error{Op: "run a process in the sandbox", ID: s.id, Err: hcs.ErrNotSupported}
}

func (s *vmSandbox) Done() <-chan struct{} { return s.done }
func (s *vmSandbox) Exit() error           { return s.exit }

func (s *vmSandbox) Close() error {
	s.end(hcs.ErrClosed)
	return nil
}

// idleProcess stands for the sandbox. Any signal ends it with 0, as the
// reference's does.
type idleProcess struct {
	mu    sync.Mutex
	taken bool // guarded by mu

	once sync.Once
	done chan struct{}
	err  error // written before done is closed
}

// take reports whether the caller is the first: the init.
func (p *idleProcess) take() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := !p.taken
	p.taken = true
	return first
}

func (p *idleProcess) end(err error) bool {
	ended := false
	p.once.Do(func() {
		ended = true
		p.err = err
		close(p.done)
	})
	return ended
}

func (p *idleProcess) PID() uint32                                         { return sandboxPID }
func (p *idleProcess) Stdin() io.WriteCloser                               { return nil }
func (p *idleProcess) Stdout() io.ReadCloser                               { return nil }
func (p *idleProcess) Stderr() io.ReadCloser                               { return nil }
func (p *idleProcess) CloseStdin(context.Context) error                    { return nil }
func (p *idleProcess) Resize(context.Context, schema.ConsoleSize) error    { return hcs.ErrInvalidState }
func (p *idleProcess) Signal(context.Context, schema.Signal) (bool, error) { return p.end(nil), nil }
func (p *idleProcess) Kill(context.Context) (bool, error)                  { return p.end(nil), nil }
func (p *idleProcess) Done() <-chan struct{}                               { return p.done }
func (p *idleProcess) ExitCode() (uint32, error)                           { return 0, p.err }
func (p *idleProcess) Close() error                                        { return nil }
