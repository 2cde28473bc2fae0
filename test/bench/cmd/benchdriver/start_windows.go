package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/Microsoft/go-winio"
	task "github.com/containerd/containerd/api/runtime/task/v2"
	"github.com/containerd/ttrpc"

	"github.com/isolrun/isol/test/bench/driver"
	"github.com/isolrun/isol/test/standin"
)

// shimOf is the shim that a request is about.
func shimOf(r driver.Request) standin.Shim {
	return standin.Shim{Exe: r.Exe, Legacy: r.Legacy, Events: eventsPipe, ID: r.ID, Bundle: r.Bundle}
}

// start does what containerd does until it can call a shim: listen to the
// shim's log, run the start action, dial the answer.
func (d *drive) start(ctx context.Context, r driver.Request, m *marks) error {
	cmd, err := shimOf(r).StartCommand(ctx, nil)
	if err != nil {
		return err
	}
	go standin.ReadLog(context.Background(), r.ID, d.log(r.ID))
	m.at(driver.Begin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("start: %w: %s", err, out)
	}
	m.at(driver.Answered)
	address := standin.Address(out)
	conn, err := winio.DialPipeContext(ctx, address)
	if err != nil {
		return fmt.Errorf("dial %q: %w", address, err)
	}
	m.at(driver.Connected)
	client := ttrpc.NewClient(conn)
	connected, err := task.NewTTRPCTaskClient(client).Connect(ctx, &task.ConnectRequest{ID: r.ID})
	switch {
	case err == nil:
		m.ShimPID = connected.ShimPid
	case !r.Legacy:
		return errors.Join(fmt.Errorf("connect: %w", err), client.Close())
	}
	note(d, d.shims, r.ID, client)
	return nil
}

// clean runs the delete action.
func clean(ctx context.Context, r driver.Request, m *marks) error {
	cmd := shimOf(r).DeleteCommand(ctx)
	m.at(driver.Begin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("delete: %w: %s", err, out)
	}
	m.at(driver.Answered)
	return nil
}
