package network

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/isolation"
)

// The documents of the network service, as far as isol reads and writes them.
// https://learn.microsoft.com/windows-server/networking/technologies/hcn/hcn-json-document-schemas

type version struct{ Major, Minor uint32 }

// schemaV2 is the version of all documents: the first API, HNS, had version 1.
func schemaV2() version { return version{Major: 2} }

// query selects one object by its id. HCN wants the filter as JSON in a string.
func query(id string) string {
	return encode(struct {
		SchemaVersion version
		Flags         uint32
		Filter        string
	}{schemaV2(), 0, encode(map[string]string{"ID": id})})
}

// settings are those of a namespace that isol makes: the reference leaves the
// type out, which means one of the host.
func settings(id string) string {
	return encode(struct {
		ID            string
		SchemaVersion version
	}{id, schemaV2()})
}

// change asks to add an endpoint to a namespace, or to remove one from it.
func change(what, endpointID string) string {
	return encode(struct {
		ResourceType, RequestType string
		Settings                  map[string]string
	}{"Endpoint", what, map[string]string{"EndpointId": endpointID}})
}

// encode returns v as JSON; v is one of the types above, which cannot fail.
func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// endpointsOf returns the ids of a namespace's endpoints.
func endpointsOf(namespace string) ([]string, error) {
	var ns struct {
		Resources []struct {
			Type string
			Data json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(namespace), &ns); err != nil {
		return nil, nonsense("namespace", namespace, err)
	}
	var ids []string
	for _, r := range ns.Resources {
		if r.Type != "Endpoint" {
			continue // a container that has joined
		}
		var data struct{ ID string }
		if err := json.Unmarshal(r.Data, &data); err != nil {
			return nil, nonsense("namespace", namespace, err)
		}
		ids = append(ids, data.ID)
	}
	return ids, nil
}

func parseEndpoint(id, text string) (Endpoint, error) {
	var e struct {
		Name, MacAddress string
		Policies         []policy
	}
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return Endpoint{}, nonsense("endpoint", text, err)
	}
	out := Endpoint{ID: id, Name: e.Name, MAC: e.MacAddress, Settings: json.RawMessage(text)}
	name := e.Name
	if name == "" {
		name = id
	}
	for _, p := range e.Policies {
		if p.Type != portMapping {
			continue // routes, filters, encapsulation: nothing that the host publishes
		}
		port, err := p.port()
		if err != nil {
			return Endpoint{}, nonsense("endpoint", text, err)
		}
		port.Source = "endpoint " + name
		out.Ports = append(out.Ports, port)
	}
	return out, nil
}

// policy is one of an endpoint's.
type policy struct {
	Type     string
	Settings json.RawMessage
}

// portMapping is the type of a policy that publishes a port of the host:
// PortMappingPolicySetting of the schemas.
const portMapping = "PortMapping"

// port reads the settings of a port mapping. A protocol is a number of IANA's.
func (p policy) port() (isolation.Port, error) {
	var s struct {
		Protocol                   uint32
		InternalPort, ExternalPort uint16
		VIP                        string
	}
	if err := json.Unmarshal(p.Settings, &s); err != nil {
		return isolation.Port{}, fmt.Errorf("policy %s: %w", p.Type, err)
	}
	protocol := map[uint32]string{6: "TCP", 17: "UDP", 132: "SCTP"}[s.Protocol]
	if protocol == "" {
		protocol = fmt.Sprint("protocol ", s.Protocol)
	}
	return isolation.Port{Protocol: protocol, HostIP: s.VIP, HostPort: s.ExternalPort, ContainerPort: s.InternalPort}, nil
}

// sortEndpoints puts those named …eth0 first and leaves the rest as it is: the
// guest makes the first adapter its primary one, and CNI's names are the only
// sign of which that is (as runhcs does).
func sortEndpoints(list []Endpoint) {
	primary := func(e Endpoint) int {
		if strings.HasSuffix(e.Name, "eth0") {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b Endpoint) int { return primary(a) - primary(b) })
}

// nonsense is the error for a document that is not what the service promises.
func nonsense(what, text string, err error) error {
	const enough = 200
	if len(text) > enough {
		text = text[:enough] + "…"
	}
	return &fault.Error{Kind: fault.Internal, Op: "read " + what,
		Detail: fmt.Sprintf("the network service answered %q", text), Err: err}
}
