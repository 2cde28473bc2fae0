package pod

import "github.com/isolrun/isol/internal/fault"

// ParseSignal returns the number that Kill takes for a signal's name or number.
// Errors: InvalidArgument naming what is allowed.
func ParseSignal(s string) (uint32, error) {
	return 0, fault.New(fault.Unimplemented, "not yet")
}
