package doc

import (
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
)

// Memory returns the change of a running container's memory limit.
func Memory(megabytes uint64) *schema.ModificationRequest {
	return &schema.ModificationRequest{
		ResourcePath: schema.PathContainerMemory, RequestType: schema.RequestUpdate, Settings: megabytes,
	}
}

// Directory returns the addition or removal of a directory or file that a
// running container sees.
func Directory(do schema.RequestType, d schema.MappedDirectory) *schema.ModificationRequest {
	return &schema.ModificationRequest{ResourcePath: schema.PathContainerDirectories, RequestType: do, Settings: &d}
}

// Processor returns the change of a running container's processor limits, of
// which exactly one may be set. Windows takes it from 19042 on.
func Processor(p isolation.Processor) (*schema.ModificationRequest, error) {
	settings, err := processor(p)
	if err != nil {
		return nil, err
	}
	return &schema.ModificationRequest{
		ResourcePath: schema.PathContainerProcessor, RequestType: schema.RequestUpdate, Settings: settings,
	}, nil
}
