//go:build !windows

package layers

import "errors"

// Windows returns a driver whose every call fails: Windows layers exist on
// Windows only.
func Windows() Driver { return unassigned{} }

var errNotWindows = errors.New("Windows layers can be mounted on Windows only")

type unassigned struct{}

func (unassigned) HasScratch(folder string) (bool, error) { return false, failed("HasScratch", folder) }

func (unassigned) CreateScratch(folder string, _ []string) error {
	return failed("CreateSandboxLayer", folder)
}

func (unassigned) Expand(scratch string, _ uint64) error {
	return failed("ExpandSandboxSize", scratch)
}

func (unassigned) Activate(scratch string) error            { return failed("ActivateLayer", scratch) }
func (unassigned) Prepare(scratch string, _ []string) error { return failed("PrepareLayer", scratch) }

func (unassigned) MountPath(scratch string) (string, error) {
	return "", failed("GetLayerMountPath", scratch)
}

func (unassigned) NameToGUID(name string) (string, error) { return "", failed("NameToGuid", name) }
func (unassigned) Unprepare(scratch string) error         { return failed("UnprepareLayer", scratch) }
func (unassigned) Deactivate(scratch string) error        { return failed("DeactivateLayer", scratch) }

func failed(call, path string) error {
	return &CallError{Call: call, Path: path, Err: errNotWindows}
}
