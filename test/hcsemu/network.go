package hcsemu

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/Microsoft/go-winio/pkg/guid"
)

// NetworkKind is a kind of object of computenetwork.dll.
type NetworkKind string

// The kinds, named as in the functions: HcnCreate<kind>.
const (
	Network      NetworkKind = "Network"
	Endpoint     NetworkKind = "Endpoint"
	Namespace    NetworkKind = "Namespace"
	LoadBalancer NetworkKind = "LoadBalancer"
	Route        NetworkKind = "SdnRoute"
)

// networkTable holds the objects of one kind by id.
type networkTable map[GUID]*networkObject

// networkObject is a network, endpoint, namespace, load balancer or route. Its
// fields are guarded by the emulator's mu.
type networkObject struct {
	kind  NetworkKind
	id    GUID
	props map[string]any // the settings that it was made with, as modified
	owner Caller
	since time.Time

	network    GUID     // an endpoint's network
	endpoints  []GUID   // in a namespace
	containers []string // in a namespace: systems that joined it
}

// The rules of this file are as hcsshim's public package hcn relies on them
// and as https://learn.microsoft.com/windows-server/networking/technologies/hcn/hcn-top
// describes the objects. Documents are kept as they were given: their inner
// schema (policies, subnets) is not checked.

// notFound is the code for an object that is not there. hcn takes the first two
// and ERROR_NOT_FOUND for "not found".
func (k NetworkKind) notFound() HRESULT {
	switch k {
	case Network:
		return ENetworkNotFound
	case Endpoint:
		return EEndpointNotFound
	}
	return EElementNotFound
}

// hcn returns the request of one of the network functions.
func hcn(verb string, kind NetworkKind, suffix string, args Args) request {
	return request{function: "Hcn" + verb + string(kind) + suffix, args: args, offline: true}
}

