package network

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/isolation"
)

// The first adapter becomes the pod's eth0, whose address Kubernetes publishes.
func TestSortEndpoints(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"no name says so: as HCN lists them", "b a c", "b a c"},
		{"eth0 last", "pod_eth1 pod_net2 pod_eth0", "pod_eth0 pod_eth1 pod_net2"},
		{"eth0 in the middle of a name", "eth0_b a", "eth0_b a"},
		{"two primary ones keep their order", "x b_eth0 a_eth0", "b_eth0 a_eth0 x"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var list []Endpoint
			for _, name := range strings.Fields(tc.in) {
				list = append(list, Endpoint{Name: name})
			}
			sortEndpoints(list)
			got := ""
			for _, e := range list {
				got += " " + e.Name
			}
			if diff := cmp.Diff(tc.want, strings.TrimSpace(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What the service gets must be word for word what hcsshim's hcn sends.
func TestDocuments(t *testing.T) {
	for name, tc := range map[string]struct{ got, want string }{
		"query":    {query("5C5E"), `{"SchemaVersion":{"Major":2,"Minor":0},"Flags":0,"Filter":"{\"ID\":\"5C5E\"}"}`},
		"settings": {settings("5c5e"), `{"ID":"5c5e","SchemaVersion":{"Major":2,"Minor":0}}`},
		"change":   {change("Add", "e1"), `{"ResourceType":"Endpoint","RequestType":"Add","Settings":{"EndpointId":"e1"}}`},
	} {
		if diff := cmp.Diff(tc.want, tc.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestEndpointsOf(t *testing.T) {
	got, err := endpointsOf(`{"Resources":[{"Type":"Container","Data":{"ID":"c1"}},{"Type":"Endpoint","Data":{"Id":"e2"}},{"Type":"Endpoint","Data":{"ID":"e1"}}]}`)
	if diff := cmp.Diff([]string{"e2", "e1"}, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

// The ports that the policies of an endpoint publish: those of hcsshim's
// PortMappingPolicySetting, and nothing of the policies beside them.
func TestPortsOfEndpoint(t *testing.T) {
	mapping := func(settings string) string {
		return `{"Name":"web_eth0","Policies":[{"Type":"OutBoundNAT","Settings":{"Exceptions":["10.0.0.0/8"]}},{"Type":"SDNRoute"},{"Type":"PortMapping","Settings":` + settings + `}]}`
	}
	for _, tc := range []struct {
		name, text string
		want       []isolation.Port
	}{
		{"none", `{"Name":"a"}`, nil},
		{"others", `{"Name":"a","Policies":[{"Type":"ACL","Settings":{"Protocols":"6","LocalPorts":"80"}}]}`, nil},
		{"TCP", mapping(`{"Protocol":6,"InternalPort":80,"ExternalPort":8080}`), []isolation.Port{{Protocol: "TCP", HostPort: 8080, ContainerPort: 80, Source: "endpoint web_eth0"}}},
		{"UDP at an address", mapping(`{"Protocol":17,"InternalPort":53,"ExternalPort":5353,"VIP":"10.1.2.3","Flags":1}`),
			[]isolation.Port{{Protocol: "UDP", HostIP: "10.1.2.3", HostPort: 5353, ContainerPort: 53, Source: "endpoint web_eth0"}}},
		{"another protocol", mapping(`{"Protocol":47}`), []isolation.Port{{Protocol: "protocol 47", Source: "endpoint web_eth0"}}},
		{"no name", `{"Policies":[{"Type":"PortMapping","Settings":{"Protocol":132,"ExternalPort":9}}]}`, []isolation.Port{{Protocol: "SCTP", HostPort: 9, Source: "endpoint e1"}}},
	} {
		e, err := parseEndpoint("e1", tc.text)
		if d := cmp.Diff(tc.want, e.Ports); d != "" || err != nil {
			t.Errorf("%s: %v\n%s", tc.name, err, d)
		}
	}
	for _, settings := range []string{`null,"x":1}`, `{"ExternalPort":70000}`, `"80"`} {
		if e, err := parseEndpoint("e1", mapping(settings)); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %+v, %v", settings, e, err)
		}
	}
}

// A code that the table knows tells the user what to do; every other still
// shows itself.
func TestCallError(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  CallError
		kind fault.Kind
		says string
	}{
		{"Win32 code in an HRESULT", CallError{Call: "HcnOpenNamespace", ID: "n1", Code: 0x80070490}, fault.NotFound, "HcnOpenNamespace n1"},
		{"endpoint in use", CallError{Code: 0x803b002b}, fault.FailedPrecondition, "another namespace has the endpoint"},
		{"no HNS", CallError{Code: 126}, fault.FailedPrecondition, "install the Containers feature"},
		{"HNS does not run", CallError{Code: 0x800706ba}, fault.Unavailable, "hns service"},
		{"unknown", CallError{Call: "X", Code: 0x803b0fff, Said: `{"Error":"why"}`, Err: errors.New("cause")}, fault.Unknown, `X: cause: {"Error":"why"} [0x803b0fff]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if k := fault.KindOf(&tc.err); k != tc.kind || !strings.Contains(tc.err.Error(), tc.says) {
				t.Errorf("%v %q, want %v with %q", k, &tc.err, tc.kind, tc.says)
			}
		})
	}
}

// babble answers every question with the same text.
type babble string

func (b babble) Enumerate(kind Kind, _ string) (string, error) {
	if b == "ids" {
		return `{}`, nil
	}
	return `["` + kind.String() + `"]`, nil
}

func (b babble) Properties(kind Kind, _, _ string) (string, error) {
	switch {
	case kind == KindNamespace && b == "endpoint":
		return `{"Resources":[{"Type":"Endpoint","Data":{"ID":"e1"}}]}`, nil
	case b == "data":
		return `{"Resources":[{"Type":"Endpoint","Data":7}]}`, nil
	}
	return strings.Repeat("?", 1000), nil
}

func (babble) CreateNamespace(string, string) error { return nil }
func (babble) ModifyNamespace(string, string) error { return nil }
func (babble) DeleteNamespace(string) error         { return &CallError{Call: "HcnDeleteNamespace", Code: 5} }

// A service that answers what it should not is its defect, and says so briefly.
func TestNonsense(t *testing.T) {
	for _, b := range []babble{"ids", "namespace", "endpoint", "data"} {
		t.Run(string(b), func(t *testing.T) {
			n := New(b)
			if _, err := n.Namespace(t.Context(), "n1"); !fault.Is(err, fault.Internal) || len(err.Error()) > 500 {
				t.Errorf("error of kind %v: %v", fault.KindOf(err), err)
			}
		})
	}
	if err := New(babble("namespace")).Remove(t.Context(), "n1"); !fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), "0x00000005") {
		t.Errorf("remove: %v", err)
	}
	if err := New(babble("ids")).Remove(t.Context(), "n1"); !fault.Is(err, fault.Internal) {
		t.Errorf("remove without a list: %v", err)
	}
}
