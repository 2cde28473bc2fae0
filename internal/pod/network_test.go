package pod

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/gcs"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/test/hcsemu"
)

const (
	cniNamespace = "5c5e1d0e-0d5c-4a4a-9d9c-0f3a3b1c2d3e"
	nowhere      = "00000000-1111-2222-3333-444444444444"
)

// cni is what made the networks of a lab, and removes them.
type cni struct {
	l         *lab
	client    *hcsemu.Client
	network   hcsemu.GUID
	endpoints []string
	namespace bool
}

// network makes a network with two endpoints; in a namespace, if asked.
func (l *lab) network(namespace bool) {
	l.Helper()
	c := &cni{l: l, client: l.emu.Connect(hcsemu.Caller{PID: 7, Exe: "cni.exe"}), network: "cccccccc-0000-0000-0000-000000000003", namespace: namespace}
	net, err := c.client.CreateNetworkObject(l.Context(), hcsemu.Network, 0, c.network, `{"Type":"NAT"}`)
	l.must(err)
	resources := ""
	for i, name := range []string{"net1", "eth0"} {
		id := fmt.Sprintf("bbbbbbbb-0000-0000-0000-00000000000%d", i+1)
		h, err := c.client.CreateNetworkObject(l.Context(), hcsemu.Endpoint, net, hcsemu.GUID(id), `{"Name":"`+name+`"`+l.policies[name]+`}`)
		l.must(err)
		l.must(c.client.CloseNetworkObject(h))
		c.endpoints = append(c.endpoints, id)
		resources += `,{"Type":"Endpoint","Data":{"Id":"` + id + `"}}`
	}
	l.must(c.client.CloseNetworkObject(net))
	if namespace {
		h, err := c.client.CreateNetworkObject(l.Context(), hcsemu.Namespace, 0, cniNamespace, `{"Resources":[`+resources[1:]+`]}`)
		l.must(err)
		l.must(c.client.CloseNetworkObject(h))
	}
	l.cni = c
}

// withEndpoints puts the lab's endpoints, if it has any, into a request.
func (l *lab) withEndpoints(req CreateTask) CreateTask {
	if l.cni != nil {
		req.Plan.Container.Network.EndpointIDs = l.cni.endpoints
	}
	return req
}

// remove removes what CNI made. All of it must be there, and free.
func (c *cni) remove() {
	if c == nil || c.network == "" {
		return
	}
	c.l.Helper()
	ctx := context.Background()
	if c.namespace {
		c.l.must(c.client.DeleteNetworkObject(ctx, hcsemu.Namespace, cniNamespace))
	}
	for _, id := range c.endpoints {
		c.l.must(c.client.DeleteNetworkObject(ctx, hcsemu.Endpoint, hcsemu.GUID(id)))
	}
	c.l.must(c.client.DeleteNetworkObject(ctx, hcsemu.Network, c.network))
	c.network = ""
}

// entries returns the ids of a kind of thing on the machine.
func (l *lab) entries(kind string) []string {
	var ids []string
	for _, e := range l.emu.Ledger() {
		if e.Kind == kind {
			ids = append(ids, strings.TrimSpace(e.ID+" "+e.Detail))
		}
	}
	return ids
}

// inGuest returns what of a kind the guest of the first VM has.
func (l *vmLab) inGuest(kind string) []string {
	return slices.DeleteFunc(l.machines.Agents()[0].Left(), func(s string) bool { return !strings.HasPrefix(s, kind+" ") })
}

// heard records the guest's requests of one kind.
func (l *vmLab) heard(proc gcs.Procedure) func() string {
	var mu sync.Mutex
	var all strings.Builder
	l.machines.Agents()[0].SetFault(func(p gcs.Procedure, body []byte) (any, bool) {
		mu.Lock()
		defer mu.Unlock()
		if p == proc {
			all.Write(body)
		}
		return nil, false
	})
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return all.String()
	}
}

