//go:build !windows

package launch

import (
	"context"
	"net"
	"syscall"
)

// dial connects to a Unix socket, which stands for the pipe in tests.
func dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", address)
}

// listen serves a Unix socket, which stands for the pipe in tests.
func listen(address string) (net.Listener, error) { return net.Listen("unix", address) }

func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
