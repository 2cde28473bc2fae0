package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/Microsoft/go-winio"
	bootapi "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/isolrun/isol/test/parity/driver"
)

// What containerd says of itself to a shim.
const (
	containerdPipe = `\\.\pipe\containerd-containerd`
	containerdExe  = `C:\Program Files\containerd\containerd.exe`
)

// optionsType is the type under which runhcs's options travel.
const optionsType = "containerd.runhcs.v1.Options"

// optionsOf are a task's options as an Any, nil for none.
func optionsOf(t driver.Task) *anypb.Any {
	if t.Options == nil {
		return nil
	}
	return &anypb.Any{TypeUrl: optionsType, Value: t.Options}
}

// start runs the shim's start action for a task and returns the pipe that it
// names, as containerd 2.4 does in core/runtime/v2/command.go.
func (p *play) start(ctx context.Context, t driver.Task) (string, error) {
	cmd := p.command(ctx, t, "start")
	cmd.Dir = t.Bundle
	input, err := p.bootstrap(t)
	if err != nil {
		return "", err
	}
	cmd.Stdin = bytes.NewReader(input)
	go readLog(ctx, t.ID)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	var result bootapi.BootstrapResult
	if err := proto.Unmarshal(out, &result); err == nil && result.Address != "" {
		return result.Address, nil
	}
	return strings.TrimSpace(string(out)), nil
}

// bootstrap is what start reads: a message, or as runhcs takes it the bare options.
func (p *play) bootstrap(t driver.Task) ([]byte, error) {
	options := optionsOf(t)
	if p.r.Legacy {
		if options == nil {
			return nil, nil
		}
		return proto.Marshal(options)
	}
	params := &bootapi.BootstrapParams{
		InstanceID: t.ID, Namespace: namespace,
		ContainerdGrpcAddress: containerdPipe, ContainerdTtrpcAddress: eventsPipe, ContainerdBinary: containerdExe,
		LogLevel: bootapi.LogLevel_LOG_LEVEL_INFO,
	}
	if options != nil {
		params.Extensions = append(params.Extensions, &bootapi.Extension{Value: options})
	}
	return proto.Marshal(params)
}

// command is an action of the shim.
func (p *play) command(ctx context.Context, t driver.Task, action ...string) *exec.Cmd {
	args := []string{"-namespace", namespace, "-address", containerdPipe, "-publish-binary", containerdExe, "-id", t.ID}
	cmd := exec.CommandContext(ctx, p.r.Exe, append(args, action...)...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=2", "MAX_SHIM_VERSION=2",
		"TTRPC_ADDRESS="+eventsPipe, "GRPC_ADDRESS="+containerdPipe, "NAMESPACE="+namespace)
	return cmd
}

// readLog reads a shim's log as containerd does: a shim may wait for it.
func readLog(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		conn, err := winio.DialPipeContext(ctx, `\\.\pipe\containerd-shim-`+namespace+"-"+id+"-log")
		if err != nil {
			time.Sleep(20 * time.Millisecond) // the shim does not serve it yet
			continue
		}
		_, _ = io.Copy(io.Discard, conn) // until the shim ends
		_ = conn.Close()
		return
	}
}