// A pod of Kubernetes: the VM gets the namespace's endpoints once, its
// containers only name the namespace, and restarting one keeps the network.
func TestNetworkOfPodInVM(t *testing.T) {
	l := newVMLab(t)
	l.network(true)
	req := l.isolated("pod", isolation.RoleSandbox, "")
	req.Plan.Container.Network.NamespaceID = cniNamespace
	l.must(l.pod.Create(l.Context(), req))
	l.start("pod", "")
	adapters := l.entries("network adapter")
	if len(adapters) != 2 || len(l.inGuest("adapter")) != 2 || !slices.Equal(l.inGuest("namespace"), []string{"namespace " + cniNamespace}) {
		t.Errorf("adapters %v, the guest has %v", adapters, l.machines.Agents()[0].Left())
	}
	created := l.heard(gcs.ProcCreate)
	for range 2 {
		req := l.isolated("web", isolation.RoleWorkload, "ping -t localhost")
		req.Plan.Container.Network.NamespaceID = cniNamespace
		l.must(l.pod.Create(l.Context(), req))
		l.start("web", "")
		l.must(l.kill("web", ""))
		l.wait("web", "")
		l.delete("web", "")
	}
	if !strings.Contains(created(), cniNamespace) {
		t.Errorf("the container's document does not name the namespace: %s", created())
	}
	if now := l.entries("network adapter"); !slices.Equal(adapters, now) {
		t.Errorf("adapters %v before, %v after the restarts", adapters, now)
	}
	l.endPod()
	if left := l.machines.Agents()[0].Left(); len(left) > 0 {
		t.Errorf("the guest was left with %v", left)
	}
}

// A VM that died took its adapters along: nothing waits for a guest that is gone.
func TestNetworkOfDeadVM(t *testing.T) {
	l := newVMLab(t)
	l.network(false)
	l.must(l.pod.Create(l.Context(), l.withEndpoints(l.isolated("web", isolation.RoleStandalone, "ping -t localhost"))))
	l.start("web", "")
	l.machines.Crash()
	l.wait("web", "")
	l.delete("web", "")
	l.nothingLeft()
}

// An endpoint that fails half-way, in the guest or on the host, leaves neither
// adapters nor a VM, and CNI's namespace as it was.
func TestNetworkFailsInVM(t *testing.T) {
	type hook = func(*vmLab)
	guest := func(nth int) hook { // the setup of the VM itself is the first
		return func(l *vmLab) {
			seen := 0
			l.machines.Fault = func(p gcs.Procedure, body []byte) (any, bool) {
				if p == gcs.ProcModifySettings && strings.Contains(string(body), "Network") {
					if seen++; seen == nth {
						return &gcs.ResponseBase{Result: -2147024891}, false // E_ACCESSDENIED
					}
				}
				return nil, false
			}
		}
	}
	host := func(function string, nth int) hook {
		return func(l *vmLab) {
			l.fault(hcsemu.Fault{Function: function, Nth: nth, Action: hcsemu.ActionFail, Code: "0x80070005"})
		}
	}
	for name, hook := range map[string]hook{
		"guest refuses the namespace":         guest(1),
		"guest refuses the first PreAdd":      guest(2),
		"guest refuses the first adapter":     guest(3),
		"guest refuses the second adapter":    guest(5),
		"host refuses the second adapter":     host("HcsModifyComputeSystem", 2),
		"service does not list the namespace": host("HcnEnumerateNamespaces", 1),
		"service does not describe":           host("HcnQueryNamespaceProperties", 2),
		"service does not describe endpoints": host("HcnQueryEndpointProperties", 2),
	} {
		t.Run(name, func(t *testing.T) {
			l := newVMLab(t)
			l.network(true)
			hook(l)
			req := l.isolated("pod", isolation.RoleSandbox, "")
			req.Plan.Container.Network.NamespaceID = cniNamespace
			if err := l.pod.Create(l.Context(), req); !fault.Is(err, fault.PermissionDenied) {
				t.Errorf("error %v (%v)", err, fault.KindOf(err))
			}
			l.nothingLeft()
		})
	}
}

