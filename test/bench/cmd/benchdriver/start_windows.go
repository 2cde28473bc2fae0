package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/Microsoft/go-winio"
	bootapi "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	task "github.com/containerd/containerd/api/runtime/task/v2"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/proto"

	"github.com/isolrun/isol/test/bench/driver"
)

// What containerd says of itself to a shim.
const (
	containerdPipe = `\\.\pipe\containerd-containerd`
	containerdExe  = `C:\Program Files\containerd\containerd.exe`
)

// start does what containerd does until it can call a shim: listen to the
// shim's log, run the start action, dial the answer.
func (d *drive) start(ctx context.Context, r driver.Request, m *marks) error {
	cmd, err := startCommand(ctx, r)
	if err != nil {
		return err
	}
	go d.log(r.ID).read(r.ID)
	m.at(driver.Begin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("start: %w: %s", err, out)
	}
	m.at(driver.Answered)
	address := answered(out)
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

// startCommand is as containerd 2.4 builds it in core/runtime/v2/command.go.
func startCommand(ctx context.Context, r driver.Request) (*exec.Cmd, error) {
	cmd := command(ctx, r, "start")
	cmd.Dir = r.Bundle
	if r.Legacy {
		return cmd, nil
	}
	params, err := proto.Marshal(&bootapi.BootstrapParams{
		InstanceID: r.ID, Namespace: namespace,
		ContainerdGrpcAddress: containerdPipe, ContainerdTtrpcAddress: eventsPipe, ContainerdBinary: containerdExe,
		LogLevel: bootapi.LogLevel_LOG_LEVEL_INFO,
	})
	cmd.Stdin = bytes.NewReader(params)
	return cmd, err
}

// command is an action of a shim.
func command(ctx context.Context, r driver.Request, action ...string) *exec.Cmd {
	args := []string{"-namespace", namespace, "-address", containerdPipe, "-publish-binary", containerdExe, "-id", r.ID}
	cmd := exec.CommandContext(ctx, r.Exe, append(args, action...)...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=2", "MAX_SHIM_VERSION=2",
		"TTRPC_ADDRESS="+eventsPipe, "GRPC_ADDRESS="+containerdPipe, "NAMESPACE="+namespace)
	return cmd
}

// clean runs the delete action.
func clean(ctx context.Context, r driver.Request, m *marks) error {
	cmd := command(ctx, r, "-bundle", r.Bundle, "delete")
	m.at(driver.Begin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("delete: %w: %s", err, out)
	}
	m.at(driver.Answered)
	return nil
}

// answered is the address in what start has written: a message, or as runhcs
// writes it, bare.
func answered(out []byte) string {
	var result bootapi.BootstrapResult
	if err := proto.Unmarshal(out, &result); err == nil && result.Address != "" {
		return result.Address
	}
	return strings.TrimSpace(string(out))
}
