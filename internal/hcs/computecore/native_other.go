//go:build !windows

package computecore

import "errors"

// newNative fails: only Windows has a compute service.
func newNative(*registry) (native, error) {
	return nil, errors.New("this operating system has no compute service")
}
