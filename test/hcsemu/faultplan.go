package hcsemu

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Fault is one thing that goes wrong. It waits for the n-th call that matches
// Function and Exe (or the n-th event that matches Event) and then does Action.
// Each fault counts for itself, from the moment it is added.
//
//	{"function": "HcsStartComputeSystem", "nth": 1, "action": "fail", "code": "0x8037011e"}
//	{"function": "HcsCreateProcess", "when": "after", "action": "hang", "name": "create"}
//	{"function": "*", "exe": "containerd-shim-isol-v1.exe", "nth": 12, "action": "kill"}
//	{"event": "ProcessExited", "action": "drop"}
type Fault struct {
	Name     string `json:"name,omitempty"`     // to release a hang by
	Function string `json:"function,omitempty"` // a function's name, or "*"
	Event    string `json:"event,omitempty"`    // an event's name, for drop
	Exe      string `json:"exe,omitempty"`      // base name of the caller's program
	Nth      int    `json:"nth,omitempty"`      // 1 is the first; 0 is 1
	Times    int    `json:"times,omitempty"`    // matches in a row from the n-th on; 0 is 1, -1 is all
	When     When   `json:"when,omitempty"`     // before or after the call's effect; "" is before
	Action   Action `json:"action"`
	Code     string `json:"code,omitempty"`     // for fail and for a hang's end: an HRESULT, "0x80370118"
	DelayMS  int    `json:"delay_ms,omitempty"` // for delay
}

// When says on which side of a call's effect a fault acts. A call that fails
// after its effect has its handles taken back, as the service does when its
// client never gets them; other effects stay.
type When string

const (
	whenBefore When = "before"
	whenAfter  When = "after"
)

// Action is what a fault does.
type Action string

// The actions.
const (
	ActionFail       Action = "fail"       // return Code
	ActionDelay      Action = "delay"      // wait DelayMS
	ActionHang       Action = "hang"       // wait until released by name, canceled or disconnected
	ActionDisconnect Action = "disconnect" // end the compute service, see DisconnectService
	ActionKill       Action = "kill"       // end the caller as kill -9 does
	ActionCrash      Action = "crash"      // crash the system that the call is about, if there is one
	ActionBugcheck   Action = "bugcheck"   // crash the kernel of the machine that the call is about
	ActionDrop       Action = "drop"       // lose an event
)

type plannedFault struct {
	Fault
	code HRESULT
	seen int
}

// hang is a call that a fault holds.
type hang struct {
	name    string
	release chan struct{}
}

// ParseFaults reads a fault plan: a JSON array of [Fault]. An unknown field, an
// action without what it needs, or a code that is no HRESULT is an error that names the fault.
func ParseFaults(plan []byte) ([]Fault, error) {
	d := json.NewDecoder(bytes.NewReader(plan))
	d.DisallowUnknownFields()
	var faults []Fault
	if err := d.Decode(&faults); err != nil {
		return nil, fmt.Errorf("fault plan: %w", err)
	}
	for i, f := range faults {
		if _, err := f.check(); err != nil {
			return nil, fmt.Errorf("fault plan: fault %d: %w", i+1, err)
		}
	}
	return faults, nil
}

// check returns the code of a fault that makes sense.
func (f Fault) check() (HRESULT, error) {
	if (f.Function == "") == (f.Event == "") {
		return 0, fmt.Errorf("one of function and event must be given")
	}
	if f.When != "" && f.When != whenBefore && f.When != whenAfter {
		return 0, fmt.Errorf("when is %q: before and after are allowed", f.When)
	}
	if (f.Event != "") != (f.Action == ActionDrop) {
		return 0, fmt.Errorf("action %q: events can be dropped and nothing else can", f.Action)
	}
	code := EFail
	if f.Code != "" {
		n, err := strconv.ParseUint(f.Code, 0, 32)
		if err != nil || n&0x80000000 == 0 {
			return 0, fmt.Errorf("code %q is not a failing HRESULT such as 0x80370118", f.Code)
		}
		code = HRESULT(n)
	}
	switch f.Action {
	case ActionFail:
		if f.Code == "" {
			return 0, fmt.Errorf("action fail needs a code")
		}
	case ActionDelay:
		if f.DelayMS <= 0 {
			return 0, fmt.Errorf("action delay needs delay_ms greater than 0, not %d", f.DelayMS)
		}
	case ActionHang, ActionDisconnect, ActionKill, ActionCrash, ActionBugcheck, ActionDrop:
	default:
		return 0, fmt.Errorf("action %q is not one of fail, delay, hang, disconnect, kill, crash, bugcheck, drop", f.Action)
	}
	return code, nil
}

