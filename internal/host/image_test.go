package host

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A PE image of one section, .rsrc at 0x1000, whose version resource says
// version. It has what the loader's format demands and nothing else.
func peImage(t testing.TB, version Version, change ...func(rsrc []byte)) []byte {
	t.Helper()
	const rva, rawAt = 0x1000, 0x200
	rsrc := resources(rva, version)
	for _, c := range change {
		c(rsrc)
	}
	var b bytes.Buffer
	dos := make([]byte, 0x40)
	copy(dos, "MZ")
	binary.LittleEndian.PutUint32(dos[0x3c:], 0x40)
	b.Write(dos)
	b.WriteString("PE\x00\x00")
	opt := pe.OptionalHeader64{Magic: 0x20b, NumberOfRvaAndSizes: 16}
	opt.DataDirectory[pe.IMAGE_DIRECTORY_ENTRY_RESOURCE] = pe.DataDirectory{VirtualAddress: rva, Size: uint32(len(rsrc))}
	section := pe.SectionHeader32{VirtualSize: uint32(len(rsrc)), VirtualAddress: rva, SizeOfRawData: uint32(len(rsrc)), PointerToRawData: rawAt}
	copy(section.Name[:], ".rsrc")
	for _, v := range []any{
		pe.FileHeader{Machine: pe.IMAGE_FILE_MACHINE_AMD64, NumberOfSections: 1, SizeOfOptionalHeader: uint16(binary.Size(opt))}, opt, section,
	} {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	b.Write(make([]byte, rawAt-b.Len()))
	b.Write(rsrc)
	return b.Bytes()
}

// resources is a resource tree type 16, name 1, language 1033.
func resources(rva uint32, v Version) []byte {
	r := make([]byte, 0x200)
	put := func(at int, words ...uint32) {
		for i, w := range words {
			binary.LittleEndian.PutUint32(r[at+4*i:], w)
		}
	}
	dir := func(at int, id, to uint32) {
		binary.LittleEndian.PutUint16(r[at+14:], 1) // one entry by id
		put(at+16, id, to)
	}
	const sub = 1 << 31
	dir(0x00, 16, sub|0x18)
	dir(0x18, 1, sub|0x30)
	dir(0x30, 1033, 0x48)
	put(0x48, rva+0x60, 0x100, 0, 0)
	put(0x60+40, 0xFEEF04BD, 0x10000, v.Major<<16|v.Minor, v.Build<<16|v.Revision)
	return r
}

func writeFile(t testing.TB, data []byte, path ...string) string {
	t.Helper()
	p := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestReadImage(t *testing.T) {
	v2019, v2022 := Version{10, 0, 17763, 6532}, Version{10, 0, 20348, 2700}
	root := t.TempDir()
	base, middle, top := filepath.Join(root, "base"), filepath.Join(root, "middle"), filepath.Join(root, "top")
	ntdll := writeFile(t, peImage(t, v2019), base, "Files", "Windows", "System32", "ntdll.dll")
	writeFile(t, peImage(t, v2019), base, "UtilityVM", "Files", "Windows", "System32", "ntoskrnl.exe")
	kernel := writeFile(t, peImage(t, v2022), middle, "UtilityVM", "files", "WINDOWS", "system32", "NTOSKRNL.EXE")
	if err := os.Rename(filepath.Join(middle, "UtilityVM", "files"), filepath.Join(middle, "UtilityVM", "Files")); err != nil {
		t.Fatal(err)
	}
	kernel = filepath.Join(middle, "UtilityVM", "Files", "WINDOWS", "system32", filepath.Base(kernel))
	writeFile(t, peImage(t, v2022), top, "Files", "Windows", "System32", "ntdll.dll") // an application's copy is no base

	got, err := ReadImage([]string{top, middle, base})
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "windows" { // where a name is found however it is spelt
		got.UVMSource, kernel = strings.ToLower(got.UVMSource), strings.ToLower(kernel)
	}
	want := Image{OS: v2019, OSSource: ntdll, UVM: v2022, UVMSource: kernel, UVMFolder: filepath.Join(middle, "UtilityVM")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What is not there is unknown; what is there and can't be read is an error:
// the two must not be confused, for unknown is let through.
func TestReadImageUnknown(t *testing.T) {
	if got, err := ReadImage(nil); err != nil || got != (Image{}) {
		t.Errorf("no layers: %+v, %v", got, err)
	}
	if got, err := ReadImage([]string{filepath.Join(t.TempDir(), "absent")}); err != nil || got.OS.Known() || got.UVM.Known() {
		t.Errorf("absent layer: %+v, %v", got, err)
	}
	layer := t.TempDir()
	writeFile(t, []byte("not a program"), layer, "Files", "Windows", "System32", "ntdll.dll")
	if got, err := ReadImage([]string{layer}); err == nil || got.OS.Known() {
		t.Errorf("broken file: %+v, %v; want an error", got, err)
	}
	layer = t.TempDir()
	if err := os.MkdirAll(filepath.Join(layer, "Files", "Windows", "System32"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadImage([]string{layer}); err != nil || got.OS.Known() {
		t.Errorf("empty System32: %+v, %v", got, err)
	}
}

func TestFileVersionRefuses(t *testing.T) {
	v := Version{10, 0, 20348, 1}
	for name, data := range map[string][]byte{
		"build 0":             peImage(t, Version{10, 0, 0, 1}),
		"no version resource": peImage(t, v, func(r []byte) { r[16] = 24 }),
		"leaf too early":      peImage(t, v, func(r []byte) { r[16+7] = 0 }),
		"directory too late":  peImage(t, v, func(r []byte) { r[0x30+16+7] = 0x80 }),
		"too many entries":    peImage(t, v, func(r []byte) { r[12], r[13] = 0xff, 0xff }),
		"data elsewhere":      peImage(t, v, func(r []byte) { r[0x48+3] = 0x7f }),
		"data too long":       peImage(t, v, func(r []byte) { r[0x48+6] = 0x7f }),
		"no signature":        peImage(t, v, func(r []byte) { r[0x60+40] = 0 }),
		"empty":               nil,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := FileVersion(writeFile(t, data, t.TempDir(), "x.dll"))
			if err == nil || got.Known() {
				t.Errorf("%v, %v; want an error", got, err)
			}
		})
	}
	if _, err := FileVersion(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// A layer comes from an image that anyone may have made.
func FuzzFileVersion(f *testing.F) {
	f.Add(peImage(f, Version{10, 0, 20348, 1}))
	f.Add(peImage(f, Version{10, 0, 20348, 1}, func(r []byte) { r[0x48+3] = 0xff }))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "x.dll")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if v, err := FileVersion(path); err == nil && !v.Known() {
			t.Error("neither a version nor an error")
		}
	})
}
