//go:build !windows

package fault

import (
	"errors"
	"syscall"
)

// DiskFull reports whether err says that there is no space left on a volume.
func DiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
