package compare

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/parity/driver"
)

// Who is a shim.
type Who string

// The shims.
const (
	Isol   Who = "isol"
	Runhcs Who = "runhcs"
)

// Raw is what was recorded of a run with one shim.
type Raw struct {
	Reply *driver.Reply
	Calls []hcsemu.Call
	Names map[string]string // a text that differs from run to run → what it stands for
}

// Name notes the names that stand for a task.
func (r *Raw) Name(t driver.Task, sandbox bool) {
	r.Names[t.ID] = "<" + t.Name + ">"
	r.Names[t.Bundle] = "<bundle of " + t.Name + ">"
	for _, m := range t.Rootfs {
		r.Names[m.Source] = "<scratch of " + t.Name + ">"
		// The store and hcsshim take a layer's name from its folder.
		r.Names["/"+path.Base(strings.ReplaceAll(m.Source, `\`, "/"))] = "/<scratch of " + t.Name + ">"
	}
}

// NameNetwork notes the names that stand for a network.
func (r *Raw) NameNetwork(n *driver.Network) {
	if n == nil {
		return
	}
	r.Names[n.Network] = "<network>"
	if n.Namespace != "" {
		r.Names[n.Namespace] = "<namespace>"
	}
	for i, id := range n.Endpoints {
		r.Names[id] = fmt.Sprintf("<endpoint %d>", i)
	}
}

// Observation is what a shim did in a run, without what differs from run to run.
type Observation struct {
	Results []Result
	Calls   []Call
	Events  []Event
	Output  map[string]any
}

// Result is what a step gave.
type Result struct {
	Step, Code, Message string
	Answer              any
}

// Call is a call to Windows, or a message to a guest.
type Call struct {
	Name   string // the function, and what of its arguments says which of several it is
	System string // the compute system that it is about
	Step   string // in which it was made
	Args   any
	Code   string // "0x00000000"
	Error  string
}

// Event is one that was sent to containerd.
type Event struct {
	Topic string
	Body  any
}

// Observe brings a record into the form that is compared.
func Observe(raw *Raw) *Observation {
	n := newNames(raw.Names)
	o := &Observation{Output: map[string]any{}}
	for _, r := range raw.Reply.Results {
		o.Results = append(o.Results, Result{Step: r.Step, Code: r.Code, Message: n.text(r.Message), Answer: n.value(plain(r.Answer))})
	}
	for _, e := range raw.Reply.Events {
		body := n.value(plain(e.Body)).(map[string]any)
		for _, key := range []string{"exitedAt", "exited_at"} {
			delete(body, key)
		}
		if pid, ok := body["pid"]; ok {
			body["pid"] = pid != 0.0
		}
		o.Events = append(o.Events, Event{Topic: e.Topic, Body: body})
	}
	calls := slices.SortedFunc(slices.Values(raw.Calls), func(a, b hcsemu.Call) int { return cmp.Compare(a.Seq, b.Seq) })
	origin := origins{}
	for _, c := range calls {
		if unspoken[c.Function] {
			continue
		}
		call := n.call(c)
		origin.note(c, &call)
		call.Step = stepAt(raw.Reply.Results, c.Time)
		o.Calls = append(o.Calls, call)
	}
	for name, text := range raw.Reply.Output {
		o.Output[name] = n.text(strings.ReplaceAll(string(text), "\r\n", "\n"))
	}
	return o
}

// origins are the handles that were opened to a system or process that another
// handle stands for already. A kill has such a handle of its own, and gives it up on its own time.
type origins map[string]bool

// note adds to the name of a call on such a handle that it is one.
func (o origins) note(c hcsemu.Call, call *Call) {
	if strings.HasPrefix(c.Function, "HcsOpen") {
		result := plain(c.Result)
		if object, ok := result.(map[string]any); ok {
			result = object["handle"]
		}
		if result != nil {
			o[fmt.Sprint(c.Caller.PID, result)] = true
		}
		return
	}
	if o[fmt.Sprint(c.Caller.PID, plain(c.Args["handle"]))] {
		call.Name += opened
	}
}

// opened is what note adds.
const opened = " (opened)"

// stepAt names the step that was under way.
func stepAt(results []driver.Result, t time.Time) string {
	step := "before the first step"
	for _, r := range results {
		if r.Begin.After(t) {
			break
		}
		step = r.Step
	}
	return step
}

// plain makes any value one of encoding/json's.
func plain(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	var p any
	if json.Unmarshal(b, &p) != nil {
		return string(b)
	}
	return p
}

// names puts names in place of what differs from run to run.
type names struct{ replacer *strings.Replacer }

func newNames(all map[string]string) names {
	texts := make([]string, 0, len(all))
	for text := range all {
		texts = append(texts, text)
	}
	// The longest first: an id is part of the bundle's path.
	slices.SortFunc(texts, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	var pairs []string
	for _, text := range texts {
		for _, form := range []string{text, strings.ToUpper(text), strings.ToLower(text)} {
			pairs = append(pairs, form, all[text])
		}
	}
	pairs = append(pairs,
		"containerd-shim-isol-v1.exe", "<shim>", "containerd-shim-runhcs-v1.exe", "<shim>",
		`C:\parity\isol`, "<folder>", `C:\parity\runhcs`, "<folder>")
	return names{strings.NewReplacer(pairs...)}
}

var mac = regexp.MustCompile(`^([0-9A-F]{2}-){5}[0-9A-F]{2}$`)

var volume = regexp.MustCompile(`Volume\{[0-9a-fA-F-]{36}\}`)

func (n names) text(s string) string {
	return mac.ReplaceAllString(volume.ReplaceAllString(n.replacer.Replace(s), "Volume{<guid>}"), "<address>")
}

// value names what is in a JSON value. A string that holds JSON becomes that.
func (n names) value(v any) any {
	switch v := v.(type) {
	case string:
		var inner any
		if strings.HasPrefix(v, "{") && json.Unmarshal([]byte(v), &inner) == nil {
			return n.value(inner)
		}
		return n.text(v)
	case []any:
		for i := range v {
			v[i] = n.value(v[i])
		}
	case map[string]any:
		for k := range v {
			named := n.value(v[k])
			delete(v, k)
			v[n.text(k)] = named
		}
	}
	return v
}

func (n names) call(c hcsemu.Call) Call {
	args, ok := n.value(plain(c.Args)).(map[string]any)
	if !ok {
		args = map[string]any{}
	}
	for _, key := range []string{"handle", "system_handle"} {
		delete(args, key) // a number; System says what it stands for
	}
	call := Call{
		Name: nameOf(c.Function, args), System: n.text(c.System), Args: translate(args),
		Code: fmt.Sprintf("0x%08x", uint32(c.Code)), Error: n.text(c.Error),
	}
	if c.Function == "HcsSetComputeSystemCallback" {
		call.System = "" // through vmcompute.dll it may come before the system is there
	}
	return call
}
