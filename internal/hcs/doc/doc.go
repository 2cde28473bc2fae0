// Package doc builds the documents of the compute service from a plan. All of
// it is pure: what a document needs beside the plan, because only the machine
// knows it, comes as facts.
//
//	isolation.Plan + Facts     ──▶ Container   process container
//	isolation.Plan + Facts     ──▶ Hosted      container in a Windows utility VM
//	isolation.UVM  + UVMFacts  ──▶ UVM         utility VM
//	oci.Process    + Pipes     ──▶ Process     init process or exec
//
// Each section of a document has a builder of its own. A plan that does not fit
// the document is an error of kind Internal: the decision should have refused it.
package doc
