//go:build !windows

package journal

import (
	"fmt"
	"os"
	"syscall"
)

// stranger returns who owns the file, if it is neither root nor the account
// that isol runs as: see owner_windows.go.
func stranger(f *os.File) (owner string, err error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Uid == 0 || int(stat.Uid) == os.Getuid() {
		return "", nil
	}
	return fmt.Sprintf("uid %d", stat.Uid), nil
}