// AddFaults appends to the fault plan. Nothing is added if one makes no sense.
func (e *Emulator) AddFaults(faults ...Fault) error {
	var planned []*plannedFault
	for i, f := range faults {
		code, err := f.check()
		if err != nil {
			return fmt.Errorf("fault %d: %w", i+1, err)
		}
		planned = append(planned, &plannedFault{Fault: f, code: code})
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = append(e.faults, planned...)
	return nil
}

// ClearFaults empties the fault plan. Calls that hang go on hanging.
func (e *Emulator) ClearFaults() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = nil
}

// Unfired returns the faults of the plan whose turn has not come: a test that
// plans one and ends before it shows nothing.
func (e *Emulator) Unfired() []Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []Fault
	for _, f := range e.faults {
		if f.seen < max(f.Nth, 1) {
			out = append(out, f.Fault)
		}
	}
	return out
}

// Release lets the calls go on that the fault of this name holds ("" for all)
// and returns how many they were.
func (e *Emulator) Release(name string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for h := range e.hung {
		if name == "" || h.name == name {
			close(h.release)
			delete(e.hung, h)
			n++
		}
	}
	return n
}

// Hanging returns how many calls the fault of this name holds ("" for all).
func (e *Emulator) Hanging(name string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for h := range e.hung {
		if name == "" || h.name == name {
			n++
		}
	}
	return n
}

// due counts a match and says whether it is the fault's turn.
func (f *plannedFault) due() bool {
	f.seen++
	nth, times := max(f.Nth, 1), f.Times
	if times == 0 {
		times = 1
	}
	return f.seen >= nth && (times < 0 || f.seen < nth+times)
}

// dueFaults returns the faults whose turn this call is.
func (e *Emulator) dueFaults(call *Call, when When) []*plannedFault {
	e.mu.Lock()
	defer e.mu.Unlock()
	var due []*plannedFault
	for _, f := range e.faults {
		side := f.When
		if side == "" {
			side = whenBefore
		}
		if f.Function == "" || side != when ||
			f.Function != "*" && f.Function != call.Function ||
			f.Exe != "" && !strings.EqualFold(f.Exe, call.Caller.Exe) {
			continue
		}
		if f.due() {
			due = append(due, f)
		}
	}
	return due
}

// dropLocked says whether the fault plan loses this event.
func (e *Emulator) dropLocked(t EventType) bool {
	drop := false
	for _, f := range e.faults {
		if f.Event != "" && f.Event == t.String() && f.due() {
			drop = true
		}
	}
	return drop
}

// applyFaults does what the plan holds for this side of the call and returns
// the error that the call fails with, if it does.
func (c *Client) applyFaults(ctx context.Context, call *Call, when When) error {
	for _, f := range c.e.dueFaults(call, when) {
		call.Fault = strings.TrimSpace(call.Fault + " " + string(when) + ":" + string(f.Action))
		if err := c.applyFault(ctx, call, f); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) applyFault(ctx context.Context, call *Call, f *plannedFault) error {
	switch f.Action {
	case ActionFail:
		return fail(f.code, "fault plan: %s fails", call.Function)
	case ActionDelay:
		t := time.NewTimer(time.Duration(f.DelayMS) * time.Millisecond)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ended(ctx)
		}
	case ActionHang:
		return c.hang(ctx, call, f)
	case ActionDisconnect:
		c.e.DisconnectService()
		if call.offline {
			return nil // another service answers it
		}
		return fail(EServiceDisconnect, "fault plan: the compute service ended during %s", call.Function)
	case ActionKill:
		if c.e.config.Kill != nil {
			c.e.config.Kill(c.caller)
		}
		c.disconnect()
		return fail(EServiceDisconnect, "fault plan: the caller was killed during %s", call.Function)
	case ActionCrash:
		if err := c.e.Crash(call.System); err != nil && !errors.Is(err, ESystemNotFound) {
			return err // a system that is not there has nothing to lose
		}
	case ActionBugcheck:
		return c.e.Bugcheck(call.System, 0xe2)
	}
	return nil
}

// hang holds the call. Released, it goes on, or fails if the fault has a code.
func (c *Client) hang(ctx context.Context, call *Call, f *plannedFault) error {
	h := &hang{name: f.Name, release: make(chan struct{})}
	c.e.mu.Lock()
	c.e.hung[h] = true
	c.e.mu.Unlock()
	select {
	case <-h.release:
		if f.Code != "" {
			return fail(f.code, "fault plan: %s fails after a hang", call.Function)
		}
		return nil
	case <-ctx.Done():
		c.e.mu.Lock()
		delete(c.e.hung, h)
		c.e.mu.Unlock()
		return ended(ctx)
	}
}
