// Package hcsemu emulates the services of Windows that a container shim stands
// on: the Host Compute Service, the layer store, the host network service and
// the bind filter. It is plain Go and runs on any system.
//
// It is used in two ways. Tests on Linux call it in their own process, through
// [NewHost] (the hcs port) or through a [Client]. In the lab a service runs it
// under Wine, and DLL fronts named computecore.dll, vmcompute.dll and so on hand
// it the calls of real programs. Both use the same typed calls, so both see
// the same rules, ledger, record and faults.
//
//	DLL fronts ──▶ service ──┐
//	                         ├──▶ Client ──▶ gate (record, faults) ──▶ state ──▶ Runner
//	hcs port ──▶ NewHost ────┘                                           │
//	                                                                     └──▶ events, ledger
//
// # States of a compute system
//
//	        CreateSystem             StartSystem
//	(none) ─────────────▶ Created ───────────────▶ Running
//	                         │                        │ ShutDown, all processes gone
//	                         │ Terminate,             │ Terminate, last handle closed
//	                         │ last handle closed     │ Crash
//	                         ▼                        ▼
//	                       Stopped ◀────────────── Stopping
//
// A stopped system is not listed and its id is free; handles to it stay valid
// and answer HCS_E_SYSTEM_ALREADY_STOPPED until they are closed.
//
// # Locks
//
// [Emulator] has one mutex, mu, that guards the whole state: clients, handles,
// systems, processes, layers, network objects. It is held neither across a call
// of the [Runner] nor while an event is delivered, nor while a fault delays a
// call. Methods named …Locked need it. The record has a mutex of its own below mu.
//
// # Failure rules
//
// A call fails with an [*Error] that carries an [HRESULT] as computecore.dll
// gives it; a client's vmcompute view ([Client.As]) gives the older codes. Each
// rule that the emulator enforces names where it comes from.
package hcsemu
