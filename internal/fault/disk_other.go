//go:build !windows

package fault

import (
	"errors"
	"syscall"
)

// ErrDiskFull is what a write to a full volume fails with.
const ErrDiskFull = syscall.ENOSPC

// DiskFull reports whether err says that there is no space left on a volume.
func DiskFull(err error) bool {
	return errors.Is(err, ErrDiskFull) || errors.Is(err, syscall.EDQUOT)
}
