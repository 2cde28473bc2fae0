// Package network knows the network namespaces of the host: what endpoints one
// has, and how one is made of endpoints and removed.
//
//	plan ─▶ namespace id ──▶ Namespaces.Check ─────▶ HCS joins it        (process isolation)
//	                     ├─▶ Namespaces.Ports ─────▶ what crosses the boundary, for the log and for diagnostics
//	                     └─▶ Namespaces.Namespace ─▶ adapters of the VM  (Hyper-V isolation)
//	plan ─▶ endpoint ids ──▶ Namespaces.Create ────▶ namespace id, as above; Namespaces.Remove at the end
//
// [Namespaces] holds the rules: order of calls, order of endpoints, what a
// failure means. A [Driver] holds the calls: on Windows those of
// computenetwork.dll ([Windows]), the Host Compute Network service (HCN).
// Documents of HCN are passed on as they came, since the guest configures its
// adapters from them and newer services say more than isol knows.
//
// # States of a namespace that isol makes
//
//	         Create                    add each endpoint
//	(absent) ──────▶ empty ────────────────────────────▶ complete
//	    ▲              │                                     │
//	    └──────────────┴──────── Remove ─────────────────────┘
//
// # Failure rules
//
// The caller chooses the id, so that it can note it down before there is
// anything to lose. A Create that fails may leave the namespace in any of these
// states; Remove takes it away from each of them. Calls of the system cannot be
// interrupted: a method whose context ends returns, and a namespace that
// is made after that is removed at once. There are no locks: [Namespaces] has
// no state.
package network

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/Microsoft/go-winio/pkg/guid"

	"github.com/isolrun/isol/internal/deadline"
	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/isolation"
)

// Kind is a kind of object of the network service.
type Kind uint8

// The kinds.
const (
	KindNamespace Kind = iota
	KindEndpoint
)

// String returns the kind as the names of the functions have it.
func (k Kind) String() string {
	if k == KindEndpoint {
		return "Endpoint"
	}
	return "Namespace"
}

// Driver is the functions of one machine's network service, each a call or a
// few that belong together, which end when the system lets them. Ids are GUIDs
// without braces, documents are JSON. Errors are [*CallError] values. No handle
// is left open, whatever fails. All methods may be called from any goroutine.
type Driver interface {
	// Enumerate returns the ids, a JSON array, of the objects that query selects.
	Enumerate(kind Kind, query string) (ids string, err error)
	// Properties returns an object's document.
	Properties(kind Kind, id, query string) (document string, err error)
	// CreateNamespace makes a namespace with the given id.
	CreateNamespace(id, settings string) error
	// ModifyNamespace changes what is in a namespace.
	ModifyNamespace(id, request string) error
	// DeleteNamespace removes a namespace.
	DeleteNamespace(id string) error
}

// Endpoint is a port of a virtual switch of the host.
type Endpoint struct {
	ID       string
	Name     string
	MAC      string
	Ports    []isolation.Port // of the host, that its policies publish
	Settings json.RawMessage  // all of it, as HCN describes it
}

// Namespace is a network namespace (compartment) of the host.
type Namespace struct {
	ID        string
	Settings  json.RawMessage // all of it, as HCN describes it
	Endpoints []Endpoint      // in the order in which a VM gets them
}

// service is what an error calls the other side.
const service = "the network service"

// Namespaces works on the namespaces of one machine. Its methods may be called
// from any goroutine. One whose ctx ends returns DeadlineExceeded or Canceled.
type Namespaces struct{ driver Driver }

// New returns the namespaces of d's machine.
func New(d Driver) *Namespaces { return &Namespaces{d} }

// Check reports whether there is such a namespace. Errors: nil if there is,
// NotFound, those of the service.
func (n *Namespaces) Check(ctx context.Context, id string) error {
	_, err := deadline.Call(ctx, service, func() (string, error) { return n.describe(KindNamespace, id) }, nil)
	return fault.Wrap(err, "find network namespace", id)
}

// Namespace describes a namespace and its endpoints. Errors: NotFound if it, or
// one of its endpoints, is not there; those of the service.
func (n *Namespaces) Namespace(ctx context.Context, id string) (Namespace, error) {
	ns, err := deadline.Call(ctx, service, func() (Namespace, error) { return n.read(id) }, nil)
	return ns, fault.Wrap(err, "read network namespace", id)
}

// Ports returns the ports of the host that the policies of a namespace's
// endpoints publish, in the order of the endpoints. Errors: those of Namespace.
func (n *Namespaces) Ports(ctx context.Context, id string) ([]isolation.Port, error) {
	ns, err := n.Namespace(ctx, id)
	var ports []isolation.Port
	for _, e := range ns.Endpoints {
		ports = append(ports, e.Ports...)
	}
	return ports, err
}

