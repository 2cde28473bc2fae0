package hcsemu

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/isolrun/isol/internal/hcs/schema"
)

func (b *bench) newObject(kind NetworkKind, parent Handle, settings string) (Handle, GUID) {
	b.t.Helper()
	h, err := b.CreateNetworkObject(b.t.Context(), kind, parent, zeroGUID, settings)
	b.ok(err)
	return h, GUID(b.props(h)["ID"].(string))
}

func (b *bench) props(h Handle) map[string]any {
	b.t.Helper()
	text, err := b.QueryNetworkObject(b.t.Context(), h, `{"SchemaVersion":{"Major":2,"Minor":0}}`)
	b.ok(err)
	var props map[string]any
	b.ok(json.Unmarshal([]byte(text), &props))
	return props
}

// The network of a pod, from its namespace to its last endpoint, as CNI and the
// shim make and remove it.
func TestNetworkOfAPod(t *testing.T) {
	b := newBench(t, Config{})
	ctx := t.Context()
	network, networkID := b.newObject(Network, 0, `{"Name":"nat","Type":"NAT"}`)
	ep, epID := b.newObject(Endpoint, network, `{"Name":"ep"}`)
	ns, nsID := b.newObject(Namespace, 0, `{"Type":"Host"}`)
	endpoint := func(do string) string {
		return `{"ResourceType":"Endpoint","RequestType":"` + do + `","Settings":{"EndpointId":"` + strings.ToUpper(string(epID)) + `"}}`
	}
	b.ok(b.ModifyNetworkObject(ctx, ns, endpoint("Add")))
	b.code("endpoint twice", b.ModifyNetworkObject(ctx, ns, endpoint("Add")), EEndpointNamespaceExists)
	if text, _ := json.Marshal(b.props(ns)["Resources"]); !strings.Contains(string(text), string(epID)) {
		t.Errorf("resources %s", text)
	}

	c, err := b.CreateSystem(ctx, CreateSystem{ID: "c", Document: b.containerDoc(func(d *schema.ComputeSystem) {
		d.Container.Networking = &schema.Networking{Namespace: string(nsID)}
	})})
	b.ok(err)
	b.code("namespace in use", b.DeleteNetworkObject(ctx, Namespace, nsID), EEntityHasReferences)
	b.code("network in use", b.DeleteNetworkObject(ctx, Network, networkID), EEntityHasReferences)
	b.ok(b.CloseSystem(c))

	b.ok(b.ModifyNetworkObject(ctx, ns, endpoint("Remove")))
	b.code("endpoint removed twice", b.ModifyNetworkObject(ctx, ns, endpoint("Remove")), EEndpointNotFound)
	b.ok(b.ModifyNetworkObject(ctx, ns, endpoint("Add")))
	b.ok(b.DeleteNetworkObject(ctx, Endpoint, epID))
	b.ok(b.DeleteNetworkObject(ctx, Namespace, nsID))
	b.code("a deleted object by its handle", b.ModifyNetworkObject(ctx, ns, endpoint("Add")), EElementNotFound)
	for _, h := range []Handle{network, ep, ns} {
		b.ok(b.CloseNetworkObject(h))
	}
	b.cleanEnd() // the network itself lasts
	b.ok(b.DeleteNetworkObject(ctx, Network, networkID))
	if len(b.e.Ledger()) != 0 {
		t.Errorf("ledger:\n%s", b.e.Ledger())
	}
}

func TestNetworkObjectsThatAreNotThere(t *testing.T) {
	b := newBench(t, Config{})
	ctx := t.Context()
	for kind, want := range map[NetworkKind]HRESULT{
		Network: ENetworkNotFound, Endpoint: EEndpointNotFound, Namespace: EElementNotFound, LoadBalancer: EElementNotFound, Route: EElementNotFound,
	} {
		_, err := b.OpenNetworkObject(ctx, kind, zeroGUID)
		b.code("open "+string(kind), err, want)
		b.code("delete "+string(kind), b.DeleteNetworkObject(ctx, kind, zeroGUID), want)
	}
	_, err := b.CreateNetworkObject(ctx, Endpoint, 0, "", "{}")
	b.code("endpoint without network", err, EHandle)
	_, err = b.QueryNetworkObject(ctx, 99, "")
	b.code("query of nothing", err, EHandle)
	h := b.create("c")
	_, err = b.QueryNetworkObject(ctx, h, "")
	b.code("query of a system", err, EHandle)
}

