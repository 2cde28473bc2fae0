// Package job runs HostProcess containers: processes of the host in a job
// object, with the image's files beside the host's own.
// https://learn.microsoft.com/virtualization/windowscontainers/manage-containers/hostprocess-containers
//
//	pod ──▶ Host.Prepare ──▶ Preparation ─┬─ MountFolder   the image's volume on a folder (older layout only)
//	        (reads, decides)              ├─ MakeUser      a user of the local group that the spec names
//	                                      └─ Create ─────▶ Container, an hcs.Compute over a job object
//
// The pod journals each of the three before it calls it. What decides is pure
// and tested as tables: the layout (layout.go), the account (account.go), the
// environment (environment.go), the command (command.go), the limits
// (limits.go). What calls Windows is behind [System]; [Native] is Windows' own,
// and package jobtest holds the suite that it and the emulated one pass.
//
// # Two layouts
//
//	silo    the host binds files per silo: the container's files are at C:\hpc in
//	        every container, mounts are where the spec says, and nobody else sees
//	        either. The bindings end with the silo.
//	folder  an older host: the files are at C:\hpc\<id>, for all to see, and mounts
//	        are links below that folder.
//
// # States
//
//	           Start              Shutdown, Terminate            the last process ends
//	Created ─────────▶ Running ───────────────────────▶ Ending ──────────────────────▶ Stopped
//	   └───────────────────────────────────────────────────▲
//
// A container does not stop because its init has: as with HCS, somebody asks it
// to. From Ending on no process can be started, and one that was being started
// is killed.
//
// # Failure rules and locks
//
// The job object is killed with its last handle, which is this process's: a
// shim that dies takes its processes with it. Container.mu guards its state
// and is never held across a call to the system. Calls that wait for services
// of Windows (accounts, process creation, volumes) return when their context
// ends; what they still bring about is undone behind them. One thread waits for
// the notices of all job objects, none for a process.
package job
