package computecore

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// host is the compute service of this machine.
type host struct {
	n      native
	events *registry
	calls  *hcs.CallTable
}

var _ hcs.Host = (*host)(nil)

// New returns the compute service of this machine. It fails with ErrUnavailable
// where computecore.dll is absent or lacks a function that no call can do
// without. A process needs one Host: each takes a callback of the Go runtime,
// of which there are few and which are never given back. Each call is noted in
// calls, which may be nil, for as long as the service is at it.
func New(calls *hcs.CallTable) (hcs.Host, error) {
	events := &registry{}
	n, err := newNative(events)
	if err != nil {
		return nil, &hcs.Error{Op: "load", ID: "computecore.dll", Result: err.Error(), Err: hcs.ErrUnavailable}
	}
	return &host{n: n, events: events, calls: calls}, nil
}

// Create implements hcs.Host.
func (h *host) Create(ctx context.Context, id string, doc *schema.ComputeSystem) (hcs.System, error) {
	const name = "HcsCreateComputeSystem"
	text, err := encode(name, id, doc)
	if err != nil {
		return nil, err
	}
	return h.adopted(await(ctx, h.calls, name, id, func() (*system, error) {
		var native handle
		_, err := track(ctx, h.n, call{name: name, id: id, invoke: func(op handle) (err error) {
			native, err = h.n.createSystem(id, text, op)
			return err
		}})
		if err != nil {
			if native != 0 {
				// The operation may yet succeed after a wait that was given up.
				h.discard(native, id, ctx.Err() != nil || errors.Is(err, hcs.ErrTimeout))
			}
			return nil, err
		}
		s, err := h.adopt(ctx, native, id)
		if err != nil {
			h.discard(native, id, true)
		}
		return s, err
	}, func(s *system, err error) {
		if err == nil {
			_ = s.Terminate(context.Background()) // nobody knows the system: Close is all that is left
			_ = s.Close()
		}
	}))
}

// Open implements hcs.Host.
func (h *host) Open(ctx context.Context, id string) (hcs.System, error) {
	const name = "HcsOpenComputeSystem"
	return h.adopted(await(ctx, h.calls, name, id, func() (*system, error) {
		native, err := h.n.openSystem(id)
		if err != nil {
			return nil, failure(name, id, err, "")
		}
		s, err := h.adopt(ctx, native, id)
		if err != nil {
			h.discard(native, id, false)
		}
		return s, err
	}, func(s *system, err error) {
		if err == nil {
			_ = s.Close()
		}
	}))
}

