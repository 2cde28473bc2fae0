package layers

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
)

func windowsLayer(source string, options ...string) []Mount {
	return []Mount{{Type: "windows-layer", Source: source, Options: options}}
}

// A container that resolves to the wrong folders runs another image, or writes
// into one.
func TestResolve(t *testing.T) {
	const parents = `parentLayerPaths=["C:\\s\\2","C:\\s\\1"]`
	want := Layers{Parents: []string{`C:\s\2`, `C:\s\1`}, Scratch: `C:\s\3`}
	for name, tc := range map[string]struct {
		rootfs  []Mount
		folders []string
		want    Layers
		kind    fault.Kind // of the error, if want is empty
		says    string
	}{
		"rootfs mount":                      {rootfs: windowsLayer(`C:\s\3`, "rw", parents), want: want},
		"layer folders, scratch last":       {folders: []string{`C:\s\2`, `C:\s\1`, `C:\s\3`}, want: want},
		"forward slashes and shares":        {folders: []string{`//srv/share/1`, `c:/s/3`}, want: Layers{Parents: []string{`//srv/share/1`}, Scratch: `c:/s/3`}},
		"device paths":                      {folders: []string{`\\?\C:\1`, `\\?\C:\3`}, want: Layers{Parents: []string{`\\?\C:\1`}, Scratch: `\\?\C:\3`}},
		"unknown options are left alone":    {rootfs: windowsLayer(`C:\s\3`, parents, "X-containerd.mkdir=1"), want: want},
		"both sources":                      {rootfs: windowsLayer(`C:\s\3`, parents), folders: []string{`C:\1`, `C:\2`}, kind: fault.FailedPrecondition, says: "both a rootfs mount and windows.layerFolders"},
		"no source":                         {kind: fault.FailedPrecondition, says: "neither a rootfs mount nor windows.layerFolders"},
		"two mounts":                        {rootfs: append(windowsLayer(`C:\3`, parents), windowsLayer(`C:\4`, parents)...), kind: fault.FailedPrecondition, says: "more than one rootfs mount"},
		"one folder":                        {folders: []string{`C:\s\3`}, kind: fault.FailedPrecondition, says: "give at least two"},
		"mount with a target":               {rootfs: []Mount{{Type: "windows-layer", Source: `C:\3`, Target: `C:\x`, Options: []string{parents}}}, kind: fault.FailedPrecondition, says: `target "C:\x"`},
		"read-only mount":                   {rootfs: windowsLayer(`C:\s\3`, "ro", parents), kind: fault.InvalidArgument, says: "writable snapshot"},
		"mount without parents":             {rootfs: windowsLayer(`C:\s\3`), kind: fault.InvalidArgument, says: "names no parent layers"},
		"empty list of parents":             {rootfs: windowsLayer(`C:\s\3`, `parentLayerPaths=[]`), kind: fault.InvalidArgument, says: "names no parent layers"},
		"parents that are not JSON":         {rootfs: windowsLayer(`C:\s\3`, `parentLayerPaths=C:\1`), kind: fault.InvalidArgument, says: "no JSON array of strings"},
		"parents of another JSON type":      {rootfs: windowsLayer(`C:\s\3`, `parentLayerPaths=[1]`), kind: fault.InvalidArgument, says: "no JSON array of strings"},
		"CimFS":                             {rootfs: []Mount{{Type: "CimFS", Source: `C:\3`}}, kind: fault.Unimplemented, says: `"CimFS" is not supported`},
		"BlockCIM":                          {rootfs: []Mount{{Type: "BlockCIM", Source: `C:\3`}}, kind: fault.Unimplemented, says: `"BlockCIM" is not supported`},
		"Linux layers":                      {rootfs: []Mount{{Type: "lcow-layer", Source: `C:\3`}}, kind: fault.Unimplemented, says: `"lcow-layer" is not supported`},
		"unknown mount type":                {rootfs: []Mount{{Type: "overlay", Source: `C:\3`}}, kind: fault.InvalidArgument, says: "allowed is windows-layer"},
		"relative scratch":                  {folders: []string{`C:\1`, `s\3`}, kind: fault.InvalidArgument, says: `"s\3" of the scratch is not absolute`},
		"relative to a drive's folder":      {folders: []string{`C:1`, `C:\3`}, kind: fault.InvalidArgument, says: `"C:1" of the parent layer is not absolute`},
		"relative to the current drive":     {folders: []string{`\1`, `C:\3`}, kind: fault.InvalidArgument, says: "is not absolute"},
		"POSIX path":                        {folders: []string{`/var/1`, `C:\3`}, kind: fault.InvalidArgument, says: "is not absolute"},
		"missing path":                      {folders: []string{``, `C:\3`}, kind: fault.InvalidArgument, says: "path of the parent layer is empty"},
		"dot dot":                           {folders: []string{`C:\s\..\1`, `C:\3`}, kind: fault.InvalidArgument, says: `holds ".."`},
		"NUL":                               {folders: []string{"C:\\s\x00", `C:\3`}, kind: fault.InvalidArgument, says: "NUL"},
		"scratch is a parent, other case":   {folders: []string{`C:\s\3`, `c:/S/3/`}, kind: fault.InvalidArgument, says: "parent layer and as scratch"},
		"mount without source":              {rootfs: windowsLayer("", parents), kind: fault.InvalidArgument, says: "path of the scratch is empty"},
		"drive letter that is not a letter": {folders: []string{`1:\1`, `C:\3`}, kind: fault.InvalidArgument, says: "is not absolute"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Resolve(tc.rootfs, tc.folders)
			if tc.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(tc.want, got); d != "" {
					t.Error(d)
				}
				return
			}
			if !fault.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v (%v), want %v: … %s …", err, fault.KindOf(err), tc.kind, tc.says)
			}
		})
	}
}

// The id in the document must be the one that the layer functions use, which
// is made from the last part of the path.
func TestBaseName(t *testing.T) {
	for path, want := range map[string]string{
		`C:\s\12`: "12", `C:\s\12\`: "12", `C:/s/12`: "12", `\\srv\share\x y`: "x y", `12`: "12",
	} {
		if got := baseName(path); got != want {
			t.Errorf("baseName(%q) = %q, want %q", path, got, want)
		}
	}
}

func FuzzResolve(f *testing.F) {
	f.Add("windows-layer", `C:\3`, `parentLayerPaths=["C:\\1"]`)
	f.Add("", "", "")
	f.Fuzz(func(t *testing.T, typ, source, option string) {
		l, err := Resolve([]Mount{{Type: typ, Source: source, Options: []string{option}}}, nil)
		if err != nil {
			if fault.KindOf(err) == fault.Unknown {
				t.Fatalf("error without a kind: %v", err)
			}
			return
		}
		if l.Scratch == "" || len(l.Parents) == 0 || !isAbs(l.Scratch) {
			t.Fatalf("accepted %+v", l)
		}
	})
}
