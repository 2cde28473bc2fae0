// Package vm runs the utility VMs of the emulator's service, each with a kernel
// of its own: a second Wine prefix has its own wineserver, and so its own
// process ids, registry and objects.
//
// # Who runs where
//
//	     the host's prefix                              the guest's prefix
//	┌───────────────────────────────────┐          ┌─────────────────────────────┐
//	│ hcsemu.exe         vmwp.exe       │          │ guest.exe                   │
//	│ ┌────────┐ orders  ┌────────┐     │  orders  │ ┌───────┐   ┌────────────┐  │
//	│ │ Runner ├────────▶│  Work  ├─────┼─────────▶│ │ Guest ├──▶│ guest.Agent│  │
//	│ │        │◀────────┤        │◀────┼──────────┤ └───────┘   └─┬─────┬────┘  │
//	│ └────────┘ reports └────────┘     │ reports  │               │     │       │
//	│                                   │          │               │  ┌──▼─────┐ │
//	│ shim ◀────────── bridge, stdio over hvsockets ───────────────┘  │processes│ │
//	└───────────────────────────────────┘          │                 └────────┘ │
//	                                               └─────────────────────────────┘
//
// Orders and reports are lines of JSON ([Order], [Report]) over TCP on the
// loopback interface. vmwp.exe understands none of them: it is the machine's
// power. A kernel takes a second to start under Wine, so that guests are
// started before they are needed and wait in a [Pool]; vmwp.exe takes one of
// them, and it becomes the machine when the first order, [Boot], arrives.
// Nobody takes a guest twice.
//
// Each request of the host on the bridge passes the service on its way: it is
// recorded there, and the fault plan acts on it, as on a native call (bridge.go).
//
// # States of a machine
//
//	          NewMachine          guest taken, Boot          "off", "shutdown"
//	(none) ─────────────▶ booting ─────────────────▶ running ──────────────────▶ ended
//	                         │                          │
//	                         └──────────────────────────┴─ vmwp.exe or guest.exe dies ▶ ended (crashed)
//
// NewMachine returns while the machine is booting, as the start of a compute
// system returns before its guest is up.
//
// # Failure rules
//
// Each connection is the life of what is below it: if the service dies,
// vmwp.exe ends; if vmwp.exe dies, the guest ends; and the reverse is reported
// upwards as the machine's end, which is a crash unless the guest said before
// that it ends, or the service ended the worker.
// Whoever keeps the pool (test/lab) ends what is left of a guest's prefix when
// its guest.exe has ended.
package vm
