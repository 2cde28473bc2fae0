package dlltest

import (
	"testing"

	"github.com/Microsoft/go-winio/pkg/bindfilter"
	"github.com/Microsoft/hcsshim/hcn"
)

// hcsshim's hcn works over computenetwork.dll: a namespace with an endpoint.
func TestNetworks(t *testing.T) {
	network, err := (&hcn.HostComputeNetwork{
		Name: "dlltest", Type: hcn.NAT, SchemaVersion: hcn.SchemaVersion{Major: 2, Minor: 0},
		Ipams: []hcn.Ipam{{Type: "Static", Subnets: []hcn.Subnet{{
			IpAddressPrefix: "192.168.100.0/24", Routes: []hcn.Route{{NextHop: "192.168.100.1", DestinationPrefix: "0.0.0.0/0"}},
		}}}},
	}).Create()
	check(t, err)
	t.Cleanup(func() { check(t, network.Delete()) })
	endpoint, err := network.CreateEndpoint(&hcn.HostComputeEndpoint{
		Name: "e1", SchemaVersion: hcn.SchemaVersion{Major: 2, Minor: 0},
	})
	check(t, err)
	t.Cleanup(func() { check(t, endpoint.Delete()) })
	namespace, err := hcn.NewNamespace(hcn.NamespaceTypeHost).Create()
	check(t, err)
	t.Cleanup(func() { check(t, namespace.Delete()) })
	check(t, hcn.AddNamespaceEndpoint(namespace.Id, endpoint.Id))
	ids, err := hcn.GetNamespaceEndpointIds(namespace.Id)
	check(t, err)
	if len(ids) != 1 || ids[0] != endpoint.Id {
		t.Errorf("endpoints of the namespace %v, want %s", ids, endpoint.Id)
	}
	check(t, hcn.RemoveNamespaceEndpoint(namespace.Id, endpoint.Id))
	if _, err := hcn.GetNamespaceByID("11111111-2222-3333-4444-555555555555"); !hcn.IsNotFoundError(err) {
		t.Errorf("unknown namespace: %v, want not found", err)
	}
	features, err := hcn.GetCachedSupportedFeatures()
	if err != nil || !features.Api.V2 {
		t.Errorf("features %+v, %v: the second API is not announced", features, err)
	}
}

// containerd mounts snapshots and checks for mounts through the bind filter.
func TestBindFilter(t *testing.T) {
	source, root := t.TempDir(), t.TempDir()
	check(t, bindfilter.ApplyFileBinding(root, source, true))
	list, err := bindfilter.GetBindMappings(`C:\`)
	check(t, err)
	found := false
	for _, m := range list {
		found = found || m.MountPoint == root && len(m.Targets) == 1 && m.Targets[0] == source && m.Flags&1 != 0
	}
	if !found {
		t.Errorf("mappings %+v lack %s to %s", list, root, source)
	}
	check(t, bindfilter.RemoveFileBinding(root))
	if err := bindfilter.RemoveFileBinding(root); err == nil {
		t.Error("what is not mapped was unmapped")
	}
}
