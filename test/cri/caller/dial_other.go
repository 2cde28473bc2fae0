//go:build !windows

package main

import (
	"context"
	"net"
)

// dial connects to a Unix socket, where containerd's API is elsewhere.
func dial(ctx context.Context, endpoint string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", endpoint)
}
