package isolation

import (
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
	return &fault.Error{Kind: fault.Unimplemented, Op: "run", Subject: p.ID, Detail: "this version of isol does not run " + what + " yet", Hint: hint}
}

// notYet names the first part of the plan that is not built, empty for none.
func notYet(p *Plan) string {
	if p.Guest == GuestLinux {
		return "Linux containers"
	}
	return ""
}
