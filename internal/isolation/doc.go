// Package isolation decides how a container is isolated, and says why.
//
// [Decide] is a pure function from what was asked ([Input]) to a [Plan]: no
// file is read, nothing of the system is touched, the same input gives the same
// plan on any machine. All of a container's create that is a matter of rules is
// here; what follows builds documents from the plan and applies them.
//
//	spec ─ oci.Parse ──▶ Request ─┐
//	options.Decode ────▶ Options ─┤
//	node.Read ─────────▶ Node ────┤            ┌▶ Mode, Guest, Role
//	host.Probe ────────▶ Host ────┼─▶ Decide ──┼▶ Container, UVM
//	host.ReadImage ────▶ Image ───┤            ├▶ Crossings
//	the pod's own plan ▶ Pod ─────┘            └▶ Reasons, Overruled
//
// # Who decides
//
// The sources, strongest first, are the node's policy, the pod that a container
// joins, spec.linux, the HostProcess annotation, spec.windows.hyperv, the
// annotation io.isol.isolation, the runtime options, the node's config file and
// the host's edition. The spec's own sources (down to the annotation) must not
// contradict each other or what is above them: that is an error naming both.
// The rest are defaults: the strongest that speaks decides, the weaker ones
// that said something else are listed in [Plan.Overruled].
//
// # What is refused
//
// Every refusal is an error of internal/fault that names the input, says what
// is allowed and what would work instead:
//
//	InvalidArgument     the request contradicts itself or asks for what does not exist
//	FailedPrecondition  this host, image or pod cannot do it: versions, no hypervisor
//	PermissionDenied    the node's policy, or a switch of the pod, forbids it
//	Unimplemented       Windows can, isol can not yet
//
// There are no locks and no state.
package isolation
