package service

import (
	"context"
	"strings"

	"github.com/Microsoft/go-winio/pkg/guid"
	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/wire"
)

func layerHandlers() map[string]handler {
	return map[string]handler{
		"ActivateLayer":       onLayer((*client).ActivateLayer),
		"DeactivateLayer":     onLayer((*client).DeactivateLayer),
		"UnprepareLayer":      onLayer((*client).UnprepareLayer),
		"DestroyLayer":        onLayer((*client).DestroyLayer),
		"PrepareLayer":        onParents((*client).PrepareLayer),
		"CreateSandboxLayer":  onParents((*client).CreateSandboxLayer),
		"CreateLayer":         createLayer,
		"CopyLayer":           copyLayer,
		"ImportLayer":         movesLayer((*client).ImportLayer),
		"ExportLayer":         movesLayer((*client).ExportLayer),
		"ExpandSandboxSize":   expandSandbox,
		"GetLayerMountPath":   layerMountPath,
		"LayerExists":         layerExists,
		"NameToGuid":          nameToGUID,
		"ProcessBaseImage":    onText((*client).ProcessBaseImage),
		"ProcessUtilityImage": onText((*client).ProcessUtilityImage),
		"GetBaseImages":       baseImages,
	}
}

func storageHandlers() map[string]handler {
	return map[string]handler{
		"HcsImportLayer":              onTriple((*client).ImportStorageLayer),
		"HcsExportLayer":              exportStorageLayer,
		"HcsDestroyLayer":             onText((*client).DestroyStorageLayer),
		"HcsSetupBaseOSLayer":         onTriple((*client).SetupBaseOSLayer),
		"HcsSetupBaseOSVolume":        onTriple((*client).SetupBaseOSVolume),
		"HcsInitializeWritableLayer":  onTriple((*client).InitializeWritableLayer),
		"HcsAttachLayerStorageFilter": onPair((*client).AttachLayerStorageFilter),
		"HcsDetachLayerStorageFilter": onText((*client).DetachLayerStorageFilter),
		"HcsAttachOverlayFilter":      onPair((*client).AttachOverlayFilter),
		"HcsDetachOverlayFilter":      onPair((*client).DetachOverlayFilter),
		"HcsFormatWritableLayerVhd":   onText((*client).FormatWritableLayerVHD),
		"HcsGetLayerVhdMountPath":     asksText((*client).LayerVHDMountPath),
	}
}

// layerPath reads a driver's home folder and a layer's id: the layer is the
// folder of that name, or the id itself where there is no home (as hcsshim calls it).
func layerPath(a *wire.Args) string {
	home, id := a.Text(), a.Text()
	return joinHome(home, id)
}

func joinHome(home, id string) string {
	if home == "" {
		return id
	}
	return strings.TrimRight(home, `\/`) + `\` + id
}

func onLayer(f textCall) handler {
	return func(c *call, a *wire.Args) work {
		path := layerPath(a)
		return func(ctx context.Context) ([]wire.Value, error) { return nil, f(c.client, ctx, path) }
	}
}

// parents reads a list of WC_LAYER_DESCRIPTOR.
func parents(a *wire.Args) []hcsemu.LayerDescriptor {
	list := make([]hcsemu.LayerDescriptor, 0, 8)
	for count := a.Uint32(); count > 0; count-- {
		id := a.Blob()
		d := hcsemu.LayerDescriptor{ID: textOfGUID(id), Flags: a.Uint32(), Path: a.Text()}
		if d.ID == "" {
			break // cut off or no GUID: End or the core refuses it
		}
		list = append(list, d)
	}
	return list
}

// textOfGUID returns a GUID in Windows' memory order as text, "" if it is none.
func textOfGUID(b []byte) hcsemu.GUID {
	if len(b) != 16 {
		return ""
	}
	return hcsemu.GUID(guid.FromWindowsArray([16]byte(b)).String())
}

func onParents(f func(*hcsemu.Client, context.Context, string, []hcsemu.LayerDescriptor) error) handler {
	return func(c *call, a *wire.Args) work {
		path, list := layerPath(a), parents(a)
		return func(ctx context.Context) ([]wire.Value, error) { return nil, f(c.client, ctx, path, list) }
	}
}

// movesLayer is import and export: a layer, a folder, parents.
func movesLayer(f func(*hcsemu.Client, context.Context, string, string, []hcsemu.LayerDescriptor) error) handler {
	return func(c *call, a *wire.Args) work {
		path, folder, list := layerPath(a), a.Text(), parents(a)
		return func(ctx context.Context) ([]wire.Value, error) { return nil, f(c.client, ctx, path, folder, list) }
	}
}

// copyLayer has two layers of one home.
func copyLayer(c *call, a *wire.Args) work {
	home, source, target, list := a.Text(), a.Text(), a.Text(), parents(a)
	return func(ctx context.Context) ([]wire.Value, error) {
		return nil, c.client.CopyLayer(ctx, joinHome(home, source), joinHome(home, target), list)
	}
}

func createLayer(c *call, a *wire.Args) work {
	path, parent := layerPath(a), a.Text()
	return func(ctx context.Context) ([]wire.Value, error) { return nil, c.client.CreateLayer(ctx, path, parent) }
}

func expandSandbox(c *call, a *wire.Args) work {
	path, size := layerPath(a), a.Number()
	return func(ctx context.Context) ([]wire.Value, error) {
		return nil, c.client.ExpandSandboxSize(ctx, path, size)
	}
}

func layerMountPath(c *call, a *wire.Args) work {
	path := layerPath(a)
	return func(ctx context.Context) ([]wire.Value, error) {
		volume, err := c.client.LayerMountPath(ctx, path)
		return []wire.Value{optional(volume)}, err
	}
}

func layerExists(c *call, a *wire.Args) work {
	path := layerPath(a)
	return func(ctx context.Context) ([]wire.Value, error) {
		there, err := c.client.LayerExists(ctx, path)
		var n uint64
		if there {
			n = 1
		}
		return []wire.Value{{}, wire.Number(n)}, err
	}
}

func nameToGUID(c *call, a *wire.Args) work {
	name := a.Text()
	return func(ctx context.Context) ([]wire.Value, error) {
		text, err := c.client.NameToGUID(ctx, name)
		if err != nil {
			return nil, err
		}
		g, err := guid.FromString(string(text))
		if err != nil {
			return nil, err
		}
		b := g.ToWindowsArray()
		return []wire.Value{{}, wire.Blob(b[:])}, nil
	}
}

func baseImages(c *call, _ *wire.Args) work {
	return func(ctx context.Context) ([]wire.Value, error) {
		images, err := c.client.BaseImages(ctx)
		return []wire.Value{optional(images)}, err
	}
}

func exportStorageLayer(c *call, a *wire.Args) work {
	path, target, data, options := a.Text(), a.Text(), a.Text(), a.Text()
	return func(ctx context.Context) ([]wire.Value, error) {
		return nil, c.client.ExportStorageLayer(ctx, path, target, data, options)
	}
}