// Create makes a namespace with the id that the caller chose and adds the
// endpoints in the given order. It is the caller's, who must Remove it, also
// after an error: what Create did until then stays. Errors: InvalidArgument for
// what is not a GUID, NotFound for an endpoint that is not there,
// FailedPrecondition for one that another namespace has.
func (n *Namespaces) Create(ctx context.Context, id string, endpointIDs []string) error {
	endpointIDs = slices.Clone(endpointIDs) // the call may outlive this function
	for i, endpoint := range endpointIDs {
		g, err := guid.FromString(strings.Trim(endpoint, "{}"))
		if err != nil {
			return &fault.Error{Kind: fault.InvalidArgument, Op: "add network endpoint", Subject: endpoint,
				Detail: "it is not a GUID", Hint: "endpoints are named by their ids: see Get-HnsEndpoint"}
		}
		endpointIDs[i] = g.String()
	}
	_, err := deadline.Call(ctx, service, func() (struct{}, error) { return struct{}{}, n.create(ctx, id, endpointIDs) },
		func(_ struct{}, _ error, late bool) {
			if late {
				_ = n.remove(id) // nobody is left to hear of it; the id is in the caller's notes
			}
		})
	return fault.Wrap(err, "create network namespace", id)
}

// Remove takes the endpoints out of a namespace and removes it; the endpoints
// stay. It is idempotent: a namespace that is not there is no error. Errors:
// FailedPrecondition while a container is in it.
func (n *Namespaces) Remove(ctx context.Context, id string) error {
	_, err := deadline.Call(ctx, service, func() (struct{}, error) { return struct{}{}, n.remove(id) }, nil)
	return fault.Wrap(err, "remove network namespace", id)
}

// describe finds an object and returns its document. As the reference does, an
// object is looked for by a filter: what opening one that is not there answers
// differs by kind and release, an empty list is the same everywhere.
func (n *Namespaces) describe(kind Kind, id string) (string, error) {
	q := query(id)
	text, err := n.driver.Enumerate(kind, q)
	if err != nil {
		return "", err
	}
	var ids []string
	if err := json.Unmarshal([]byte(text), &ids); err != nil {
		return "", nonsense("list of ids", text, err)
	}
	if len(ids) == 0 {
		return "", &fault.Error{Kind: fault.NotFound, Op: "find " + strings.ToLower(kind.String()), Subject: id,
			Detail: "there is none with this id on this host"}
	}
	return n.driver.Properties(kind, ids[0], q)
}

func (n *Namespaces) read(id string) (Namespace, error) {
	text, err := n.describe(KindNamespace, id)
	if err != nil {
		return Namespace{}, err
	}
	ns := Namespace{ID: id, Settings: json.RawMessage(text)}
	ids, err := endpointsOf(text)
	if err != nil {
		return Namespace{}, err
	}
	for _, id := range ids {
		text, err := n.describe(KindEndpoint, id)
		if err != nil {
			return Namespace{}, err
		}
		e, err := parseEndpoint(id, text)
		if err != nil {
			return Namespace{}, err
		}
		ns.Endpoints = append(ns.Endpoints, e)
	}
	sortEndpoints(ns.Endpoints)
	return ns, nil
}

func (n *Namespaces) create(ctx context.Context, id string, endpointIDs []string) error {
	if err := n.driver.CreateNamespace(id, settings(id)); err != nil {
		return err
	}
	for _, endpoint := range endpointIDs {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := n.driver.ModifyNamespace(id, change("Add", endpoint)); err != nil {
			return fault.Wrap(err, "add endpoint", endpoint)
		}
	}
	return nil
}

// remove tries everything: an endpoint that does not come out need not keep
// the namespace.
func (n *Namespaces) remove(id string) error {
	text, err := n.describe(KindNamespace, id)
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	ids, err := endpointsOf(text)
	errs := []error{err}
	for _, endpoint := range ids {
		if err := n.driver.ModifyNamespace(id, change("Remove", endpoint)); !gone(err) {
			errs = append(errs, fault.Wrap(err, "take out endpoint", endpoint))
		}
	}
	err = n.driver.DeleteNamespace(id)
	if err == nil || gone(err) {
		return nil // what went wrong before went with it
	}
	return errors.Join(append(errs, err)...)
}

// gone reports whether a call failed because the thing is not there.
func gone(err error) bool { return fault.Is(err, fault.NotFound) }
