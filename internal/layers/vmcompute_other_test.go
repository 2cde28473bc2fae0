//go:build !windows

package layers

import "testing"

// A build for another system that forgot its driver must say so, not pretend.
func TestUnassignedDriver(t *testing.T) {
	s := NewStore(Windows())
	if _, err := s.Mount(t.Context(), testLayers); err == nil {
		t.Error("mounted Windows layers without Windows")
	}
	if err := s.EnsureScratch(t.Context(), testLayers); err == nil {
		t.Error("made a scratch without Windows")
	}
}
