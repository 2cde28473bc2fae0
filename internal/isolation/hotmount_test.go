package isolation

import (
	"strings"
	"testing"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/node"
	"github.com/isolrun/isol/internal/oci"
)

// A mount of a running container is decided by the same rules as one at
// create: an update must not be the way around the node's policy.
func TestDecideMount(t *testing.T) {
	process := decideOK(t, inputOf(t, "server2022", mount(`C:\given`, `C:\taken`, "")))
	vm := decideOK(t, inputOf(t, "server2022", hyperv, annotate(annVM+"fileshares.disablewritable", "true")))
	allow := node.Config{Path: `C:\node.toml`, Policy: node.Policy{AllowHostPaths: []string{`C:\pods`}}}
	for _, tc := range []struct {
		name  string
		plan  *Plan
		node  node.Config
		mount oci.Mount
		leads string // where the source leads; empty: to itself
		want  Mount
		kind  fault.Kind
		says  string
	}{
		{name: "process", plan: process, mount: oci.Mount{Source: `C:\data`, Destination: `/in`, ReadOnly: true}, want: Mount{Source: `C:\data`, Destination: `C:\in`, ReadOnly: true}},
		{name: "hyperv", plan: vm, mount: oci.Mount{Source: `C:\data`, Destination: `C:\in`, ReadOnly: true}, want: Mount{Source: `C:\data`, Destination: `C:\in`, ReadOnly: true, Mechanism: MechanismVSMB}},
		{name: "writable where the pod forbids it", plan: vm, mount: oci.Mount{Source: `C:\data`, Destination: `C:\in`}, kind: fault.PermissionDenied, says: "fileshares.disablewritable"},
		{name: "outside of what the node allows", plan: process, node: allow, mount: oci.Mount{Source: `C:\data`, Destination: `C:\in`}, kind: fault.PermissionDenied, says: "allow_host_paths"},
		{name: "a link out of what the node allows", plan: process, node: allow, mount: oci.Mount{Source: `C:\pods\x`, Destination: `C:\in`}, leads: `C:\Windows`, kind: fault.PermissionDenied, says: `C:\Windows`},
		{name: "a link within", plan: process, node: allow, mount: oci.Mount{Source: `C:\pods\x`, Destination: `C:\in`}, leads: `C:\pods\y`, want: Mount{Source: `C:\pods\y`, Destination: `C:\in`}},
		{name: "where one is", plan: process, mount: oci.Mount{Source: `C:\data`, Destination: `c:\TAKEN`}, kind: fault.AlreadyExists, says: `C:\given`},
		{name: "a pipe", plan: process, mount: oci.Mount{Source: `\\.\pipe\a`, Destination: `\\.\pipe\a`}, kind: fault.Unimplemented, says: "running container"},
		{name: "a disk", plan: vm, mount: oci.Mount{Source: `C:\d.vhdx`, Destination: `C:\in`, Type: "virtual-disk", ReadOnly: true}, kind: fault.Unimplemented, says: "running container"},
		{name: "the system drive", plan: process, mount: oci.Mount{Source: `C:\data`, Destination: `C:\`}, kind: fault.InvalidArgument, says: "own file system"},
		{name: "relative", plan: process, mount: oci.Mount{Source: `data`, Destination: `C:\in`}, kind: fault.InvalidArgument, says: "not an absolute path"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := HotMount{Task: tc.plan, Node: tc.node, Mount: tc.mount}
			if tc.leads != "" {
				h.Sources = map[string]host.Source{tc.mount.Source: {Path: tc.leads, Dir: true}}
			}
			got, crossings, err := DecideMount(h)
			if tc.kind != 0 {
				if !fault.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("%v, want %v with %q", err, tc.kind, tc.says)
				}
				return
			}
			if err != nil || got != tc.want || len(crossings) != 1 || crossings[0].Host != tc.want.Source {
				t.Errorf("%+v, %v, %v; want %+v", got, crossings, err, tc.want)
			}
		})
	}
}
