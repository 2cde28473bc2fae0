package main

import (
	"testing"

	"github.com/isolrun/isol/test/lab"
)

// The short form: a shim that leaks with each probe or container takes a node's
// memory within days, and nothing else shows it.
func TestSoak(t *testing.T) {
	lab.Require(t)
	if err := run(t.Context(), size{Execs: 100, Pods: 2, Containers: 3, Handlers: bothModes}, t.Output()); err != nil {
		t.Error(err)
	}
}
