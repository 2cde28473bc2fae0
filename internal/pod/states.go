package pod

import (
	"fmt"

	"github.com/isolrun/isol/internal/fault"
)

// state is where a process of a task (its init or an exec) stands.
type state uint8

// The states, drawn in the package comment.
const (
	stateCreating state = iota // Create is at work
	stateCreated               // may be started
	stateStarting              // Start is at work
	stateRunning               // the process runs
	stateExiting               // the process has ended, or never will run; output and resources are on their way
	stateStopped               // nothing is left but the exit status
	stateDeleting              // Delete is at work
	stateDeleted               // gone
	stateCount
)

var stateNames = [stateCount]string{"creating", "created", "starting", "running", "exiting", "stopped", "deleting", "deleted"}

func (s state) String() string { return stateNames[s] }

// status is what outsiders see. Exiting shows as running: a client that sees
// "stopped" may rely on having all output and on the scratch being free.
func (s state) status() Status {
	switch s {
	case stateCreating, stateCreated:
		return StatusCreated
	case stateStarting, stateRunning, stateExiting:
		return StatusRunning
	case stateStopped, stateDeleting:
		return StatusStopped
	}
	return StatusUnknown
}

// event is what happens to a process or is asked of it.
type event uint8

// The events. The first group is what clients ask for, the second what the
// machine itself finds.
const (
	evStart    event = iota // Start
	evKill                  // Kill
	evResize                // Resize
	evExec                  // CreateExec; asked of the init
	evUpdate                // Update; asked of the init
	evDelete                // Delete
	evStop                  // StopSandbox; asked of a sandbox
	evPing                  // PingSandbox; asked of a sandbox
	evShutdown              // ShutdownSandbox; asked of a sandbox

	evCreated      // Create has done its steps
	evCreateFailed // Create has failed and undone its steps
	evStarted      // the process runs
	evStartFailed  // it does not, and what there is must go
	evExited       // the process has ended
	evDone         // output is drained, resources are released
	evDeleteFailed // something could not be released
	evDeleted      // Delete has done its steps
	eventCount
)

var eventNames = [eventCount]string{"start", "kill", "resize", "exec", "update", "delete", "stop", "ping", "shut down",
	"created", "create failed", "started", "start failed", "exited", "done", "delete failed", "deleted"}

func (e event) String() string { return eventNames[e] }

// rule is one cell of the table: where the event leads, or why it may not happen.
type rule struct {
	to   state
	kind fault.Kind // not 0: refused with this kind
	hint string
}

func to(s state) rule                           { return rule{to: s} }
func refuse(kind fault.Kind, hint string) rule  { return rule{kind: kind, hint: hint} }
func precondition(hint string) rule             { return refuse(fault.FailedPrecondition, hint) }
func gone(hint string) rule                     { return refuse(fault.NotFound, hint) }
func column(cells ...rule) (c [stateCount]rule) { copy(c[:], cells); return c }

// never is for what the machine itself does not do in a state: a bug if asked.
var never = refuse(fault.Internal, "this is a defect of isol")

// transitions says for every event and every state what happens. A cell that
// leads to its own state allows the event without a change.
//
// Kill and Delete of what never ran lead to exiting: the caller then ends it.
// Delete in exiting waits and asks again.
var transitions = [eventCount][stateCount]rule{
	evStart: column(
		precondition("wait for create to return"), to(stateStarting), precondition("it is being started"),
		precondition("it runs"), precondition("it has ended"), precondition("it has ended: create it anew"),
		precondition("it is being deleted"), gone("")),
	evKill: column(
		precondition("wait for create to return"), to(stateExiting), to(stateStarting),
		to(stateRunning), gone("it has ended"), gone("it has ended"),
		gone("it has ended"), gone("")),
	evResize: column(
		precondition("wait for create to return"), to(stateCreated), to(stateStarting),
		to(stateRunning), to(stateExiting), to(stateStopped),
		to(stateDeleting), gone("")),
	evExec: column(
		precondition("start the task first"), precondition("start the task first"), precondition("wait for start to return"),
		to(stateRunning), precondition("the task has ended"), precondition("the task has ended"),
		precondition("the task has ended"), gone("")),
	evUpdate: column(
		precondition("wait for create to return"), to(stateCreated), precondition("wait for start to return"),
		to(stateRunning), precondition("the task has ended"), precondition("the task has ended"),
		precondition("the task has ended"), gone("")),
	evDelete: column(
		precondition("wait for create to return"), to(stateExiting), precondition("kill it first"),
		precondition("kill it first"), to(stateExiting), to(stateDeleting),
		precondition("it is being deleted"), gone("")),
	evStop: column( // ends what there is, and what has ended is what the caller wants
		precondition("wait for create to return"), to(stateCreated), to(stateStarting),
		to(stateRunning), to(stateExiting), to(stateStopped),
		to(stateDeleting), gone("")),
	evPing: column(
		precondition("wait for create to return"), to(stateCreated), to(stateStarting),
		to(stateRunning), precondition("it has ended"), precondition("it has ended"),
		precondition("it is being deleted"), gone("")),
	evShutdown: column( // also of one that is being made: who gives a request up asks for the end, once
		to(stateCreating), to(stateCreated), to(stateStarting),
		to(stateRunning), to(stateExiting), to(stateStopped),
		to(stateDeleting), gone("")),

	evCreated:      column(to(stateCreated), never, never, never, never, never, never, never),
	evCreateFailed: column(to(stateDeleted), never, never, never, never, never, never, never),
	evStarted:      column(never, never, to(stateRunning), never, never, never, never, never),
	evStartFailed:  column(never, never, to(stateExiting), never, never, never, never, never),
	evExited:       column(never, never, never, to(stateExiting), never, never, never, never),
	evDone:         column(never, never, never, never, to(stateStopped), never, never, never),
	evDeleteFailed: column(never, never, never, never, never, never, to(stateStopped), never),
	evDeleted:      column(never, never, never, never, never, never, to(stateDeleted), never),
}

// TransitionError says that something was asked of a process that its state
// does not allow. Its fault kind is FailedPrecondition, or NotFound where the
// process has ended and that is what the caller wanted.
type TransitionError struct {
	ID     string // of the task
	ExecID string // empty for the init
	State  string
	Event  string
	kind   fault.Kind
	hint   string
}

// Error returns a sentence naming the process, its state and what to do.
func (e *TransitionError) Error() string {
	what := "task " + e.ID
	if e.ExecID != "" {
		what = fmt.Sprintf("exec %s of task %s", e.ExecID, e.ID)
	}
	s := fmt.Sprintf("cannot %s %s: it is %s", e.Event, what, e.State)
	if e.hint != "" {
		s += " (" + e.hint + ")"
	}
	return s
}

// Unwrap returns a fault of the transition's kind.
func (e *TransitionError) Unwrap() error { return &fault.Error{Kind: e.kind} }

// next returns the state that e leads to, or why it may not happen.
func next(id, execID string, s state, e event) (state, error) {
	r := transitions[e][s]
	if r.kind == fault.Unknown {
		return r.to, nil
	}
	return s, &TransitionError{ID: id, ExecID: execID, State: s.String(), Event: e.String(), kind: r.kind, hint: r.hint}
}
