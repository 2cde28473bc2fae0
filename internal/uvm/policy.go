package uvm

import "github.com/isolrun/isol/internal/hcs"

// state is where a booted VM stands. The whole policy is the table transitions.
type state uint8

const (
	stateRunning  state = iota
	stateCrashing       // the guest's kernel has crashed; HCS writes the dump and then ends the VM
	stateDoubtful       // the bridge is dead and HCS has not said why
	stateEnding         // isol ends a VM that cannot be spoken to
	stateClosing        // the pod ends the VM
	stateEnded
	stateCount
)

var stateNames = [stateCount]string{"running", "crashing", "doubtful", "ending", "closing", "ended"}

// String returns the state's name, for logs and diagnostics.
func (s state) String() string { return stateNames[s] }

// event is what happens to a VM.
type event uint8

const (
	evCrash  event = iota // HCS reports that the guest's kernel has crashed
	evBridge              // the bridge is dead
	evExit                // the system has exited, or can no longer be observed
	evLate                // what the state waits for did not come in its time
	evClose               // the pod closes the VM
	eventCount
)

var eventNames = [eventCount]string{"crash", "bridge", "exit", "late", "close"}

// String returns the event's name, for logs.
func (e event) String() string { return eventNames[e] }

// action is what watch does on a transition.
type action uint8

const (
	doNothing   action = iota
	doFail             // fail the bridge with the crash, and wait for the dump
	doAsk              // wait for the reason that HCS mostly has
	doTerminate        // terminate the system, and wait for its exit
	doGiveUp           // close the system's handle, which ends what could not be terminated
	doConclude         // write down the reason and end what is in flight
)

// cell is where an event leads from a state, and what is done.
type cell struct {
	to state
	do action
}

// row lists the cells of one event in the order of the states. An event that
// means nothing in a state leads to it.
func row(cells ...cell) (r [stateCount]cell) { copy(r[:], cells); return r }

// transitions says for every event and every state what happens.
//
// Late stands for the timer that the state's action has set: none is set in
// running, closing (Close has deadlines of its own) and ended.
var transitions = [eventCount][stateCount]cell{
	evCrash: row(cell{stateCrashing, doFail}, cell{to: stateCrashing}, cell{stateCrashing, doFail},
		cell{to: stateEnding}, cell{to: stateClosing}, cell{to: stateEnded}),
	evBridge: row(cell{stateDoubtful, doAsk}, cell{to: stateCrashing}, cell{to: stateDoubtful},
		cell{to: stateEnding}, cell{to: stateClosing}, cell{to: stateEnded}),
	evExit: row(cell{stateEnded, doConclude}, cell{stateEnded, doConclude}, cell{stateEnded, doConclude},
		cell{stateEnded, doConclude}, cell{stateEnded, doConclude}, cell{to: stateEnded}),
	evLate: row(cell{to: stateRunning}, cell{stateEnding, doTerminate}, cell{stateEnding, doTerminate},
		cell{stateEnding, doGiveUp}, cell{to: stateClosing}, cell{to: stateEnded}),
	evClose: row(cell{to: stateClosing}, cell{to: stateClosing}, cell{to: stateClosing},
		cell{to: stateClosing}, cell{to: stateClosing}, cell{to: stateEnded}),
}

// policy is the state of a VM with what is remembered of the way there.
type policy struct {
	state   state
	crashed bool // the guest's kernel crashed while the VM was isol's to watch
	broken  bool // the bridge died before anything else was known
}

// on takes an event and returns what is to be done.
func (p *policy) on(e event) action {
	c := transitions[e][p.state]
	if p.state != stateClosing && p.state != stateEnded {
		p.crashed = p.crashed || e == evCrash
		p.broken = p.broken || e == evBridge && p.state == stateRunning
	}
	p.state = c.to
	return c.do
}

// reason decides why a VM ended: was is the state in which it did, how what HCS
// says of it. What HCS knows counts more than what isol has seen; that isol
// ended it itself (forced, or given up) says nothing of why.
func (p *policy) reason(was state, how hcs.How) Reason {
	switch {
	case p.crashed:
		return ReasonBugcheck
	case was == stateClosing:
		return ReasonClosed
	case how == hcs.EndBugcheck:
		return ReasonBugcheck
	case how == hcs.EndCrash:
		return ReasonCrash
	case was == stateEnding && p.broken:
		return ReasonBridge
	case how == hcs.EndGraceful:
		return ReasonShutdown
	case how == hcs.EndForced:
		return ReasonTerminated
	default:
		return ReasonLost
	}
}