// adopted makes a nil interface of a nil *system.
func (h *host) adopted(s *system, err error) (hcs.System, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// adopt makes a system of a native handle: it subscribes to events, then asks
// for the basic properties, in the reference's order, so that no exit is missed.
// On failure the handle is still the caller's.
func (h *host) adopt(ctx context.Context, native handle, id string) (*system, error) {
	s := &system{object: object{n: h.n, calls: h.calls, id: id}, host: h, outcome: outcome{done: make(chan struct{})}, crashed: make(chan struct{})}
	cb := h.events.register(s.receive)
	if err := h.n.setSystemCallback(native, cb); err != nil {
		h.events.unregister(cb)
		return nil, failure("HcsSetComputeSystemCallback", id, err, "")
	}
	props, err := h.properties(ctx, native, id)
	if err != nil {
		h.events.unregister(cb)
		return nil, err
	}
	s.runtimeID = props.RuntimeID
	s.ref.h = native
	s.ref.release = func(native handle) {
		h.n.closeSystem(native)
		h.events.unregister(cb)
	}
	return s, nil
}

func (h *host) properties(ctx context.Context, native handle, id string) (*schema.Properties, error) {
	const name = "HcsGetComputeSystemProperties"
	r, err := track(ctx, h.n, call{name: name, id: id, invoke: func(op handle) error {
		return h.n.systemProperties(native, op, "{}")
	}})
	if err != nil {
		return nil, err
	}
	return decode[schema.Properties](name, id, r.doc)
}

// discard gives up a handle that did not become a system.
func (h *host) discard(native handle, id string, terminate bool) {
	if terminate {
		_ = send(h.n, call{name: "HcsTerminateComputeSystem", id: id, invoke: func(op handle) error {
			return h.n.terminateSystem(native, op)
		}}, 0) // best effort: the caller has a better error
	}
	h.n.closeSystem(native)
}

// List implements hcs.Host.
func (h *host) List(ctx context.Context, query schema.SystemQuery) ([]schema.SystemSummary, error) {
	const name = "HcsEnumerateComputeSystems"
	text, err := encode(name, "", query)
	if err != nil {
		return nil, err
	}
	r, err := await(ctx, h.calls, name, "", func() (result, error) {
		return track(ctx, h.n, call{name: name, invoke: func(op handle) error { return h.n.enumerateSystems(text, op) }})
	}, nil)
	if err != nil {
		return nil, err
	}
	systems, err := decode[[]schema.SystemSummary](name, "", r.doc)
	if err != nil {
		return nil, err
	}
	return *systems, nil
}

// ServiceProperties implements hcs.Host.
func (h *host) ServiceProperties(ctx context.Context, query schema.ServicePropertyQuery) (*schema.ServiceProperties, error) {
	const name = "HcsGetServiceProperties"
	text, err := encode(name, "", query)
	if err != nil {
		return nil, err
	}
	doc, err := h.service(ctx, name, "", func() (string, error) { return h.n.serviceProperties(text) })
	if err != nil {
		return nil, err
	}
	return decode[schema.ServiceProperties](name, "", doc)
}

// ModifyService implements hcs.Host.
func (h *host) ModifyService(ctx context.Context, req *schema.ServiceModification) ([]byte, error) {
	const name = "HcsModifyServiceSettings"
	text, err := encode(name, "", req)
	if err != nil {
		return nil, err
	}
	doc, err := h.service(ctx, name, "", func() (string, error) { return h.n.modifyService(text) })
	if err != nil {
		return nil, err
	}
	return []byte(doc), nil
}

// GrantVMAccess implements hcs.Host.
func (h *host) GrantVMAccess(ctx context.Context, systemID, path string) error {
	_, err := h.service(ctx, "HcsGrantVmAccess", path, func() (string, error) { return "", h.n.grantAccess(systemID, path) })
	return err
}

// RevokeVMAccess implements hcs.Host.
func (h *host) RevokeVMAccess(ctx context.Context, systemID, path string) error {
	_, err := h.service(ctx, "HcsRevokeVmAccess", path, func() (string, error) { return "", h.n.revokeAccess(systemID, path) })
	return err
}

// service makes a call that tracks no operation. On failure its document may
// say why.
func (h *host) service(ctx context.Context, name, id string, fn func() (string, error)) (string, error) {
	return await(ctx, h.calls, name, id, func() (string, error) {
		doc, err := fn()
		if err != nil {
			return "", failure(name, id, err, doc)
		}
		return doc, nil
	}, nil)
}

// encode makes the JSON of a document.
func encode(name, id string, doc any) (string, error) {
	text, err := json.Marshal(doc)
	if err != nil {
		return "", &hcs.Error{Op: name, ID: id, Result: err.Error(), Err: hcs.ErrInvalidDocument}
	}
	return string(text), nil
}

// decode reads the JSON of an answer. An empty answer is the zero T.
func decode[T any](name, id, doc string) (*T, error) {
	v := new(T)
	if doc == "" {
		return v, nil
	}
	if err := json.Unmarshal([]byte(doc), v); err != nil {
		return nil, &hcs.Error{Op: name, ID: id, Result: doc, Err: errors.Join(hcs.ErrUnknown, err)}
	}
	return v, nil
}
