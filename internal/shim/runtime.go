package shim

import (
	"runtime"
	"runtime/debug"
)

// tuneRuntime makes the Go runtime a small one for a process that mostly waits.
// docs/performance.md has what it brings.
func tuneRuntime(serves bool) {
	// Each processor of the runtime's has caches, and threads that look for
	// work. One is enough to copy as fast as pipes take it, and calls to the
	// system do not occupy it. The 2 that containerd sets is its default for
	// shims of any kind.
	runtime.GOMAXPROCS(1)
	if serves {
		// A heap of one megabyte is collected in a millisecond: rather that
		// more often than twice the memory in every pod.
		debug.SetGCPercent(20)
	} else {
		debug.SetGCPercent(-1) // the process ends before a collection would pay
	}
}