// The ports that endpoints publish show in diagnostics, in both modes, of a pod's
// namespace and of one that isol makes; and once: the containers of a pod have none.
func TestPortsOfEndpoints(t *testing.T) {
	for _, mode := range []isolation.Mode{isolation.ModeProcess, isolation.ModeHyperV} {
		for _, namespace := range []bool{true, false} {
			l := newVMLab(t)
			l.policies = map[string]string{"eth0": `,"Policies":[{"Type":"PortMapping","Settings":{"Protocol":6,"InternalPort":80,"ExternalPort":8080}}]`}
			l.network(namespace)
			req := l.withEndpoints(l.isolated("web", isolation.RoleStandalone, "ping -t localhost"))
			req.Plan.Mode = mode
			if namespace {
				req.Plan.Container.Network = isolation.Network{NamespaceID: cniNamespace}
			}
			l.must(l.pod.Create(l.Context(), req))
			l.start("web", "")
			want := isolation.Crossing{Kind: isolation.CrossPort, Host: "TCP 8080", Inside: "port 80", Write: true, Source: "endpoint eth0"}
			if got := l.pod.Tasks()[0].Plan.Crossings; !slices.Contains(got, want) || slices.Contains(req.Plan.Crossings, want) {
				t.Errorf("mode %v, namespace %v: crossings %v; of the request %v", mode, namespace, got, req.Plan.Crossings)
			}
			l.must(l.kill("web", ""))
			l.wait("web", "")
			l.delete("web", "")
			l.nothingLeft()
		}
	}
}

// `windows.network.networkSharedContainerName`: the container is in the namespace
// of the other, which is neither made nor removed for it; one that names nobody is
// refused before anything is made.
func TestSharedNetwork(t *testing.T) {
	l := newVMLab(t)
	l.network(true)
	req := l.request("web", "ping -t localhost")
	req.Plan.Container.Network.NamespaceID = cniNamespace
	l.must(l.pod.Create(l.Context(), req))
	l.start("web", "")
	first := l.pod
	l.shim(2)
	req = l.request("beside", "ping -t localhost")
	req.Bundle, req.Layers.Scratch = t.TempDir(), `C:\snapshots\8`
	req.Plan.Container.Network.SharedContainer = "nobody"
	before := len(l.functions())
	if err := l.pod.Create(l.Context(), req); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("shared with nobody: %v (%v)", err, fault.KindOf(err))
	}
	for _, f := range l.functions()[before:] {
		if !strings.Contains(f, "EnumerateComputeSystems") && !strings.Contains(f, "Operation") {
			t.Errorf("%s was called for a container that is refused", f)
		}
	}
	req.Plan.Container.Network.SharedContainer = "web"
	l.must(l.pod.Create(l.Context(), req))
	l.start("beside", "")
	if got := l.entries("namespace"); len(got) != 1 || !strings.Contains(got[0], "web") || !strings.Contains(got[0], "beside") {
		t.Errorf("namespaces %v, want one with both", got)
	}
	for id, p := range map[string]*Pod{"beside": l.pod, "web": first} {
		l.pod = p
		l.must(l.kill(id, ""))
		l.wait(id, "")
		l.delete(id, "")
	}
	l.nothingLeft()
}

