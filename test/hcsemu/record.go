package hcsemu

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// recordLimit is how many calls are kept in memory; the oldest go first. The
// writer of [Config.Record] gets all of them.
const recordLimit = 50_000

// Args are a call's arguments by name. JSON documents are kept as JSON.
type Args map[string]any

// Call is one call of a client, as the record keeps it.
type Call struct {
	Seq      int           `json:"seq"`
	Time     time.Time     `json:"time"`
	Duration time.Duration `json:"duration_ns"`
	Caller   Caller        `json:"caller"`
	DLL      string        `json:"dll"`
	Function string        `json:"function"`
	System   string        `json:"system,omitempty"`  // the compute system it was about
	Process  uint32        `json:"process,omitempty"` // and the process
	Args     Args          `json:"args,omitempty"`
	Result   any           `json:"result,omitempty"`
	Code     HRESULT       `json:"code"` // as the caller saw it
	Error    string        `json:"error,omitempty"`
	Fault    string        `json:"fault,omitempty"` // what the fault plan did to it

	offline bool // another service than the compute service answers it
}

// CallFilter selects calls; empty fields select all.
type CallFilter struct {
	Function string // name
	Exe      string // base name of the caller's program
	System   string
	After    int // only calls with a greater Seq
}

// matches reports whether call is one that f selects.
func (f CallFilter) matches(call *Call) bool {
	return (f.Function == "" || f.Function == call.Function) &&
		(f.Exe == "" || strings.EqualFold(f.Exe, call.Caller.Exe)) &&
		(f.System == "" || f.System == call.System) &&
		call.Seq > f.After
}

// record keeps the calls that have ended, in the order of their ends, and
// counts all that have begun.
type record struct {
	mu    sync.Mutex
	out   io.Writer // guarded by mu
	err   error     // of the writer, the first; guarded by mu
	last  int       // guarded by mu
	calls []Call    // guarded by mu
}

// begin numbers a call.
func (r *record) begin() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	return r.last
}

// end keeps a call that has ended.
func (r *record) end(call Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.calls) >= recordLimit {
		r.calls = slices.Delete(r.calls, 0, recordLimit/10)
	}
	r.calls = append(r.calls, call)
	if r.out == nil || r.err != nil {
		return
	}
	line, err := json.Marshal(call)
	if err == nil {
		_, err = r.out.Write(append(line, '\n'))
	}
	r.err = err
}

// Calls returns the recorded calls that filter selects, in the order in which they ended.
func (e *Emulator) Calls(filter CallFilter) []Call {
	e.record.mu.Lock()
	defer e.record.mu.Unlock()
	var found []Call
	for i := range e.record.calls {
		if filter.matches(&e.record.calls[i]) {
			found = append(found, e.record.calls[i])
		}
	}
	return found
}

// RecordError returns the first failure to write the record, if any.
func (e *Emulator) RecordError() error {
	e.record.mu.Lock()
	defer e.record.mu.Unlock()
	return e.record.err
}

// document returns text as JSON where it is JSON, so that the record can be queried.
func document(text string) any {
	if text == "" || !json.Valid([]byte(text)) {
		return text
	}
	return json.RawMessage(text)
}
