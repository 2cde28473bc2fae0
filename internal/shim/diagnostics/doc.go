// Package diagnostics is a small service on the shim's pipe that tells an
// operator what one pod is and does: the plan with its reasons and crossings,
// the tasks and their states, the utility VM, how long each phase took, and the
// calls that have not come back. `isolctl show` and `isolctl stacks` ask it.
//
//	isolctl ──▶ the pod's pipe ──▶ ttrpc: isol.diagnostics.v1.Diagnostics
//	                                 Show    Question → Report
//	                                 Stacks  Question → Stacks
//
// # Wire format
//
// Question, Report and Stacks travel as JSON in a google.protobuf.Any: the Go
// types of this package are the schema. The two ends are built together, the
// answer is mostly a plan, whose JSON is isol's own format already, and a message
// of its own would link a second copy of every field into each shim. Fields are
// only ever added; [Report] carries the version.
//
// # Failure rules
//
// A report is made of what the pod knows: it waits for no lock that is held
// across a call, and asks neither the compute service nor, but for its stacks,
// the guest. So it answers also where everything else hangs. A guest that gives
// no stacks in time is told as such, in place of its stacks.
package diagnostics
