package shim

import (
	"context"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// absentHost stands for a compute service that could not be loaded. Each call
// fails with the reason, so that the create answers it with its code.
type absentHost struct{ err error }

var _ hcs.Host = absentHost{}

// Create implements hcs.Host.
func (h absentHost) Create(context.Context, string, *schema.ComputeSystem) (hcs.System, error) {
	return nil, h.err
}

// Open implements hcs.Host.
func (h absentHost) Open(context.Context, string) (hcs.System, error) { return nil, h.err }

// List implements hcs.Host.
func (h absentHost) List(context.Context, schema.SystemQuery) ([]schema.SystemSummary, error) {
	return nil, h.err
}

// ServiceProperties implements hcs.Host.
func (h absentHost) ServiceProperties(context.Context, schema.ServicePropertyQuery) (*schema.ServiceProperties, error) {
	return nil, h.err
}

// ModifyService implements hcs.Host.
func (h absentHost) ModifyService(context.Context, *schema.ServiceModification) ([]byte, error) {
	return nil, h.err
}

// GrantVMAccess implements hcs.Host.
func (h absentHost) GrantVMAccess(context.Context, string, string) error { return h.err }

// RevokeVMAccess implements hcs.Host.
func (h absentHost) RevokeVMAccess(context.Context, string, string) error { return h.err }
