package uvm

import (
	"context"

	"github.com/isolrun/isol/internal/hcs"
)

// Snapshot is what a VM is and has at one moment, for diagnostics.
type Snapshot struct {
	ID     string     `json:"id"`
	State  string     `json:"state"`            // as drawn in the package comment
	Reason Reason     `json:"reason,omitempty"` // once it has ended
	Error  string     `json:"error,omitempty"`  // of its end
	Image  string     `json:"image"`            // the layer that it was booted from
	Phases []hcs.Span `json:"phases"`           // of booting

	Shares     int `json:"shares"` // with the VM's own
	Disks      int `json:"disks"`  // likewise
	Adapters   int `json:"adapters"`
	Namespaces int `json:"namespaces"`
	Pipes      int `json:"pipes"`
	Devices    int `json:"devices"`
	Services   int `json:"services"` // hvsocket services added while it runs
}

// Snapshot tells what the VM is and has. It waits for nothing.
func (u *UVM) Snapshot() Snapshot {
	s := Snapshot{
		ID: u.ID(), State: state(u.state.Load()).String(), Image: u.boot.Layer, Phases: u.phases,
		Shares: 1 + u.shares.count(), Disks: 1 + u.disks.count(), // the share "os" and the VM's scratch
		Adapters: u.nics.count(), Namespaces: u.spaces.count(), Pipes: u.pipes.count(), Devices: u.devices.count(), Services: u.tables.count(),
	}
	select {
	case <-u.done:
		s.Reason = u.reason
		if u.exit != nil {
			s.Error = u.exit.Error()
		}
	default:
	}
	return s
}

// DumpStacks returns the stacks of the guest's agent. Errors: ErrNotSupported
// for a guest that gives none.
func (u *UVM) DumpStacks(ctx context.Context) (string, error) { return u.guest.DumpStacks(ctx) }
