package hcsemu

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// HNSCall is the older network API of vmcompute.dll: a method, a path and a
// JSON body. The answer says in itself whether it succeeded. As hcsshim's
// internal/hns relies on it; version, networks, endpoints with their statistics,
// and namespaces are there.
func (c *Client) HNSCall(ctx context.Context, method, path, body string) (string, error) {
	args := Args{"method": method, "path": path, "body": document(body)}
	return c.ask(ctx, request{function: "HNSCall", args: args, offline: true}, func(context.Context) (string, error) {
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		output, err := c.hnsLocked(strings.ToUpper(method), strings.Trim(path, "/"), body)
		if err != nil {
			return encode(map[string]any{"Success": false, "Error": err.Error()}), nil
		}
		return encode(map[string]any{"Success": true, "Output": output}), nil
	})
}

var hnsKinds = map[string]NetworkKind{"networks": Network, "endpoints": Endpoint, "namespaces": Namespace}

// hnsLocked answers kind/id/verb.
func (c *Client) hnsLocked(method, path, body string) (any, error) {
	parts := strings.SplitN(path, "/", 3)
	if path == "globals/version" {
		return c.e.hnsVersion(), nil
	}
	if id, ok := strings.CutPrefix(path, "endpointstats/"); ok && method == "GET" {
		return c.e.endpointStatsLocked(canonical(id))
	}
	kind, ok := hnsKinds[parts[0]]
	if !ok {
		return nil, fail(ENotImpl, "%s /%s is not emulated", method, path)
	}
	table := c.e.networks[kind]
	if len(parts) == 1 || parts[1] == "" {
		return c.hnsCollectionLocked(method, kind, body)
	}
	o := table[canonical(parts[1])]
	if o == nil {
		return nil, fail(kind.notFound(), "Element not found. (%s %s)", kind, parts[1])
	}
	verb := ""
	if len(parts) == 3 {
		verb = strings.Trim(parts[2], "/")
	}
	return c.hnsObjectLocked(method, o, verb, body)
}

// endpointStatsLocked are the statistics of an endpoint. Nothing goes over it.
// As hcsshim's internal/hns (EndpointStats) relies on it, and through it CRI.
func (e *Emulator) endpointStatsLocked(id GUID) (any, error) {
	if e.networks[Endpoint][id] == nil {
		return nil, fail(EEndpointNotFound, "Element not found. (Endpoint %s)", id)
	}
	return map[string]any{
		"EndpointId": string(id), "InstanceId": string(id), "BytesReceived": 0, "BytesSent": 0,
		"PacketsReceived": 0, "PacketsSent": 0, "DroppedPacketsIncoming": 0, "DroppedPacketsOutgoing": 0,
	}, nil
}

// hnsVersion is the version of the network service by Windows build. Source:
// hcsshim hcn/hcnglobals.go, whose feature ranges the builds must fall into
// (V2 objects from 9.2 on).
func (e *Emulator) hnsVersion() map[string]int {
	version := map[string]int{"Major": 9, "Minor": 1}
	for _, v := range []struct {
		build        uint32
		major, minor int
	}{{17763, 9, 5}, {18362, 10, 5}, {19041, 11, 11}, {20348, 13, 6}, {22000, 14, 0}, {26100, 15, 4}} {
		if e.config.Build >= v.build {
			version["Major"], version["Minor"] = v.major, v.minor
		}
	}
	return version
}

func (c *Client) hnsCollectionLocked(method string, kind NetworkKind, body string) (any, error) {
	switch method {
	case "GET":
		list := []any{}
		for _, id := range slices.Sorted(maps.Keys(c.e.networks[kind])) {
			list = append(list, c.e.networks[kind][id].describe())
		}
		return list, nil
	case "POST":
		if kind == Endpoint {
			return nil, fail(ENotImpl, "endpoints are made with HcnCreateEndpoint")
		}
		o, err := c.newObjectLocked(kind, 0, "", body)
		if err != nil {
			return nil, err
		}
		if c.e.networks[kind] == nil {
			c.e.networks[kind] = networkTable{}
		}
		c.e.networks[kind][o.id] = o
		return o.describe(), nil
	}
	return nil, fail(ENotImpl, "%s of all %ss is not emulated", method, kind)
}

func (c *Client) hnsObjectLocked(method string, o *networkObject, verb, body string) (any, error) {
	switch {
	case method == "GET" && verb == "":
		all := o.describe()
		if o.kind == Namespace {
			all["ResourceList"] = all["Resources"] // the older name
		}
		return all, nil
	case method == "DELETE" && verb == "":
		return map[string]any{}, c.e.deleteObjectLocked(o.kind, o.id)
	case method == "POST" && o.kind == Namespace && (verb == "addresource" || verb == "removeresource"):
		var settings struct {
			Type string
			Data struct{ ID string }
		}
		if err := json.Unmarshal([]byte(body), &settings); err != nil {
			return nil, fail(EHCNInvalidJSON, "%v", err)
		}
		change := modification{ResourceType: "Endpoint", RequestType: "Add"}
		if verb == "removeresource" {
			change.RequestType = "Remove"
		}
		change.Settings = json.RawMessage(encode(map[string]string{"EndpointId": settings.Data.ID}))
		return map[string]any{}, c.e.modifyNamespaceLocked(o, change)
	}
	return nil, fail(ENotImpl, "%s %q of a %s is not emulated", method, verb, o.kind)
}
