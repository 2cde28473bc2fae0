package layers

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/Microsoft/hcsshim"
)

// Windows returns the driver over hcsshim's root package, that is over the
// layer functions of vmcompute.dll.
func Windows() Driver { return hcsshimDriver{} }

type hcsshimDriver struct{}

// info makes hcsshim take layer ids as whole paths: it joins HomeDir, here
// empty, with the id.
var info = hcsshim.DriverInfo{Flavour: 1}

// HasScratch looks for sandbox.vhdx, the name that HCS gives the disk.
func (hcsshimDriver) HasScratch(folder string) (bool, error) {
	_, err := os.Stat(filepath.Join(folder, "sandbox.vhdx"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, failed("find sandbox.vhdx in", folder, err)
}

func (hcsshimDriver) CreateScratch(folder string, parents []string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return failed("create folder", folder, err)
	}
	return failed("CreateSandboxLayer", folder, hcsshim.CreateScratchLayer(info, folder, "", parents))
}

func (hcsshimDriver) Activate(scratch string) error {
	return failed("ActivateLayer", scratch, hcsshim.ActivateLayer(info, scratch))
}

func (hcsshimDriver) Prepare(scratch string, parents []string) error {
	return failed("PrepareLayer", scratch, hcsshim.PrepareLayer(info, scratch, parents))
}

func (hcsshimDriver) MountPath(scratch string) (string, error) {
	path, err := hcsshim.GetLayerMountPath(info, scratch)
	return path, failed("GetLayerMountPath", scratch, err)
}

func (hcsshimDriver) NameToGUID(name string) (string, error) {
	id, err := hcsshim.NameToGuid(name)
	return id.ToString(), failed("NameToGuid", name, err)
}

func (hcsshimDriver) Unprepare(scratch string) error {
	return failed("UnprepareLayer", scratch, hcsshim.UnprepareLayer(info, scratch))
}

func (hcsshimDriver) Deactivate(scratch string) error {
	return failed("DeactivateLayer", scratch, hcsshim.DeactivateLayer(info, scratch))
}

// failed makes a CallError of err. hcsshim's error type does not unwrap, so
// its inner error is taken out here.
func failed(call, path string, err error) error {
	if err == nil {
		return nil
	}
	var herr *hcsshim.HcsError
	if errors.As(err, &herr) {
		err = herr.Err
	}
	e := &CallError{Call: call, Path: path, Err: err}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		e.Code = uint32(errno)
	}
	return e
}
