// Package crash keeps what a shim wrote when it crashed: one small file per
// shim, outside the bundle, because containerd removes the bundle of a dead
// shim and with it the only trace of why it died.
//
// Only the Go runtime's own crash text goes into the file
// (debug.SetCrashOutput), never ordinary logs, so it stays empty unless the shim
// crashes, and an empty one is removed at the end. [Keep] files stay, the newest;
// of a file no more than [MaxSize] is kept.
package crash

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

const (
	// Keep is how many crash files of earlier shims stay.
	Keep = 20
	// MaxSize is how much of a crash file stays, in bytes.
	MaxSize = 256 << 10
	// headSize is how much of it delete tells.
	headSize = 4 << 10

	suffix = ".txt"
)

// Dir is a folder of crash files.
type Dir string

// DefaultDir returns %ProgramData%\isol\crash with the variable taken from
// getenv.
func DefaultDir(getenv func(string) string) Dir {
	base := getenv("ProgramData")
	if base == "" {
		base = `C:\ProgramData`
	}
	return Dir(filepath.Join(base, "isol", "crash"))
}

// Path returns the crash file of a shim.
func (d Dir) Path(namespace, id string) string {
	return filepath.Join(string(d), fileName(namespace, id))
}

// fileName writes bytes that a Windows file name cannot hold as %XX:
// https://learn.microsoft.com/windows/win32/fileio/naming-a-file
func fileName(namespace, id string) string {
	var b strings.Builder
	for _, c := range []byte(namespace + "-" + id) {
		if c < 0x20 || strings.IndexByte(`<>:"/\|?*%`, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	name := b.String()
	return name[:min(len(name), 200)] + suffix
}

// Watch makes the Go runtime write a crash of this process into the shim's
// file, and removes old files. The returned function ends that and removes the
// file if it is empty. An error means that crashes are not kept; the shim can
// go on.
func (d Dir) Watch(namespace, id string) (end func() error, err error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return nil, fmt.Errorf("crash files: %w", err)
	}
	pruneErr := d.prune()
	path := d.Path(namespace, id)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("crash file: %w", err), pruneErr)
	}
	// The runtime holds a handle of its own to the file.
	err = errors.Join(debug.SetCrashOutput(f, debug.CrashOptions{}), f.Close())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("crash file: %w", err), os.Remove(path), pruneErr)
	}
	return func() error {
		err := debug.SetCrashOutput(nil, debug.CrashOptions{})
		if info, statErr := os.Stat(path); statErr == nil && info.Size() == 0 {
			err = errors.Join(err, os.Remove(path))
		}
		return err
	}, pruneErr
}

// Head returns the beginning of a shim's crash text, and nothing if it did not
// crash.
func (d Dir) Head(namespace, id string) string {
	f, err := os.Open(d.Path(namespace, id))
	if err != nil {
		return ""
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, headSize))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(head))
}

// Forget removes the file of a shim that has not crashed; of one that has, it
// cuts what is too long.
func (d Dir) Forget(namespace, id string) error {
	path := d.Path(namespace, id)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Size() == 0:
		return os.Remove(path)
	case info.Size() > MaxSize:
		return os.Truncate(path, MaxSize)
	}
	return nil
}

// prune removes the oldest files beyond Keep and cuts long ones. Files of
// running shims are empty, and Windows refuses to remove a file that is open,
// so those stay whatever their age.
func (d Dir) prune() error {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return err
	}
	var files []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && strings.HasSuffix(info.Name(), suffix) && info.Size() > 0 {
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	var errs []error
	for i, info := range files {
		path := filepath.Join(string(d), info.Name())
		switch {
		case i >= Keep:
			errs = append(errs, os.Remove(path))
		case info.Size() > MaxSize:
			errs = append(errs, os.Truncate(path, MaxSize))
		}
	}
	return errors.Join(errs...)
}
