package uvm

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/Microsoft/go-winio/pkg/guid"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/gcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/network"
)

// Adapter is a network adapter of the VM: an HCN endpoint of the host.
type Adapter struct {
	ID         string          // GUID of the adapter, chosen by the caller
	EndpointID string          // GUID of the endpoint
	MAC        string          // of the endpoint
	Endpoint   json.RawMessage // the endpoint as HCN describes it; the guest configures the adapter from it
}

// Connect gives the VM the network of a namespace of the host: the guest gets
// the namespace, then an adapter for each endpoint in it, the primary one
// first. A failed Connect leaves nothing. The release takes all away in reverse
// order; what it could not take stays and is tried again by the next call.
func (u *UVM) Connect(ctx context.Context, id string) (Release, error) {
	if u.cfg.Namespace == nil {
		return nothing, fault.New(fault.Unimplemented, "network namespace %s: this isol knows no network", id)
	}
	ns, err := u.cfg.Namespace(ctx, id)
	if err != nil {
		return nothing, err
	}
	var held []Release
	release := func(ctx context.Context) error {
		var errs []error
		var left []Release
		for _, r := range slices.Backward(held) {
			if err := r(ctx); err != nil {
				errs, left = append(errs, err), append([]Release{r}, left...)
			}
		}
		held = left
		return errors.Join(errs...)
	}
	for _, add := range u.connections(ns) {
		r, err := add(ctx)
		if err != nil {
			return nothing, errors.Join(fault.Wrap(err, "connect utility VM", u.ID()), u.undo(release))
		}
		held = append(held, r)
	}
	return release, nil
}

// connections are the steps of Connect. A guest that knows no namespaces has
// one for all its adapters (as runhcs does: it asks the guest).
func (u *UVM) connections(ns network.Namespace) []func(context.Context) (Release, error) {
	var steps []func(context.Context) (Release, error)
	if u.guest.Capabilities().GuestDefinedCapabilities.NamespaceAddRequestSupported {
		steps = append(steps, func(ctx context.Context) (Release, error) { return u.AddNamespace(ctx, ns.ID, ns.Settings) })
	}
	for _, e := range ns.Endpoints {
		steps = append(steps, func(ctx context.Context) (Release, error) {
			id, err := guid.NewV4()
			if err != nil {
				return nothing, err
			}
			return u.AddAdapter(ctx, Adapter{ID: id.String(), EndpointID: e.ID, MAC: e.MAC, Endpoint: e.Settings})
		})
	}
	return steps
}

// AddNamespace makes a network namespace of the host known to the guest.
// settings is the namespace as HCN describes it.
func (u *UVM) AddNamespace(ctx context.Context, id string, settings json.RawMessage) (Release, error) {
	request := func(do gcs.RequestType) *gcs.Modification {
		return &gcs.Modification{ResourceType: gcs.ResourceNetworkNamespace, RequestType: do, Settings: settings}
	}
	_, err := u.spaces.acquire(ctx, id, func(int) error { return u.guest.Modify(ctx, request(gcs.RequestAdd)) })
	if err != nil {
		return nothing, fault.Wrap(err, "add network namespace", id)
	}
	return func(ctx context.Context) error {
		return u.released(u.spaces.release(id, func(int) error { return u.guest.Modify(ctx, request(gcs.RequestRemove)) }))
	}, nil
}

// AddAdapter adds an adapter in the reference's three steps: the guest is told
// what comes, the host plugs it in, the guest brings it up. What a later step
// refuses, the earlier ones undo.
func (u *UVM) AddAdapter(ctx context.Context, a Adapter) (Release, error) {
	if _, err := u.nics.acquire(ctx, a.ID, func(int) error { return u.plug(ctx, a) }); err != nil {
		return nothing, fault.Wrap(err, "add network adapter", a.EndpointID)
	}
	down := false
	return func(ctx context.Context) error {
		return u.released(u.nics.release(a.ID, func(int) error { return u.unplug(ctx, a, &down) }))
	}, nil
}

func (u *UVM) plug(ctx context.Context, a Adapter) error {
	if err := u.guest.Modify(ctx, adapterModification(gcs.RequestAdd, gcs.RequestPreAdd, a)); err != nil {
		return err
	}
	if err := u.modify(ctx, adapterRequest(schema.RequestAdd, a)); err != nil {
		return err // the guest forgets what never came
	}
	if err := u.guest.Modify(ctx, adapterModification(gcs.RequestAdd, gcs.RequestAdd, a)); err != nil {
		return errors.Join(err, u.undo(func(ctx context.Context) error { return u.modify(ctx, adapterRequest(schema.RequestRemove, a)) }))
	}
	return nil
}

// unplug takes the adapter from the guest, then from the host. down remembers
// the first step for a second try: a guest refuses to remove what it has not.
func (u *UVM) unplug(ctx context.Context, a Adapter, down *bool) error {
	if !*down {
		if err := u.guest.Modify(ctx, adapterModification(gcs.RequestRemove, gcs.RequestRemove, a)); err != nil {
			return err
		}
		*down = true
	}
	return u.modify(ctx, adapterRequest(schema.RequestRemove, a))
}

func adapterRequest(do schema.RequestType, a Adapter) *schema.ModificationRequest {
	return &schema.ModificationRequest{
		RequestType: do, ResourcePath: schema.PathNetworkAdapter(a.ID),
		Settings: &schema.NetworkAdapter{EndpointID: a.EndpointID, MACAddress: a.MAC},
	}
}

// adapterModification is the guest's request. The endpoint travels with the
// PreAdd alone (runhcs: uvm.addNIC).
func adapterModification(do, step gcs.RequestType, a Adapter) *gcs.Modification {
	m := gcs.NetworkModification{AdapterID: a.ID, RequestType: step}
	if step == gcs.RequestPreAdd {
		m.Settings = a.Endpoint
	}
	return &gcs.Modification{ResourceType: gcs.ResourceNetwork, RequestType: do, Settings: m}
}

// AddSocketService lets the guest reach an hvsocket service of the host under
// the given descriptors.
func (u *UVM) AddSocketService(ctx context.Context, service string, config schema.HvSocketServiceConfig) (Release, error) {
	request := &schema.ModificationRequest{RequestType: schema.RequestUpdate, ResourcePath: schema.PathHvSocketService(service), Settings: &config}
	if _, err := u.tables.acquire(ctx, service, func(int) error { return u.modify(ctx, request) }); err != nil {
		return nothing, fault.Wrap(err, "add hvsocket service", service)
	}
	return func(ctx context.Context) error {
		return u.released(u.tables.release(service, func(int) error {
			return u.modify(ctx, &schema.ModificationRequest{RequestType: schema.RequestRemove, ResourcePath: schema.PathHvSocketService(service)})
		}))
	}, nil
}
