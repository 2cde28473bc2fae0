package hcsemu

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/Microsoft/go-winio/pkg/guid"
)

// GUID is an id in lower-case text form, without braces.
type GUID string

// canonical returns a GUID in the form in which this package compares it.
func canonical(text string) GUID {
	return GUID(strings.ToLower(strings.Trim(text, "{}")))
}

// layerNamespace makes the GUIDs of NameToGuid. How Windows derives them is not
// published and nobody may rely on it; they are stable and differ by name.
var layerNamespace = guid.GUID{
	Data1: 0x0d1ca5e1, Data2: 0x5a7e, Data3: 0x4c0b, Data4: [8]byte{0x9e, 0x3d, 0x1f, 0x6b, 0x2a, 0x70, 0x44, 0x8c},
}

func nameToGUID(name string) GUID {
	g, err := guid.NewV5(layerNamespace, []byte(strings.ToLower(name)))
	if err != nil {
		return ""
	}
	return GUID(g.String())
}

// normalPath is a path in the form in which this package compares it.
func normalPath(path string) string {
	path = strings.ToLower(strings.ReplaceAll(path, "/", `\`))
	if !strings.HasPrefix(path, `\\?\volume{`) {
		path = strings.TrimPrefix(path, `\\?\`)
	}
	return strings.TrimRight(path, `\`)
}

// baseName is the last part of a path.
func baseName(path string) string {
	path = strings.TrimRight(strings.ReplaceAll(path, "/", `\`), `\`)
	return path[strings.LastIndexByte(path, '\\')+1:]
}

// join appends a name to a path of either system.
func join(path, name string) string {
	if strings.Contains(path, "/") && !strings.Contains(path, `\`) {
		return strings.TrimRight(path, "/") + "/" + name
	}
	return strings.TrimRight(path, `\`) + `\` + name
}

// LayerDescriptor names a parent layer, as WC_LAYER_DESCRIPTOR does.
type LayerDescriptor struct {
	ID    GUID   `json:"id"`
	Flags uint32 `json:"flags,omitempty"`
	Path  string `json:"path"`
}

// layerState is how far a writable layer is mounted.
//
//	known ──Activate──▶ active ──Prepare──▶ prepared
//	      ◀─Deactivate─        ◀─Unprepare─
type layerState uint8

const (
	layerKnown    layerState = iota
	layerActive              // its disk is attached
	layerPrepared            // its filter is attached: the volume shows the whole root
)

// layer is a layer of the store that a call has named. Its fields are guarded
// by the emulator's mu.
type layer struct {
	path    string
	state   layerState
	parents []LayerDescriptor // as prepared, topmost first
	volume  string            // \\?\Volume{guid}\ once active
	size    uint64            // of the sandbox, if it was expanded
	owner   Caller
	since   time.Time
}

// A driver info's home directory and the id make the path: fronts join them.
// The functions have no pages of their own; their behaviour is as hcsshim's
// internal/wclayer and containerd's core/mount rely on it.

// onLayer carries out a call about the layer at path. It does not need the
// compute service: layers are the store's.
func (c *Client) onLayer(ctx context.Context, function, path string, args Args, f func(l *layer) error) error {
	all := Args{"path": path}
	for k, v := range args {
		all[k] = v
	}
	req := request{function: function, args: all, offline: true}
	return c.simple(ctx, req, func(context.Context) error {
		if path == "" {
			return fail(EInvalidArg, "the layer has no path")
		}
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		l := c.e.layers[normalPath(path)]
		if l == nil {
			l = &layer{path: path}
		}
		return f(l)
	})
}

// keepLocked puts a layer that has a state into the table and takes others out.
func (e *Emulator) keepLocked(l *layer) {
	if l.state == layerKnown && l.size == 0 {
		delete(e.layers, normalPath(l.path))
		return
	}
	e.layers[normalPath(l.path)] = l
}

// ActivateLayer attaches the disk of a writable layer. A second time fails as
// attaching an attached disk does.
func (c *Client) ActivateLayer(ctx context.Context, path string) error {
	return c.onLayer(ctx, "ActivateLayer", path, nil, func(l *layer) error {
		if l.state != layerKnown {
			return fail(ESharingViolation, "layer %s is active", path)
		}
		if disk := c.e.config.Disk; disk != nil && !disk.Exists(join(path, "sandbox.vhdx")) {
			return fail(EFileNotFound, "layer %s has no sandbox.vhdx", path)
		}
		l.state, l.owner, l.since = layerActive, c.caller, c.e.config.Now()
		l.volume = fmt.Sprintf(`\\?\Volume{%s}\`, nameToGUID("volume:"+normalPath(path)))
		c.e.keepLocked(l)
		return nil
	})
}

// DeactivateLayer detaches the disk of a layer that is not prepared.
func (c *Client) DeactivateLayer(ctx context.Context, path string) error {
	return c.onLayer(ctx, "DeactivateLayer", path, nil, func(l *layer) error {
		switch l.state {
		case layerKnown:
			return fail(EPathNotFound, "layer %s is not active", path)
		case layerPrepared:
			return fail(ESharingViolation, "layer %s is prepared: unprepare it first", path)
		}
		l.state, l.volume = layerKnown, ""
		c.e.keepLocked(l)
		return nil
	})
}

// PrepareLayer attaches the filter that shows an active layer together with its
// parents, topmost first. ERROR_NOT_READY before activation is what hcsshim's
// retries wait out.
func (c *Client) PrepareLayer(ctx context.Context, path string, parents []LayerDescriptor) error {
	return c.onLayer(ctx, "PrepareLayer", path, Args{"parents": parents}, func(l *layer) error {
		switch l.state {
		case layerKnown:
			return fail(ENotReady, "layer %s is not active", path)
		case layerPrepared:
			return fail(ESharingViolation, "layer %s is prepared", path)
		}
		if err := c.e.checkParents(path, parents); err != nil {
			return err
		}
		l.state, l.parents = layerPrepared, parents
		return nil
	})
}

// checkParents: a writable layer has parents, and each has its own id.
func (e *Emulator) checkParents(path string, parents []LayerDescriptor) error {
	if len(parents) == 0 {
		return fail(EInvalidArg, "layer %s has no parents", path)
	}
	for _, p := range parents {
		if want := nameToGUID(baseName(p.Path)); canonical(string(p.ID)) != want {
			return fail(EInvalidArg, "parent %s has the id %s, not %s", p.Path, want, p.ID)
		}
		if disk := e.config.Disk; disk != nil && !disk.Exists(p.Path) {
			return fail(EPathNotFound, "there is no parent layer %s", p.Path)
		}
	}
	return nil
}

// UnprepareLayer detaches the filter of a prepared layer that no system uses.
func (c *Client) UnprepareLayer(ctx context.Context, path string) error {
	return c.onLayer(ctx, "UnprepareLayer", path, nil, func(l *layer) error {
		if l.state != layerPrepared {
			return fail(EElementNotFound, "layer %s is not prepared", path)
		}
		if user := c.e.userOfVolumeLocked(l.volume); user != nil {
			return fail(ESharingViolation, "layer %s is in use by compute system %q", path, user.id)
		}
		l.state, l.parents = layerActive, nil
		return nil
	})
}

// LayerMountPath returns the volume of an active layer, and the folder of one
// that is not: read-only layers are used where they lie.
func (c *Client) LayerMountPath(ctx context.Context, path string) (string, error) {
	var mount string
	err := c.onLayer(ctx, "GetLayerMountPath", path, nil, func(l *layer) error {
		mount = l.volume
		if l.state == layerKnown {
			mount = l.path
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return mount, nil
}

// layerOfVolumeLocked returns the layer whose volume it is.
func (e *Emulator) layerOfVolumeLocked(volume string) *layer {
	for _, l := range e.layers {
		if l.volume != "" && normalPath(l.volume) == normalPath(volume) {
			return l
		}
	}
	return nil
}

// CreateLayer makes the folder of an empty read-only layer.
func (c *Client) CreateLayer(ctx context.Context, path, parent string) error {
	return c.onLayer(ctx, "CreateLayer", path, Args{"parent": parent}, func(*layer) error {
		return c.e.onDisk(func(d Disk) error {
			if d.Exists(path) {
				return fail(EFileExists, "layer %s exists", path)
			}
			return d.MkdirAll(path)
		})
	})
}

// CreateSandboxLayer makes a writable layer over parents, topmost first.
func (c *Client) CreateSandboxLayer(ctx context.Context, path string, parents []LayerDescriptor) error {
	return c.onLayer(ctx, "CreateSandboxLayer", path, Args{"parents": parents}, func(*layer) error {
		if err := c.e.checkParents(path, parents); err != nil {
			return err
		}
		return c.e.newSandbox(path)
	})
}

// newSandbox writes the disk of a writable layer. It is a placeholder: what
// containers write goes to the scratch folder's Files.
func (e *Emulator) newSandbox(path string) error {
	return e.onDisk(func(d Disk) error {
		if vhd := join(path, "sandbox.vhdx"); d.Exists(vhd) {
			return fail(EFileExists, "%s exists", vhd)
		}
		return d.WriteFile(join(path, "sandbox.vhdx"), []byte("emulated disk\n"))
	})
}

// ExpandSandboxSize grows the disk of a writable layer that is not active.
func (c *Client) ExpandSandboxSize(ctx context.Context, path string, size uint64) error {
	return c.onLayer(ctx, "ExpandSandboxSize", path, Args{"size": size}, func(l *layer) error {
		if l.state != layerKnown {
			return fail(ESharingViolation, "layer %s is active", path)
		}
		if disk := c.e.config.Disk; disk != nil && !disk.Exists(join(path, "sandbox.vhdx")) {
			return fail(EFileNotFound, "layer %s has no sandbox.vhdx", path)
		}
		if size < l.size {
			return fail(EInvalidArg, "layer %s has %d bytes: a disk does not shrink to %d", path, l.size, size)
		}
		l.size = size
		c.e.keepLocked(l)
		return nil
	})
}

// DestroyLayer removes a layer that is not active, with all that lies in its
// folder. One that is not there is no error, as containerd's removal relies on it.
func (c *Client) DestroyLayer(ctx context.Context, path string) error {
	return c.onLayer(ctx, "DestroyLayer", path, nil, c.e.destroyLocked)
}

func (e *Emulator) destroyLocked(l *layer) error {
	if l.state != layerKnown {
		return fail(ESharingViolation, "layer %s is active", l.path)
	}
	if strings.Count(normalPath(l.path), `\`) < 2 {
		return fail(EAccessDenied, "%s is no layer's folder", l.path)
	}
	delete(e.layers, normalPath(l.path))
	for key := range e.grants {
		if strings.HasPrefix(key.path, normalPath(l.path)+`\`) {
			delete(e.grants, key) // the permission went with the file
		}
	}
	return e.onDisk(func(d Disk) error { return d.RemoveAll(l.path) })
}

// LayerExists reports whether the layer's folder is there.
func (c *Client) LayerExists(ctx context.Context, path string) (bool, error) {
	exists := false
	err := c.onLayer(ctx, "LayerExists", path, nil, func(*layer) error {
		exists = c.e.layers[normalPath(path)] != nil
		return c.e.onDisk(func(d Disk) error {
			exists = d.Exists(path)
			return nil
		})
	})
	return exists, err
}

// ImportLayer copies the files at source into a new layer.
func (c *Client) ImportLayer(ctx context.Context, path, source string, parents []LayerDescriptor) error {
	return c.copyLayer(ctx, "ImportLayer", path, source, path, parents)
}

// ExportLayer copies a layer's files to target.
func (c *Client) ExportLayer(ctx context.Context, path, target string, parents []LayerDescriptor) error {
	return c.copyLayer(ctx, "ExportLayer", path, path, target, parents)
}

// CopyLayer copies a layer.
func (c *Client) CopyLayer(ctx context.Context, source, target string, parents []LayerDescriptor) error {
	return c.copyLayer(ctx, "CopyLayer", source, source, target, parents)
}

func (c *Client) copyLayer(ctx context.Context, function, path, from, to string, parents []LayerDescriptor) error {
	args := Args{"from": from, "to": to, "parents": parents}
	return c.onLayer(ctx, function, path, args, func(*layer) error {
		return c.e.onDisk(func(d Disk) error {
			if !d.Exists(from) {
				return fail(EPathNotFound, "there is no %s", from)
			}
			return d.CopyAll(from, to)
		})
	})
}

// ProcessBaseImage makes an imported base layer ready: here, that its Files folder is there.
func (c *Client) ProcessBaseImage(ctx context.Context, path string) error {
	return c.processImage(ctx, "ProcessBaseImage", path, "Files")
}

// ProcessUtilityImage makes a utility VM's files ready: here, that they are there.
func (c *Client) ProcessUtilityImage(ctx context.Context, path string) error {
	return c.processImage(ctx, "ProcessUtilityImage", path, "Files")
}

func (c *Client) processImage(ctx context.Context, function, path, folder string) error {
	return c.onLayer(ctx, function, path, nil, func(*layer) error {
		return c.e.onDisk(func(d Disk) error {
			if !d.Exists(join(path, folder)) {
				return fail(EPathNotFound, "%s has no %s", path, folder)
			}
			return nil
		})
	})
}

// BaseImages lists shared base images: there are none since Server 2016.
func (c *Client) BaseImages(ctx context.Context) (string, error) {
	return c.ask(ctx, request{function: "GetBaseImages", offline: true}, func(context.Context) (string, error) {
		return `{"Images":[]}`, nil
	})
}

// NameToGUID returns the id of the layer with this name (the base name of its folder).
func (c *Client) NameToGUID(ctx context.Context, name string) (GUID, error) {
	req := request{function: "NameToGuid", args: Args{"name": name}, offline: true}
	var id GUID
	err := c.do(ctx, req, func(context.Context) (any, error) {
		id = nameToGUID(name)
		return id, nil
	})
	return id, err
}

// onDisk calls f with the disk, if there is one. A failure of the disk's own is E_FAIL with its text.
func (e *Emulator) onDisk(f func(Disk) error) error {
	if e.config.Disk == nil {
		return nil
	}
	return f(e.config.Disk)
}
