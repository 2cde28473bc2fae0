package pod

import (
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/oci"
)

// containerDocument makes the document of a process-isolated container.
func containerDocument(owner string, plan *isolation.Plan, m layers.Mounted) (*schema.ComputeSystem, error) {
	c := &schema.ComputeSystem{Owner: owner, SchemaVersion: schema.V21(), ShouldTerminateOnLastHandleClosed: true,
		Container: &schema.Container{Storage: &schema.Storage{Path: m.Path}}}
	for _, l := range m.Layers {
		c.Container.Storage.Layers = append(c.Container.Storage.Layers, schema.Layer{ID: l.ID, Path: l.Path})
	}
	return c, nil
}

// processDocument makes the parameters of a process.
func processDocument(p oci.Process, s StdioConfig) (*schema.ProcessParameters, error) {
	return &schema.ProcessParameters{CommandLine: p.Line(), CreateStdInPipe: s.Stdin != "", CreateStdOutPipe: s.Stdout != "",
		CreateStdErrPipe: s.Stderr != "", EmulateConsole: s.Terminal}, nil
}
