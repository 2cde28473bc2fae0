package isolation

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/oci"
	"github.com/isolrun/isol/internal/options"
)

// portsOf are the plan's published ports, as `isolctl` lists them.
func portsOf(p *Plan) []string {
	var out []string
	for _, c := range p.Crossings {
		if c.Kind == CrossPort {
			out = append(out, c.Host+" > "+c.Inside+" by "+c.Source)
		}
	}
	return out
}

// A host port that nobody lists is an opening that nobody looks for.
func TestPortsOfPodConfig(t *testing.T) {
	for _, tc := range []struct {
		name  string
		ports []oci.PodPort
		mode  options.Isolation
		want  []string
		says  string
	}{
		{"none", nil, options.IsolationProcess, nil, ""},
		{"a port of the container alone", []oci.PodPort{{Protocol: "TCP", ContainerPort: 80}}, options.IsolationHyperV, nil, ""},
		{"each address", []oci.PodPort{{Protocol: "TCP", ContainerPort: 80, HostPort: 8080}}, options.IsolationProcess, []string{"TCP 8080 > port 80 by pod config port_mappings[0]"}, ""},
		{"in a VM, one address", []oci.PodPort{{Protocol: "TCP", ContainerPort: 1}, {Protocol: "UDP", ContainerPort: 53, HostPort: 5353, HostIP: "10.1.2.3"}}, options.IsolationHyperV,
			[]string{"UDP 10.1.2.3:5353 > port 53 by pod config port_mappings[1]"}, ""},
		{"host port out of range", []oci.PodPort{{Protocol: "TCP", ContainerPort: 80, HostPort: 70000}}, options.IsolationHyperV, nil, "has the host port 70000"},
		{"negative", []oci.PodPort{{Protocol: "TCP", ContainerPort: 80, HostPort: -1}}, options.IsolationHyperV, nil, "has the host port -1"},
		{"no container port", []oci.PodPort{{Protocol: "TCP", ContainerPort: 0, HostPort: 80}}, options.IsolationHyperV, nil, "has the container port 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := inputOf(t, "server2022", sandbox)
			in.ID, in.Bare, in.Image, in.Options.Isolation, in.Ports = podID, true, Image{}, optIsolation(tc.mode), tc.ports
			p, err := Decide(in)
			if tc.says != "" {
				if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, portsOf(p)); d != "" {
				t.Error(d)
			}
		})
	}
}

// The ports of a pod that is on the host's network are the host's: nothing is
// published, and the plan says so.
func TestPortsOfHostProcessPod(t *testing.T) {
	in := inputOf(t, "server2022", sandbox, hostProcess)
	in.ID, in.Bare, in.Image, in.Ports = podID, true, Image{}, []oci.PodPort{{Protocol: "TCP", ContainerPort: 80, HostPort: 80}}
	p := decideOK(t, in)
	if got := portsOf(p); got != nil || !hasReason(p, "no effect") {
		t.Errorf("ports %v, reasons %v", got, p.Reasons)
	}
}

// How names are resolved is the container's own in both modes; where nobody is
// there to resolve them the plan says so, and drops nothing in silence.
func TestNamesAreResolved(t *testing.T) {
	dns := func(s *specs.Spec) {
		s.Windows.Network = &specs.WindowsNetwork{DNSSearchList: []string{"default.svc.cluster.local", "svc.cluster.local"}, AllowUnqualifiedDNSQuery: true}
	}
	noEffect := func(p *Plan) int {
		n := 0
		for _, r := range p.Reasons {
			if r.Decision == "no effect" && (strings.HasSuffix(r.Input, "DNSSearchList") || strings.HasSuffix(r.Input, "allowUnqualifiedDNSQuery")) {
				n++
			}
		}
		return n
	}
	for _, tc := range []struct {
		name string
		mods []func(*specs.Spec)
		want int
	}{
		{"process", mods(dns), 0}, {"in a VM", mods(dns, hyperv), 0}, {"process sandbox", mods(dns, sandbox), 0},
		{"sandbox that is a VM", mods(dns, hyperv, sandbox), 2}, {"HostProcess", mods(dns, hostProcess), 2},
	} {
		in := inputOf(t, "server2022", tc.mods...)
		if tc.name == "process sandbox" || tc.name == "sandbox that is a VM" {
			in.ID = podID
		}
		p := decideOK(t, in)
		if got := noEffect(p); got != tc.want || tc.want == 0 && len(p.Container.Network.DNSSearch) != 2 {
			t.Errorf("%s: %d reasons, want %d; %+v", tc.name, got, tc.want, p.Container.Network)
		}
	}
}

// What the endpoints do is what crosses, whatever the pod's config wants.
func TestPublishing(t *testing.T) {
	in := inputOf(t, "server2022", sandbox)
	in.ID, in.Bare, in.Image, in.Ports = podID, true, Image{}, []oci.PodPort{{Protocol: "TCP", ContainerPort: 80, HostPort: 8080}, {Protocol: "UDP", ContainerPort: 53, HostPort: 53}}
	asked := decideOK(t, in)
	before := len(asked.Reasons)
	open := []Port{
		{Protocol: "tcp", HostIP: "10.0.0.4", HostPort: 8080, ContainerPort: 80, Source: "endpoint eth0"},
		{Protocol: "TCP", HostPort: 9000, ContainerPort: 9000, Source: "endpoint eth0"},
	}
	p := asked.Publishing(open)
	want := []string{
		"tcp 10.0.0.4:8080 > port 80 by pod config port_mappings[0], endpoint eth0",
		"TCP 9000 > port 9000 by endpoint eth0",
	}
	if d := cmp.Diff(want, portsOf(p)); d != "" {
		t.Error(d)
	}
	if r := p.Reasons[before:]; len(r) != 1 || r[0].Decision != "port not published" || !strings.Contains(r[0].Why, "UDP 53") {
		t.Errorf("reasons %v", r)
	}
	if got := portsOf(asked); len(got) != 2 || len(asked.Reasons) != before {
		t.Errorf("the plan itself has changed: %v, %v", got, asked.Reasons)
	}
	if again := p.Publishing(open); len(portsOf(again)) != 2 {
		t.Errorf("a second time: %v", portsOf(again))
	}
}
