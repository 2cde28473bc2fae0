//go:build !windows

package journal

// inUse: other systems read and remove files that are open.
func inUse(error) bool { return false }
