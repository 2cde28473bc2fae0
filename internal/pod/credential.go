package pod

import (
	"context"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/journal"
)

// guardCredentials starts the credential guard instance through which the
// container acts as its group managed service account, and has c hold it. It
// returns what the container's document says of it; nil for a plan without a
// credential spec. vm is nil for a container on the host's kernel.
//
// The instance is a process of the host that outlives containers and shims
// until it is removed, so the journal names it first. A guest reaches it by an
// hvsocket service, which the VM must be told of. As runhcs does
// (internal/credentials, hcsoci.allocateWindowsResources).
func guardCredentials(cfg *Config, s *steps, req *CreateTask, c *container, vm VM) (state *schema.CredentialGuardState, err error) {
	spec := req.Plan.Container.CredentialSpec
	if spec == "" {
		return nil, nil
	}
	transport := schema.TransportLRPC
	if vm != nil {
		transport = schema.TransportHvSocket
	}
	err = s.do("credentials", cfg.Deadlines.Modify, func(ctx context.Context) error {
		entry, err := c.journal.Acquire(journal.Record{Kind: journal.KindCredentialGuard, Name: req.ID})
		if err != nil {
			return err
		}
		// Held from now on: an add that fails may have been made all the same.
		c.hold("credential guard instance "+req.ID, entry, cfg.Deadlines.Modify, func(ctx context.Context) error {
			return hcs.RemoveCredentialGuard(ctx, cfg.Host, req.ID)
		})
		instance, err := hcs.AddCredentialGuard(ctx, cfg.Host, req.ID, spec, transport)
		if err != nil {
			return &fault.Error{Detail: "windows.credentialSpec cannot be given to the container", Err: err,
				Hint: "Container Credential Guard is part of the feature Containers, and the host must be in a domain or have its plug-in"}
		}
		state = instance.CredentialGuard
		if vm == nil {
			return nil
		}
		return openCredentialSocket(ctx, cfg, c, vm, instance)
	})
	return state, err
}

// openCredentialSocket lets the VM's guest reach the instance.
func openCredentialSocket(ctx context.Context, cfg *Config, c *container, vm VM, i *schema.CredentialGuardInstance) error {
	socket := i.HvSocketConfig
	if socket == nil || socket.ServiceID == "" || socket.ServiceConfig == nil {
		return fault.New(fault.Internal, "credential guard instance %s has no hvsocket service: a guest cannot reach it", i.ID)
	}
	release, err := vm.AddSocketService(ctx, socket.ServiceID, *socket.ServiceConfig)
	if err != nil {
		return err
	}
	c.hold("hvsocket service "+socket.ServiceID, nil, cfg.Deadlines.Modify, release)
	return nil
}
