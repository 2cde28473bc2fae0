package uvm

import (
	"fmt"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
)

// Reason says in one word why a VM ended.
type Reason string

// The reasons.
const (
	ReasonClosed     Reason = "closed"     // the pod closed it
	ReasonBugcheck   Reason = "bugcheck"   // the guest's kernel crashed
	ReasonCrash      Reason = "crash"      // its worker process crashed, or the machine failed
	ReasonShutdown   Reason = "shutdown"   // the guest shut itself down
	ReasonTerminated Reason = "terminated" // something other than isol terminated it
	ReasonBridge     Reason = "bridge"     // the guest's connection died; isol ended the VM
	ReasonLost       Reason = "lost"       // the compute service went away, or does not say
)

// ExitError is the end of a VM that the pod did not close. It wraps what HCS or
// the bridge said, so that errors.Is finds hcs.ErrGuestCrash and the like.
type ExitError struct {
	VM     string // its id
	Reason Reason
	Err    error
}

// Error returns a sentence with the VM, the reason and what is known of it.
func (e *ExitError) Error() string {
	return fmt.Sprintf("utility VM %s has ended: %s: %v", e.VM, e.Reason.text(), e.Err)
}

// Unwrap returns the cause, as a fault of kind Unavailable: whatever ended the
// VM, it is not there, and another may be.
func (e *ExitError) Unwrap() error { return &fault.Error{Kind: fault.Unavailable, Err: e.Err} }

func (r Reason) text() string {
	switch r {
	case ReasonBugcheck:
		return "the kernel of its guest crashed"
	case ReasonCrash:
		return "it crashed"
	case ReasonShutdown:
		return "its guest shut down"
	case ReasonTerminated:
		return "it was terminated"
	case ReasonBridge:
		return "its guest no longer answers"
	}
	return "it can no longer be observed"
}

// exitError is the error of an end for reason, nil if the pod closed the VM.
// seen is what HCS said, bridge why the bridge died, nil if it has not.
func exitError(vm string, reason Reason, seen, bridge error) error {
	if reason == ReasonClosed {
		return nil
	}
	cause := seen
	switch {
	case reason == ReasonBridge && bridge != nil:
		cause = bridge
	case reason == ReasonBugcheck && seen == nil:
		cause = hcs.ErrGuestCrash
	case cause == nil:
		cause = &fault.Error{Kind: fault.Unavailable, Detail: "not by isol", Hint: "the event log Microsoft-Windows-Hyper-V-Worker-Admin says more"}
	}
	return &ExitError{VM: vm, Reason: reason, Err: cause}
}
