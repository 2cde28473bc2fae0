// Package uvm is the utility VM: the virtual machine in which a Hyper-V
// isolated pod's containers run.
//
// # Booting
//
// [Boot] goes through these phases. Each knows its own undo; when one fails,
// those behind it are undone in reverse, on deadlines of their own, and the
// error names the phase.
//
//	files      copy the VM's scratch from the image         undo: remove the copy
//	grant      let the worker process open the scratch      undo: revoke
//	create     HcsCreateComputeSystem(<pod id>@vm)          undo: terminate, close
//	listen     hvsocket of the guest bridge                 undo: close
//	start      HcsStartComputeSystem                        undo: terminate (by create's)
//	connect    accept the guest, negotiate, set it up       undo: close the bridge
//
// # States
//
//	Boot ok            system exits, bridge dies, Close
//	───────▶ Running ──────────────────────────────────▶ Ended
//
// One goroutine, watch, moves a VM to Ended and decides why: the exit that HCS
// reports if it comes within a grace time, else the death of the bridge. It
// fails the bridge with that reason first, so everything in flight ends with
// it, ends a system that outlived its bridge (a VM that cannot be spoken to is
// of no use), and only then closes Done. So nobody who sees a container's end
// finds its VM alive behind it.
//
// Only the pod closes a VM. Nothing in this package ends it because of what a
// container or process does or fails to do.
//
// # Devices
//
// Shares and disks are counted ([slots]): the first user adds, the last
// removes. Adding goes host first, then guest, and is rolled back if the guest
// refuses; removing goes guest first, then host. No lock is held across a call:
// a slot that is being added or removed is waited for.
package uvm
