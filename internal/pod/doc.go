// Package pod is the sandbox, its tasks and their execs: the state machines
// that the Task API and the Sandbox API drive.
//
// It takes structs of its own, never a request of the wire, so that the Task
// and the Sandbox API share it, and it knows containers only as [hcs.Compute]:
// whether one is a system of the host or lives in a utility VM is the business
// of the kernel (container.go) that the plan asks for.
//
//	kernel_host.go   a system of the host                   process isolation
//	kernel_vm.go     a container in a utility VM            Hyper-V isolation
//	kernel_frame.go  nothing: a sandbox of the Sandbox API  both; its VM may come later (late.go)
//
// A sandbox in which nothing runs is a frame (frame.go): a container with one
// process that does nothing, so that it goes through the states below.
//
// # States
//
// A process of a task (its init, or an exec) goes through these. The whole
// table, with every refusal, is in states.go; [Status] is what outsiders see.
//
//	          created         start           started         ended          drained          delete
//	Creating ────────▶ Created ──────▶ Starting ──────▶ Running ──────▶ Exiting ──────▶ Stopped ──────▶ Deleting
//	   │                  │               │                               ▲                ▲               │  │
//	   │ failed           │ kill, delete  │ failed                        │                └── not released ┘  │
//	   │                  └───────────────┴───────────────────────────────┘                                    │
//	   └──────────────────────────────────────▶ Deleted ◀──────────────────────────────────────────────────────┘
//
// Exiting is the time between the end of the process and the moment its output
// has reached the client; for an init also the shutdown of the container and
// the release of its layers. Outsiders see it as running, so whoever sees
// "stopped" may read all output, delete the task and create another with the
// same scratch at once.
//
// # Order of events
//
// For one task: TaskCreate, TaskStart, then for each exec ExecAdded,
// ExecStarted, TaskExit, and last the init's TaskExit, after every exec's exit
// and after the release of all the container held. TaskDelete follows it.
//
// # Ownership and locks
//
//	Pod.mu ── guards the map of tasks; held for map operations only
//	task.mu ─ guards the states of the task's init and execs
//
// They are never held together, and neither is held across a call to HCS, to
// the layer store, to stdio or to the publisher. A transition under the lock
// decides who acts: whoever moved a process to Starting starts it, and the one
// reaper goroutine of each started process is the only one that moves it on to
// Exiting and Stopped. The reaper of the init alone tears the container down.
//
// # Failure rules
//
// Create and Start are transactions: when one fails, the compute system is
// terminated and closed, layers, network and streams are released, the journal is
// struck, and the error names the step. Each call below has a deadline of its
// own ([Deadlines]); teardown runs on those alone, never on the caller's
// context, and escalates: shutdown, terminate, close. What could not be
// released stays in the journal of the bundle, is tried again by Delete, and
// after that by whoever replays the journal.
package pod
