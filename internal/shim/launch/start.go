package launch

import (
	"context"
	"errors"
	"io/fs"
	"os"

	bootapi "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/protobuf/proto"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/oci"
)

// The answer of start: the version that makes containerd join a sandbox's
// containers to its shim without running start for each.
const (
	answerVersion  = 3
	answerProtocol = "ttrpc"
)

// Start does the start action. The bundle is the current directory.
func (m *Manager) Start(ctx context.Context, params *bootapi.BootstrapParams) (*bootapi.BootstrapResult, error) {
	bundle, err := os.Getwd()
	if err != nil {
		return nil, fault.Wrap(err, "start", params.InstanceID)
	}
	return m.start(ctx, bundle, params)
}

func (m *Manager) start(ctx context.Context, bundle string, params *bootapi.BootstrapParams) (*bootapi.BootstrapResult, error) {
	address, err := Address(params.Namespace, params.InstanceID)
	if err != nil {
		return nil, err
	}
	if sandbox := sandboxOf(bundle); sandbox != "" {
		if address, err = Address(params.Namespace, sandbox); err != nil {
			return nil, err
		}
		if err := m.joins(ctx, address); err != nil {
			return nil, fault.Wrap(err, "join sandbox", sandbox)
		}
		return answer(address)
	}
	if err := m.finishBefore(ctx, params.Namespace, params.InstanceID); err != nil {
		return nil, err
	}
	if err := m.spawn(ctx, bundle, address, params); err != nil {
		return nil, fault.Wrap(err, "start the shim of", params.InstanceID)
	}
	return answer(address)
}

// sandboxOf returns the pod that the bundle's container joins, or nothing. A
// spec that cannot be read is not start's business: the create that follows
// reads it again and answers with a code, which start cannot.
func sandboxOf(bundle string) string {
	spec, err := oci.Read(bundle)
	if err != nil {
		return ""
	}
	req, err := oci.Parse(spec, nil)
	if err != nil || req.Role != oci.RoleWorkload {
		return ""
	}
	return req.SandboxID
}

// answer is what start prints. The extension tells containerd that the shim
// mounts Windows layers itself, which spares an -info before the create.
func answer(address string) (*bootapi.BootstrapResult, error) {
	result := &bootapi.BootstrapResult{Version: answerVersion, Address: address, Protocol: answerProtocol}
	return result, result.AddExtension(&types.MountCapabilities{Types: []string{layerMountType}})
}

// layerMountType is the type of the mounts that containerd's Windows
// snapshotter makes.
const layerMountType = "windows-layer"

// joins checks that the sandbox's shim serves.
func (m *Manager) joins(ctx context.Context, address string) error {
	conn, err := m.System.Dial(ctx, address)
	switch {
	case err == nil:
		return conn.Close()
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.FailedPrecondition, "no shim serves %s: the sandbox has ended or was never started", address)
	}
	return fault.New(fault.Unavailable, "%w", err)
}

func (m *Manager) spawn(ctx context.Context, bundle, address string, params *bootapi.BootstrapParams) error {
	ctx, cancel := context.WithTimeout(ctx, ReadyLimit)
	defer cancel()
	if conn, err := m.System.Dial(ctx, address); err == nil {
		return errors.Join(fault.New(fault.AlreadyExists,
			"a shim serves %s already: delete the task first, or use another id (case does not tell ids apart)", address), conn.Close())
	}
	stdin, err := proto.Marshal(params)
	if err != nil {
		return err
	}
	err = m.System.Spawn(ctx, Command{Args: serveArgs(bundle, address, params), Stdin: stdin})
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.New(fault.DeadlineExceeded, "serve was not ready on %s within %v", address, ReadyLimit)
	}
	if err != nil {
		return fault.New(fault.Internal, "run this program again: %w", err)
	}
	return nil
}

// serveArgs are the flags that [ParseFlags] reads.
func serveArgs(bundle, address string, params *bootapi.BootstrapParams) []string {
	args := []string{
		"-namespace", params.Namespace,
		"-id", params.InstanceID,
		"-address", params.ContainerdGrpcAddress,
		"-publish-binary", params.ContainerdBinary,
		"-bundle", bundle,
		"-socket", address,
	}
	if params.LogLevel < bootapi.LogLevel_LOG_LEVEL_INFO {
		args = append(args, "-debug")
	}
	return append(args, "serve")
}
