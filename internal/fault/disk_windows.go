package fault

import (
	"errors"
	"syscall"
)

// Codes of a full volume and a used up quota.
// https://learn.microsoft.com/windows/win32/debug/system-error-codes
const (
	errorHandleDiskFull = syscall.Errno(39)
	errorDiskFull       = syscall.Errno(112)
	errorDiskQuota      = syscall.Errno(1295)
)

// DiskFull reports whether err says that there is no space left on a volume.
func DiskFull(err error) bool {
	return errors.Is(err, errorDiskFull) || errors.Is(err, errorHandleDiskFull) || errors.Is(err, errorDiskQuota)
}
