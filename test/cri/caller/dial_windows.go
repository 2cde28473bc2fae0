package main

import (
	"context"
	"net"

	"github.com/Microsoft/go-winio"
)

// dial connects to a named pipe.
func dial(ctx context.Context, endpoint string) (net.Conn, error) {
	return winio.DialPipeContext(ctx, endpoint)
}
