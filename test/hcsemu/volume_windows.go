package hcsemu

import (
	"strings"

	"golang.org/x/sys/windows"
)

// drivePath returns a path that names its volume by GUID with the volume's
// drive in its place: Wine's file functions do not take the former, which is
// what production's shim makes of a mount's source.
func drivePath(path string) string {
	const prefix = `\\?\Volume{`
	if !strings.HasPrefix(path, prefix) {
		return path
	}
	volume, rest, ok := strings.Cut(path[len(prefix):], `}\`)
	if !ok {
		return path
	}
	name, err := windows.UTF16PtrFromString(prefix + volume + `}\`)
	if err != nil {
		return path
	}
	var drives [windows.MAX_PATH]uint16
	var size uint32
	if err := windows.GetVolumePathNamesForVolumeName(name, &drives[0], uint32(len(drives)), &size); err != nil || drives[0] == 0 {
		return path // not a volume with a drive
	}
	return windows.UTF16ToString(drives[:]) + rest
}
