package host

import (
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// errNoVersion says that a file is a PE image without a version resource.
var errNoVersion = errors.New("no version resource")

// Bounds on what is read of a file that may be hostile.
const (
	maxDirEntries  = 4096
	maxVersionInfo = 64 << 10
)

// FileVersion returns the file version of a PE image: the VS_FIXEDFILEINFO of
// its first version resource.
// https://learn.microsoft.com/windows/win32/debug/pe-format#the-rsrc-section
// https://learn.microsoft.com/windows/win32/api/verrsrc/ns-verrsrc-vs_fixedfileinfo
func FileVersion(path string) (Version, error) {
	f, err := pe.Open(path)
	if err != nil {
		return Version{}, fmt.Errorf("read version of %s: %w", path, err)
	}
	defer f.Close()
	v, err := versionResource(f)
	if err != nil {
		return Version{}, fmt.Errorf("read version of %s: %w", path, err)
	}
	return v, nil
}

func versionResource(f *pe.File) (Version, error) {
	var dirs []pe.DataDirectory
	switch h := f.OptionalHeader.(type) {
	case *pe.OptionalHeader64:
		dirs = h.DataDirectory[:]
	case *pe.OptionalHeader32:
		dirs = h.DataDirectory[:]
	default:
		return Version{}, errNoVersion
	}
	rva := dirs[pe.IMAGE_DIRECTORY_ENTRY_RESOURCE].VirtualAddress
	s := sectionOf(f, rva)
	if rva == 0 || s == nil {
		return Version{}, errNoVersion
	}
	root := int64(rva - s.VirtualAddress)
	leaf, err := findVersionLeaf(s, root)
	if err != nil {
		return Version{}, err
	}
	var entry [16]byte // IMAGE_RESOURCE_DATA_ENTRY
	if _, err := s.ReadAt(entry[:], root+leaf); err != nil {
		return Version{}, err
	}
	dataRVA, size := le(entry[0:]), le(entry[4:])
	ds := sectionOf(f, dataRVA)
	if ds == nil || size > maxVersionInfo {
		return Version{}, errNoVersion
	}
	data := make([]byte, size)
	if _, err := ds.ReadAt(data, int64(dataRVA-ds.VirtualAddress)); err != nil {
		return Version{}, err
	}
	return fixedFileInfo(data)
}

func sectionOf(f *pe.File, rva uint32) *pe.Section {
	for _, s := range f.Sections {
		if rva >= s.VirtualAddress && rva-s.VirtualAddress < max(s.VirtualSize, s.Size) {
			return s
		}
	}
	return nil
}

// findVersionLeaf walks type RT_VERSION, first name, first language.
func findVersionLeaf(r io.ReaderAt, root int64) (int64, error) {
	const rtVersion = 16
	off, err := resourceEntry(r, root, func(id uint32) bool { return id == rtVersion })
	for range 2 {
		if err != nil {
			return 0, err
		}
		if off&(1<<31) == 0 {
			return 0, errNoVersion // a leaf where a directory should be
		}
		off, err = resourceEntry(r, root+int64(off&^(1<<31)), func(uint32) bool { return true })
	}
	if err != nil {
		return 0, err
	}
	if off&(1<<31) != 0 {
		return 0, errNoVersion // a directory where the leaf should be
	}
	return int64(off), nil
}

// resourceEntry returns the offset that the first matching entry of the
// IMAGE_RESOURCE_DIRECTORY at off holds; its top bit marks a directory.
func resourceEntry(r io.ReaderAt, off int64, match func(id uint32) bool) (uint32, error) {
	var head [16]byte
	if _, err := r.ReadAt(head[:], off); err != nil {
		return 0, err
	}
	n := int(binary.LittleEndian.Uint16(head[12:])) + int(binary.LittleEndian.Uint16(head[14:]))
	if n > maxDirEntries {
		return 0, errNoVersion
	}
	for i := range n {
		var e [8]byte
		if _, err := r.ReadAt(e[:], off+16+8*int64(i)); err != nil {
			return 0, err
		}
		if match(le(e[0:])) {
			return le(e[4:]), nil
		}
	}
	return 0, errNoVersion
}

// fixedFileInfo finds VS_FIXEDFILEINFO by its signature: it follows the header
// of VS_VERSIONINFO, whose length depends on the alignment of its key.
func fixedFileInfo(data []byte) (Version, error) {
	const signature, size = 0xFEEF04BD, 52
	for i := 0; i+size <= len(data); i += 4 {
		if le(data[i:]) == signature {
			ms, ls := le(data[i+8:]), le(data[i+12:])
			v := Version{Major: ms >> 16, Minor: ms & 0xffff, Build: ls >> 16, Revision: ls & 0xffff}
			if !v.Known() {
				return Version{}, errNoVersion
			}
			return v, nil
		}
	}
	return Version{}, errNoVersion
}

func le(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
