//go:build !windows

package host

import (
	"runtime"

	"github.com/isolrun/isol/internal/fault"
)

// Probe fails: only Windows has the facts. Use Load with a preset or a file.
func Probe() (Facts, error) {
	return Facts{}, fault.New(fault.Unimplemented,
		"host facts can be probed on Windows only, this is %s: name a preset or a file", runtime.GOOS)
}
