//go:build !windows

package network

import "testing"

// A build for another system that forgot its driver must say so, not pretend.
func TestUnassignedDriver(t *testing.T) {
	n := New(Windows())
	if err := n.Check(t.Context(), "n1"); err == nil {
		t.Error("found a namespace without Windows")
	}
	if err := n.Create(t.Context(), "n1", nil); err == nil {
		t.Error("made a namespace without Windows")
	}
	for _, err := range []error{Windows().ModifyNamespace("", ""), Windows().DeleteNamespace("")} {
		if err == nil {
			t.Error("changed a namespace without Windows")
		}
	}
	if _, err := Windows().Properties(KindEndpoint, "", ""); err == nil {
		t.Error("described an endpoint without Windows")
	}
}
