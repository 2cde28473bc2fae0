package uvm

import (
	"context"
	"log/slog"
	"time"

	"github.com/isolrun/isol/internal/gcs"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/network"
)

// Config is what booting a VM needs. Plan, Layers, Host, Sockets and
// NameToGUID are required.
type Config struct {
	Owner   string // Owner of the document: the base name of the shim's exe
	Plan    *isolation.UVM
	Layers  layers.Layers // of the sandbox: the VM boots from Parents, its scratch is made below Scratch
	Host    hcs.Host
	Sockets func(runtimeID string) (gcs.Listener, error) // hvsockets of one VM

	// NameToGUID returns the id that HCS gives a layer with this base name.
	NameToGUID func(name string) (string, error)

	// Namespace describes a network namespace of the host; nil: Connect is
	// refused as unimplemented.
	Namespace func(ctx context.Context, id string) (network.Namespace, error)

	HostBuild uint32 // Windows build of the host, for device settings that need one

	// Tool is the path of the program that isol runs in guests ([Tool]); empty:
	// what needs it is refused as unimplemented.
	Tool string

	// TimeZone returns the host's time zone; nil leaves the guest its own.
	TimeZone func() (*gcs.TimeZoneInformation, error)

	// Journal is where what outlives the process is written before it is
	// acquired: the task's that the VM is booted for. nil: it is written nowhere,
	// and nobody cleans up after a crash.
	Journal Journal

	// Copy copies the system template to the VM's scratch, where nothing is;
	// what it leaves after an error is removed. nil: as this system copies.
	Copy func(from, to string) error

	Calls     *hcs.CallTable // takes note of calls to the guest; may be nil
	Log       *slog.Logger   // nil: discarded
	Deadlines Deadlines      // zero fields take the values of DefaultDeadlines
}

// Journal is where a VM writes, in this order of its methods, what it is about
// to acquire and what outlives the process. strike is called once it was
// released. After an error it must not be acquired. *journal.Journal implements it.
type Journal interface {
	VMScratch(id, path string) (strike func() error, err error)
	VMAccess(id, path string) (strike func() error, err error)
	VM(id string) (strike func() error, err error)
}

// unwritten is the Journal of a VM that has none.
type unwritten struct{}

func (unwritten) VMScratch(string, string) (func() error, error) { return kept, nil }
func (unwritten) VMAccess(string, string) (func() error, error)  { return kept, nil }
func (unwritten) VM(string) (func() error, error)                { return kept, nil }

func kept() error { return nil }

// struck strikes a record if what it names was released without error. A
// record that is not struck only means that a replay undoes what is gone.
func (c *Config) struck(err error, strike func() error) error {
	if err != nil || strike == nil {
		return err
	}
	if err := strike(); err != nil {
		c.Log.Warn("strike the journal", "vm", c.Plan.ID, "error", err)
	}
	return nil
}

// Deadlines bounds each step by itself.
type Deadlines struct {
	Grant     time.Duration // file access for the worker process
	Create    time.Duration // HcsCreateComputeSystem
	Start     time.Duration // HcsStartComputeSystem
	Connect   time.Duration // from start to a guest that has negotiated
	Call      time.Duration // one call to the guest
	Modify    time.Duration // one device on the host's side
	Undo      time.Duration // one step back
	Grace     time.Duration // graceful end of the VM; 0: terminated at once, as production does
	Terminate time.Duration // forced end of the VM, then its handle is closed
	Reason    time.Duration // from the death of the bridge, or of the guest, to the exit that HCS reports
	Dump      time.Duration // from the crash of the guest's kernel to the exit, where a dump is asked for
}

// DefaultDeadlines returns what production uses: Create, Start and Connect are
// the reference's (4 min, 4 min, 2 min). There is no grace: nothing in a
// utility VM outlives its pod, whose containers have been shut down before.
func DefaultDeadlines() Deadlines {
	return Deadlines{
		Grant:     30 * time.Second,
		Create:    4 * time.Minute,
		Start:     4 * time.Minute,
		Connect:   2 * time.Minute,
		Call:      2 * time.Minute,
		Modify:    30 * time.Second,
		Undo:      30 * time.Second,
		Terminate: 30 * time.Second,
		Reason:    2 * time.Second,
		Dump:      time.Minute,
	}
}

func (d Deadlines) withDefaults() Deadlines {
	def := DefaultDeadlines()
	for _, f := range []struct{ is, def *time.Duration }{
		{&d.Grant, &def.Grant}, {&d.Create, &def.Create}, {&d.Start, &def.Start}, {&d.Connect, &def.Connect},
		{&d.Call, &def.Call}, {&d.Modify, &def.Modify}, {&d.Undo, &def.Undo}, {&d.Terminate, &def.Terminate}, {&d.Reason, &def.Reason}, {&d.Dump, &def.Dump},
	} {
		if *f.is == 0 {
			*f.is = *f.def
		}
	}
	return d
}
