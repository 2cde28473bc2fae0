//go:build !windows

package journal

// inUse: other systems remove files that are open.
func inUse(error) bool { return false }