// EnumerateNetworkObjects returns the ids, a JSON array, that match the query's filter.
// https://learn.microsoft.com/windows-server/networking/technologies/hcn/hcn-top
func (c *Client) EnumerateNetworkObjects(ctx context.Context, kind NetworkKind, query string) (string, error) {
	req := hcn("Enumerate", kind, "s", Args{"query": document(query)})
	return c.ask(ctx, req, func(context.Context) (string, error) {
		filter, err := parseNetworkQuery(query)
		if err != nil {
			return "", err
		}
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		ids := []GUID{}
		for id, o := range c.e.networks[kind] {
			if o.matches(filter) {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		return encode(ids), nil
	})
}

// parseNetworkQuery returns the filter of a HostComputeQuery: properties by name.
func parseNetworkQuery(query string) (map[string]any, error) {
	if query == "" {
		return nil, nil
	}
	var q struct {
		SchemaVersion map[string]uint32
		Flags         uint32
		Filter        string
	}
	if err := json.Unmarshal([]byte(query), &q); err != nil {
		return nil, fail(EHCNInvalidJSON, "network query: %v", err)
	}
	if q.Filter == "" {
		return nil, nil
	}
	var filter map[string]any
	if err := json.Unmarshal([]byte(q.Filter), &filter); err != nil {
		return nil, fail(EHCNInvalidJSON, "filter of the network query: %v", err)
	}
	return filter, nil
}

// matches holds the object against a filter; ids compare as GUIDs.
func (o *networkObject) matches(filter map[string]any) bool {
	all := o.describe()
	for name, want := range filter {
		got, ok := all[name]
		if !ok || canonical(fmt.Sprint(got)) != canonical(fmt.Sprint(want)) {
			return false
		}
	}
	return true
}

// describe returns the object's properties as a query shows them.
func (o *networkObject) describe() map[string]any {
	all := maps.Clone(o.props)
	all["ID"] = string(o.id)
	switch o.kind {
	case Endpoint:
		all["HostComputeNetwork"] = string(o.network)
	case Namespace:
		resources := []any{}
		for _, id := range o.endpoints {
			resources = append(resources, map[string]any{"Type": "Endpoint", "Data": map[string]any{"Id": string(id)}})
		}
		for _, id := range o.containers {
			resources = append(resources, map[string]any{"Type": "Container", "Data": map[string]any{"Id": id}})
		}
		all["Resources"] = resources
	}
	return all
}

// CreateNetworkObject makes an object. An endpoint needs a handle to its
// network as parent, the others 0. The zero id asks for a new one.
func (c *Client) CreateNetworkObject(ctx context.Context, kind NetworkKind, parent Handle, id GUID, settings string) (Handle, error) {
	var h Handle
	req := hcn("Create", kind, "", Args{"id": id, "settings": document(settings)})
	req.undo = func(context.Context) { _ = c.drop(h) }
	err := c.do(ctx, req, func(context.Context) (any, error) {
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		o, err := c.newObjectLocked(kind, parent, id, settings)
		if err != nil {
			return nil, err
		}
		if c.e.networks[kind] == nil {
			c.e.networks[kind] = networkTable{}
		}
		c.e.networks[kind][o.id] = o
		h = c.newHandleLocked(&reference{object: o})
		return map[string]any{"handle": uint64(h), "id": o.id}, nil
	})
	if err != nil {
		return 0, err
	}
	return h, nil
}

const zeroGUID = "00000000-0000-0000-0000-000000000000"

func (c *Client) newObjectLocked(kind NetworkKind, parent Handle, id GUID, settings string) (*networkObject, error) {
	o := &networkObject{kind: kind, props: map[string]any{}, owner: c.caller, since: c.e.config.Now()}
	if settings != "" {
		if err := json.Unmarshal([]byte(settings), &o.props); err != nil || o.props == nil {
			return nil, fail(EHCNInvalidJSON, "settings of %s: %v", kind, err)
		}
	}
	o.id = canonical(string(id))
	if given, ok := o.props["ID"].(string); ok && (o.id == "" || o.id == zeroGUID) {
		o.id = canonical(given)
	}
	if o.id == "" || o.id == zeroGUID {
		g, err := guid.NewV4()
		if err != nil {
			return nil, fail(EFail, "%v", err)
		}
		o.id = GUID(g.String())
	}
	if c.e.networks[kind][o.id] != nil {
		code := EAlreadyExists
		if kind == Network {
			code = ENetworkAlreadyExists
		}
		return nil, fail(code, "%s %s exists", kind, o.id)
	}
	return o, c.e.completeObjectLocked(c.session, o, parent)
}

// completeObjectLocked adds what the service decides itself.
func (e *Emulator) completeObjectLocked(s *session, o *networkObject, parent Handle) error {
	switch o.kind {
	case Endpoint:
		r, err := s.lookupLocked(parent)
		if err != nil || r.object == nil || r.object.kind != Network {
			return fail(EHandle, "an endpoint needs an open network")
		}
		o.network = r.object.id
		e.lastPort++
		if all := r.object.addresses(uint32(e.lastPort)); o.props["IpConfigurations"] == nil && len(all) > 0 {
			o.props["IpConfigurations"] = all
		}
		if o.props["MacAddress"] == nil {
			o.props["MacAddress"] = fmt.Sprintf("00-15-5D-00-%02X-%02X", byte(e.lastPort>>8), byte(e.lastPort))
		}
	case Namespace:
		e.lastPort++
		o.props["NamespaceId"] = e.lastPort
		if o.props["Type"] == nil {
			o.props["Type"] = "Host"
		}
		resources, _ := o.props["Resources"].([]any)
		delete(o.props, "Resources")
		for _, r := range resources {
			if err := e.addToNamespaceLocked(o, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// addresses are those that an endpoint gets which asks for none: the n-th of
// each subnet of its network, behind the gateway's. The service hands out
// addresses of the networks that it manages itself, as CNI's win-bridge relies
// on it with a NAT network.
func (o *networkObject) addresses(n uint32) []any {
	var document struct {
		Ipams []struct {
			Subnets []struct{ IPAddressPrefix string }
		}
	}
	// What is no subnet hands out no address.
	if err := json.Unmarshal([]byte(encode(o.props)), &document); err != nil {
		return nil
	}
	var all []any
	for _, ipam := range document.Ipams {
		for _, subnet := range ipam.Subnets {
			prefix, err := netip.ParsePrefix(subnet.IPAddressPrefix)
			if err != nil || !prefix.Addr().Is4() || prefix.Bits() > 28 {
				continue
			}
			base := prefix.Masked().Addr().As4()
			host := n%(1<<(32-prefix.Bits())-3) + 2 // not the network, the gateway, the broadcast
			binary.BigEndian.PutUint32(base[:], binary.BigEndian.Uint32(base[:])+host)
			all = append(all, map[string]any{"IpAddress": netip.AddrFrom4(base).String(), "PrefixLength": prefix.Bits()})
		}
	}
	return all
}

// addToNamespaceLocked attaches a resource of a namespace's document.
func (e *Emulator) addToNamespaceLocked(ns *networkObject, resource any) error {
	r, _ := resource.(map[string]any)
	data, _ := r["Data"].(map[string]any)
	for name, value := range data {
		if id, ok := value.(string); ok && strings.EqualFold(name, "ID") && r["Type"] == "Endpoint" {
			return e.joinEndpointLocked(ns, canonical(id))
		}
	}
	return fail(EHCNInvalidJSON, "resource %v of namespace %s is not an endpoint", resource, ns.id)
}

func (e *Emulator) joinEndpointLocked(ns *networkObject, id GUID) error {
	if e.networks[Endpoint][id] == nil {
		return fail(EEndpointNotFound, "there is no endpoint %s", id)
	}
	for _, other := range e.networks[Namespace] {
		if slices.Contains(other.endpoints, id) {
			return fail(EEndpointNamespaceExists, "endpoint %s is in namespace %s", id, other.id)
		}
	}
	ns.endpoints = append(ns.endpoints, id)
	return nil
}

// OpenNetworkObject returns a handle to an object.
func (c *Client) OpenNetworkObject(ctx context.Context, kind NetworkKind, id GUID) (Handle, error) {
	var h Handle
	req := hcn("Open", kind, "", Args{"id": id})
	req.undo = func(context.Context) { _ = c.drop(h) }
	err := c.do(ctx, req, func(context.Context) (any, error) {
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		o := c.e.networks[kind][canonical(string(id))]
		if o == nil {
			return nil, fail(kind.notFound(), "there is no %s %s", kind, id)
		}
		h = c.newHandleLocked(&reference{object: o})
		return uint64(h), nil
	})
	if err != nil {
		return 0, err
	}
	return h, nil
}

// object returns what a network handle stands for; "" if it is not open.
func (c *Client) objectKind(h Handle) NetworkKind {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	if r := c.handles[h]; r != nil && r.object != nil {
		return r.object.kind
	}
	return ""
}

// objectLocked returns the object behind a handle, if it still exists.
func (c *Client) objectLocked(h Handle) (*networkObject, error) {
	r, err := c.lookupLocked(h)
	if err != nil {
		return nil, err
	}
	o := r.object
	if o == nil {
		return nil, fail(EHandle, "handle %d is not of a network object", h)
	}
	if c.e.networks[o.kind][o.id] != o {
		return nil, fail(o.kind.notFound(), "%s %s was deleted", o.kind, o.id)
	}
	return o, nil
}

// QueryNetworkObject returns the object's properties.
func (c *Client) QueryNetworkObject(ctx context.Context, h Handle, query string) (string, error) {
	req := hcn("Query", c.objectKind(h), "Properties", Args{"query": document(query)})
	return c.ask(ctx, req, func(context.Context) (string, error) {
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		o, err := c.objectLocked(h)
		if err != nil {
			return "", err
		}
		return encode(o.describe()), nil
	})
}

// modification is a ModifyNamespaceSettingRequest or one of its siblings.
type modification struct {
	ResourceType string
	RequestType  string
	Settings     json.RawMessage
}

// ModifyNetworkObject adds or removes resources of a namespace; on other
// objects it replaces what Settings names.
func (c *Client) ModifyNetworkObject(ctx context.Context, h Handle, settings string) error {
	req := hcn("Modify", c.objectKind(h), "", Args{"settings": document(settings)})
	return c.simple(ctx, req, func(context.Context) error {
		var m modification
		if err := json.Unmarshal([]byte(settings), &m); err != nil {
			return fail(EHCNInvalidJSON, "%v", err)
		}
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		o, err := c.objectLocked(h)
		if err != nil {
			return err
		}
		if o.kind == Namespace {
			return c.e.modifyNamespaceLocked(o, m)
		}
		return o.merge(m)
	})
}

// merge replaces properties. Policies are added to or removed from by type only
// as a whole list: no caller of ours changes single ones.
func (o *networkObject) merge(m modification) error {
	var changed map[string]any
	if err := json.Unmarshal(m.Settings, &changed); err != nil {
		return fail(EHCNInvalidJSON, "settings of %s: %v", o.kind, err)
	}
	maps.Copy(o.props, changed)
	return nil
}

func (e *Emulator) modifyNamespaceLocked(ns *networkObject, m modification) error {
	var s struct{ EndpointID, ContainerID string }
	if err := json.Unmarshal(m.Settings, &s); err != nil {
		return fail(EHCNInvalidJSON, "settings of namespace %s: %v", ns.id, err)
	}
	endpoint := canonical(s.EndpointID)
	switch m.ResourceType + " " + m.RequestType {
	case "Endpoint Add":
		return e.joinEndpointLocked(ns, endpoint)
	case "Endpoint Remove":
		if !slices.Contains(ns.endpoints, endpoint) {
			return fail(EEndpointNotFound, "namespace %s has no endpoint %s", ns.id, endpoint)
		}
		ns.endpoints = slices.DeleteFunc(ns.endpoints, func(id GUID) bool { return id == endpoint })
		return nil
	case "Container Add":
		ns.containers = append(ns.containers, s.ContainerID)
		return nil
	case "Container Remove":
		ns.containers = slices.DeleteFunc(ns.containers, func(id string) bool { return id == s.ContainerID })
		return nil
	}
	return fail(EInvalidArg, "namespace %s: %s of %s is not known", ns.id, m.RequestType, m.ResourceType)
}

// DeleteNetworkObject removes an object. A namespace that a system has joined
// and a network with endpoints are in use.
func (c *Client) DeleteNetworkObject(ctx context.Context, kind NetworkKind, id GUID) error {
	return c.simple(ctx, hcn("Delete", kind, "", Args{"id": id}), func(context.Context) error {
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		return c.e.deleteObjectLocked(kind, canonical(string(id)))
	})
}

func (e *Emulator) deleteObjectLocked(kind NetworkKind, id GUID) error {
	o := e.networks[kind][id]
	if o == nil {
		return fail(kind.notFound(), "there is no %s %s", kind, id)
	}
	if kind == Namespace && len(o.containers) > 0 {
		return fail(EEntityHasReferences, "namespace %s is in use by %v", id, o.containers)
	}
	for _, ep := range e.networks[Endpoint] {
		if kind == Network && ep.network == id {
			return fail(EEntityHasReferences, "network %s has the endpoint %s", id, ep.id)
		}
	}
	for _, ns := range e.networks[Namespace] {
		if kind == Endpoint {
			ns.endpoints = slices.DeleteFunc(ns.endpoints, func(other GUID) bool { return other == id })
		}
	}
	delete(e.networks[kind], id)
	return nil
}

// CloseNetworkObject gives up a handle.
func (c *Client) CloseNetworkObject(h Handle) error {
	req := hcn("Close", c.objectKind(h), "", Args{"handle": uint64(h)})
	return c.simple(context.Background(), req, func(context.Context) error { return c.drop(h) })
}

// joinNamespaceLocked puts a system into the namespace that its document names,
// or into those of the container whose network it shares ("name (ID) of the
// container that we will share the network stack with", as hcsshim has it).
func (e *Emulator) joinNamespaceLocked(sys *system) {
	c := sys.doc.Container
	if c == nil || c.Networking == nil {
		return
	}
	shared := c.Networking.NetworkSharedContainerName
	for id, ns := range e.networks[Namespace] {
		if id == canonical(c.Networking.Namespace) || shared != "" && slices.Contains(ns.containers, shared) {
			ns.containers = append(ns.containers, sys.id)
		}
	}
}

// leaveNamespacesLocked takes a stopped system out of its namespace.
func (e *Emulator) leaveNamespacesLocked(id string) {
	for _, ns := range e.networks[Namespace] {
		ns.containers = slices.DeleteFunc(ns.containers, func(other string) bool { return other == id })
	}
}
