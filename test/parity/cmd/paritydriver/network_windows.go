package main

import (
	"errors"
	"fmt"

	"github.com/Microsoft/hcsshim/hcn"

	"github.com/isolrun/isol/test/parity/driver"
)

// addNetwork makes what a CNI plugin makes for a pod: a namespace with
// endpoints, as many as kind says.
func addNetwork(kind string) (*driver.Network, error) {
	version := hcn.SchemaVersion{Major: 2}
	network, err := (&hcn.HostComputeNetwork{Name: "parity", Type: hcn.NAT, SchemaVersion: version}).Create()
	if err != nil {
		return nil, err
	}
	n := &driver.Network{Network: network.Id}
	if kind != "endpoints" {
		made, err := hcn.NewNamespace(hcn.NamespaceTypeHost).Create()
		if err != nil {
			return n, err
		}
		n.Namespace = made.Id
	}
	count := map[string]int{"one": 1, "two": 2, "endpoints": 2}[kind]
	for i := range count {
		endpoint, err := network.CreateEndpoint(&hcn.HostComputeEndpoint{Name: fmt.Sprintf("parity_eth%d", i), SchemaVersion: version})
		if err != nil {
			return n, err
		}
		n.Endpoints = append(n.Endpoints, endpoint.Id)
		if n.Namespace == "" {
			continue
		}
		if err := hcn.AddNamespaceEndpoint(n.Namespace, endpoint.Id); err != nil {
			return n, err
		}
	}
	return n, nil
}

// removeNetwork removes what addNetwork made.
func removeNetwork(n *driver.Network) error {
	var errs []error
	if n.Namespace != "" {
		errs = append(errs, (&hcn.HostComputeNamespace{Id: n.Namespace}).Delete())
	}
	for _, id := range n.Endpoints {
		errs = append(errs, (&hcn.HostComputeEndpoint{Id: id}).Delete())
	}
	return errors.Join(append(errs, (&hcn.HostComputeNetwork{Id: n.Network}).Delete())...)
}
