package layers

import (
	"encoding/json"
	"strings"

	"github.com/isolrun/isol/internal/fault"
)

// Types of rootfs mounts that containerd's snapshotters for Windows make
// (containerd core/mount and plugins/snapshots/windows).
const (
	typeWindowsLayer = "windows-layer"
	typeCimFS        = "CimFS"
	typeBlockCIM     = "BlockCIM"
	typeLinuxLayer   = "lcow-layer"
)

// optionParents prefixes the mount option that lists the parent layers as a
// JSON array, topmost first.
const optionParents = "parentLayerPaths="

// Resolve finds the layers in the rootfs mounts of the request or in
// Windows.LayerFolders of the spec: exactly one of the two must be given.
//
// Errors: FailedPrecondition, as the reference answers, where the two sources
// contradict each other or have the wrong number of parts; InvalidArgument for
// values that are wrong in themselves; Unimplemented for known mount types that
// isol does not mount.
func Resolve(rootfs []Mount, layerFolders []string) (Layers, error) {
	var l Layers
	var err error
	switch {
	case len(rootfs) > 0 && len(layerFolders) > 0:
		return l, refuse(fault.FailedPrecondition, "both a rootfs mount and windows.layerFolders are given",
			"give one of them: containerd gives the rootfs mount by itself")
	case len(rootfs) == 0 && len(layerFolders) == 0:
		return l, refuse(fault.FailedPrecondition, "neither a rootfs mount nor windows.layerFolders is given",
			"give one of them: without layers there is no root file system")
	case len(rootfs) > 1:
		return l, refuse(fault.FailedPrecondition, "more than one rootfs mount is given", "give exactly one")
	case len(rootfs) == 1:
		l, err = fromMount(rootfs[0])
	default:
		l, err = fromFolders(layerFolders)
	}
	if err != nil {
		return Layers{}, err
	}
	return l, l.check()
}

func fromMount(m Mount) (Layers, error) {
	switch m.Type {
	case typeWindowsLayer:
	case typeCimFS, typeBlockCIM, typeLinuxLayer:
		return Layers{}, refuse(fault.Unimplemented, "rootfs mount type "+quote(m.Type)+" is not supported",
			"use a snapshotter that makes "+typeWindowsLayer+" mounts, such as containerd's \"windows\"")
	default:
		return Layers{}, refuse(fault.InvalidArgument, "rootfs mount type "+quote(m.Type)+" is unknown",
			"allowed is "+typeWindowsLayer)
	}
	if m.Target != "" {
		return Layers{}, refuse(fault.FailedPrecondition, "the rootfs mount has the target "+quote(m.Target),
			"leave the target empty: the root of a Windows container is always C:\\")
	}
	l := Layers{Scratch: m.Source}
	for _, o := range m.Options {
		switch {
		case o == "ro":
			return Layers{}, refuse(fault.InvalidArgument, "the rootfs mount is read-only (option \"ro\")",
				"give a writable snapshot: Windows containers need one")
		case strings.HasPrefix(o, optionParents):
			if err := json.Unmarshal([]byte(o[len(optionParents):]), &l.Parents); err != nil {
				return Layers{}, &fault.Error{Kind: fault.InvalidArgument, Op: "resolve layers",
					Detail: "the rootfs mount's option " + optionParents + " is no JSON array of strings", Err: err}
			}
		}
		// Other options ("rw", and what mount managers add) say nothing about layers.
	}
	if len(l.Parents) == 0 {
		return Layers{}, refuse(fault.InvalidArgument, "the rootfs mount names no parent layers",
			"its options must hold "+optionParents+"[\"…\"], topmost layer first")
	}
	return l, nil
}

func fromFolders(folders []string) (Layers, error) {
	if len(folders) < 2 {
		return Layers{}, refuse(fault.FailedPrecondition, "windows.layerFolders has one folder",
			"give at least two: the parent layers, topmost first, then the scratch")
	}
	last := len(folders) - 1
	return Layers{Parents: append([]string(nil), folders[:last]...), Scratch: folders[last]}, nil
}

// check refuses folders that HCS would take relative to its own working
// directory, and a scratch that is also a parent, which would write into the image.
func (l Layers) check() error {
	if err := checkFolder("scratch", l.Scratch); err != nil {
		return err
	}
	for _, p := range l.Parents {
		if err := checkFolder("parent layer", p); err != nil {
			return err
		}
		if strings.EqualFold(clean(p), clean(l.Scratch)) {
			return refuse(fault.InvalidArgument, "folder "+quote(p)+" is given as parent layer and as scratch",
				"give the scratch a folder of its own")
		}
	}
	return nil
}

func checkFolder(what, path string) error {
	switch {
	case path == "":
		return refuse(fault.InvalidArgument, "the path of the "+what+" is empty", "give an absolute path")
	case !isAbs(path):
		return refuse(fault.InvalidArgument, "the path "+quote(path)+" of the "+what+" is not absolute",
			`give a path with a drive (C:\…) or a share (\\server\share\…)`)
	case strings.ContainsRune(path, 0):
		return refuse(fault.InvalidArgument, "the path "+quote(path)+" of the "+what+" holds a NUL character", "")
	}
	for _, part := range strings.FieldsFunc(path, isSeparator) {
		if part == ".." {
			return refuse(fault.InvalidArgument, "the path "+quote(path)+" of the "+what+" holds \"..\"",
				"give the path without it: layers are known by their path")
		}
	}
	return nil
}

// isAbs reports whether path is absolute by Windows's rules on any system:
// https://learn.microsoft.com/windows/win32/fileio/naming-a-file#fully-qualified-vs-relative-paths
func isAbs(path string) bool {
	if len(path) >= 2 && isSeparator(rune(path[0])) && isSeparator(rune(path[1])) {
		return len(path) > 2
	}
	return len(path) >= 3 && path[1] == ':' && isSeparator(rune(path[2])) && isLetter(path[0])
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isSeparator(r rune) bool { return r == '\\' || r == '/' }

// clean makes two spellings of a folder comparable.
func clean(path string) string {
	return strings.TrimRight(strings.ReplaceAll(path, "/", `\`), `\`)
}

// baseName returns the last part of a Windows path, from which HCS makes the
// layer's id.
func baseName(path string) string {
	c := clean(path)
	return c[strings.LastIndexByte(c, '\\')+1:]
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `"` + s + `"`
	}
	return strings.ReplaceAll(string(b), `\\`, `\`)
}

func refuse(kind fault.Kind, detail, hint string) error {
	return &fault.Error{Kind: kind, Op: "resolve layers", Detail: detail, Hint: hint}
}
