package pod

import (
	"github.com/isolrun/isol/internal/hcs/doc"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/oci"
)

// containerDocument makes the document of a process-isolated container.
func containerDocument(owner, namespace string, plan *isolation.Plan, m layers.Mounted) (*schema.ComputeSystem, error) {
	facts := doc.Facts{Owner: owner, Root: m.Path, Namespace: namespace}
	for _, l := range m.Layers {
		facts.Layers = append(facts.Layers, doc.Layer(l))
	}
	return doc.Container(plan, facts)
}

// processDocument makes the parameters of a process: it gets the pipes that
// the client has an end for.
func processDocument(p oci.Process, s StdioConfig) *schema.ProcessParameters {
	return doc.Process(&p, doc.Pipes{Stdin: s.Stdin != "", Stdout: s.Stdout != "", Stderr: s.Stderr != ""})
}
