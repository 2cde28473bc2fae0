package isolation

import (
	"fmt"

	"github.com/isolrun/isol/internal/fault"
)

// Runnable says whether this version of isol runs what p plans. Decide plans
// more than that, so that `isolctl explain` answers for every container; what
// is not built yet is refused here, by name. Errors: Unimplemented.
func Runnable(p *Plan) error {
	what := notYet(p)
	if what == "" {
		return nil
	}
	hint := "leave it out, or use another runtime for this container"
	if p.Mode == ModeHyperV && p.Guest == GuestWindows && p.Container.CredentialSpec == "" {
		hint = "leave it out, or use process isolation"
	}
	return &fault.Error{Kind: fault.Unimplemented, Op: "run", Subject: p.ID, Detail: "this version of isol does not run " + what + " yet", Hint: hint}
}

// notYet names the first part of the plan that is not built, empty for none.
func notYet(p *Plan) string {
	c := &p.Container
	switch {
	case p.Guest == GuestLinux:
		return "Linux containers"
	case p.Mode == ModeHostProcess || c.HostProcess != nil:
		return "HostProcess containers"
	case c.CredentialSpec != "":
		return "containers with a credential spec (gMSA)"
	case len(c.Affinity) > 0:
		return "containers that are pinned to processors (windows.resources.cpu.affinity)"
	case p.Mode != ModeHyperV:
		return ""
	case len(c.Devices) > 0:
		return "devices in a utility VM"
	}
	for _, m := range c.Mounts {
		if m.Mechanism != MechanismVSMB && m.Mechanism != MechanismSCSI {
			return fmt.Sprintf("the mount of %s in a utility VM", m.Source)
		}
	}
	return ""
}
