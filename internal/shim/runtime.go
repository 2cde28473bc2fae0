package shim

import (
	"os"
	"runtime"
	"runtime/debug"
)

// tuneRuntime makes the Go runtime of a process that mostly waits a small one.
// The values are those of containerd's pkg/shim.
func tuneRuntime() {
	// A heap of a few megabytes is collected in a millisecond: rather that
	// more often than twice the memory in every pod.
	debug.SetGCPercent(40)
	if os.Getenv("GOMAXPROCS") == "" {
		// Each has caches and threads of its own. containerd sets 2.
		runtime.GOMAXPROCS(2)
	}
}
