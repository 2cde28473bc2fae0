package hcsemu

import (
	"context"
	"sync"

	"github.com/isolrun/isol/internal/hcs/schema"
)

// MachineRunner is a [Runner] that can also run virtual machines. Without one
// a started machine is Running and nothing happens in it.
type MachineRunner interface {
	// NewMachine boots a machine. The emulator ends it with Close.
	NewMachine(ctx context.Context, spec MachineSpec) (Machine, error)
}

// MachineSpec is a virtual machine to boot.
type MachineSpec struct {
	ID        string
	RuntimeID GUID // by which hvsockets address it
	Document  *schema.VirtualMachine
}

// Machine is a running virtual machine. Its methods may be called from any goroutine.
type Machine interface {
	// WorkerPID is the host's process (vmwp.exe) that owns the machine.
	WorkerPID() uint32

	// Done is closed when the machine has ended.
	Done() <-chan struct{}

	// Crashed says, once Done is closed, whether the end was not asked for by the guest or the host.
	Crashed() bool

	// ShutDown asks the guest to end. Terminate ends the machine at once. Both are idempotent.
	ShutDown()
	Terminate()

	// Modify tells the machine of a resource that was added, changed or removed.
	Modify(ctx context.Context, req schema.ModificationRequest) error

	// Close gives the machine up after its end. It is idempotent.
	Close()
}

// newMachine boots the machine of a system, or returns an idle one if the
// runner has no machines.
func (e *Emulator) newMachine(ctx context.Context, sys *system) (Machine, error) {
	runner, ok := e.config.Runner.(MachineRunner)
	if !ok {
		return &idleMachine{done: make(chan struct{})}, nil
	}
	return runner.NewMachine(ctx, MachineSpec{ID: sys.id, RuntimeID: sys.runtimeID, Document: sys.doc.VirtualMachine})
}

// watchMachine waits for the machine's end and makes it the system's.
func (e *Emulator) watchMachine(sys *system, m Machine) {
	<-m.Done()
	e.mu.Lock()
	if sys.ending == nil {
		sys.ending = &exitGraceful
		if m.Crashed() {
			sys.ending = &exitUnexpected
		}
	}
	sys.live--
	cleanup := e.finishIfOverLocked(sys)
	e.mu.Unlock()
	cleanup()
}

// idleMachine is a machine in which nothing runs.
type idleMachine struct {
	done chan struct{}
	once sync.Once
}

func (m *idleMachine) WorkerPID() uint32     { return 0 }
func (m *idleMachine) Done() <-chan struct{} { return m.done }
func (m *idleMachine) Crashed() bool         { return false }
func (m *idleMachine) ShutDown()             { m.Terminate() }
func (m *idleMachine) Terminate()            { m.once.Do(func() { close(m.done) }) }
func (m *idleMachine) Close()                { m.Terminate() }

func (m *idleMachine) Modify(context.Context, schema.ModificationRequest) error { return nil }
