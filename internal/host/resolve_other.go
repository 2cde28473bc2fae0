//go:build !windows

package host

import "path/filepath"

// ResolvePath returns where a file or folder of the host really is.
func ResolvePath(path string) (string, error) { return filepath.EvalSymlinks(path) }
