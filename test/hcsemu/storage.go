package hcsemu

import (
	"context"
	"encoding/json"
	"fmt"
)

// storageFunctions are those of computestorage.dll.
// https://learn.microsoft.com/virtualization/api/hcs/reference/apioverview
var storageFunctions = map[string]bool{
	"HcsImportLayer": true, "HcsExportLayer": true, "HcsDestroyLayer": true, "HcsSetupBaseOSLayer": true,
	"HcsInitializeWritableLayer": true, "HcsAttachLayerStorageFilter": true, "HcsDetachLayerStorageFilter": true,
	"HcsFormatWritableLayerVhd": true, "HcsGetLayerVhdMountPath": true, "HcsSetupBaseOSVolume": true,
	"HcsAttachOverlayFilter": true, "HcsDetachOverlayFilter": true,
}

// layerData is the LayerData document of the published schema.
type layerData struct {
	SchemaVersion struct{ Major, Minor uint32 }
	Layers        []struct {
		ID   string `json:"Id"`
		Path string
	}
	FilterType string `json:",omitempty"`
}

// parseLayerData checks a LayerData document and returns its layers.
func (e *Emulator) parseLayerData(path, text string) ([]LayerDescriptor, error) {
	var data layerData
	if err := json.Unmarshal([]byte(text), &data); err != nil {
		return nil, fail(EInvalidJSON, "layer data of %s: %v", path, err)
	}
	var parents []LayerDescriptor
	for _, l := range data.Layers {
		parents = append(parents, LayerDescriptor{ID: GUID(l.ID), Path: l.Path})
	}
	return parents, e.checkParents(path, parents)
}

// AttachLayerStorageFilter shows the writable layer at path together with its parents.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsattachlayerstoragefilter
func (c *Client) AttachLayerStorageFilter(ctx context.Context, path, data string) error {
	return c.attachFilter(ctx, "HcsAttachLayerStorageFilter", path, data)
}

// AttachOverlayFilter is AttachLayerStorageFilter for a volume of any kind of parents.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsattachoverlayfilter
func (c *Client) AttachOverlayFilter(ctx context.Context, volume, data string) error {
	return c.attachFilter(ctx, "HcsAttachOverlayFilter", volume, data)
}

func (c *Client) attachFilter(ctx context.Context, function, path, data string) error {
	return c.onLayer(ctx, function, path, Args{"layerData": document(data)}, func(l *layer) error {
		if l.state == layerPrepared {
			return fail(ESharingViolation, "%s has a filter", path)
		}
		parents, err := c.e.parseLayerData(path, data)
		if err != nil {
			return err
		}
		if l.volume == "" {
			l.volume = path
		}
		l.state, l.parents, l.owner, l.since = layerPrepared, parents, c.caller, c.e.config.Now()
		c.e.keepLocked(l)
		return nil
	})
}

// DetachLayerStorageFilter undoes AttachLayerStorageFilter.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsdetachlayerstoragefilter
func (c *Client) DetachLayerStorageFilter(ctx context.Context, path string) error {
	return c.detachFilter(ctx, "HcsDetachLayerStorageFilter", path, nil)
}

// DetachOverlayFilter undoes AttachOverlayFilter.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsdetachoverlayfilter
func (c *Client) DetachOverlayFilter(ctx context.Context, volume, data string) error {
	return c.detachFilter(ctx, "HcsDetachOverlayFilter", volume, Args{"layerData": document(data)})
}

func (c *Client) detachFilter(ctx context.Context, function, path string, args Args) error {
	return c.onLayer(ctx, function, path, args, func(l *layer) error {
		if l.state != layerPrepared {
			return fail(EElementNotFound, "%s has no filter", path)
		}
		if user := c.e.userOfVolumeLocked(l.volume); user != nil {
			return fail(ESharingViolation, "%s is in use by compute system %q", path, user.id)
		}
		l.state, l.parents, l.volume = layerKnown, nil, ""
		c.e.keepLocked(l)
		return nil
	})
}

// InitializeWritableLayer makes a writable layer.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsinitializewritablelayer
func (c *Client) InitializeWritableLayer(ctx context.Context, path, data, options string) error {
	args := Args{"layerData": document(data), "options": document(options)}
	return c.onLayer(ctx, "HcsInitializeWritableLayer", path, args, func(*layer) error {
		if _, err := c.e.parseLayerData(path, data); err != nil {
			return err
		}
		return c.e.newSandbox(path)
	})
}

// DestroyStorageLayer is DestroyLayer of computestorage.dll.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsdestroylayer
func (c *Client) DestroyStorageLayer(ctx context.Context, path string) error {
	return c.onLayer(ctx, "HcsDestroyLayer", path, nil, c.e.destroyLocked)
}

// ImportStorageLayer copies the files at source into a new layer.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsimportlayer
func (c *Client) ImportStorageLayer(ctx context.Context, path, source, data string) error {
	return c.copyLayer(ctx, "HcsImportLayer", path, source, path, nil)
}

// ExportStorageLayer copies a layer's files to target.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsexportlayer
func (c *Client) ExportStorageLayer(ctx context.Context, path, target, data, options string) error {
	return c.copyLayer(ctx, "HcsExportLayer", path, path, target, nil)
}

// SetupBaseOSLayer makes a base layer ready, on the disk behind vhd.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcssetupbaseoslayer
func (c *Client) SetupBaseOSLayer(ctx context.Context, path, vhd, options string) error {
	return c.processImage(ctx, "HcsSetupBaseOSLayer", path, "Files")
}

// SetupBaseOSVolume makes a base layer ready, on a mounted volume.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcssetupbaseosvolume
func (c *Client) SetupBaseOSVolume(ctx context.Context, path, volume, options string) error {
	return c.processImage(ctx, "HcsSetupBaseOSVolume", path, "Files")
}

// FormatWritableLayerVHD formats the disk of a writable layer: nothing to do here.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsformatwritablelayervhd
func (c *Client) FormatWritableLayerVHD(ctx context.Context, vhd string) error {
	req := request{function: "HcsFormatWritableLayerVhd", args: Args{"vhd": vhd}, offline: true}
	return c.simple(ctx, req, func(context.Context) error { return nil })
}

// LayerVHDMountPath returns the volume of an attached disk.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsgetlayervhdmountpath
func (c *Client) LayerVHDMountPath(ctx context.Context, vhd string) (string, error) {
	req := request{function: "HcsGetLayerVhdMountPath", args: Args{"vhd": vhd}, offline: true}
	return c.ask(ctx, req, func(context.Context) (string, error) {
		return fmt.Sprintf(`\\?\Volume{%s}`, nameToGUID("volume:"+normalPath(vhd))), nil
	})
}
