//go:build !windows

package hcsemu

// drivePath returns path: volumes have GUIDs on Windows only.
func drivePath(path string) string { return path }
