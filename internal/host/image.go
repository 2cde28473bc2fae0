package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Image is what an image's layers say of themselves.
type Image struct {
	// OS is the version of the image's base layer.
	OS Version `json:"os"`
	// OSSource is the file it was read from, or what else said so.
	OSSource string `json:"osSource,omitempty"`
	// UVM is the version of the utility VM that the layers hold.
	UVM Version `json:"uvm"`
	// UVMSource is the file it was read from, or what else said so.
	UVMSource string `json:"uvmSource,omitempty"`
	// UVMFolder is the UtilityVM folder that a VM of this image boots from.
	UVMFolder string `json:"uvmFolder,omitempty"`
}

// Files whose version resource is the version of the Windows they belong to.
// ntdll.dll is in every base image, whatever was taken out of it; the kernel is
// what a utility VM boots. Both are serviced by each monthly update.
//
// The version resource is read, not the registry hive: it is one small read of
// a format that the standard library parses, and it is readable while the layer
// is in use. The two differ for images of builds that were made from another by
// an enablement package (18363 reads as 18362; 19042 to 19045 as 19041): none
// of them is a long-term release.
var (
	baseFiles = []string{"ntdll.dll", "ntoskrnl.exe"}
	uvmFiles  = []string{"ntoskrnl.exe", "ntdll.dll"}
)

// ReadImage reads the facts of an image from its layer folders, the uppermost
// first, as windows.layerFolders has them without the scratch. The base layer
// is the last. The utility VM is that of the uppermost layer that has one, as
// runhcs does. A fact that the folders do not hold is unknown; an error means a
// file is there and cannot be read.
func ReadImage(layers []string) (Image, error) {
	var img Image
	var errs []error
	if len(layers) > 0 {
		v, src, err := versionOf(filepath.Join(layers[len(layers)-1], "Files"), baseFiles)
		img.OS, img.OSSource = v, src
		errs = append(errs, err)
	}
	for _, l := range layers {
		dir := filepath.Join(l, "UtilityVM")
		if st, err := os.Stat(dir); err != nil || !st.IsDir() {
			continue
		}
		v, src, err := versionOf(filepath.Join(dir, "Files"), uvmFiles)
		img.UVM, img.UVMSource, img.UVMFolder = v, src, dir
		errs = append(errs, err)
		break
	}
	return img, errors.Join(errs...)
}

// versionOf returns the version of the first of names that exists in root's
// Windows\System32.
func versionOf(root string, names []string) (Version, string, error) {
	// On Windows the first file is there under any spelling: one call, and a
	// create waits for it.
	path := filepath.Join(root, "Windows", "System32", names[0])
	if v, err := FileVersion(path); !errors.Is(err, fs.ErrNotExist) {
		return v, path, err
	}
	dir, ok := descend(root, "Windows", "System32")
	if !ok {
		return Version{}, "", nil
	}
	for _, n := range names {
		path, ok := descend(dir, n)
		if !ok {
			continue
		}
		v, err := FileVersion(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return v, path, err
	}
	return Version{}, "", nil
}

// descend joins names to dir, matching case as Windows does: a layer that lies
// on a Linux file system may spell its folders either way.
func descend(dir string, names ...string) (string, bool) {
	for _, n := range names {
		next := filepath.Join(dir, n)
		if _, err := os.Lstat(next); err != nil {
			if next = foldMatch(dir, n); next == "" {
				return "", false
			}
		}
		dir = next
	}
	return dir, true
}

func foldMatch(dir, name string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		if strings.EqualFold(e.Name(), name) {
			return filepath.Join(dir, e.Name())
		}
	}
	return ""
}
