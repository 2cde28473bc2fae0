package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Microsoft/hcsshim/hcn"
)

// endpoint is the name of a pod's endpoint.
func (p pod) endpoint() string { return p.id + "_" + p.adapter }

// networkID is that of the lab's network: a fixed one, so that of two pods that
// find none only one makes it.
const networkID = "1b0ae0a5-77a4-4b5b-9a1c-1ab0cafe0001"

func schemaV2() hcn.SchemaVersion { return hcn.SchemaVersion{Major: 2} }

// network returns the machine's network and makes it where it is not there.
func network(c config) (*hcn.HostComputeNetwork, error) {
	n, err := hcn.GetNetworkByID(networkID)
	if err == nil || !hcn.IsNotFoundError(err) {
		return n, err
	}
	created, err := (&hcn.HostComputeNetwork{
		Id: networkID, Name: c.Name, Type: hcn.NAT, SchemaVersion: schemaV2(),
		Ipams: []hcn.Ipam{{Type: "Static", Subnets: []hcn.Subnet{{
			IpAddressPrefix: c.Subnet, Routes: []hcn.Route{{NextHop: c.Gateway, DestinationPrefix: "0.0.0.0/0"}},
		}}}},
	}).Create()
	if err == nil {
		return created, nil
	}
	// Another pod may have been first.
	if n, found := hcn.GetNetworkByID(networkID); found == nil {
		return n, nil
	}
	return nil, fmt.Errorf("make network %s: %w", c.Name, err)
}

// add gives a pod its endpoint.
func add(c config, p pod) (_ result, err error) {
	n, err := network(c)
	if err != nil {
		return result{}, err
	}
	settings := &hcn.HostComputeEndpoint{
		Name: p.endpoint(), SchemaVersion: schemaV2(),
		Dns: hcn.Dns{ServerList: c.RuntimeConfig.DNS.Servers, Search: c.RuntimeConfig.DNS.Searches, Options: c.RuntimeConfig.DNS.Options},
	}
	for _, m := range c.RuntimeConfig.PortMappings {
		policy, err := hostPort(m)
		if err != nil {
			return result{}, err
		}
		settings.Policies = append(settings.Policies, policy)
	}
	endpoint, err := n.CreateEndpoint(settings)
	if err != nil {
		return result{}, fmt.Errorf("make endpoint %s: %w", p.endpoint(), err)
	}
	if err := hcn.AddNamespaceEndpoint(p.namespace, endpoint.Id); err != nil {
		return result{}, errors.Join(fmt.Errorf("put endpoint %s into namespace %s: %w", p.endpoint(), p.namespace, err), endpoint.Delete())
	}
	r := result{
		CNIVersion: version,
		Interfaces: []networkInterface{{Name: p.adapter, MAC: strings.ReplaceAll(endpoint.MacAddress, "-", ":"), Sandbox: p.namespace}},
		DNS:        dns{Nameservers: endpoint.Dns.ServerList, Search: endpoint.Dns.Search, Options: endpoint.Dns.Options},
	}
	for _, ip := range endpoint.IpConfigurations {
		r.IPs = append(r.IPs, address{Address: fmt.Sprintf("%s/%d", ip.IpAddress, ip.PrefixLength), Gateway: c.Gateway})
	}
	return r, nil
}

// hostPort is the policy of an endpoint that publishes a port.
func hostPort(m portMapping) (hcn.EndpointPolicy, error) {
	protocols := map[string]uint32{"tcp": 6, "udp": 17} // of IANA, as HCN wants them
	protocol, ok := protocols[strings.ToLower(m.Protocol)]
	if !ok {
		return hcn.EndpointPolicy{}, fmt.Errorf("host port %d: protocol %q is not tcp or udp", m.HostPort, m.Protocol)
	}
	settings, err := json.Marshal(hcn.PortMappingPolicySetting{Protocol: protocol, InternalPort: m.ContainerPort, ExternalPort: m.HostPort})
	return hcn.EndpointPolicy{Type: hcn.PortMapping, Settings: settings}, err
}

// check looks for a pod's endpoint where ADD has put it.
func check(p pod) error {
	endpoint, err := hcn.GetEndpointByName(p.endpoint())
	if err != nil {
		return fmt.Errorf("endpoint %s: %w", p.endpoint(), err)
	}
	joined, err := hcn.GetNamespaceEndpointIds(p.namespace)
	if err != nil {
		return fmt.Errorf("namespace %s: %w", p.namespace, err)
	}
	if !slices.ContainsFunc(joined, func(id string) bool { return strings.EqualFold(id, endpoint.Id) }) {
		return fmt.Errorf("endpoint %s is not in namespace %s", p.endpoint(), p.namespace)
	}
	return nil
}

// del takes a pod's endpoint away.
func del(p pod) error {
	endpoint, err := hcn.GetEndpointByName(p.endpoint())
	if hcn.IsNotFoundError(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("endpoint %s: %w", p.endpoint(), err)
	}
	if p.namespace != "" {
		// Deleting an endpoint takes it out of its namespace too, but not out of the
		// guest of a VM that has it: as win-bridge does, one step after the other.
		if err := hcn.RemoveNamespaceEndpoint(p.namespace, endpoint.Id); err != nil && !hcn.IsNotFoundError(err) {
			return fmt.Errorf("take endpoint %s out of namespace %s: %w", p.endpoint(), p.namespace, err)
		}
	}
	if err := endpoint.Delete(); err != nil && !hcn.IsNotFoundError(err) {
		return fmt.Errorf("remove endpoint %s: %w", p.endpoint(), err)
	}
	return nil
}
