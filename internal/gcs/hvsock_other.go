//go:build !windows

package gcs

import (
	"fmt"

	"github.com/isolrun/isol/internal/hcs"
)

// NewListener fails: only Windows has hvsockets.
func NewListener(string) (Listener, error) {
	return nil, fmt.Errorf("%w: hvsockets", hcs.ErrNotSupported)
}
