package launch

import (
	"io"

	"github.com/containerd/containerd/api/types"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// allowMounts is where containerd before 2.4 looks for the mount types that
// the shim takes care of.
const allowMounts = "containerd.io/runtime-allow-mounts"

// Info does the -info action. Options that cannot be read are left out of
// the answer: a create with them fails and says why.
func (m *Manager) Info(stdin io.Reader) *types.RuntimeInfo {
	info := &types.RuntimeInfo{
		Name:        Name,
		Version:     &types.RuntimeVersion{Version: m.Version, Revision: m.Revision},
		Annotations: map[string]string{allowMounts: layerMountType},
	}
	input, err := io.ReadAll(io.LimitReader(stdin, 1<<20))
	if err != nil || len(input) == 0 {
		return info
	}
	var options anypb.Any
	if proto.Unmarshal(input, &options) == nil && options.TypeUrl != "" {
		info.Options = &options
	}
	return info
}
