package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/isolrun/isol/test/e2e/cni/pod"
	"github.com/isolrun/isol/test/lab"
)

// cni runs the tests' CNI plugin in the lab.
func cni(t *testing.T, l *lab.Lab, args ...string) string {
	t.Helper()
	r, err := l.Run(t.Context(), append([]string{`C:\cni.exe`}, args...)...)
	if err != nil || r.ExitCode != 0 {
		t.Fatalf("cni %v: %v, exit %d: %s", args, err, r.ExitCode, r.Stderr)
	}
	return r.Stdout
}

// podNetwork makes a pod's network as CNI does.
func podNetwork(t *testing.T, l *lab.Lab) pod.Network {
	t.Helper()
	if err := l.Build(t.Context(), `C:\`, "./test/e2e/cni"); err != nil {
		t.Fatal(err)
	}
	var n pod.Network
	if err := json.Unmarshal([]byte(cni(t, l, "add")), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// The network of a pod: containers join the namespace that CNI made, in a VM by
// adapters; endpoints alone get a namespace that is isol's; and one that is not
// there fails the create.
func TestNetwork(t *testing.T) {
	l := vms.of(t)
	n := podNetwork(t, l)
	c := connect(t, l)
	for _, mode := range []struct {
		name   string
		hyperv *specs.WindowsHyperV
		nics   int
	}{{"process", nil, 0}, {"hyperv", &specs.WindowsHyperV{}, 2}} {
		for _, tc := range []struct {
			name       string
			network    specs.WindowsNetwork
			namespaces int // on the machine while the container runs
			code       codes.Code
		}{
			{"namespace", specs.WindowsNetwork{NetworkNamespace: n.Namespace}, 1, codes.OK},
			{"endpoints", specs.WindowsNetwork{EndpointList: n.Free}, 2, codes.OK},
			{"missing", specs.WindowsNetwork{NetworkNamespace: "00000000-1111-2222-3333-444444444444"}, 1, codes.FailedPrecondition},
			{"taken", specs.WindowsNetwork{EndpointList: n.Joined}, 1, codes.FailedPrecondition},
		} {
			t.Run(mode.name+" "+tc.name, func(t *testing.T) {
				id := "net-" + mode.name + "-" + tc.name
				s := spec("ping", "-t", "localhost")
				s.Windows.HyperV, s.Windows.Network = mode.hyperv, &tc.network
				request := c.container(id, packed(t, specURL, s), nil)
				ctx, cancel := c.within(2 * time.Minute)
				defer cancel()
				_, err := c.tasks.Create(ctx, request)
				if status.Code(err) != tc.code || tc.name == "missing" && !strings.Contains(err.Error(), tc.network.NetworkNamespace) {
					t.Fatalf("create: %v, want %v", err, tc.code)
				}
				if err == nil {
					if _, err := c.tasks.Start(ctx, &tasksapi.StartRequest{ContainerID: id}); err != nil {
						t.Fatal(err)
					}
				}
				nics := 0
				if tc.code == codes.OK {
					nics = mode.nics
				}
				if got := held(t, l, "network adapter"); len(got) != nics {
					t.Errorf("adapters %v, want %d", got, nics)
				}
				if got := held(t, l, "namespace"); len(got) != tc.namespaces {
					t.Errorf("namespaces %v, want %d", got, tc.namespaces)
				}
				if err == nil {
					if err := c.kill(ctx, id); err != nil {
						t.Error(err)
					}
				}
				if got := held(t, l, "namespace"); len(got) != 1 {
					t.Errorf("namespaces %v after the container, want CNI's alone", got)
				}
			})
		}
	}
	ids, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	cni(t, l, "del", string(ids))
	settled(t, l)
}
