package guest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/isolrun/isol/internal/gcs"
	"github.com/isolrun/isol/test/hcsemu"
)

// modify changes a container's or the machine's resources.
func (a *Agent) modify(body []byte) (any, error) {
	req, err := decode[struct {
		gcs.RequestBase
		Request struct {
			ResourceType gcs.ResourceType
			ResourcePath string
			RequestType  gcs.RequestType
			Settings     json.RawMessage
		}
	}](body)
	if err != nil {
		return nil, err
	}
	if req.ContainerID != gcs.NullContainer {
		return nil, a.modifyContainer(req.ContainerID, req.Request.ResourcePath)
	}
	add := req.Request.RequestType == gcs.RequestAdd
	settings := req.Request.Settings
	switch t := req.Request.ResourceType; t {
	case gcs.ResourceHvSocket:
		return nil, nil
	case gcs.ResourceMappedVirtualDisk:
		return nil, a.mountDisk(add, settings)
	case gcs.ResourceCombinedLayers:
		return nil, a.combine(add, settings)
	case gcs.ResourceNetworkNamespace:
		return nil, a.namespace(add, settings)
	case gcs.ResourceNetwork:
		return nil, a.adapter(settings)
	default:
		return nil, fmt.Errorf("%w: resource type %q", hcsemu.ENotSupported, t)
	}
}

func (a *Agent) modifyContainer(id, path string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.containers[id] == nil {
		return hcsemu.ESystemNotFound
	}
	if !strings.HasPrefix(path, "Container/") {
		return fmt.Errorf("%w: resource path %q", hcsemu.EInvalidArg, path)
	}
	return nil
}

func (a *Agent) mountDisk(add bool, settings []byte) error {
	req, err := decode[gcs.MappedVirtualDisk](settings)
	if err != nil {
		return err
	}
	path := strings.ToLower(req.ContainerPath)
	a.mu.Lock()
	defer a.mu.Unlock()
	_, mounted := a.mounts[path]
	switch {
	case !add && !mounted:
		return fmt.Errorf("%w: nothing is mounted at %s", hcsemu.EElementNotFound, path)
	case !add:
		delete(a.mounts, path)
		return nil
	case mounted:
		return fmt.Errorf("%w: %s is a mount already", hcsemu.EAlreadyExists, path)
	}
	if _, err := a.cfg.Hardware.disk(int(req.Lun)); err != nil {
		return err
	}
	a.mounts[path] = int(req.Lun)
	return nil
}

// combine lays layers over a mounted scratch. The layers' folders on the host,
// the scratch's first, are what the container's processes see as C:.
func (a *Agent) combine(add bool, settings []byte) error {
	req, err := decode[gcs.CombinedLayers](settings)
	if err != nil {
		return err
	}
	root := strings.ToLower(req.ContainerRootPath)
	a.mu.Lock()
	defer a.mu.Unlock()
	_, combined := a.combined[root]
	switch {
	case !add && !combined:
		return fmt.Errorf("%w: nothing is combined at %s", hcsemu.EElementNotFound, root)
	case !add:
		delete(a.combined, root)
		return nil
	case combined:
		return fmt.Errorf("%w: layers are combined at %s already", hcsemu.EAlreadyExists, root)
	}
	lun, ok := a.mounts[root]
	if !ok {
		return fmt.Errorf("%w: no disk is mounted at %s", hcsemu.EPathNotFound, root)
	}
	scratch, err := a.cfg.Hardware.disk(lun)
	if err != nil {
		return err
	}
	folders := []string{filepath.Dir(scratch)}
	for _, l := range req.Layers {
		folder, err := a.cfg.Hardware.resolve(l.Path)
		if err != nil {
			return err
		}
		folders = append(folders, folder)
	}
	a.combined[root] = folders
	return nil
}

func (a *Agent) namespace(add bool, settings []byte) error {
	req, err := decode[struct{ ID string }](settings)
	if err != nil {
		return err
	}
	return a.toggle(a.namespaces, "namespace", req.ID, add)
}

func (a *Agent) adapter(settings []byte) error {
	req, err := decode[gcs.NetworkModification](settings)
	if err != nil {
		return err
	}
	if req.RequestType == gcs.RequestPreAdd {
		return nil
	}
	return a.toggle(a.adapters, "adapter", req.AdapterID, req.RequestType == gcs.RequestAdd)
}

// toggle adds what must not be there, or removes what must be.
func (a *Agent) toggle(set map[string]bool, what, id string, add bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case add && set[id]:
		return fmt.Errorf("%w: %s %s", hcsemu.EAlreadyExists, what, id)
	case !add && !set[id]:
		return fmt.Errorf("%w: %s %s", hcsemu.EElementNotFound, what, id)
	case add:
		set[id] = true
	default:
		delete(set, id)
	}
	return nil
}
