package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var files = []File{
	{Path: "UtilityVM/Files/Windows/System32/ntoskrnl.exe", Content: []byte("kernel")},
	{Path: "Files/Windows/System32/cmd.exe", Content: []byte("shell")},
}

func newImage(t *testing.T) *Image {
	t.Helper()
	img, err := New("lab.test/nano:1", "10.0.20348.1", []string{"cmd.exe"}, files)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// containerd takes an image as unpacked if the snapshot named by the chain of
// the config's diff ids is there.
func TestImageHangsTogether(t *testing.T) {
	img := newImage(t)
	var manifest ocispec.Manifest
	var config ocispec.Image
	if err := errors.Join(json.Unmarshal(img.Manifest.Content, &manifest), json.Unmarshal(img.Config.Content, &config)); err != nil {
		t.Fatal(err)
	}
	if manifest.Config.Digest != img.Config.Digest || len(manifest.Layers) != 1 || manifest.Layers[0].Digest != img.Layer.Digest {
		t.Errorf("manifest %+v does not name config %s and layer %s", manifest, img.Config.Digest, img.Layer.Digest)
	}
	if len(config.RootFS.DiffIDs) != 1 || config.RootFS.DiffIDs[0].String() != img.ChainID() {
		t.Errorf("diff ids %v, chain id %s", config.RootFS.DiffIDs, img.ChainID())
	}
	if config.OS != "windows" || config.OSVersion != "10.0.20348.1" {
		t.Errorf("config is for %s %s", config.OS, config.OSVersion)
	}
}

// A second lab with the same image must find the first one's blobs valid.
func TestImageIsReproducible(t *testing.T) {
	a, b := newImage(t), newImage(t)
	if a.Manifest.Digest != b.Manifest.Digest {
		t.Error("two images of the same files differ")
	}
}

func TestLayerTar(t *testing.T) {
	r := tar.NewReader(bytes.NewReader(newImage(t).Layer.Content))
	var names []string
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	want := []string{
		"Files", "Files/Windows", "Files/Windows/System32", "Files/Windows/System32/cmd.exe",
		"UtilityVM", "UtilityVM/Files", "UtilityVM/Files/Windows", "UtilityVM/Files/Windows/System32",
		"UtilityVM/Files/Windows/System32/ntoskrnl.exe",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("folders come before what is in them (-want +got):\n%s", diff)
	}
}

func TestNewRefusesPaths(t *testing.T) {
	for name, paths := range map[string][]string{
		"absolute":   {"/etc/passwd"},
		"climbing":   {"../x"},
		"not clean":  {"Files//x"},
		"duplicates": {"Files/x", "Files/x"},
	} {
		t.Run(name, func(t *testing.T) {
			var files []File
			for _, p := range paths {
				files = append(files, File{Path: p})
			}
			if _, err := New("i", "10.0.1.1", nil, files); err == nil {
				t.Errorf("%q was taken", paths)
			}
		})
	}
}

// A scratch is copied from the base layer's blank.vhdx; a utility VM's from its
// template, which there is only for an image that has one.
func TestWriteAddsDisks(t *testing.T) {
	for name, test := range map[string]struct {
		files []File
		want  []string
	}{
		"with utility VM":    {files, disks},
		"without utility VM": {files[1:], disks[:2]},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := Write(dir, test.files); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range disks {
				if _, err := os.Stat(filepath.Join(dir, d)); err == nil {
					got = append(got, d)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("disks (-want +got):\n%s", diff)
			}
			content, err := os.ReadFile(filepath.Join(dir, "Files/Windows/System32/cmd.exe"))
			if err != nil || string(content) != "shell" {
				t.Errorf("cmd.exe holds %q, %v", content, err)
			}
		})
	}
}
