package uvm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
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
	phases []Phase

	shares *slots[shareKey]
	disks  *slots[diskKey]
	pipes  *slots[string]
	nics   *slots[string]
	spaces *slots[string]
	tables *slots[string]
	files  grants

	strike func() error // the system's record in the journal

	done chan struct{}
	exit error // written before done is closed

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
		cfg: b.cfg, boot: b.files, files: newGrants(), system: b.system, strike: b.strike, guest: b.guest, phases: b.phases,
		shares: newSlots[shareKey]("shares", 1, 0),
		disks:  newSlots[diskKey]("SCSI attachments", firstFreeLUN, lunCount),
		pipes:  newSlots[string]("pipes", 0, 0),
		nics:   newSlots[string]("network adapters", 0, 0),
		spaces: newSlots[string]("network namespaces", 0, 0),
		tables: newSlots[string]("hvsocket services", 0, 0),
		done:   make(chan struct{}),
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
func (u *UVM) Phases() []Phase { return u.phases }

// Done is closed when the VM has ended and everything in it with it.
func (u *UVM) Done() <-chan struct{} { return u.done }

// Exit says why the VM ended: nil if isol closed it. It must be called only
// after Done is closed.
func (u *UVM) Exit() error { return u.exit }

// watch moves the VM to its end. It alone writes exit.
func (u *UVM) watch() {
	defer close(u.done)
	d := u.cfg.Deadlines
	select {
	case <-u.system.Done():
	case <-u.guest.Done():
		// The bridge mostly dies because the VM does: HCS knows why.
		if !waitFor(u.system.Done(), d.Reason) {
			u.cfg.Log.Error("the guest connection died, its virtual machine is ended", "vm", u.ID(), "reason", u.guest.Reason())
			u.terminate(d.Terminate)
			u.exit = fault.Wrap(u.guest.Reason(), "utility VM", u.ID())
			return
		}
	}
	u.exit = u.system.Exit()
	reason := u.exit
	if reason == nil {
		reason = errors.New("the virtual machine has ended")
	}
	u.guest.Fail(fmt.Errorf("%s: %w", u.ID(), reason))
}

// terminate ends the system and waits for it. What HCS answers is logged: the
// last handle's close is what ends a system that can't be terminated.
func (u *UVM) terminate(timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := u.system.Terminate(ctx); err != nil && !errors.Is(err, hcs.ErrAlreadyStopped) {
		u.cfg.Log.Warn("the virtual machine was not terminated, its handle is closed", "vm", u.ID(), "error", err)
		return
	}
	if !waitFor(u.system.Done(), timeout) {
		u.cfg.Log.Warn("the virtual machine was terminated and has not ended, its handle is closed", "vm", u.ID())
	}
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

// end ends the VM on the deadlines of its steps.
func (u *UVM) end(context.Context) error {
	d := u.cfg.Deadlines
	if d.Grace > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), d.Grace)
		if err := u.system.Shutdown(ctx); err == nil {
			waitFor(u.system.Done(), d.Grace)
		} else if !errors.Is(err, hcs.ErrAlreadyStopped) {
			u.cfg.Log.Info("the virtual machine did not take a graceful end, it is terminated", "vm", u.ID(), "error", err)
		}
		cancel()
	}
	u.terminate(d.Terminate)
	err := errors.Join(u.guest.Close(), u.system.Close())
	<-u.done
	return u.cfg.struck(err, u.strike)
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

// SetProcessorLimits changes the VM's processor limits.
func (u *UVM) SetProcessorLimits(ctx context.Context, limits schema.ProcessorLimits) error {
	return u.modify(ctx, &schema.ModificationRequest{RequestType: schema.RequestUpdate, ResourcePath: schema.PathVMProcessorLimits, Settings: limits})
}

func (u *UVM) modify(ctx context.Context, req *schema.ModificationRequest) error {
	ctx, cancel := context.WithTimeout(ctx, u.cfg.Deadlines.Modify)
	defer cancel()
	return u.system.Modify(ctx, req)
}
