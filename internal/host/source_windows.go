package host

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/windows"
)

// ResolveSource follows path to what stands behind it, by asking the file
// system for the name of what it opens: the compute service resolves links of
// folders by itself and those of files wrongly (as runhcs notes: fs.ResolvePath).
// A path that leads nowhere is an error that matches fs.ErrNotExist.
func ResolveSource(path string) (Source, error) {
	text, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return Source{}, &os.PathError{Op: "open", Path: path, Err: err}
	}
	// No access is asked for: attributes and name are everybody's to see.
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	h, err := windows.CreateFile(text, 0, share, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return Source{}, &os.PathError{Op: "open", Path: path, Err: err}
	}
	s, err := sourceOf(h)
	if err = errors.Join(err, windows.CloseHandle(h)); err != nil {
		return Source{}, &os.PathError{Op: "resolve", Path: path, Err: err}
	}
	return s, nil
}

// The forms of name that GetFinalPathNameByHandleW gives:
// https://learn.microsoft.com/windows/win32/api/fileapi/nf-fileapi-getfinalpathnamebyhandlew
// A volume without a drive letter or folder has no name of the first form, a share
// none of the second: ERROR_PATH_NOT_FOUND.
const (
	volumeNameDOS  = 0
	volumeNameGUID = 1
)

func sourceOf(h windows.Handle) (Source, error) {
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &info); err != nil {
		return Source{}, err
	}
	path, byDrive := finalName(h, volumeNameDOS)
	volume, byVolume := finalName(h, volumeNameGUID)
	switch {
	case errors.Is(byDrive, windows.ERROR_PATH_NOT_FOUND):
		path, byDrive = volume, byVolume
	case errors.Is(byVolume, windows.ERROR_PATH_NOT_FOUND):
		volume, byVolume = path, byDrive
	}
	if err := errors.Join(byDrive, byVolume); err != nil {
		return Source{}, err
	}
	return Source{Path: plain(path), Volume: plain(volume), Dir: info.FileAttributes&windows.FILE_ATTRIBUTE_DIRECTORY != 0}, nil
}

func finalName(h windows.Handle, form uint32) (string, error) {
	for size := uint32(windows.MAX_PATH); ; {
		buffer := make([]uint16, size)
		n, err := windows.GetFinalPathNameByHandle(h, &buffer[0], size, form)
		if err != nil {
			return "", err
		}
		if n < size {
			return windows.UTF16ToString(buffer[:n]), nil
		}
		size = n + 1 // it said how long the name is
	}
}

// plain takes the prefix of long paths off; volumes keep it.
func plain(name string) string {
	if rest, ok := strings.CutPrefix(name, `\\?\UNC\`); ok {
		return `\\` + rest
	}
	if rest, ok := strings.CutPrefix(name, `\\?\`); ok && len(rest) > 1 && rest[1] == ':' {
		return rest
	}
	return name
}
