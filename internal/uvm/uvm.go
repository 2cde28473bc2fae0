package uvm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/gcs"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// UVM is a booted utility VM. All methods may be called from any goroutine.
type UVM struct {
	cfg    Config
	boot   BootFiles
	system hcs.System
	guest  *gcs.Guest
	phases []hcs.Span

	shares *slots[shareKey]
	disks  *slots[diskKey]
	pipes  *slots[string]
	nics   *slots[string]
	spaces *slots[string]
	tables *slots[string]
	files  grants

	devices  *slots[function]
	mu       sync.Mutex
	assigned map[function]assignment // guarded by mu
	removals map[diskKey]*removal    // of attached disks; guarded by mu

	strike func() error // the system's record in the journal

	done   chan struct{}
	exit   error  // written before done is closed
	reason Reason // likewise

	state     atomic.Uint32 // a state; written by watch alone
	close     chan struct{} // closed by the first Close
	closeOnce sync.Once

	closing sync.Mutex // held by the Close at work; guards left
	left    []func(context.Context) error
}

// firstFreeLUN and lastLUN bound what containers may use of the SCSI
// controller: LUN 0 is the VM's own scratch, 64 LUNs are Hyper-V's fixed number.
const (
	firstFreeLUN = 1
	lunCount     = 63
)

func newUVM(b *boot) *UVM {
	u := &UVM{
		cfg: b.cfg, boot: b.files, files: newGrants(), system: b.system, strike: b.strike, guest: b.guest, phases: b.phases.Spans(),
		shares:  newSlots[shareKey]("shares", 1, 0),
		disks:   newSlots[diskKey]("SCSI attachments that containers have (of 64, one is the utility VM's own)", firstFreeLUN, lunCount),
		pipes:   newSlots[string]("pipes", 0, 0),
		nics:    newSlots[string]("network adapters", 0, 0),
		spaces:  newSlots[string]("network namespaces", 0, 0),
		tables:  newSlots[string]("hvsocket services", 0, 0),
		devices: newSlots[function]("assigned devices", 0, 0), assigned: map[function]assignment{}, removals: map[diskKey]*removal{},
		done:  make(chan struct{}),
		close: make(chan struct{}),
	}
	u.left = []func(context.Context) error{u.end, u.takeAllBack}
	for _, undo := range slices.Backward(b.kept) {
		u.left = append(u.left, undo)
	}
	go u.watch()
	return u
}

// ID is the id of the VM's compute system, <pod id>@vm.
func (u *UVM) ID() string { return u.cfg.Plan.ID }

// BootFiles says which layer the VM was booted from.
func (u *UVM) BootFiles() BootFiles { return u.boot }

// Phases says how long each phase of booting took.
func (u *UVM) Phases() []hcs.Span { return u.phases }

// Done is closed when the VM has ended and everything in it with it.
func (u *UVM) Done() <-chan struct{} { return u.done }

// Exit says why the VM ended: nil if isol closed it, else an [*ExitError]. It
// must be called only after Done is closed.
func (u *UVM) Exit() error { return u.exit }

// Reason says so in one word. It must be called only after Done is closed.
func (u *UVM) Reason() Reason { return u.reason }

// watch moves the VM through its states to its end, as the table transitions
// has it. It alone writes state, exit and reason.
func (u *UVM) watch() {
	defer close(u.done)
	var p policy
	timer := time.NewTimer(0)
	<-timer.C
	defer timer.Stop()
	crashed, broken, exited, closing := u.system.Crashed(), u.guest.Broken(), u.system.Done(), (<-chan struct{})(u.close)
	for p.state != stateEnded {
		var e event
		select {
		case <-crashed:
			crashed, e = nil, evCrash
		case <-broken:
			broken, e = nil, evBridge
		case <-exited:
			exited, e = nil, evExit
		case <-timer.C:
			e = evLate
		case <-closing:
			closing, e = nil, evClose
		}
		if e == evExit && u.closed() {
			p.on(evClose) // the exit is the one that was asked for
		}
		was := p.state
		do := p.on(e)
		u.state.Store(uint32(p.state))
		u.cfg.Log.Debug("utility VM", "vm", u.ID(), "event", e, "was", was, "is", p.state)
		if do == doConclude {
			u.conclude(p.reason(was, u.system.Ending().How))
			continue
		}
		if wait := u.act(do); wait > 0 {
			timer.Reset(wait)
		}
	}
}

