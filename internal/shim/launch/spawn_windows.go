package launch

import (
	"context"
	"net"
	"syscall"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"
)

func dial(ctx context.Context, address string) (net.Conn, error) {
	return winio.DialPipeContext(ctx, address)
}

// detached keeps the shim alive when containerd's console goes, and away from
// its Ctrl+C:
// https://learn.microsoft.com/windows/win32/procthread/process-creation-flags
func detached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP}
}