// The pod's DNS is a setting of its endpoint, which the guest gets whole.
func TestGuestGetsDNS(t *testing.T) {
	l := newVMLab(t)
	const dns = `"Dns":{"Search":["default.svc.cluster.local"],"ServerList":["10.96.0.10"]}`
	l.policies = map[string]string{"eth0": "," + dns}
	l.network(true)
	var mu sync.Mutex
	heard := ""
	l.machines.Fault = func(p gcs.Procedure, body []byte) (any, bool) {
		mu.Lock()
		defer mu.Unlock()
		heard += string(body)
		return nil, false
	}
	req := l.isolated("web", isolation.RoleStandalone, "ping -t localhost")
	req.Plan.Container.Network = isolation.Network{NamespaceID: cniNamespace, DNSSearch: []string{"a.example", "b.example"}, UnqualifiedDNSQuery: true}
	l.must(l.pod.Create(l.Context(), req))
	mu.Lock()
	for _, want := range []string{dns, `"DnsSearchList":"a.example,b.example"`, `"AllowUnqualifiedDnsQuery":true`} {
		if !strings.Contains(strings.ReplaceAll(heard, `\"`, `"`), want) {
			t.Errorf("the guest has not heard %s", want)
		}
	}
	mu.Unlock()
	l.must(l.pod.Close(context.Background()))
	l.nothingLeft()
}

// A namespace that is not there is not a missing task, and is noticed before
// anything is made.
func TestNamespaceThatIsNotThere(t *testing.T) {
	for _, mode := range []isolation.Mode{isolation.ModeProcess, isolation.ModeHyperV} {
		l := newVMLab(t)
		req := l.isolated("web", isolation.RoleStandalone, "cmd")
		req.Plan.Mode = mode
		req.Plan.Container.Network.NamespaceID = nowhere
		err := l.pod.Create(l.Context(), req)
		if !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), nowhere) {
			t.Errorf("mode %v: %v (%v)", mode, err, fault.KindOf(err))
		}
		for _, f := range l.functions() {
			if !strings.HasPrefix(f, "HcnEnumerate") {
				t.Errorf("mode %v: %s was called", mode, f)
			}
		}
		l.nothingLeft()
	}
}

// `windows.network.endpointList`: the namespace is isol's, from before the
// container to after it, in both modes.
func TestEndpointList(t *testing.T) {
	for _, mode := range []isolation.Mode{isolation.ModeProcess, isolation.ModeHyperV} {
		l := newVMLab(t)
		l.network(false)
		req := l.withEndpoints(l.isolated("web", isolation.RoleStandalone, "ping -t localhost"))
		req.Plan.Mode = mode
		l.must(l.pod.Create(l.Context(), req))
		l.start("web", "")
		made := l.entries("namespace")
		switch {
		case len(made) != 1:
			t.Errorf("mode %v: namespaces %v", mode, made)
		case mode == isolation.ModeProcess && !strings.HasSuffix(made[0], " web"):
			t.Errorf("the container is not in its namespace: %v", made)
		case mode == isolation.ModeHyperV && (!slices.Contains(l.inGuest("namespace"), "namespace "+made[0]) || len(l.inGuest("adapter")) != 2):
			t.Errorf("the guest has %v, not %v with two adapters", l.machines.Agents()[0].Left(), made)
		}
		l.must(l.kill("web", ""))
		l.wait("web", "")
		if left := l.entries("namespace"); len(left) > 0 {
			t.Errorf("mode %v: %v is left when the exit is published", mode, left)
		}
		l.delete("web", "")
		l.nothingLeft()
	}
}

// A workload with endpoints of its own in a pod: they come and go with it.
func TestEndpointListOfWorkloadInVM(t *testing.T) {
	l := newVMLab(t)
	l.network(false)
	l.bootPod()
	l.must(l.pod.Create(l.Context(), l.withEndpoints(l.isolated("web", isolation.RoleWorkload, "ping -t localhost"))))
	l.start("web", "")
	if got := l.inGuest("adapter"); len(got) != 2 {
		t.Errorf("the guest has the adapters %v", got)
	}
	l.must(l.kill("web", ""))
	l.wait("web", "")
	l.delete("web", "")
	if got := append(l.inGuest("adapter"), l.inGuest("namespace")...); len(got) > 0 {
		t.Errorf("left in the guest: %v", got)
	}
	l.endPod()
}

