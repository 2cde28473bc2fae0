// Package service is the emulator as a service: it takes the calls of the DLL
// fronts (test/hcsemu/dll) off connections (test/hcsemu/wire) and makes them
// on the emulator's core (test/hcsemu).
//
//	connection ──▶ link (one DLL of one process) ──▶ caller (one process) ──▶ hcsemu.Client
//	 calls, events    handles, subscriptions            shared by its DLLs
//
// It adds no rule of HCS. What it adds is administration, for cmd/hcsemu and
// tests: requests whose names start with "hcsemu." (admin.go).
//
// # Order
//
// Requests of a link are decoded in the order of their arrival and their
// handles are put down then; the calls themselves run at the same time. So a
// client may name a handle in the request after the one that makes it.
//
// # Locks
//
// Server.mu guards the callers and the links; link.mu guards a link's handles,
// calls and queue; neither is held across a call of the core. Server.mu
// comes before link.mu.
//
// # Failure rules
//
// A frame that breaks the protocol ends its connection and is logged. When
// a calls connection ends, for whatever reason, its calls are cancelled and its
// handles closed; when the last one of a process has ended, the process's
// session is disconnected, as the kernel does for a process that died.
package service
