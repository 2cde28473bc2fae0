package uvm

import (
	"errors"
	"strings"
	"testing"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
)

// Every event in every state: a cell that is wrong leaves a VM running that
// nobody can speak to, or ends one that runs.
func TestEveryStateByEveryEvent(t *testing.T) {
	type is = string
	want := map[event][stateCount]is{
		//         running            crashing           doubtful           ending           closing          ended
		evCrash:  {"crashing/fail", "crashing", "crashing/fail", "ending", "closing", "ended"},
		evBridge: {"doubtful/ask", "crashing", "doubtful", "ending", "closing", "ended"},
		evExit:   {"ended/conclude", "ended/conclude", "ended/conclude", "ended/conclude", "ended/conclude", "ended"},
		evLate:   {"running", "ending/terminate", "ending/terminate", "ending/give up", "closing", "ended"},
		evClose:  {"closing", "closing", "closing", "closing", "closing", "ended"},
	}
	actions := map[action]string{doFail: "/fail", doAsk: "/ask", doTerminate: "/terminate", doGiveUp: "/give up", doConclude: "/conclude"}
	for e := range eventCount {
		for s := range stateCount {
			p := policy{state: s}
			do := p.on(e)
			if got := p.state.String() + actions[do]; got != want[e][s] {
				t.Errorf("%v when %v: %s, want %s", e, s, got, want[e][s])
			}
			if s == stateEnded && (p.state != stateEnded || do != doNothing) {
				t.Errorf("%v wakes the dead", e)
			}
		}
	}
}

// From every state the exit of the system ends the VM: else its sandbox looks
// alive over it. And no state is left but by an event that comes in any case.
func TestEveryStateEnds(t *testing.T) {
	for s := range stateCount {
		p := policy{state: s}
		p.on(evExit)
		if p.state != stateEnded {
			t.Errorf("%v does not end with the system", s)
		}
		p = policy{state: s}
		if do := p.on(evLate); s != stateRunning && s != stateClosing && s != stateEnded && do == doNothing {
			t.Errorf("%v waits for ever", s)
		}
	}
}

// The reason is what the operator is told first: it must be HCS's where HCS
// knows, and the guest's crash whoever ended the VM after it.
func TestReasonOfAnEnd(t *testing.T) {
	for _, tc := range []struct {
		name   string
		events []event // before the exit
		how    hcs.How
		want   Reason
	}{
		{"bugcheck told by events", []event{evCrash}, hcs.EndForced, ReasonBugcheck},
		{"bugcheck told by the exit", nil, hcs.EndBugcheck, ReasonBugcheck},
		{"bugcheck after the bridge died", []event{evBridge, evCrash}, hcs.EndUnknown, ReasonBugcheck},
		{"bugcheck whose dump never ends", []event{evCrash, evLate}, hcs.EndForced, ReasonBugcheck},
		{"bugcheck of a VM that is closed then", []event{evCrash, evClose}, hcs.EndForced, ReasonBugcheck},
		{"crash", nil, hcs.EndCrash, ReasonCrash},
		{"crash, the bridge first", []event{evBridge}, hcs.EndCrash, ReasonCrash},
		{"crash of a VM that isol was ending", []event{evBridge, evLate}, hcs.EndCrash, ReasonCrash},
		{"bridge closed", []event{evBridge, evLate}, hcs.EndForced, ReasonBridge},
		{"bridge closed, terminate in vain", []event{evBridge, evLate, evLate}, hcs.EndUnknown, ReasonBridge},
		{"shut down from inside", []event{evBridge}, hcs.EndGraceful, ReasonShutdown},
		{"terminated by someone", nil, hcs.EndForced, ReasonTerminated},
		{"terminated by someone, the bridge first", []event{evBridge}, hcs.EndForced, ReasonTerminated},
		{"service gone", nil, hcs.EndUnknown, ReasonLost},
		{"closed", []event{evClose, evBridge}, hcs.EndForced, ReasonClosed},
		{"closed, and the guest crashes over it", []event{evClose, evCrash}, hcs.EndBugcheck, ReasonClosed},
		{"closed with a dead bridge", []event{evBridge, evClose}, hcs.EndForced, ReasonClosed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var p policy
			for _, e := range tc.events {
				p.on(e)
			}
			was := p.state
			if p.on(evExit) != doConclude {
				t.Fatalf("the exit ends nothing in %v", was)
			}
			if got := p.reason(was, tc.how); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}

// Every reason has a sentence with the VM's id, a kind that is not UNKNOWN, and
// the cause for errors.Is; the pod's own close is no error.
func TestExitErrors(t *testing.T) {
	crash := &hcs.Error{Op: "exit of system", ID: "p@vm", Err: hcs.ErrUnexpectedExit}
	bridge := errors.Join(hcs.ErrDisconnected, errors.New("end of stream"))
	for _, tc := range []struct {
		reason       Reason
		seen, bridge error
		text         string
		is           error
		kind         fault.Kind
	}{
		{ReasonBugcheck, nil, bridge, "kernel of its guest crashed", hcs.ErrGuestCrash, fault.Unavailable},
		{ReasonCrash, crash, bridge, "it crashed", hcs.ErrUnexpectedExit, fault.Unavailable},
		{ReasonShutdown, nil, bridge, "its guest shut down", nil, fault.Unavailable},
		{ReasonTerminated, nil, nil, "it was terminated: not by isol", nil, fault.Unavailable},
		{ReasonBridge, nil, bridge, "no longer answers", hcs.ErrDisconnected, fault.Unavailable},
		{ReasonLost, &hcs.Error{Err: hcs.ErrDisconnected}, nil, "no longer be observed", hcs.ErrDisconnected, fault.Unavailable},
	} {
		err := exitError("p@vm", tc.reason, tc.seen, tc.bridge)
		if err == nil || !strings.Contains(err.Error(), "p@vm") || !strings.Contains(err.Error(), tc.text) || tc.is != nil && !errors.Is(err, tc.is) || fault.KindOf(err) != tc.kind {
			t.Errorf("%s: %v (%v)", tc.reason, err, fault.KindOf(err))
		}
	}
	if err := exitError("p@vm", ReasonClosed, crash, bridge); err != nil {
		t.Errorf("closed by the pod: %v", err)
	}
}
