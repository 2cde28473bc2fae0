package hcsemu

import (
	"context"
	"time"

	"github.com/Microsoft/go-winio/pkg/guid"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// systemState is where a system is in its life; see the package comment.
type systemState uint8

const (
	stateCreated systemState = iota
	stateStarting
	stateRunning
	stateStopped
)

// name returns the state as HCS names it: a starting system is still Created.
func (s systemState) name() schema.State {
	switch s {
	case stateRunning:
		return schema.StateRunning
	case stateStopped:
		return schema.StateStopped
	}
	return schema.StateCreated
}

// system is one compute system. Its fields are guarded by the emulator's mu;
// id, doc, kind, runtimeID and since never change.
type system struct {
	id        string
	doc       *schema.ComputeSystem
	kind      schema.SystemType
	os        schema.OSType
	runtimeID GUID // of a virtual machine, "" for a container
	owner     Caller
	since     time.Time

	state     systemState
	started   time.Time
	handles   int                  // open handles of all clients
	live      int                  // processes, or the machine, that run
	ending    *exitStatus          // set once the end was asked for
	exit      *exitStatus          // set once stopped
	processes map[uint32]*process  // running ones
	resources map[string]*resource // what the document and modifications added, by path
	silo      Silo
	machine   Machine
	release   func() // of what a Reserver has made; nil for none
}

// exitStatus is how a system ended.
type exitStatus struct {
	kind     schema.ExitType
	status   HRESULT
	bugcheck []uint64 // the guest's kernel crashed with these parameters; nil: it did not
}

// How systems end. The statuses are what runhcs relies on: hcsshim v0.14.1
// takes a failing status of the exit notification for an error of the wait, so
// shutdown and termination have none; a crash has the unexpected-exit code.
var (
	exitGraceful   = exitStatus{kind: schema.ExitGracefulExit}
	exitForced     = exitStatus{kind: schema.ExitForcedExit}
	exitUnexpected = exitStatus{kind: schema.ExitUnexpectedExit, status: EUnexpectedExit}
)

// exitBugcheck is the end of a machine whose guest's kernel crashed.
func exitBugcheck(parameters []uint64) exitStatus {
	x := exitUnexpected
	x.bugcheck = parameters
	return x
}

// event is the notification of this end in a Windows of the given build, which
// says from 20348 on to what the end is put down (published schema,
// SystemExitStatus.Attribution). Status in the data is an int32, as
// the published SystemExitStatus has it; so is the older code in a callback.
func (x *exitStatus) event(build uint32) Event {
	data := schema.SystemExitStatus{Status: int32(x.status.For(VMCompute)), ExitType: x.kind}
	if x.bugcheck != nil && build >= 20348 {
		data.Attribution = []schema.AttributionRecord{{GuestCrash: &schema.GuestCrash{CrashParameters: x.bugcheck}}}
	}
	return Event{Type: EventSystemExited, Data: encode(data), Status: x.status.For(VMCompute)}
}

// CreateSystem is the request of [Client.CreateSystem].
type CreateSystem struct {
	Handle   Handle // reserved, or 0
	ID       string
	Document string
}

// CreateSystem makes a compute system in state Created.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcscreatecomputesystem
func (c *Client) CreateSystem(ctx context.Context, req CreateSystem) (Handle, error) {
	e := c.e
	var (
		h   Handle
		sys *system
	)
	call := request{
		function: "HcsCreateComputeSystem", system: req.ID, args: Args{"document": document(req.Document)},
		undo: func(context.Context) { _ = c.drop(h); e.endSystem(sys, exitForced) },
	}
	err := c.do(ctx, call, func(context.Context) (_ any, err error) {
		if sys, err = e.newSystem(req.ID, req.Document, c.caller); err == nil {
			h, err = c.admit(req.Handle, sys)
		}
		return uint64(h), err
	})
	if err != nil {
		// As runhcs relies on it: vmcompute.dll's handle stays open without a
		// system, since the failure is a notification to the callback that
		// runhcs sets on it.
		if req.Handle != 0 && c.api != VMCompute {
			_ = c.drop(req.Handle)
		}
		return 0, err
	}
	return h, nil
}

// newSystem checks a document and returns the system that it describes.
func (e *Emulator) newSystem(id, text string, owner Caller) (*system, error) {
	if id == "" {
		return nil, fail(EInvalidArg, "a compute system needs an id")
	}
	if text == "" {
		return nil, fail(EInvalidJSON, "a compute system needs a document")
	}
	doc, err := decode[schema.ComputeSystem](e, text, EInvalidJSON)
	if err != nil {
		return nil, err
	}
	if err := e.checkSystem(doc); err != nil {
		return nil, err
	}
	sys := &system{
		id: id, doc: doc, kind: schema.SystemContainer, os: schema.OSWindows, owner: owner,
		since: e.config.Now(), processes: map[uint32]*process{}, resources: map[string]*resource{},
	}
	if vm := doc.VirtualMachine; vm != nil {
		sys.kind, sys.runtimeID = schema.SystemVirtualMachine, runtimeID(id)
		if vm.Chipset != nil && vm.Chipset.LinuxKernelDirect != nil {
			sys.os = schema.OSLinux
		}
	}
	return sys, nil
}

// runtimeID derives the GUID by which hvsockets address a machine. Windows
// draws one at random; here the same id gives the same GUID, so that records compare.
func runtimeID(id string) GUID {
	g, err := guid.NewV5(layerNamespace, []byte("runtime:"+id))
	if err != nil {
		return ""
	}
	return GUID(g.String())
}

// admit puts a new system into the table and gives the caller its handle.
func (c *Client) admit(reserved Handle, sys *system) (Handle, error) {
	e := c.e
	e.mu.Lock()
	if err := e.admitLocked(sys); err != nil {
		e.mu.Unlock()
		return 0, err
	}
	h, kept := c.fillLocked(reserved, &reference{system: sys})
	if kept {
		sys.handles = 1
	}
	e.mu.Unlock()
	if !kept {
		e.endSystem(sys, exitForced)
		return 0, fail(EHandle, "the handle was closed before the system was there")
	}
	return h, nil
}

// admitLocked puts a new system into the table if its id and what it names are free.
func (e *Emulator) admitLocked(sys *system) error {
	if e.systems[sys.id] != nil {
		return fail(ESystemAlreadyExists, "a compute system with id %q exists", sys.id)
	}
	if err := e.checkNamesLocked(sys); err != nil {
		return err
	}
	if err := e.addDocumentResourcesLocked(sys); err != nil {
		return err
	}
	if r, ok := e.config.Runner.(Reserver); ok && sys.kind == schema.SystemContainer {
		release, err := r.Reserve(sys.id)
		if err != nil {
			return err
		}
		sys.release = release
	}
	e.systems[sys.id] = sys
	e.joinNamespaceLocked(sys)
	return nil
}

// OpenSystem returns a handle to a system that has not stopped.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsopencomputesystem
func (c *Client) OpenSystem(ctx context.Context, id string) (Handle, error) {
	var h Handle
	call := request{function: "HcsOpenComputeSystem", system: id, undo: func(context.Context) { _ = c.drop(h) }}
	err := c.do(ctx, call, func(context.Context) (any, error) {
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		sys := c.e.systems[id]
		if sys == nil {
			return nil, fail(ESystemNotFound, "there is no compute system with id %q", id)
		}
		var kept bool
		if h, kept = c.fillLocked(0, &reference{system: sys}); !kept {
			return nil, ended(c.ctx)
		}
		sys.handles++
		return uint64(h), nil
	})
	if err != nil {
		return 0, err
	}
	return h, nil
}

// CloseSystem gives up a handle. The last one ends a system whose document
// says ShouldTerminateOnLastHandleClosed.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsclosecomputesystem
func (c *Client) CloseSystem(h Handle) error {
	return c.closeHandle("HcsCloseComputeSystem", h)
}

// closeHandle is not gated by the service: closing works without it.
func (c *Client) closeHandle(function string, h Handle) error {
	req := request{function: function, about: h, args: Args{"handle": uint64(h)}, offline: true}
	return c.simple(context.Background(), req, func(context.Context) error { return c.drop(h) })
}

// releaseSystem gives up one handle's hold on a system.
func (e *Emulator) releaseSystem(sys *system) {
	e.mu.Lock()
	sys.handles--
	last := sys.handles == 0 && sys.doc.ShouldTerminateOnLastHandleClosed && sys.state != stateStopped
	e.mu.Unlock()
	if last {
		e.endSystem(sys, exitForced)
	}
}

// StartSystem runs a created system.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsstartcomputesystem
func (c *Client) StartSystem(ctx context.Context, h Handle, options string) error {
	e := c.e
	req := request{function: "HcsStartComputeSystem", about: h, args: Args{"options": document(options)}}
	return c.simple(ctx, req, func(ctx context.Context) error {
		e.mu.Lock()
		sys, err := c.systemLocked(h)
		if err == nil {
			err = sys.requireLocked(stateCreated)
		}
		if err != nil {
			e.mu.Unlock()
			return err
		}
		sys.state = stateStarting
		spec := e.siloSpecLocked(sys)
		e.mu.Unlock()
		return c.boot(ctx, sys, spec)
	})
}

// boot makes the silo or machine of a starting system and sets it running.
func (c *Client) boot(ctx context.Context, sys *system, spec SiloSpec) error {
	e := c.e
	var (
		silo    Silo
		machine Machine
		err     error
	)
	if sys.kind == schema.SystemVirtualMachine {
		machine, err = c.newMachine(ctx, sys)
	} else {
		silo, err = e.config.Runner.NewSilo(ctx, spec)
	}
	e.mu.Lock()
	if err != nil {
		sys.state = stateCreated
		cleanup := e.finishIfOverLocked(sys)
		e.mu.Unlock()
		cleanup()
		return err
	}
	sys.state, sys.started, sys.silo, sys.machine = stateRunning, e.config.Now(), silo, machine
	if machine != nil {
		sys.live++
		go e.watchMachine(sys, machine)
	}
	if sys.ending == nil {
		e.mu.Unlock()
		return nil
	}
	e.mu.Unlock()
	e.endSystem(sys, exitForced)
	return fail(ETerminatedDuringStart, "compute system %q was ended while it started", sys.id)
}

// requireLocked says whether the system is in the given state and not ending.
func (s *system) requireLocked(want systemState) error {
	switch {
	case s.state == stateStopped:
		return fail(ESystemAlreadyStopped, "compute system %q has stopped", s.id)
	case s.state != want || s.ending != nil:
		return fail(EInvalidState, "compute system %q is %s; %s is needed", s.id, s.stateName(), want.name())
	}
	return nil
}

// stateName is the state for a sentence.
func (s *system) stateName() string {
	if s.ending != nil && s.state != stateStopped {
		return "Stopping"
	}
	return string(s.state.name())
}

// ShutDownSystem asks a running system to end: each of its processes gets
// CtrlShutdown, and when all have gone the system has ended. It returns when
// they have been asked. A process that takes no notice keeps the system
// running, as WaitToKillServiceTimeout of the documents of runhcs has it.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsshutdowncomputesystem
func (c *Client) ShutDownSystem(ctx context.Context, h Handle, options string) error {
	e := c.e
	req := request{function: "HcsShutDownComputeSystem", about: h, args: Args{"options": document(options)}}
	return c.simple(ctx, req, func(context.Context) error {
		if _, err := decode[schema.ShutdownOptions](e, options, EInvalidJSON); err != nil {
			return err
		}
		e.mu.Lock()
		sys, err := c.systemLocked(h)
		if err == nil && (sys.ending == nil || sys.state == stateStopped) {
			err = sys.requireLocked(stateRunning)
		}
		if err != nil {
			e.mu.Unlock()
			return err
		}
		running := sys.runningLocked()
		machine := sys.machine
		if sys.ending == nil {
			sys.ending = &exitGraceful
		}
		cleanup := e.finishIfOverLocked(sys)
		e.mu.Unlock()
		cleanup()
		for _, p := range running {
			_ = p.Signal(CtrlShutdown) // one that has just ended needs no signal
		}
		if machine != nil {
			machine.ShutDown()
		}
		return nil
	})
}

// TerminateSystem ends a system at once.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsterminatecomputesystem
func (c *Client) TerminateSystem(ctx context.Context, h Handle, options string) error {
	return c.end(ctx, "HcsTerminateComputeSystem", h, options, exitForced)
}

// CrashSystem crashes a virtual machine's guest, as HcsCrashComputeSystem does:
// by an interrupt for which Windows has the bugcheck NMI_HARDWARE_FAILURE.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcscrashcomputesystem
func (c *Client) CrashSystem(ctx context.Context, h Handle, options string) error {
	return c.end(ctx, "HcsCrashComputeSystem", h, options, exitBugcheck([]uint64{0x80, 0x4f4454, 0, 0, 0}))
}

func (c *Client) end(ctx context.Context, function string, h Handle, options string, how exitStatus) error {
	req := request{function: function, about: h, args: Args{"options": document(options)}}
	return c.simple(ctx, req, func(context.Context) error {
		c.e.mu.Lock()
		sys, err := c.systemLocked(h)
		if err == nil && sys.state == stateStopped {
			err = sys.requireLocked(stateRunning)
		}
		c.e.mu.Unlock()
		if err != nil {
			return err
		}
		c.e.endSystem(sys, how)
		return nil
	})
}

// Crash ends the system with the given id as if what runs it (a machine's
// worker process, say) had crashed.
func (e *Emulator) Crash(id string) error { return e.crash(id, exitUnexpected) }

// Bugcheck ends the system with the given id as if its kernel had crashed with
// these parameters, the bugcheck code first.
func (e *Emulator) Bugcheck(id string, parameters ...uint64) error {
	return e.crash(id, exitBugcheck(append([]uint64{}, parameters...)))
}

func (e *Emulator) crash(id string, how exitStatus) error {
	e.mu.Lock()
	sys := e.systems[id]
	e.mu.Unlock()
	if sys == nil {
		return fail(ESystemNotFound, "there is no compute system with id %q to crash", id)
	}
	e.endSystem(sys, how)
	return nil
}

// endSystem ends a system at once, however far it has come. A forced end
// overrules an orderly one that is under way; the first forced end stays.
func (e *Emulator) endSystem(sys *system, how exitStatus) {
	e.mu.Lock()
	if sys.state == stateStopped {
		e.mu.Unlock()
		return
	}
	if sys.ending == nil || sys.ending == &exitGraceful {
		e.setEndingLocked(sys, &how)
	}
	silo, machine := sys.silo, sys.machine
	cleanup := e.finishIfOverLocked(sys)
	e.mu.Unlock()
	cleanup()
	if silo != nil {
		silo.Terminate()
	}
	if machine != nil {
		machine.Terminate()
	}
}

// setEndingLocked decides how a system ends. A crash of its kernel is told at
// once, and again when the dump that the document asks for has been written: here
// that takes no time.
func (e *Emulator) setEndingLocked(sys *system, how *exitStatus) {
	sys.ending = how
	if how.bugcheck == nil || sys.kind != schema.SystemVirtualMachine {
		return
	}
	report := schema.CrashReport{SystemID: sys.id, CrashParameters: how.bugcheck}
	e.publishLocked(sys, nil, Event{Type: EventSystemCrashInitiated, Data: encode(report)})
	if d := sys.doc.VirtualMachine.Devices; d != nil && d.GuestCrashReporting != nil && d.GuestCrashReporting.WindowsCrashSettings != nil {
		report.WindowsCrashInfo = &schema.WindowsCrashReport{
			DumpFile: d.GuestCrashReporting.WindowsCrashSettings.DumpFileName, FinalPhase: schema.CrashPhaseComplete,
		}
	}
	e.publishLocked(sys, nil, Event{Type: EventSystemCrashReport, Data: encode(report)})
}

// finishIfOverLocked makes an ending system stopped if nothing of it runs any
// more. The function that it returns is to be called without the lock.
func (e *Emulator) finishIfOverLocked(sys *system) func() {
	if sys.ending == nil || sys.live > 0 || sys.state == stateStarting || sys.state == stateStopped {
		return func() {}
	}
	sys.state, sys.exit = stateStopped, sys.ending
	if e.systems[sys.id] == sys {
		delete(e.systems, sys.id)
	}
	clear(sys.resources)
	e.leaveNamespacesLocked(sys.id)
	e.publishLocked(sys, nil, sys.exit.event(e.config.Build))
	silo, machine, release := sys.silo, sys.machine, sys.release
	return func() {
		if release != nil {
			defer release()
		}
		if silo != nil {
			silo.Terminate()
			silo.Close()
		}
		if machine != nil {
			machine.Close()
		}
	}
}

// runningLocked returns the system's running processes.
func (s *system) runningLocked() []RunningProcess {
	all := make([]RunningProcess, 0, len(s.processes))
	for _, p := range s.processes {
		all = append(all, p.running)
	}
	return all
}

// PauseSystem fails: no container can be paused, and isol pauses no machine.
func (c *Client) PauseSystem(ctx context.Context, h Handle, options string) error {
	return c.unsupported(ctx, "HcsPauseComputeSystem", h, options)
}

// ResumeSystem fails, like PauseSystem.
func (c *Client) ResumeSystem(ctx context.Context, h Handle, options string) error {
	return c.unsupported(ctx, "HcsResumeComputeSystem", h, options)
}

// SaveSystem fails, like PauseSystem.
func (c *Client) SaveSystem(ctx context.Context, h Handle, options string) error {
	return c.unsupported(ctx, "HcsSaveComputeSystem", h, options)
}

func (c *Client) unsupported(ctx context.Context, function string, h Handle, options string) error {
	req := request{function: function, about: h, args: Args{"options": document(options)}}
	return c.simple(ctx, req, func(context.Context) error {
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		if _, err := c.systemLocked(h); err != nil {
			return err
		}
		return fail(ENotSupported, "%s is not supported by the emulator", function)
	})
}
