// Package netdriver is the network service of an emulated machine, for tests.
//
// It has no state and no locks of its own; every failure is the emulator's.
package netdriver

import (
	"context"
	"errors"

	"github.com/isolrun/isol/internal/network"
	"github.com/isolrun/isol/test/hcsemu"
)

// Driver implements network.Driver with the network functions of a client of
// the emulator, so that namespaces show in its ledger and record, and its fault
// plan works on them.
type Driver struct{ client *hcsemu.Client }

var _ network.Driver = Driver{}

// New returns the driver of one client.
func New(c *hcsemu.Client) Driver { return Driver{c} }

// The calls of the system take no context: they end when the system lets them,
// or with the client's session.
func background() context.Context { return context.Background() }

// Enumerate implements network.Driver.
func (d Driver) Enumerate(kind network.Kind, query string) (string, error) {
	ids, err := d.client.EnumerateNetworkObjects(background(), emulated(kind), query)
	return ids, failed("HcnEnumerate"+kind.String()+"s", "", err)
}

// Properties implements network.Driver.
func (d Driver) Properties(kind network.Kind, id, query string) (document string, err error) {
	err = d.with(kind, id, func(h hcsemu.Handle) (err error) {
		document, err = d.client.QueryNetworkObject(background(), h, query)
		return failed("HcnQuery"+kind.String()+"Properties", id, err)
	})
	return document, err
}

// CreateNamespace implements network.Driver.
func (d Driver) CreateNamespace(id, settings string) error {
	h, err := d.client.CreateNetworkObject(background(), hcsemu.Namespace, 0, hcsemu.GUID(id), settings)
	if err != nil {
		return failed("HcnCreateNamespace", id, err)
	}
	return failed("HcnCloseNamespace", id, d.client.CloseNetworkObject(h))
}

// ModifyNamespace implements network.Driver.
func (d Driver) ModifyNamespace(id, request string) error {
	return d.with(network.KindNamespace, id, func(h hcsemu.Handle) error {
		return failed("HcnModifyNamespace", id, d.client.ModifyNetworkObject(background(), h, request))
	})
}

// DeleteNamespace implements network.Driver.
func (d Driver) DeleteNamespace(id string) error {
	return failed("HcnDeleteNamespace", id, d.client.DeleteNetworkObject(background(), hcsemu.Namespace, hcsemu.GUID(id)))
}

// with opens an object for f and closes it whatever f returns.
func (d Driver) with(kind network.Kind, id string, f func(hcsemu.Handle) error) error {
	h, err := d.client.OpenNetworkObject(background(), emulated(kind), hcsemu.GUID(id))
	if err != nil {
		return failed("HcnOpen"+kind.String(), id, err)
	}
	return errors.Join(f(h), failed("HcnClose"+kind.String(), id, d.client.CloseNetworkObject(h)))
}

func emulated(kind network.Kind) hcsemu.NetworkKind { return hcsemu.NetworkKind(kind.String()) }

func failed(call, id string, err error) error {
	if err == nil {
		return nil
	}
	e := &network.CallError{Call: call, ID: id, Err: err}
	var code hcsemu.HRESULT
	if errors.As(err, &code) {
		e.Code = uint32(code)
	}
	return e
}
