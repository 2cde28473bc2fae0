package pod

import (
	"errors"

	"github.com/Microsoft/hcsshim/hcn"
)

// Add makes a network with four endpoints, two of them in a namespace.
func Add() (Network, error) {
	var n Network
	version := hcn.SchemaVersion{Major: 2}
	network, err := (&hcn.HostComputeNetwork{Name: "e2e", Type: hcn.NAT, SchemaVersion: version}).Create()
	if err != nil {
		return n, err
	}
	n.Network = network.Id
	namespace, err := hcn.NewNamespace(hcn.NamespaceTypeHost).Create()
	if err != nil {
		return n, err
	}
	n.Namespace = namespace.Id
	for i, name := range []string{"pod_net1", "pod_eth0", "free_net1", "free_eth0"} {
		endpoint, err := network.CreateEndpoint(&hcn.HostComputeEndpoint{Name: name, SchemaVersion: version})
		if err != nil {
			return n, err
		}
		if i >= 2 {
			n.Free = append(n.Free, endpoint.Id)
			continue
		}
		n.Joined = append(n.Joined, endpoint.Id)
		if err := hcn.AddNamespaceEndpoint(namespace.Id, endpoint.Id); err != nil {
			return n, err
		}
	}
	return n, nil
}

// Del removes what Add made. All of it must be there, and free.
func Del(n Network) error {
	errs := []error{(&hcn.HostComputeNamespace{Id: n.Namespace}).Delete()}
	for _, id := range append(n.Joined, n.Free...) {
		errs = append(errs, (&hcn.HostComputeEndpoint{Id: id}).Delete())
	}
	return errors.Join(append(errs, (&hcn.HostComputeNetwork{Id: n.Network}).Delete())...)
}
