package pod

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// Every state times every event. "-": FailedPrecondition, "?": NotFound, "!":
// what the machine itself must not do.
func TestTransitions(t *testing.T) {
	want := map[string][stateCount]string{
		//                 creating   created    starting    running    exiting    stopped     deleting    deleted
		"start":         {"-", "starting", "-", "-", "-", "-", "-", "?"},
		"kill":          {"-", "exiting", "starting", "running", "?", "?", "?", "?"},
		"resize":        {"-", "created", "starting", "running", "exiting", "stopped", "deleting", "?"},
		"exec":          {"-", "-", "-", "running", "-", "-", "-", "?"},
		"update":        {"-", "created", "-", "running", "-", "-", "-", "?"},
		"delete":        {"-", "exiting", "-", "-", "exiting", "deleting", "-", "?"},
		"stop":          {"-", "created", "starting", "running", "exiting", "stopped", "deleting", "?"},
		"ping":          {"-", "created", "starting", "running", "-", "-", "-", "?"},
		"shut down":     {"creating", "created", "starting", "running", "exiting", "stopped", "deleting", "?"},
		"created":       {"created", "!", "!", "!", "!", "!", "!", "!"},
		"create failed": {"deleted", "!", "!", "!", "!", "!", "!", "!"},
		"started":       {"!", "!", "running", "!", "!", "!", "!", "!"},
		"start failed":  {"!", "!", "exiting", "!", "!", "!", "!", "!"},
		"exited":        {"!", "!", "!", "exiting", "!", "!", "!", "!"},
		"done":          {"!", "!", "!", "!", "stopped", "!", "!", "!"},
		"delete failed": {"!", "!", "!", "!", "!", "!", "stopped", "!"},
		"deleted":       {"!", "!", "!", "!", "!", "!", "deleted", "!"},
	}
	signs := map[fault.Kind]string{fault.FailedPrecondition: "-", fault.NotFound: "?", fault.Internal: "!"}
	if len(want) != int(eventCount) {
		t.Fatalf("%d events in the table, %d exist", len(want), eventCount)
	}
	for e := range eventCount {
		var got [stateCount]string
		for s := range stateCount {
			to, err := next("c1", "", s, e)
			got[s] = to.String()
			if err != nil {
				got[s] = signs[fault.KindOf(err)]
				if to != s {
					t.Errorf("%s in %s: refused, and moved to %s", e, s, to)
				}
			}
		}
		if d := cmp.Diff(want[e.String()], got); d != "" {
			t.Errorf("%s: %s", e, d)
		}
	}
}

// No chain of events leads out of deleted or back to created.
func TestTransitionsNeverGoBack(t *testing.T) {
	for e := range eventCount {
		for s := range stateCount {
			to, err := next("c1", "", s, e)
			if err == nil && to < s && !(s == stateDeleting && to == stateStopped) {
				t.Errorf("%s leads from %s back to %s", e, s, to)
			}
		}
	}
}

func TestTransitionError(t *testing.T) {
	_, err := next("c1", "e1", stateStopped, evStart)
	if got, want := err.Error(), "cannot start exec e1 of task c1: it is stopped (it has ended: create it anew)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err = next("c1", "", stateDeleted, evKill)
	if got, want := err.Error(), "cannot kill task c1: it is deleted"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStatus(t *testing.T) {
	want := [stateCount]Status{StatusCreated, StatusCreated, StatusRunning, StatusRunning, StatusRunning, StatusStopped, StatusStopped, StatusUnknown}
	for s := range stateCount {
		if got := s.status(); got != want[s] {
			t.Errorf("%s shows as %d, want %d", s, got, want[s])
		}
	}
}

// The reference's map: a signal that does something else here than there ends a
// program without its grace period, or not at all.
func TestSignals(t *testing.T) {
	for number, want := range map[uint32]schema.Signal{
		0: schema.CtrlC, 1: schema.CtrlBreak, 2: schema.CtrlClose, 5: schema.CtrlLogOff, 6: schema.CtrlShutdown, SignalTerm: schema.CtrlShutdown, SignalKill: "",
	} {
		if sig, err := lookupSignal(number); err != nil || sig.deliver != want || sig.isKill() != (want == "") {
			t.Errorf("%d: delivers %q, want %q (%v)", number, sig.deliver, want, err)
		}
	}
	if _, err := lookupSignal(3); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), "allowed are CTRLC (0), ") {
		t.Errorf("3: %v", err)
	}
}

// A deadline that someone forgot would be zero, and end its step at once.
func TestDeadlinesHaveDefaults(t *testing.T) {
	filled := reflect.ValueOf(Deadlines{}.withDefaults())
	for i := range filled.NumField() {
		if filled.Field(i).Int() <= 0 {
			t.Errorf("%s is not set", filled.Type().Field(i).Name)
		}
	}
	if d := (Deadlines{Kill: time.Second}).withDefaults(); d.Kill != time.Second || d.Shutdown != 30*time.Second {
		t.Errorf("%+v", d)
	}
}
