package uvm

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/gcs"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/layers"
)

// Mount makes a container's root file system in the guest: its layers as
// shares, its scratch as a disk, combined there. The returned paths are the
// guest's. A failed Mount leaves nothing but layer shares, which the VM keeps.
// The order is the reference's (runhcs: layers.mountHypervIsolatedWCIFSLayers).
func (u *UVM) Mount(ctx context.Context, l layers.Layers) (layers.Mounted, Release, error) {
	mounted := make([]layers.Layer, 0, len(l.Parents))
	for _, parent := range l.Parents {
		path, err := u.ShareLayer(ctx, parent)
		if err != nil {
			return layers.Mounted{}, nothing, err
		}
		id, err := u.layerID(ctx, parent)
		if err != nil {
			return layers.Mounted{}, nothing, fault.Wrap(err, "name layer", parent)
		}
		mounted = append(mounted, layers.Layer{ID: id, Path: path})
	}
	scratch := schema.Attachment{Type: schema.AttachmentVirtualDisk, Path: filepath.Join(l.Scratch, "sandbox.vhdx")}
	root, detach, err := u.Attach(ctx, scratch)
	if err != nil {
		return layers.Mounted{}, nothing, err
	}
	if err := u.combine(ctx, gcs.RequestAdd, root, mounted); err != nil {
		return layers.Mounted{}, nothing, errors.Join(fault.Wrap(err, "combine layers", l.Scratch), u.undo(detach))
	}
	separated := false
	release := func(ctx context.Context) error {
		if !separated { // a release whose second step failed is called again
			if err := u.released(u.combine(ctx, gcs.RequestRemove, root, nil)); err != nil {
				return fault.Wrap(err, "separate layers", l.Scratch)
			}
			separated = true
		}
		return detach(ctx)
	}
	return layers.Mounted{Path: root, Layers: mounted}, release, nil
}

// layerID asks for the id of a layer. The call takes no deadline and may hang
// with the service: whoever asked does not.
func (u *UVM) layerID(ctx context.Context, folder string) (string, error) {
	type answer struct {
		id  string
		err error
	}
	answers := make(chan answer, 1)
	defer hcs.Waiting(ctx)()
	ended := u.cfg.Calls.Begin("NameToGuid", folder)
	go func() {
		defer ended()
		id, err := u.cfg.NameToGUID(filepath.Base(folder))
		answers <- answer{id, err}
	}()
	select {
	case a := <-answers:
		return a.id, a.err
	case <-ctx.Done():
		return "", &fault.Error{Detail: "the layer store did not answer in time", Err: context.Cause(ctx)}
	}
}

func (u *UVM) combine(ctx context.Context, do gcs.RequestType, root string, mounted []layers.Layer) error {
	settings := gcs.CombinedLayers{ContainerRootPath: root}
	for _, l := range mounted {
		settings.Layers = append(settings.Layers, schema.Layer{ID: l.ID, Path: l.Path})
	}
	return u.guest.Modify(ctx, &gcs.Modification{ResourceType: gcs.ResourceCombinedLayers, RequestType: do, Settings: settings})
}
