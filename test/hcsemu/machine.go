package hcsemu

import (
	"context"
	"encoding/json"
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

	// Bridge carries a request that the host sends to the guest over the guest
	// bridge. It is a call like any other: its caller is the process that
	// started the machine, the fault plan acts before and after handle, and
	// the record has it. A request whose Bridge fails is answered with that error.
	//
	// So does a [Notification], which the guest sends: handle sends it, and one
	// whose Bridge fails before is lost.
	Bridge func(ctx context.Context, m Message, handle func(context.Context) (any, error)) error
}

// Notification is the Procedure of what a guest says without being asked: that a
// container has ended. It is the only one that a Windows guest sends.
const Notification = "ContainerNotification"

// Message is a request, or a notification, on the guest bridge.
type Message struct {
	Procedure string          `json:"procedure"` // "Create"; the record's function is GcsCreate
	Body      json.RawMessage `json:"body"`
}

// bridge returns what carries the messages to the guest of a system that c starts.
func (c *Client) bridge(id string) func(context.Context, Message, func(context.Context) (any, error)) error {
	c = c.As(ComputeCore) // the guest's codes are not the host interface's
	return func(ctx context.Context, m Message, handle func(context.Context) (any, error)) error {
		req := request{function: bridgePrefix + m.Procedure, system: id, args: Args{"message": document(string(m.Body))}, offline: true}
		return c.do(ctx, req, handle)
	}
}

// bridgePrefix begins the record's names of messages on the guest bridge.
const bridgePrefix = "Gcs"

// Machine is a running virtual machine. Its methods may be called from any goroutine.
type Machine interface {
	// WorkerPID is the host's process (vmwp.exe) that owns the machine.
	WorkerPID() uint32

	// Done is closed when the machine has ended.
	Done() <-chan struct{}

	// Crashed says, once Done is closed, whether the end was not asked for by the guest or the host.
	Crashed() bool

	// Bugcheck returns, once Done is closed, the parameters of the bugcheck of
	// the guest's kernel that ended the machine; nil if none did.
	Bugcheck() []uint64

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
func (c *Client) newMachine(ctx context.Context, sys *system) (Machine, error) {
	runner, ok := c.e.config.Runner.(MachineRunner)
	if !ok {
		return &idleMachine{done: make(chan struct{})}, nil
	}
	return runner.NewMachine(ctx, MachineSpec{ID: sys.id, RuntimeID: sys.runtimeID, Document: sys.doc.VirtualMachine, Bridge: c.bridge(sys.id)})
}

// watchMachine waits for the machine's end and makes it the system's.
func (e *Emulator) watchMachine(sys *system, m Machine) {
	<-m.Done()
	e.mu.Lock()
	if sys.ending == nil {
		how := exitGraceful
		if p := m.Bugcheck(); p != nil {
			how = exitBugcheck(p)
		} else if m.Crashed() {
			how = exitUnexpected
		}
		e.setEndingLocked(sys, &how)
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
func (m *idleMachine) Bugcheck() []uint64    { return nil }
func (m *idleMachine) ShutDown()             { m.Terminate() }
func (m *idleMachine) Terminate()            { m.once.Do(func() { close(m.done) }) }
func (m *idleMachine) Close()                { m.Terminate() }

func (m *idleMachine) Modify(context.Context, schema.ModificationRequest) error { return nil }
