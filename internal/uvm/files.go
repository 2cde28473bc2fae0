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

// makeScratch copies the template. It reports whether it made the file: one
// that was there before is the client's. The copy gets its name when it is
// whole: what a crash leaves half copied is never booted.
func makeScratch(template, path string) (made bool, err error) {
	if _, err := os.Stat(path); err == nil {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return false, &fault.Error{Kind: fault.Internal, Op: "make the utility VM's scratch", Err: err}
	}
	part := path + ".part"
	if err = removeFile(part); err == nil {
		err = copyFile(template, part)
	}
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		err = errors.Join(err, removeScratch(part))
		return false, &fault.Error{Kind: fault.Internal, Op: "copy the utility VM's scratch", Subject: path, Err: err}
	}
	return true, nil
}

func removeScratch(path string) error {
	if err := removeFile(path); err != nil {
		return err
	}
	// The folder stays if the client keeps something in it.
	_ = os.Remove(filepath.Dir(path))
	return nil
}

// removeFile removes a file that need not be there.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