// Whatever goes wrong while the namespace is made, the create names the step
// and leaves nothing but CNI's endpoints.
func TestEndpointListFails(t *testing.T) {
	for _, tc := range []struct {
		name string
		hook func(*lab, *CreateTask)
		kind fault.Kind
		says string
	}{
		{"endpoint that is not there", func(_ *lab, r *CreateTask) {
			r.Plan.Container.Network.EndpointIDs = []string{r.Plan.Container.Network.EndpointIDs[0], nowhere}
		}, fault.FailedPrecondition, nowhere},
		{"no GUID", func(_ *lab, r *CreateTask) { r.Plan.Container.Network.EndpointIDs = []string{"eth0"} }, fault.InvalidArgument, "eth0"},
		{"service refuses", func(l *lab, _ *CreateTask) {
			l.fault(hcsemu.Fault{Function: "HcnCreateNamespace", Action: hcsemu.ActionFail, Code: "0x80070005"})
		}, fault.PermissionDenied, "network"},
		{"answer is lost", func(l *lab, _ *CreateTask) {
			l.fault(hcsemu.Fault{Function: "HcnCreateNamespace", When: "after", Action: hcsemu.ActionFail, Code: "0x800706ba"})
		}, fault.Unavailable, "hns"},
		{"second endpoint refused", func(l *lab, _ *CreateTask) {
			l.fault(hcsemu.Fault{Function: "HcnModifyNamespace", Nth: 2, Action: hcsemu.ActionFail, Code: "0x803b002b"})
		}, fault.FailedPrecondition, "another namespace"},
		{"service hangs", func(l *lab, _ *CreateTask) {
			l.fault(hcsemu.Fault{Function: "HcnModifyNamespace", Action: hcsemu.ActionHang})
		}, fault.DeadlineExceeded, "network"},
		{"container refused later", func(l *lab, _ *CreateTask) {
			l.fault(hcsemu.Fault{Function: "HcsCreateComputeSystem", Action: hcsemu.ActionFail, Code: "0x80070005"})
		}, fault.PermissionDenied, "create"},
		{"no network service", func(l *lab, _ *CreateTask) { l.pod.cfg.Networks = nil }, fault.Unimplemented, "networkNamespace"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in(t, func(l *lab) {
				l.network(false)
				req := l.withEndpoints(l.request("c1", "cmd"))
				tc.hook(l, &req)
				err := l.pod.Create(l.Context(), req)
				if !fault.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("error %v of kind %v, want %v with %q", err, fault.KindOf(err), tc.kind, tc.says)
				}
				l.recover()
				l.nothingLeft()
			})
		})
	}
}

// The shim is killed before and after every call of a task that made its own
// namespace: each time the journal is enough to clean up.
func TestShimKilledAtEveryCallWithNetwork(t *testing.T) {
	const shim = "containerd-shim-isol-v1.exe"
	total := 0
	in(t, func(l *lab) {
		l.network(false)
		wholeLife(l)
		total = len(l.emu.Calls(hcsemu.CallFilter{Exe: shim}))
		l.nothingLeft()
	})
	for n := 1; n <= total; n++ {
		for _, when := range []hcsemu.When{"before", "after"} {
			in(t, func(l *lab) {
				l.network(false)
				l.killAt(n, when)
			})
		}
	}
}

// A shim with a VM dies: its namespace, which no handle keeps, goes with the
// replay of its journal.
func TestShimKilledWithNetworkInVM(t *testing.T) {
	l := newVMLab(t)
	l.network(false)
	req := l.withEndpoints(l.isolated("web", isolation.RoleStandalone, "ping -t localhost"))
	l.must(l.pod.Create(l.Context(), req))
	l.start("web", "")
	l.client.Disconnect()
	_ = l.pod.Close(context.Background()) // the dead shim's goroutines
	if left := l.entries("namespace"); len(left) != 1 {
		t.Fatalf("namespaces %v: the test shows nothing", left)
	}
	l.shim(2)
	path := filepath.Join(req.Bundle, journal.FileName)
	if _, err := journal.Replay(l.Context(), path, "web", l.pod.cfg.Undo); err != nil {
		t.Error(err)
	}
	l.nothingLeft()
}
