//go:build !windows

package main

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// Elsewhere than on Windows the program says what it is for.
func TestNotWindows(t *testing.T) {
	for _, args := range [][]string{{"ps"}, {"serve"}, {"ledger"}} {
		if err := run(args, strings.NewReader(""), io.Discard); !errors.Is(err, errNotWindows) {
			t.Errorf("hcsemu %v: %v, want errNotWindows", args, err)
		}
	}
}
