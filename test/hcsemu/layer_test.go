package hcsemu

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every call of the layer store in every state of a layer: the shim's cleanup
// and containerd's rely on the codes to tell "already done" from "in use".
func TestEveryLayerCallInEveryState(t *testing.T) {
	states := []string{"known", "active", "prepared"}
	for _, tt := range []struct {
		name string
		call func(b *bench) error
		want [3]HRESULT
	}{
		{"activate", func(b *bench) error { return b.ActivateLayer(b.t.Context(), `C:\l\x`) }, [3]HRESULT{OK, ESharingViolation, ESharingViolation}},
		{"prepare", func(b *bench) error { return b.PrepareLayer(b.t.Context(), `C:\l\x`, parents()) }, [3]HRESULT{ENotReady, OK, ESharingViolation}},
		{"unprepare", func(b *bench) error { return b.UnprepareLayer(b.t.Context(), `C:\l\x`) }, [3]HRESULT{EElementNotFound, EElementNotFound, OK}},
		{"deactivate", func(b *bench) error { return b.DeactivateLayer(b.t.Context(), `C:\l\x`) }, [3]HRESULT{EPathNotFound, OK, ESharingViolation}},
		{"destroy", func(b *bench) error { return b.DestroyLayer(b.t.Context(), `C:\l\x`) }, [3]HRESULT{OK, ESharingViolation, ESharingViolation}},
		{"expand", func(b *bench) error { return b.ExpandSandboxSize(b.t.Context(), `C:\l\x`, 1<<30) }, [3]HRESULT{OK, ESharingViolation, ESharingViolation}},
		{"attach filter", func(b *bench) error {
			return b.AttachLayerStorageFilter(b.t.Context(), `C:\l\x`, layerDataOf(parents()))
		}, [3]HRESULT{OK, OK, ESharingViolation}},
		{"detach filter", func(b *bench) error { return b.DetachLayerStorageFilter(b.t.Context(), `C:\l\x`) }, [3]HRESULT{EElementNotFound, EElementNotFound, OK}},
	} {
		for i, state := range states {
			t.Run(tt.name+"/"+state, func(t *testing.T) {
				b := newBench(t, Config{})
				if i > 0 {
					b.ok(b.ActivateLayer(t.Context(), `C:\l\x`))
				}
				if i > 1 {
					b.ok(b.PrepareLayer(t.Context(), `C:\l\x`, parents()))
				}
				b.code(tt.name, tt.call(b), tt.want[i])
			})
		}
	}
}

func layerDataOf(parents []LayerDescriptor) string {
	var layers []map[string]string
	for _, p := range parents {
		layers = append(layers, map[string]string{"Id": string(p.ID), "Path": p.Path})
	}
	return encode(map[string]any{"SchemaVersion": map[string]int{"Major": 2, "Minor": 1}, "Layers": layers})
}