// closed says whether the pod has closed the VM.
func (u *UVM) closed() bool {
	select {
	case <-u.close:
		return true
	default:
		return false
	}
}

// act carries out an action of the policy and returns for how long its outcome
// is waited for, 0 if there is nothing to wait for.
func (u *UVM) act(do action) time.Duration {
	d := u.cfg.Deadlines
	switch do {
	case doFail:
		u.cfg.Log.Error("the kernel of the utility VM's guest crashed", "vm", u.ID(), "dumps", u.cfg.Plan.DumpDirectory)
		u.guest.Fail(&ExitError{VM: u.ID(), Reason: ReasonBugcheck, Err: hcs.ErrGuestCrash})
		return u.dumpTime()
	case doAsk: // the bridge mostly dies because the VM does: HCS knows why
		return d.Reason
	case doTerminate:
		u.cfg.Log.Error("the utility VM's guest cannot be spoken to, the virtual machine is ended", "vm", u.ID())
		u.guest.Fail(fmt.Errorf("the guest connection died: %w", u.guest.Cause()))
		if !u.terminate(d.Terminate) {
			u.giveUp()
			return 0
		}
		return d.Terminate
	case doGiveUp:
		u.cfg.Log.Warn("the virtual machine was terminated and has not ended, its handle is closed", "vm", u.ID())
		u.giveUp()
	}
	return 0
}

// giveUp closes the handle of a system that could not be terminated: its
// document has it end with the last handle. The exit that follows is the
// handle's.
func (u *UVM) giveUp() {
	if err := u.system.Close(); err != nil {
		u.cfg.Log.Warn("close the virtual machine's handle", "vm", u.ID(), "error", err)
	}
}

// dumpTime is how long a VM whose guest's kernel has crashed is let be: until
// its dump is written, if there is to be one.
func (u *UVM) dumpTime() time.Duration {
	if u.cfg.Plan.DumpDirectory == "" {
		return u.cfg.Deadlines.Reason
	}
	return u.cfg.Deadlines.Dump
}

// conclude writes down why the VM ended, and ends all that is in flight with it.
func (u *UVM) conclude(reason Reason) {
	seen := u.system.Exit()
	if u.reason = reason; reason != ReasonClosed {
		var bridge error
		select {
		case <-u.guest.Done():
			bridge = u.guest.Reason()
		default:
		}
		u.exit = exitError(u.ID(), reason, seen, bridge)
		u.cfg.Log.Error("utility VM ended", "vm", u.ID(), "reason", reason, "error", u.exit)
		u.guest.Fail(u.exit)
		return
	}
	u.cfg.Log.Info("utility VM ended", "vm", u.ID(), "reason", reason)
	u.guest.Fail(errors.New("the virtual machine has been closed"))
}

// terminate asks for the end of the system, and reports false if HCS refused.
func (u *UVM) terminate(timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := u.system.Terminate(ctx); err != nil && !errors.Is(err, hcs.ErrAlreadyStopped) {
		u.cfg.Log.Warn("the virtual machine was not terminated, its handle is closed", "vm", u.ID(), "error", err)
		return false
	}
	return true
}

func waitFor(done <-chan struct{}, timeout time.Duration) bool {
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
	}
	select { // both may have been ready
	case <-done:
		return true
	default:
		return false
	}
}

