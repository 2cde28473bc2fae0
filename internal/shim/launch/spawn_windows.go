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

// adminsOnly lets the system and administrators, as containerd is one, call a
// shim and read its log; as runhcs does.
// https://learn.microsoft.com/windows/win32/secauthz/ace-strings
const adminsOnly = "D:P(A;;GA;;;BA)(A;;GA;;;SY)"

func listen(address string) (net.Listener, error) {
	return winio.ListenPipe(address, &winio.PipeConfig{SecurityDescriptor: adminsOnly})
}

// detached keeps the shim alive when containerd's console goes, and away from
// its Ctrl+C:
// https://learn.microsoft.com/windows/win32/procthread/process-creation-flags
func detached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP}
}
