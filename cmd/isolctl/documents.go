package main

import (
	"fmt"

	"github.com/isolrun/isol/internal/hcs/doc"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/oci"
)

// document is one JSON document that a create sends.
type document struct {
	Name string `json:"name"`
	For  string `json:"for"` // who gets it
	Body any    `json:"body,omitempty"`
	Note string `json:"note,omitempty"` // why there is no body, or what in it is made up
}

// What is known only when the container is created stands in the documents as
// these.
const (
	unknownRoot  = `\\?\Volume{00000000-0000-0000-0000-000000000000}\`
	unknownLayer = "00000000-0000-0000-0000-000000000000"
	owner        = "containerd-shim-isol-v1.exe"
	placeholders = "GUIDs of zeros and <…> stand for what only the create knows"
)

// documents builds what the shim would send for the plan.
func documents(p *isolation.Plan, req *oci.Request) ([]document, error) {
	var docs []document
	if p.UVM != nil && p.Guest == isolation.GuestWindows {
		body, err := doc.UVM(p.UVM, doc.UVMFacts{Owner: owner, OSFiles: `<image>\UtilityVM\Files`, Scratch: `<scratch>\sandbox.vhdx`})
		if err != nil {
			return nil, err
		}
		docs = append(docs, document{Name: "utility VM " + p.UVM.ID, For: "HcsCreateComputeSystem", Body: body, Note: placeholders})
	}
	d, err := containerDocument(p, req)
	if err != nil {
		return nil, err
	}
	docs = append(docs, d)
	if req.Process != nil && !noProcess(p) {
		docs = append(docs, document{
			Name: "process", For: "HcsCreateProcess",
			Body: doc.Process(req.Process, doc.Pipes{Stdin: true, Stdout: true, Stderr: true}),
		})
	}
	return docs, nil
}

// noProcess reports whether nothing is run for the plan: the sandbox of a
// Hyper-V pod is its VM, and one that the Sandbox API makes has no container.
func noProcess(p *isolation.Plan) bool {
	return p.Role == isolation.RoleSandbox && (p.Mode == isolation.ModeHyperV || p.Bare)
}

func containerDocument(p *isolation.Plan, req *oci.Request) (document, error) {
	d := document{Name: "container " + p.ID, Note: placeholders}
	facts := doc.Facts{Owner: owner, Root: unknownRoot}
	if n := len(req.System.LayerFolders); n > 1 {
		for _, l := range req.System.LayerFolders[:n-1] {
			facts.Layers = append(facts.Layers, doc.Layer{ID: unknownLayer, Path: l})
		}
	}
	var err error
	switch {
	case p.Bare && p.UVM == nil:
		d.Note = "none: the Sandbox API makes pods without a container of their own"
	case noProcess(p):
		d.Note = "none: the sandbox of a Hyper-V pod is its utility VM"
	case p.Guest == isolation.GuestLinux:
		d.Note = "none: isol does not build documents for Linux guests yet"
	case p.InVM():
		d.For = "the guest of the utility VM"
		facts.Root = `<root in the guest>`
		for i := range p.Container.Mounts {
			facts.Paths = append(facts.Paths, fmt.Sprintf("<mount %d in the guest>", i))
		}
		d.Body, err = doc.Hosted(p, facts)
	case p.Mode == isolation.ModeHostProcess:
		d.Note = "none: a HostProcess container is a job object of the host"
	default:
		d.For = "HcsCreateComputeSystem"
		d.Body, err = doc.Container(p, facts)
	}
	return d, err
}