// Close ends the VM and releases all it held: graceful end where a grace is
// configured, then terminate, then the handle, each on its own deadline. It is
// idempotent; a later call waits for the one at work and tries again what that
// could not release. Only the pod calls it.
func (u *UVM) Close() error {
	u.closing.Lock()
	defer u.closing.Unlock()
	var errs []error
	var left []func(context.Context) error
	for _, release := range u.left {
		ctx, cancel := context.WithTimeout(context.Background(), u.cfg.Deadlines.Undo)
		if err := release(ctx); err != nil {
			errs, left = append(errs, err), append(left, release)
		}
		cancel()
	}
	u.left = left
	return fault.Wrap(errors.Join(errs...), "close utility VM", u.ID())
}

// end ends the VM on the deadlines of its steps. A dump that is being written is
// waited for; a refusal costs no wait.
func (u *UVM) end(context.Context) error {
	u.closeOnce.Do(func() { close(u.close) })
	d := u.cfg.Deadlines
	select {
	case <-u.system.Crashed():
		waitFor(u.done, u.dumpTime())
	default:
		if d.Grace > 0 {
			u.shutDown(d.Grace)
		}
	}
	if u.terminate(d.Terminate) && !waitFor(u.system.Done(), d.Terminate) {
		u.cfg.Log.Warn("the virtual machine was terminated and has not ended, its handle is closed", "vm", u.ID())
	}
	err := errors.Join(u.guest.Close(), u.system.Close())
	<-u.done
	return u.cfg.struck(err, u.strike)
}

// shutDown asks the guest to end, and waits for it unless HCS refuses.
func (u *UVM) shutDown(grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err := u.system.Shutdown(ctx)
	if err == nil {
		waitFor(u.system.Done(), grace)
	} else if !errors.Is(err, hcs.ErrAlreadyStopped) {
		u.cfg.Log.Info("the virtual machine did not take a graceful end, it is terminated", "vm", u.ID(), "error", err)
	}
}

// Create makes a container in the VM from its document. See gcs.Guest.Create.
func (u *UVM) Create(ctx context.Context, id string, document *schema.ComputeSystem) (hcs.Compute, error) {
	return u.guest.Create(ctx, id, document)
}

// CreateProcess runs a process in the VM itself, outside of its containers.
func (u *UVM) CreateProcess(ctx context.Context, params *schema.ProcessParameters) (hcs.Process, error) {
	return u.guest.CreateProcess(ctx, params)
}

// Properties returns properties of the VM itself: its memory and statistics.
func (u *UVM) Properties(ctx context.Context, query schema.PropertyQuery) (*schema.Properties, error) {
	return u.system.Properties(ctx, query)
}

// SetMemory changes the VM's memory.
func (u *UVM) SetMemory(ctx context.Context, megabytes uint64) error {
	return u.modify(ctx, &schema.ModificationRequest{RequestType: schema.RequestUpdate, ResourcePath: schema.PathVMMemory, Settings: megabytes})
}

// HostProcess says whether the guest runs HostProcess containers: it says so
// itself when it connects.
func (u *UVM) HostProcess() bool {
	return u.guest.Capabilities().GuestDefinedCapabilities.HostProcessContainerSupported
}

// SetProcessorLimits changes the VM's processor limits.
func (u *UVM) SetProcessorLimits(ctx context.Context, limits schema.ProcessorLimits) error {
	return u.modify(ctx, &schema.ModificationRequest{RequestType: schema.RequestUpdate, ResourcePath: schema.PathVMProcessorLimits, Settings: limits})
}

// SetCPUGroup moves the VM to a CPU group of the host.
func (u *UVM) SetCPUGroup(ctx context.Context, id string) error {
	return u.modify(ctx, &schema.ModificationRequest{RequestType: schema.RequestUpdate, ResourcePath: schema.PathVMCPUGroup, Settings: &schema.CPUGroup{ID: id}})
}

func (u *UVM) modify(ctx context.Context, req *schema.ModificationRequest) error {
	ctx, cancel := context.WithTimeout(ctx, u.cfg.Deadlines.Modify)
	defer cancel()
	return u.system.Modify(ctx, req)
}
