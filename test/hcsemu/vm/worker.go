package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

const (
	takeTimeout = 60 * time.Second // for a guest: the pool may have to start one
	endTimeout  = 2 * time.Second  // for a guest that was told to end
)

// Work is the worker process of one machine: it connects to the service at
// address, takes a guest of the pool, and passes orders down and reports up
// until either side ends. Then the machine has no power any more.
func Work(ctx context.Context, address string, pool Pool) error {
	var dialer net.Dialer
	service, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("connect to the service: %w", err)
	}
	defer service.Close()
	ctx, cancel := context.WithTimeout(ctx, takeTimeout)
	defer cancel()
	name, at, err := pool.Take(ctx)
	if err != nil {
		return err
	}
	guest, err := dialer.DialContext(ctx, "tcp", at)
	if err != nil {
		return errors.Join(fmt.Errorf("connect to guest %s: %w", name, err), pool.Drop(name))
	}
	pass(service, guest)
	return pool.Drop(name)
}

// pass copies both ways until the guest has ended, or the service has and the
// guest had time to end. It closes the guest's connection.
func pass(service, guest net.Conn) {
	served, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(served)
		// How a connection ends is no matter: it is the end of the machine.
		_, _ = io.Copy(guest, service)
	}()
	go func() {
		defer close(ended)
		_, _ = io.Copy(service, guest)
	}()
	select {
	case <-ended:
		_ = guest.Close()
		return
	case <-served:
	}
	_ = guest.Close()
	select {
	case <-ended:
	case <-time.After(endTimeout):
	}
}
