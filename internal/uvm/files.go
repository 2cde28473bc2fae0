package uvm

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/isolrun/isol/internal/fault"
)

// BootFiles are the files of an image that a VM boots from.
type BootFiles struct {
	Layer           string // the layer they were found in
	OSFiles         string // its UtilityVM\Files
	ScratchTemplate string // its UtilityVM\SystemTemplate.vhdx
}

// FindBootFiles looks for a utility VM in the layers, topmost first, and takes
// the first (runhcs: uvmfolder.LocateUVMFolder). Errors: FailedPrecondition if
// no layer has one, or the one that has it is incomplete.
func FindBootFiles(parents []string) (BootFiles, error) {
	for _, layer := range parents {
		folder := filepath.Join(layer, "UtilityVM")
		if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return BootFiles{}, &fault.Error{Kind: fault.FailedPrecondition, Op: "find the utility VM", Subject: layer, Err: err}
		}
		b := BootFiles{Layer: layer, OSFiles: filepath.Join(folder, "Files"), ScratchTemplate: filepath.Join(folder, "SystemTemplate.vhdx")}
		for _, part := range []string{b.OSFiles, b.ScratchTemplate} {
			if _, err := os.Stat(part); err != nil {
				return BootFiles{}, &fault.Error{
					Kind: fault.FailedPrecondition, Op: "find the utility VM", Subject: folder, Err: err,
					Hint: "the layer is incomplete: remove the image and pull it again",
				}
			}
		}
		return b, nil
	}
	return BootFiles{}, &fault.Error{
		Kind: fault.FailedPrecondition, Op: "find the utility VM",
		Detail: "no layer of the image has a UtilityVM folder: " + strings.Join(parents, ", "),
		Hint:   "Hyper-V isolation needs an image with a Windows base layer, such as nanoserver or servercore",
	}
}

// scratchPath is where the VM's scratch lies: apart from the container's own
// sandbox.vhdx in the same folder (runhcs: layers.getVmbFSBootFiles).
func scratchPath(folder string) string { return filepath.Join(folder, "vm", "sandbox.vhdx") }

// partSuffix is added to the name of a scratch that is not whole yet: what a
// crash leaves half copied is never booted.
const partSuffix = ".part"

// makeScratch copies the template to path, where nothing is, with copyFile.
// Whoever calls it must call RemoveScratch, also after an error.
func makeScratch(template, path string, copyFile func(from, to string) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return noScratch(path, err)
	}
	part := path + partSuffix
	err := removeFile(part)
	if err == nil {
		err = copyFile(template, part)
	}
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return noScratch(path, err)
	}
	return nil
}

func noScratch(path string, err error) error {
	if fault.DiskFull(err) {
		return fault.Wrap(fault.OutOfSpace(err, "the snapshots: each utility VM needs a copy of its image's system template there"), "copy the utility VM's scratch", path)
	}
	return &fault.Error{Kind: fault.Internal, Op: "copy the utility VM's scratch", Subject: path, Err: err}
}

// RemoveScratch removes the scratch that a VM has made at path, or half of it.
// It is idempotent.
func RemoveScratch(path string) error {
	if err := errors.Join(removeFile(path+partSuffix), removeFile(path)); err != nil {
		return fault.Wrap(err, "remove the utility VM's scratch", path)
	}
	// The folder stays if the client keeps something in it.
	_ = os.Remove(filepath.Dir(path))
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// removeFile removes a file that need not be there.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
