package vm

import "strings"

// drivePath says where a guest finds a file of the host, whose C: it sees as
// the folder drive. Paths on other drives are the same for both: Z: is the
// file system below Wine.
func drivePath(drive, path string) string {
	rest, _ := strings.CutPrefix(path, `\\?\`)
	if len(rest) < 3 || !strings.EqualFold(rest[:2], "C:") || rest[2] != '\\' && rest[2] != '/' {
		return path
	}
	return strings.TrimRight(drive, `\/`) + rest[2:]
}
