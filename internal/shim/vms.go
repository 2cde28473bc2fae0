package shim

import (
	"context"
	"log/slog"

	"github.com/isolrun/isol/internal/gcs"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/network"
	"github.com/isolrun/isol/internal/pod"
	"github.com/isolrun/isol/internal/uvm"
)

// VMSystem is what utility VMs need of the machine beside the compute service.
type VMSystem struct {
	Sockets    func(runtimeID string) (gcs.Listener, error) // nil: no VM is booted
	TimeZone   func() (*gcs.TimeZoneInformation, error)
	NameToGUID func(name string) (string, error)
	Tool       string // path of the program that isol runs in guests
}

// vms boots the pod's utility VM with internal/uvm.
type vms struct {
	system   VMSystem
	host     hcs.Host
	networks *network.Namespaces
	build    uint32
	calls    *hcs.CallTable
	log      *slog.Logger
}

// sourceOf is what the pod needs to know of a mount's source.
func sourceOf(m Machine) func(string) (pod.Source, error) {
	if m.Source == nil {
		return nil
	}
	return func(path string) (pod.Source, error) {
		s, err := m.Source(path)
		return pod.Source{Path: s.Path, Volume: s.Volume}, err
	}
}

// newVMs returns nil, not a nil pointer in an interface, for a machine without.
func newVMs(system VMSystem, host hcs.Host, networks *network.Namespaces, build uint32, calls *hcs.CallTable, log *slog.Logger) pod.VMs {
	if system.Sockets == nil {
		return nil
	}
	return vms{system, host, networks, build, calls, log}
}

// Boot implements pod.VMs.
func (v vms) Boot(ctx context.Context, plan *isolation.UVM, l layers.Layers, j *journal.Journal) (pod.VM, error) {
	u, err := uvm.Boot(ctx, uvm.Config{
		Owner: Owner, Plan: plan, Layers: l, Host: v.host, Calls: v.calls, Log: v.log,
		Sockets: v.system.Sockets, TimeZone: v.system.TimeZone, NameToGUID: v.system.NameToGUID,
		Namespace: v.networks.Namespace, Journal: j, HostBuild: v.build, Tool: v.system.Tool,
	})
	if err != nil {
		return nil, err
	}
	v.log.Info("utility VM booted", "vm", u.ID(), "image", u.BootFiles().Layer)
	return u, nil
}
