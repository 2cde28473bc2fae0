package layers

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"unsafe"

	"github.com/Microsoft/go-winio/pkg/guid"
	"golang.org/x/sys/windows"

	"github.com/isolrun/isol/internal/fault"
)

// Windows returns the driver over the layer functions of vmcompute.dll.
func Windows() Driver { return &vmcompute{} }

type vmcompute struct {
	// preparing is held across PrepareLayer. As runhcs does: Windows is slow
	// to the point of failing when several are under way.
	preparing sync.Mutex
}

// HasScratch looks for sandbox.vhdx, the name that HCS gives the disk.
func (*vmcompute) HasScratch(folder string) (bool, error) {
	_, err := os.Stat(filepath.Join(folder, "sandbox.vhdx"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, failed("find sandbox.vhdx in", folder, err)
}

// CreateScratch implements Driver.
func (*vmcompute) CreateScratch(folder string, parents []string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return failed("create folder", folder, err)
	}
	return withParents("CreateSandboxLayer", folder, parents, func(path *uint16, first *layerDescriptor, count uint32) error {
		return createSandboxLayer(filter(), path, 0, first, count)
	})
}

// Expand implements Driver. The volume grows with the disk when the layer is
// prepared (as runhcs notes: wclayer.ExpandScratchSize).
func (*vmcompute) Expand(scratch string, size uint64) error {
	return on("ExpandSandboxSize", scratch, func(path *uint16) error { return expandSandboxSize(filter(), path, size) })
}

// Activate implements Driver.
func (*vmcompute) Activate(scratch string) error {
	return on("ActivateLayer", scratch, func(path *uint16) error { return activateLayer(filter(), path) })
}

// Prepare implements Driver.
func (d *vmcompute) Prepare(scratch string, parents []string) error {
	return withParents("PrepareLayer", scratch, parents, func(path *uint16, first *layerDescriptor, count uint32) error {
		d.preparing.Lock()
		defer d.preparing.Unlock()
		return prepareLayer(filter(), path, first, count)
	})
}

// MountPath implements Driver. The function is asked twice: for the length of
// the path in characters, then for the path.
func (*vmcompute) MountPath(scratch string) (mounted string, err error) {
	err = on("GetLayerMountPath", scratch, func(path *uint16) error {
		var length uintptr
		if err := getLayerMountPath(filter(), path, &length, nil); err != nil || length == 0 {
			return err
		}
		buffer := make([]uint16, length)
		if err := getLayerMountPath(filter(), path, &length, &buffer[0]); err != nil {
			return err
		}
		mounted = windows.UTF16ToString(buffer)
		return nil
	})
	return mounted, err
}

// NameToGUID implements Driver.
func (*vmcompute) NameToGUID(name string) (string, error) {
	var id [16]byte
	err := on("NameToGuid", name, func(name *uint16) error { return nameToGUID(name, &id) })
	return guid.FromWindowsArray(id).String(), err
}

// Unprepare implements Driver.
func (*vmcompute) Unprepare(scratch string) error {
	return on("UnprepareLayer", scratch, func(path *uint16) error { return unprepareLayer(filter(), path) })
}

// Deactivate implements Driver.
func (*vmcompute) Deactivate(scratch string) error {
	return on("DeactivateLayer", scratch, func(path *uint16) error { return deactivateLayer(filter(), path) })
}

// filter is the driver that every call is for.
func filter() *driverInfo {
	return &driverInfo{flavour: filterDriver, home: unsafe.Pointer(new(uint16))}
}

// on makes one call about a path or a name.
func on(call, name string, f func(name *uint16) error) error {
	text, err := windows.UTF16PtrFromString(name)
	if err == nil {
		err = f(text)
	}
	return failed(call, name, err)
}

// withParents makes one call about a scratch above read-only layers. Those are
// named by the ids of their folders' base names.
func withParents(call, scratch string, parents []string, f func(path *uint16, first *layerDescriptor, count uint32) error) error {
	descriptors := make([]layerDescriptor, len(parents)+1) // never empty, so that the first has an address
	for i, parent := range parents {
		path, err := windows.UTF16PtrFromString(parent)
		if err != nil {
			return failed(call, parent, err)
		}
		id := &descriptors[i].id
		if err := on("NameToGuid", baseName(parent), func(name *uint16) error { return nameToGUID(name, id) }); err != nil {
			return err
		}
		descriptors[i].path = unsafe.Pointer(path)
	}
	return on(call, scratch, func(path *uint16) error { return f(path, &descriptors[0], uint32(len(parents))) })
}

// failed makes a CallError of err. An HRESULT that stands for a Win32 code
// becomes that code: the standard library knows what it means.
func failed(call, path string, err error) error {
	if err == nil {
		return nil
	}
	e := &CallError{Call: call, Path: path, Err: err}
	var code syscall.Errno
	if errors.As(err, &code) {
		e.Code = fault.Win32(uint32(code))
		e.Err = syscall.Errno(e.Code)
	}
	return e
}
