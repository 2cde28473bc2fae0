// Package image makes a small Windows container image and puts it into a
// containerd that runs in the lab.
//
// A real base image is gigabytes and may not be handed on; this one is a folder
// of small programs in the layout of a base layer:
//
//	layer
//	├── Files\            drive C: of a container
//	│   └── Windows\System32\{ntdll.dll, cmd.exe, …}
//	├── UtilityVM\
//	│   ├── Files\        drive C: of a utility VM
//	│   ├── SystemTemplateBase.vhdx, SystemTemplate.vhdx
//	└── blank-base.vhdx, blank.vhdx     what a new scratch is copied from
//
// ntdll.dll and ntoskrnl.exe carry the version resource of the Windows that the
// image is of, since that is how an image's version is read off its layers.
//
// [New] computes everything that has a digest; [Store.Put] places it. An image
// that `ctr images pull` unpacked and one that Put placed look the same to
// containerd.
package image

import (
	"archive/tar"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// File is a file of a layer.
type File struct {
	Path    string // in the layer, with slashes: "Files/Windows/System32/cmd.exe"
	Content []byte
}

// Image is an image of one layer, ready to be stored.
type Image struct {
	Name     string
	Files    []File // sorted by path
	Manifest Blob
	Config   Blob
	Layer    Blob // the tar of Files
}

// Blob is content with its descriptor.
type Blob struct {
	ocispec.Descriptor
	Content []byte
}

// created is in every image, so that the same files give the same digests.
var created = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// New makes an image. osVersion is that of the Windows it is for, such as
// "10.0.20348.2966"; cmd is what a container of it runs by default. A path that
// is absolute, climbs, or comes twice is an error.
func New(name, osVersion string, cmd []string, files []File) (*Image, error) {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	for i, f := range files {
		if path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || strings.HasPrefix(f.Path, "..") {
			return nil, fmt.Errorf("image %s: %q is not a path inside a layer", name, f.Path)
		}
		if i > 0 && f.Path == files[i-1].Path {
			return nil, fmt.Errorf("image %s: %q comes twice", name, f.Path)
		}
	}
	layer, err := layerTar(files)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", name, err)
	}
	img := &Image{Name: name, Files: files}
	img.Layer = newBlob(ocispec.MediaTypeImageLayer, layer)
	img.Config, err = jsonBlob(ocispec.MediaTypeImageConfig, ocispec.Image{
		Created:  &created,
		Platform: ocispec.Platform{OS: "windows", Architecture: "amd64", OSVersion: osVersion},
		Config: ocispec.ImageConfig{
			Cmd:        cmd,
			WorkingDir: `C:\`,
			Env:        []string{`PATH=C:\Windows\System32;C:\Windows`},
		},
		RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{img.Layer.Digest}},
	})
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", name, err)
	}
	img.Manifest, err = jsonBlob(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    img.Config.Descriptor,
		Layers:    []ocispec.Descriptor{img.Layer.Descriptor},
	})
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", name, err)
	}
	return img, nil
}

// ChainID is the name of the committed snapshot of the image. With one layer it
// is the layer's diff id:
// https://github.com/opencontainers/image-spec/blob/main/config.md#layer-chainid
func (i *Image) ChainID() string { return i.Layer.Digest.String() }

func newBlob(mediaType string, content []byte) Blob {
	return Blob{
		Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))},
		Content:    content,
	}
}

func jsonBlob(mediaType string, value any) (Blob, error) {
	content, err := json.Marshal(value)
	if err != nil {
		return Blob{}, err
	}
	return newBlob(mediaType, content), nil
}

// layerTar packs the files as a Windows layer is packed: folders first.
// The disks are not part of it, they are made where a layer is unpacked.
func layerTar(files []File) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	seen := map[string]bool{".": true}
	var folder func(dir string) error
	folder = func(dir string) error {
		if seen[dir] {
			return nil
		}
		seen[dir] = true
		if err := folder(path.Dir(dir)); err != nil {
			return err
		}
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, ModTime: created, Mode: 0o755})
	}
	for _, f := range files {
		if err := folder(path.Dir(f.Path)); err != nil {
			return nil, err
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.Path, Size: int64(len(f.Content)), ModTime: created, Mode: 0o644}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.Content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
