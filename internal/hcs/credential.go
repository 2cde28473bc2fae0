package hcs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// AddCredentialGuard starts a credential guard instance under the id of a
// container and asks the service how to reach it: the answer to the start says
// nothing of that. An error may leave the instance: RemoveCredentialGuard ends it.
func AddCredentialGuard(ctx context.Context, host Host, id, spec string, transport schema.CredentialGuardTransport) (*schema.CredentialGuardInstance, error) {
	_, err := host.ModifyService(ctx, &schema.ServiceModification{
		PropertyType: schema.ServicePropertyContainerCredentialGuard,
		Settings: &schema.CredentialGuardRequest{
			Operation:        schema.CredentialGuardOpAddInstance,
			OperationDetails: &schema.CredentialGuardAddInstance{ID: id, CredentialSpec: spec, Transport: transport},
		},
	})
	if err != nil {
		return nil, err
	}
	props, err := host.ServiceProperties(ctx, schema.ServicePropertyQuery{
		PropertyTypes: []schema.ServicePropertyType{schema.ServicePropertyContainerCredentialGuard},
	})
	if err != nil {
		return nil, err
	}
	for _, p := range props.Properties {
		var info schema.CredentialGuardSystemInfo
		if err := json.Unmarshal(p, &info); err != nil {
			return nil, fmt.Errorf("the compute service's credential guard instances: %w", err)
		}
		for _, i := range info.Instances {
			if i.ID == id && i.CredentialGuard != nil {
				return &i, nil
			}
		}
	}
	return nil, fault.New(fault.Internal, "the compute service has started a credential guard instance for %s and does not list it", id)
}

// RemoveCredentialGuard ends the instance of a container. It is idempotent: one
// that is not there is no error.
func RemoveCredentialGuard(ctx context.Context, host Host, id string) error {
	_, err := host.ModifyService(ctx, &schema.ServiceModification{
		PropertyType: schema.ServicePropertyContainerCredentialGuard,
		Settings: &schema.CredentialGuardRequest{
			Operation:        schema.CredentialGuardOpRemoveInstance,
			OperationDetails: &schema.CredentialGuardRemoveInstance{ID: id},
		},
	})
	// ERROR_NOT_FOUND mostly means a process that has ended, and here the instance.
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrProcessEnded) {
		return nil
	}
	return err
}
