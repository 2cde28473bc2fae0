// Package gcs is the guest bridge: the connection over which isol drives the
// containers and processes in a utility VM. The other end is the Guest Compute
// Service, which dials the host when the VM has booted.
//
// # Wire format
//
// The bridge is one stream (an hvsocket). Both sides send frames of a 16-byte
// little-endian header and a JSON body:
//
//	 0        4        8                16
//	┌────────┬────────┬─────────────────┬──────────────┐
//	│ type   │ size   │ id              │ JSON …       │
//	│ u32    │ u32    │ i64             │ size-16 bytes│
//	└────────┴────────┴─────────────────┴──────────────┘
//
// type is kind<<28 | category<<20 | procedure<<8 | version. The host sends
// requests (kind 1), the guest answers each with a response (kind 2) of the
// same id in any order, and sends notifications (kind 3) with id 0. A received
// frame may be at most 64 KiB, header included; the guest sets no limit on
// what it receives.
//
// Some JSON values are strings that hold JSON themselves ([Embedded]).
//
// A process's stdio does not pass over the bridge: the host listens on one
// hvsocket per stream and names the listeners in the ExecuteProcess request.
//
// # States
//
//	          Connect         end of stream, broken frame            linger has passed, Fail
//	(none) ───────────▶ Open ─────────────────────────────▶ Broken ─────────────────────────▶ Dead
//	                     │                                                                     ▲
//	                     └───────────────────────────── Close, Fail ──────────────────────────┘
//
// A broken bridge says nothing more. Its calls wait a little (Config.Linger),
// because mostly the virtual machine has died, and the compute service knows why
// a moment later.
//
// A dead bridge never comes back: every call under way and every later one
// fails with the reason of its death, every container and process is reported
// as ended with [hcs.ErrDisconnected]. The virtual machine behind it is of no
// more use.
//
// # Failure rules
//
// A response that cannot be decoded fails its own call. A response nobody
// waits for (its call timed out) and a notification for an unknown container
// are dropped and logged. Only a broken frame, where the next header cannot be
// found, kills the bridge. A call whose context ends leaves its id behind
// until the response comes, so that a late answer is never taken for another's.
//
// # Locks
//
// Each bridge has one goroutine that reads, one that writes, and mu, which
// guards the table of calls and is never held across I/O.
package gcs
