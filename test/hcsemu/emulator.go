package hcsemu

import (
	"io"
	"sync"
	"time"
)

// Config says which machine is emulated. The zero value is a Windows Server
// 2022 with two processors, 8 GiB of memory, no hypervisor and scripted
// processes.
type Config struct {
	Build      uint32  // Windows build, for example 17763, 20348, 26100; 0 is 20348
	Edition    Edition // "" is Server
	Hypervisor bool
	CPUs       int    // 0 is 2
	MemoryMB   uint64 // 0 is 8192

	// Shares is how many VSMB shares a machine takes; 0: any number, as no number
	// is published.
	Shares int

	Runner Runner // nil is NewScripted()
	Disk   Disk   // nil: paths are taken as they come, nothing is checked or written
	// Folders shows volumes in folders of the host; nil: nothing is to be seen there.
	Folders FolderMounter
	Record  io.Writer        // each call as a JSON line; nil keeps them in memory only
	Now     func() time.Time // nil is time.Now
	Kill    func(Caller)     // ends a caller as kill -9 would, for fault plans; nil disconnects it only

	// Watch is called at each call, before and after its effect, from the
	// caller's goroutine and without a lock: a test looks there at what the
	// machine holds, and what was written down of it. nil: nobody looks.
	Watch func(call Call, when When)

	// ImageBuild returns the Windows build of a base layer, 0 if it is not
	// known; nil knows none. It decides HCS_E_IMAGE_MISMATCH.
	ImageBuild func(layer string) uint32

	// TrustNames takes volumes, layers and network namespaces that documents
	// name without having handed them out: for tests whose layers and networks
	// are not this emulator's.
	TrustNames bool
}

// Edition is the kind of Windows.
type Edition string

// The editions.
const (
	Server  Edition = "Server"
	Desktop Edition = "Client"
)

// Emulator is one machine's services. All methods may be called from any goroutine.
type Emulator struct {
	config Config
	record record

	mu         sync.Mutex
	clients    map[*session]bool            // guarded by mu
	systems    map[string]*system           // by id, stopped ones are gone; guarded by mu
	layers     map[string]*layer            // by normalised path; guarded by mu
	grants     map[grantKey]*grant          // guarded by mu
	networks   map[NetworkKind]networkTable // guarded by mu
	bindings   map[bindingKey]*binding      // guarded by mu
	users      map[string]*hostUser         // by name in small letters; guarded by mu
	folders    map[string]*volumeFolder     // by normalised path; guarded by mu
	jobs       map[string]*Job              // by name in small letters; guarded by mu
	credGuards map[string]*credentialGuard  // by id; guarded by mu
	faults     []*plannedFault              // guarded by mu
	hung       map[*hang]bool               // calls that a fault holds; guarded by mu
	down       bool                         // the compute service is not there; guarded by mu
	lastPort   int                          // namespaces' compartment numbers; guarded by mu
}

// New returns the emulator of one machine.
func New(config Config) *Emulator {
	if config.Build == 0 {
		config.Build = 20348
	}
	if config.Edition == "" {
		config.Edition = Server
	}
	if config.CPUs == 0 {
		config.CPUs = 2
	}
	if config.MemoryMB == 0 {
		config.MemoryMB = 8192
	}
	if config.Runner == nil {
		config.Runner = NewScripted()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Emulator{
		config:     config,
		record:     record{out: config.Record},
		clients:    map[*session]bool{},
		systems:    map[string]*system{},
		layers:     map[string]*layer{},
		grants:     map[grantKey]*grant{},
		networks:   map[NetworkKind]networkTable{},
		bindings:   map[bindingKey]*binding{},
		users:      map[string]*hostUser{},
		folders:    map[string]*volumeFolder{},
		jobs:       map[string]*Job{},
		credGuards: map[string]*credentialGuard{},
		hung:       map[*hang]bool{},
	}
}

// Config returns the machine's description with its defaults filled in.
func (e *Emulator) Config() Config { return e.config }

// Close disconnects every client and ends every system that is left. The
// emulator must not be used afterwards.
func (e *Emulator) Close() {
	for _, s := range e.sessions() {
		s.disconnect()
	}
	for _, s := range e.runningSystems() {
		e.endSystem(s, exitForced)
	}
}

func (e *Emulator) sessions() []*session {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]*session, 0, len(e.clients))
	for s := range e.clients {
		all = append(all, s)
	}
	return all
}

func (e *Emulator) runningSystems() []*system {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]*system, 0, len(e.systems))
	for _, s := range e.systems {
		all = append(all, s)
	}
	return all
}

// DisconnectService ends the compute service as a crash of vmcompute.exe does:
// every subscription gets [EventServiceDisconnect], every handle to a system or
// process goes dead (HCS_E_SERVICE_DISCONNECT) and calls fail with
// HCS_E_SERVICE_NOT_AVAILABLE until [Emulator.RestoreService]. Systems live on
// and can be opened again afterwards: worker processes and silos are not
// children of the service. Layers and networks have other owners and stay.
func (e *Emulator) DisconnectService() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = true
	for s := range e.clients {
		for sub := range s.subscriptions {
			s.postLocked(sub, Event{Type: EventServiceDisconnect, Status: EServiceDisconnect.For(VMCompute)})
		}
		for _, r := range s.handles {
			r.dead = r.dead || r.system != nil || r.process != nil
		}
	}
}

// RestoreService makes the compute service answer again.
func (e *Emulator) RestoreService() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = false
}
