// Package uvm is the utility VM: the virtual machine in which a Hyper-V
// isolated pod's containers run.
//
// # Booting
//
// [Boot] goes through these phases. Each knows its own undo; when one fails,
// those behind it are undone in reverse, on deadlines of their own, and the
// error names the phase.
//
//	document   files: copy the VM's scratch from the image        undo: remove the copy
//	           grant: let the worker process open the scratch     undo: revoke
//	           document: from the plan
//	create     HcsCreateComputeSystem(<pod id>@vm)                undo: terminate, close
//	start      listen: hvsocket of the guest bridge               undo: close
//	           start: HcsStartComputeSystem                       undo: terminate (by create's)
//	connect    accept the guest, negotiate, set it up             undo: close the bridge
//
// # States
//
//	          bridge dies              HCS says nothing: terminate           exit
//	Running ─────────────▶ Doubtful ───────────────────────────────▶ Ending ──────▶ Ended
//	  │ │ │                   │ │ exit                                 ▲             ▲▲▲▲
//	  │ │ │                   │ └──────────────────────────────────────┼─────────────┘│││
//	  │ │ │ guest's kernel    ▼                dump takes too long     │              │││
//	  │ │ └──────────────▶ Crashing ───────────────────────────────────┘              │││
//	  │ │   crashes           │ exit                                                  │││
//	  │ │                     └───────────────────────────────────────────────────────┘││
//	  │ └─ exit ───────────────────────────────────────────────────────────────────────┘│
//	  └─ Close (from any) ──▶ Closing ── exit ──────────────────────────────────────────┘
//
// The whole table, every state by every event, is in policy.go; it is pure. One
// goroutine, watch, feeds it and decides why the VM ended ([Reason]): what HCS
// says if it comes within a grace time, else the death of the bridge. When the
// bridge breaks, calls under way wait that long too, so that they fail with the
// reason; a crash of the guest's kernel fails them at once. A system that
// outlived its bridge is ended: a VM that cannot be spoken to is of no use. Done
// is closed last, when everything in the VM has ended and HCS has said so.
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
