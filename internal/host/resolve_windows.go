package host

import "github.com/Microsoft/go-winio/pkg/fs"

// ResolvePath returns where a file or folder of the host really is: links and
// mount points resolved, the volume named by its GUID.
func ResolvePath(path string) (string, error) { return fs.ResolvePath(path) }
