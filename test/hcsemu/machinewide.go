package hcsemu

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/isolrun/isol/internal/hcs/schema"
)

// ServiceProperties answers questions about the machine: schema versions,
// processors, memory, limits, credential guard instances.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsgetserviceproperties
func (c *Client) ServiceProperties(ctx context.Context, query string) (string, error) {
	req := request{function: "HcsGetServiceProperties", args: Args{"query": document(query)}}
	return c.ask(ctx, req, func(context.Context) (string, error) {
		q, err := decode[schema.ServicePropertyQuery](c.e, query, EInvalidJSON)
		if err != nil {
			return "", err
		}
		if len(q.PropertyQueries) > 0 {
			return "", fail(ENotSupported, "property queries with parameters are not emulated")
		}
		types := q.PropertyTypes
		if len(types) == 0 {
			types = []schema.ServicePropertyType{schema.ServicePropertyBasic}
		}
		var answer schema.ServiceProperties
		for _, t := range types {
			p, err := c.e.serviceProperty(t)
			if err != nil {
				return "", err
			}
			answer.Properties = append(answer.Properties, json.RawMessage(encode(p)))
		}
		return encode(answer), nil
	})
}

func (e *Emulator) serviceProperty(t schema.ServicePropertyType) (any, error) {
	switch t {
	case schema.ServicePropertyBasic:
		return schema.BasicInformation{SupportedSchemaVersions: []schema.Version{{Major: 1}, {Major: 2, Minor: e.newestSchema()}}}, nil
	case schema.ServicePropertyProcessorTopology:
		top := schema.ProcessorTopology{LogicalProcessorCount: uint32(e.config.CPUs)}
		for i := range top.LogicalProcessorCount {
			top.LogicalProcessors = append(top.LogicalProcessors, schema.LogicalProcessor{LpIndex: i, CoreID: i, RootVpIndex: int32(i)})
		}
		return top, nil
	case schema.ServicePropertyQoSCapabilities:
		return schema.QoSCapabilities{ProcessorQoSSupported: e.config.Build >= 20348}, nil
	case schema.ServicePropertyContainerCredentialGuard:
		e.mu.Lock()
		defer e.mu.Unlock()
		info := schema.CredentialGuardSystemInfo{}
		for _, id := range slices.Sorted(maps.Keys(e.credGuards)) {
			info.Instances = append(info.Instances, e.credGuards[id].instance)
		}
		return info, nil
	}
	return nil, fail(ENotSupported, "service property %s is not emulated", t)
}

// credentialGuard is an instance that lets a container act as a gMSA. It is
// guarded by the emulator's mu.
type credentialGuard struct {
	instance schema.CredentialGuardInstance
	owner    Caller
	since    time.Time
}

// ModifyService changes a setting of the service. Credential guard instances
// are kept, log sources are taken and forgotten.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsmodifyservicesettings
func (c *Client) ModifyService(ctx context.Context, settings string) (string, error) {
	req := request{function: "HcsModifyServiceSettings", args: Args{"settings": document(settings)}}
	return c.ask(ctx, req, func(context.Context) (string, error) {
		change, err := decode[schema.ServiceModification](c.e, settings, EInvalidJSON)
		if err != nil {
			return "", err
		}
		if change.PropertyType != schema.ServicePropertyContainerCredentialGuard {
			return "", fail(ENotSupported, "service setting %q is not emulated", change.PropertyType)
		}
		var raw struct {
			Settings struct {
				Operation        schema.CredentialGuardOperation
				OperationDetails schema.CredentialGuardAddInstance
			}
		}
		if err := json.Unmarshal([]byte(settings), &raw); err != nil {
			return "", fail(EInvalidJSON, "%v", err)
		}
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		if raw.Settings.Operation == schema.CredentialGuardOpRemoveInstance {
			return "", c.e.removeCredentialGuardLocked(raw.Settings.OperationDetails.ID)
		}
		return c.e.addCredentialGuardLocked(raw.Settings.OperationDetails, c.caller)
	})
}

// addCredentialGuardLocked starts an instance. As runhcs relies on it
// (internal/credentials): one per container id, and the answer has the state
// that goes into the container's document.
func (e *Emulator) addCredentialGuardLocked(add schema.CredentialGuardAddInstance, owner Caller) (string, error) {
	if add.ID == "" || !json.Valid([]byte(add.CredentialSpec)) {
		return "", fail(EInvalidArg, "a credential guard instance needs an id and a credential spec in JSON")
	}
	if e.credGuards[add.ID] != nil {
		return "", fail(EAlreadyExists, "there is a credential guard instance %s", add.ID)
	}
	state := schema.CredentialGuardState{
		Cookie: string(nameToGUID("ccg:" + add.ID)), RPCEndpoint: "ccg-" + add.ID,
		Transport: add.Transport, CredentialSpec: add.CredentialSpec,
	}
	g := &credentialGuard{instance: schema.CredentialGuardInstance{ID: add.ID, CredentialGuard: &state}, owner: owner, since: e.config.Now()}
	if add.Transport == schema.TransportHvSocket {
		// as runhcs relies on it: a guest reaches the instance by a service of its own
		const open = "D:P(A;;FA;;;WD)"
		g.instance.HvSocketConfig = &schema.CredentialGuardHvSocketConfig{
			ServiceID:     string(nameToGUID("ccg-service:" + add.ID)),
			ServiceConfig: &schema.HvSocketServiceConfig{ConnectSecurityDescriptor: open, AllowWildcardBinds: true},
		}
	}
	e.credGuards[add.ID] = g
	return encode(g.instance), nil
}

func (e *Emulator) removeCredentialGuardLocked(id string) error {
	if e.credGuards[id] == nil {
		return fail(EElementNotFound, "there is no credential guard instance %s", id)
	}
	delete(e.credGuards, id)
	return nil
}

// grantKey is what GrantVmAccess gives: a file to a machine.
type grantKey struct{ vm, path string }

// grant is guarded by the emulator's mu.
type grant struct {
	path  string
	owner Caller
	since time.Time
}

// GrantVMAccess lets a machine's worker open a file. The machine need not
// exist: the permission is an entry in the file's list.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsgrantvmaccess
func (c *Client) GrantVMAccess(ctx context.Context, vmID, path string) error {
	req := request{function: c.hcsName("GrantVmAccess"), system: vmID, args: Args{"path": path}, offline: true}
	return c.simple(ctx, req, func(context.Context) error {
		if vmID == "" || path == "" {
			return fail(EInvalidArg, "a machine's id and a path are needed")
		}
		if disk := c.e.config.Disk; disk != nil && !disk.Exists(path) {
			return fail(EFileNotFound, "there is no %s", path)
		}
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		c.e.grants[grantKey{vmID, normalPath(path)}] = &grant{path: path, owner: c.caller, since: c.e.config.Now()}
		return nil
	})
}

// RevokeVMAccess takes back what GrantVMAccess gave.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsrevokevmaccess
func (c *Client) RevokeVMAccess(ctx context.Context, vmID, path string) error {
	req := request{function: c.hcsName("RevokeVmAccess"), system: vmID, args: Args{"path": path}, offline: true}
	return c.simple(ctx, req, func(context.Context) error {
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		delete(c.e.grants, grantKey{vmID, normalPath(path)})
		return nil
	})
}

// hcsName adds the prefix that the newer library's functions have.
func (c *Client) hcsName(name string) string {
	if c.api == VMCompute || strings.HasPrefix(name, "Hcs") {
		return name
	}
	return "Hcs" + name
}
