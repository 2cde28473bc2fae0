// Package computecore is the adapter of the port internal/hcs to Windows: it
// calls computecore.dll, the documented API of the Host Compute Service
// (https://learn.microsoft.com/virtualization/api/hcs/reference/apioverview).
//
// # Parts
//
//	host, system, process   the port's interfaces: what is called, in which order
//	await, operation        one call: its goroutine, its operation, its deadline
//	registry                events: from a number that the service hands back to a Go function
//	native (interface)      the calls themselves; native_windows.go binds them
//
// Everything above native is plain Go and is tested on any machine, order of
// calls included. The order is that of the reference shim, which production has
// proven; where it differs, the code says why.
//
// # A call
//
// A call that tracks an operation is: create the operation, call, wait for the
// operation's result no longer than the context allows, close the operation. It
// runs in a goroutine of its own, because the service may hang in the call or
// in the wait. When the context ends, the caller gets its error at once; the
// goroutine cancels the operation and, when the service lets go of it, disposes
// of what came too late: handles are closed, systems and processes that nobody
// knows are ended. HcsCancelOperation is documented as not implemented on some
// builds, so the wait has a limit of its own, and at most one OS thread per
// abandoned call stays behind for that long. Nothing is parked per system or
// process.
//
// # Locks
//
// A [ref] counts the calls that use a native handle, so that Close never pulls
// it from under one: the last user closes it. No lock is held across a native
// call. Locks are leaves: none is taken while another is held.
package computecore
