package standin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/Microsoft/go-winio"
	bootapi "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	events "github.com/containerd/containerd/api/services/ttrpc/events/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// What containerd says of itself to a shim.
const (
	containerdPipe = `\\.\pipe\containerd-containerd`
	containerdExe  = `C:\Program Files\containerd\containerd.exe`
	namespace      = "default"
)

// Shim is a shim's program, as containerd runs it for one task.
type Shim struct {
	Exe    string // its path in the lab
	Legacy bool   // it reads no BootstrapParams, as runhcs
	Events string // the pipe for events: see [ServeEvents]
	ID     string // the task
	Bundle string // its folder
}

// StartCommand is the start action as containerd 2.4 builds it in
// core/runtime/v2/command.go. What it writes is read by [Address]. The options
// are the runtime's, nil for none.
func (s Shim) StartCommand(ctx context.Context, options *anypb.Any) (*exec.Cmd, error) {
	cmd := s.command(ctx, "start")
	cmd.Dir = s.Bundle
	input, err := s.bootstrap(options)
	if len(input) > 0 {
		cmd.Stdin = bytes.NewReader(input)
	}
	return cmd, err
}

// bootstrap is what start reads: a message, or as runhcs takes it the bare options.
func (s Shim) bootstrap(options *anypb.Any) ([]byte, error) {
	if s.Legacy {
		return proto.Marshal(options)
	}
	params := &bootapi.BootstrapParams{
		InstanceID: s.ID, Namespace: namespace,
		ContainerdGrpcAddress: containerdPipe, ContainerdTtrpcAddress: s.Events, ContainerdBinary: containerdExe,
		LogLevel: bootapi.LogLevel_LOG_LEVEL_INFO,
	}
	if options != nil {
		params.Extensions = append(params.Extensions, &bootapi.Extension{Value: options})
	}
	return proto.Marshal(params)
}

// Address is the pipe in what start has written: a message, or as runhcs writes
// it, bare.
func Address(out []byte) string {
	var result bootapi.BootstrapResult
	if err := proto.Unmarshal(out, &result); err == nil && result.Address != "" {
		return result.Address
	}
	return strings.TrimSpace(string(out))
}

// DeleteCommand is the delete action, which containerd runs when a shim is gone.
func (s Shim) DeleteCommand(ctx context.Context) *exec.Cmd {
	return s.command(ctx, "-bundle", s.Bundle, "delete")
}

func (s Shim) command(ctx context.Context, action ...string) *exec.Cmd {
	args := []string{"-namespace", namespace, "-address", containerdPipe, "-publish-binary", containerdExe, "-id", s.ID}
	cmd := exec.CommandContext(ctx, s.Exe, append(args, action...)...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=2", "MAX_SHIM_VERSION=2",
		"TTRPC_ADDRESS="+s.Events, "GRPC_ADDRESS="+containerdPipe, "NAMESPACE="+namespace)
	return cmd
}

// ReadLog copies the log of a task's shim as containerd does, from when the shim
// serves it until the shim ends: a shim may wait for its reader. One that does
// not serve it soon, or before ctx ends, has none.
func ReadLog(ctx context.Context, id string, to io.Writer) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		conn, err := winio.DialPipeContext(ctx, `\\.\pipe\containerd-shim-`+namespace+"-"+id+"-log")
		switch {
		case err == nil:
			_, _ = io.Copy(to, conn) // until the shim ends
			_ = conn.Close()
			return
		case !errors.Is(err, fs.ErrNotExist):
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// ServeEvents serves the service that containerd has for shims on a pipe, and
// hands on the events, until the program ends. Forward is called from several
// goroutines; its error is the shim's answer.
func ServeEvents(pipe string, forward func(*types.Envelope) error) error {
	listener, err := winio.ListenPipe(pipe, nil)
	if err != nil {
		return err
	}
	server, err := ttrpc.NewServer()
	if err != nil {
		return err
	}
	events.RegisterTTRPCEventsService(server, forwarder(forward))
	go server.Serve(context.Background(), listener) //nolint:errcheck // it ends with the program
	return nil
}

// forwarder is containerd's service.
type forwarder func(*types.Envelope) error

// Forward implements it.
func (f forwarder) Forward(_ context.Context, r *events.ForwardRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, f(r.GetEnvelope())
}