func TestNetworkDocuments(t *testing.T) {
	b := newBench(t, Config{})
	ctx := t.Context()
	ns, _ := b.newObject(Namespace, 0, `{}`)
	network, _ := b.newObject(Network, 0, `{"ID":"AAAAAAAA-0000-0000-0000-000000000001","Name":"n"}`)
	for _, tt := range []struct {
		name string
		err  error
		want HRESULT
	}{
		{"settings", second(b.CreateNetworkObject(ctx, Network, 0, "", "{")), EHCNInvalidJSON},
		{"settings that are null", second(b.CreateNetworkObject(ctx, Network, 0, "", "null")), EHCNInvalidJSON},
		{"id in use", second(b.CreateNetworkObject(ctx, Network, 0, "aaaaaaaa-0000-0000-0000-000000000001", "{}")), ENetworkAlreadyExists},
		{"namespace with unknown resource", second(b.CreateNetworkObject(ctx, Namespace, 0, "", `{"Resources":[{"Type":"X"}]}`)), EHCNInvalidJSON},
		{"namespace with missing endpoint", second(b.CreateNetworkObject(ctx, Namespace, 0, "", `{"Resources":[{"Type":"Endpoint","Data":{"Id":"x"}}]}`)), EEndpointNotFound},
		{"query", second(b.EnumerateNetworkObjects(ctx, Network, "{")), EHCNInvalidJSON},
		{"filter", second(b.EnumerateNetworkObjects(ctx, Network, `{"Filter":"{"}`)), EHCNInvalidJSON},
		{"modification", b.ModifyNetworkObject(ctx, ns, "{"), EHCNInvalidJSON},
		{"modification's settings", b.ModifyNetworkObject(ctx, ns, `{"Settings":[]}`), EHCNInvalidJSON},
		{"modification of nothing", b.ModifyNetworkObject(ctx, ns, `{"ResourceType":"X","RequestType":"Add","Settings":{}}`), EInvalidArg},
		{"network's settings", b.ModifyNetworkObject(ctx, network, `{"Settings":[]}`), EHCNInvalidJSON},
		{"network", b.ModifyNetworkObject(ctx, network, `{"ResourceType":"Policy","RequestType":"Add","Settings":{"Policies":[]}}`), OK},
		{"container in", b.ModifyNetworkObject(ctx, ns, `{"ResourceType":"Container","RequestType":"Add","Settings":{"ContainerId":"x"}}`), OK},
		{"container out", b.ModifyNetworkObject(ctx, ns, `{"ResourceType":"Container","RequestType":"Remove","Settings":{"ContainerId":"x"}}`), OK},
	} {
		b.code(tt.name, tt.err, tt.want)
	}
	for filter, want := range map[string]int{`{"Name":"n"}`: 1, `{"ID":"AAAAAAAA-0000-0000-0000-000000000001"}`: 1, `{"Name":"m"}`: 0} {
		list, err := b.EnumerateNetworkObjects(ctx, Network, encode(map[string]any{"Filter": filter}))
		b.ok(err)
		var ids []string
		b.ok(json.Unmarshal([]byte(list), &ids))
		if len(ids) != want {
			t.Errorf("filter %s found %v, want %d", filter, ids, want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestHNS(t *testing.T) {
	b := newBench(t, Config{Build: 17763})
	ctx := t.Context()
	network, _ := b.newObject(Network, 0, `{"Name":"n"}`)
	_, epID := b.newObject(Endpoint, network, `{}`)
	call := func(method, path, body string) (output map[string]any, failure string) {
		t.Helper()
		text, err := b.HNSCall(ctx, method, path, body)
		b.ok(err)
		var answer struct {
			Success bool
			Error   string
			Output  json.RawMessage
		}
		b.ok(json.Unmarshal([]byte(text), &answer))
		if answer.Success != (answer.Error == "") {
			t.Errorf("%s %s: answer %s", method, path, text)
		}
		_ = json.Unmarshal(answer.Output, &output) // a list stays nil
		return output, answer.Error
	}
	if v, _ := call("GET", "/globals/version", ""); v["Major"] != 9.0 || v["Minor"] != 5.0 {
		t.Errorf("version %v", v)
	}
	ns, failure := call("POST", "/namespaces/", `{"IsDefault":false}`)
	if failure != "" {
		t.Fatal(failure)
	}
	path := "/namespaces/" + ns["ID"].(string)
	resource := `{"Type":"Endpoint","Data":{"Id":"` + string(epID) + `"}}`
	for _, tt := range []struct{ method, path, body, says string }{
		{"POST", path + "/addresource", resource, ""},
		{"POST", path + "/addresource", "{", "803b001b"},
		{"GET", path, "", ""},
		{"POST", path + "/removeresource", resource, ""},
		{"POST", path + "/removeresource", resource, "no endpoint"},
		{"GET", "/namespaces/", "", ""},
		{"PUT", "/namespaces/", "", "not emulated"},
		{"POST", "/endpoints/", "{}", "HcnCreateEndpoint"},
		{"POST", "/networks/", "{", "803b001b"},
		{"PATCH", path, "", "not emulated"},
		{"GET", "/policylists/", "", "not emulated"},
		{"DELETE", path, "", ""},
		{"DELETE", path, "", "Element not found."},
	} {
		if _, failure := call(tt.method, tt.path, tt.body); (failure == "") != (tt.says == "") || !strings.Contains(failure, tt.says) {
			t.Errorf("%s %s: failure %q, want %q", tt.method, tt.path, failure, tt.says)
		}
	}
}

func TestVMAccess(t *testing.T) {
	b := newBench(t, Config{})
	ctx := t.Context()
	b.ok(b.GrantVMAccess(ctx, "vm", `C:\d.vhdx`))
	b.ok(b.As(VMCompute).GrantVMAccess(ctx, "vm", `C:\D.vhdx`))
	if l := b.e.Ledger(); len(l) != 2 || l[1].Kind != "vm access" || len(l.Leaks()) != 1 {
		t.Errorf("ledger:\n%s", l)
	}
	b.ok(b.RevokeVMAccess(ctx, "vm", `C:\d.vhdx`))
	b.ok(b.RevokeVMAccess(ctx, "vm", `C:\d.vhdx`))
	b.code("no machine", b.GrantVMAccess(ctx, "", `C:\d`), EInvalidArg)
	for _, f := range []string{"HcsGrantVmAccess", "GrantVmAccess"} {
		if n := len(b.e.Calls(CallFilter{Function: f})); n == 0 {
			t.Errorf("no call is recorded as %s", f)
		}
	}
}
