//go:build !windows

package host

import (
	"os"
	"path/filepath"
)

// ResolveSource follows path to what stands behind it. A path that leads
// nowhere is an error that matches fs.ErrNotExist.
func ResolveSource(path string) (Source, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return Source{}, err
	}
	info, err := os.Stat(real)
	if err != nil {
		return Source{}, err
	}
	return Source{Path: real, Volume: real, Dir: info.IsDir()}, nil
}
