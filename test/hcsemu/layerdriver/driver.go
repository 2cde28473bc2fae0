// Package layerdriver is the layer driver of an emulated machine, for tests.
//
// It has no state of its own beside the set of scratches that it made, which
// its mutex guards; every failure is the emulator's.
package layerdriver

import (
	"context"
	"errors"
	"sync"

	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/test/hcsemu"
)

// Driver implements layers.Driver with the layer functions of a client of the
// emulator, so that mounts show in its ledger and record, and its fault plan
// works on them.
type Driver struct {
	client *hcsemu.Client

	mu   sync.Mutex
	made map[string]bool // scratches. Guarded by mu.
}

var _ layers.Driver = (*Driver)(nil)

// New returns the driver of one client. Scratches that exist beforehand are
// named in scratches.
func New(c *hcsemu.Client, scratches ...string) *Driver {
	d := &Driver{client: c, made: map[string]bool{}}
	for _, s := range scratches {
		d.made[s] = true
	}
	return d
}

// The calls of the system take no context: they end when the system lets them,
// or with the client's session.
func background() context.Context { return context.Background() }

// HasScratch implements layers.Driver.
func (d *Driver) HasScratch(folder string) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.made[folder], nil
}

// Expand implements layers.Driver.
func (d *Driver) Expand(scratch string, size uint64) error {
	return failed("ExpandSandboxSize", scratch, d.client.ExpandSandboxSize(background(), scratch, size))
}

// CreateScratch implements layers.Driver.
func (d *Driver) CreateScratch(folder string, parents []string) error {
	list, err := d.descriptors(parents)
	if err == nil {
		err = d.client.CreateSandboxLayer(background(), folder, list)
	}
	if err == nil {
		d.mu.Lock()
		d.made[folder] = true
		d.mu.Unlock()
	}
	return failed("CreateSandboxLayer", folder, err)
}

// Activate implements layers.Driver.
func (d *Driver) Activate(scratch string) error {
	return failed("ActivateLayer", scratch, d.client.ActivateLayer(background(), scratch))
}

// Prepare implements layers.Driver. As hcsshim does: the ids of the parents are
// asked for first.
func (d *Driver) Prepare(scratch string, parents []string) error {
	list, err := d.descriptors(parents)
	if err == nil {
		err = d.client.PrepareLayer(background(), scratch, list)
	}
	return failed("PrepareLayer", scratch, err)
}

// MountPath implements layers.Driver. As hcsshim does: the call is made twice,
// for the length and for the path.
func (d *Driver) MountPath(scratch string) (string, error) {
	if _, err := d.client.LayerMountPath(background(), scratch); err != nil {
		return "", failed("GetLayerMountPath", scratch, err)
	}
	path, err := d.client.LayerMountPath(background(), scratch)
	return path, failed("GetLayerMountPath", scratch, err)
}

// NameToGUID implements layers.Driver.
func (d *Driver) NameToGUID(name string) (string, error) {
	id, err := d.client.NameToGUID(background(), name)
	return string(id), failed("NameToGuid", name, err)
}

// Unprepare implements layers.Driver.
func (d *Driver) Unprepare(scratch string) error {
	return failed("UnprepareLayer", scratch, d.client.UnprepareLayer(background(), scratch))
}

// Deactivate implements layers.Driver.
func (d *Driver) Deactivate(scratch string) error {
	return failed("DeactivateLayer", scratch, d.client.DeactivateLayer(background(), scratch))
}

func (d *Driver) descriptors(parents []string) ([]hcsemu.LayerDescriptor, error) {
	var list []hcsemu.LayerDescriptor
	for _, p := range parents {
		id, err := d.client.NameToGUID(background(), base(p))
		if err != nil {
			return nil, err
		}
		list = append(list, hcsemu.LayerDescriptor{ID: id, Path: p})
	}
	return list, nil
}

func base(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '\\' || path[i] == '/' {
			return path[i+1:]
		}
	}
	return path
}

func failed(call, path string, err error) error {
	if err == nil {
		return nil
	}
	e := &layers.CallError{Call: call, Path: path, Err: err}
	var code hcsemu.HRESULT
	if errors.As(err, &code) {
		e.Code = uint32(code)
	}
	return e
}