func TestMountPath(t *testing.T) {
	b := newBench(t, Config{})
	ctx := t.Context()
	if !strings.HasPrefix(b.volume, `\\?\Volume{`) || !strings.HasSuffix(b.volume, `}\`) {
		t.Errorf("volume %s of an active layer", b.volume)
	}
	path, err := b.LayerMountPath(ctx, basePath)
	b.ok(err)
	if path != basePath {
		t.Errorf("a read-only layer is mounted at %s, not where it lies", path)
	}
	_, err = b.LayerMountPath(ctx, "")
	b.code("no path", err, EInvalidArg)
}

func TestNameToGUIDIsStableAndIgnoresCase(t *testing.T) {
	b := newBench(t, Config{})
	one, err := b.NameToGUID(t.Context(), "Layer")
	b.ok(err)
	two, err := b.NameToGUID(t.Context(), "layer")
	b.ok(err)
	other, err := b.NameToGUID(t.Context(), "layer2")
	b.ok(err)
	if one != two || one == other || len(one) != 36 {
		t.Errorf("ids %s, %s, %s", one, two, other)
	}
}

func TestParents(t *testing.T) {
	b := newBench(t, Config{})
	ctx := t.Context()
	b.ok(b.ActivateLayer(ctx, `C:\l\x`))
	b.code("none", b.PrepareLayer(ctx, `C:\l\x`, nil), EInvalidArg)
	b.code("wrong id", b.PrepareLayer(ctx, `C:\l\x`, []LayerDescriptor{{ID: nameToGUID("1"), Path: topPath}}), EInvalidArg)
	b.code("bad data", b.AttachOverlayFilter(ctx, `C:\l\x`, "{"), EInvalidJSON)
	b.ok(b.AttachOverlayFilter(ctx, `\\?\Volume{x}\`, layerDataOf(parents())))
	b.ok(b.DetachOverlayFilter(ctx, `\\?\Volume{x}\`, ""))
	b.code("a disk does not shrink", func() error {
		b.ok(b.ExpandSandboxSize(ctx, `C:\l\y`, 2))
		return b.ExpandSandboxSize(ctx, `C:\l\y`, 1)
	}(), EInvalidArg)
}

// onDisk makes a store with a base layer and returns its folder.
func onDisk(t *testing.T) (*bench, string, []LayerDescriptor) {
	t.Helper()
	root := t.TempDir()
	base := filepath.Join(root, "1")
	if err := os.MkdirAll(filepath.Join(base, "Files"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(base, "Files", "a.txt"), []byte("a"), 0o644); err != nil {
		t.Fatal(err)
	}
	e := New(Config{Disk: OSDisk{}})
	t.Cleanup(e.Close)
	return &bench{t: t, e: e, Client: e.Connect(Caller{PID: 1, Exe: "containerd.exe"})}, root, []LayerDescriptor{{ID: nameToGUID("1"), Path: base}}
}

func TestLayersOnDisk(t *testing.T) {
	b, root, parents := onDisk(t)
	ctx := t.Context()
	scratch, copied := filepath.Join(root, "9"), filepath.Join(root, "2")
	b.code("activate nothing", b.ActivateLayer(ctx, scratch), EFileNotFound)
	b.code("expand nothing", b.ExpandSandboxSize(ctx, scratch, 1), EFileNotFound)
	b.ok(b.CreateSandboxLayer(ctx, scratch, parents))
	b.code("sandbox again", b.CreateSandboxLayer(ctx, scratch, parents), EFileExists)
	b.ok(b.ActivateLayer(ctx, scratch))
	b.code("missing parent", b.PrepareLayer(ctx, scratch, []LayerDescriptor{{ID: nameToGUID("5"), Path: filepath.Join(root, "5")}}), EPathNotFound)
	b.ok(b.PrepareLayer(ctx, scratch, parents))
	b.ok(b.UnprepareLayer(ctx, scratch))
	b.ok(b.DeactivateLayer(ctx, scratch))

	exists := func(path string, want bool) {
		t.Helper()
		got, err := b.LayerExists(ctx, path)
		b.ok(err)
		if got != want {
			t.Errorf("%s exists: %v, want %v", path, got, want)
		}
	}
	b.ok(b.ImportLayer(ctx, copied, parents[0].Path, nil))
	exists(copied, true)
	b.ok(b.ProcessBaseImage(ctx, copied))
	b.code("no utility VM", b.ProcessUtilityImage(ctx, filepath.Join(copied, "UtilityVM")), EPathNotFound)
	b.code("import nothing", b.ImportLayer(ctx, copied, filepath.Join(root, "nothing"), nil), EPathNotFound)
	b.ok(b.ExportLayer(ctx, copied, filepath.Join(root, "out"), nil))
	b.ok(b.CopyLayer(ctx, copied, filepath.Join(root, "3"), nil))
	b.code("layer there", b.CreateLayer(ctx, copied, ""), EFileExists)
	b.ok(b.CreateLayer(ctx, filepath.Join(root, "4"), ""))

	b.ok(b.GrantVMAccess(ctx, "vm", filepath.Join(scratch, "sandbox.vhdx")))
	b.code("grant on nothing", b.GrantVMAccess(ctx, "vm", filepath.Join(root, "nothing")), EFileNotFound)
	b.ok(b.DestroyLayer(ctx, scratch))
	exists(scratch, false)
	b.ok(b.DestroyLayer(ctx, scratch))
	if len(b.e.Ledger()) != 0 {
		t.Errorf("the permission outlived its file:\n%s", b.e.Ledger())
	}
	b.code("a drive", b.DestroyLayer(ctx, "/"), EAccessDenied)
}

func TestComputeStorage(t *testing.T) {
	b, root, parents := onDisk(t)
	ctx := t.Context()
	scratch := filepath.Join(root, "9")
	b.ok(b.InitializeWritableLayer(ctx, scratch, layerDataOf(parents), ""))
	b.code("bad data", b.InitializeWritableLayer(ctx, scratch, "[]", ""), EInvalidJSON)
	b.ok(b.ImportStorageLayer(ctx, filepath.Join(root, "2"), parents[0].Path, ""))
	b.ok(b.ExportStorageLayer(ctx, parents[0].Path, filepath.Join(root, "out"), "", ""))
	b.ok(b.SetupBaseOSLayer(ctx, parents[0].Path, "h", ""))
	b.ok(b.SetupBaseOSVolume(ctx, parents[0].Path, "v", ""))
	b.ok(b.FormatWritableLayerVHD(ctx, "h"))
	volume, err := b.LayerVHDMountPath(ctx, "h")
	b.ok(err)
	if !strings.HasPrefix(volume, `\\?\Volume{`) {
		t.Errorf("volume %s", volume)
	}
	images, err := b.BaseImages(ctx)
	b.ok(err)
	if images != `{"Images":[]}` {
		t.Errorf("base images %s", images)
	}
	b.ok(b.DestroyStorageLayer(ctx, scratch))
	if calls := b.e.Calls(CallFilter{Function: "HcsDestroyLayer"}); len(calls) != 1 || calls[0].DLL != "computestorage.dll" {
		t.Errorf("recorded as %+v", calls)
	}
}

func TestBindFilter(t *testing.T) {
	b := newBench(t, Config{})
	ctx := t.Context()
	b.code("containerd's unmount of a bundle that is no mount", b.RemoveMapping(ctx, "", `C:\bundle`), EInvalidArg)
	b.ok(b.SetupFilter(ctx, "", 1, `C:\root`, `C:\target`, nil))
	b.code("again", b.SetupFilter(ctx, "", 1, `c:\ROOT\`, `C:\other`, nil), EAlreadyExists)
	b.ok(b.SetupFilter(ctx, "job", 0, `C:\root`, `C:\target`, nil))
	b.code("nowhere", b.SetupFilter(ctx, "", 0, "", `C:\target`, nil), EInvalidArg)
	list, err := b.Mappings(ctx, "")
	b.ok(err)
	if len(list) != 1 || list[0].Root != `C:\root` || list[0].Flags != 1 || list[0].Targets[0] != `C:\target` {
		t.Errorf("mappings %+v", list)
	}
	b.ok(b.RemoveMapping(ctx, "", `C:\root`))
	b.ok(b.RemoveMapping(ctx, "job", `C:\root`))
	b.cleanEnd()
}
