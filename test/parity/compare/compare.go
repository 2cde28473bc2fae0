package compare

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Difference is something that one shim did and the other did not, or did otherwise.
//
// Path says what it is about: "step/…" is what containerd was answered,
// "call/…" a call and its arguments, "order/…" a call that came earlier or
// later, "event/…" and "output/…".
type Difference struct {
	Run    string // the scenario's id
	Path   string
	Isol   string // JSON, "" for what is not there
	Runhcs string
	Detail string // for people: an error's sentence
}

// String is a difference in a line.
func (d Difference) String() string {
	text := fmt.Sprintf("%s\n\t%s\n\t\tisol:   %s\n\t\trunhcs: %s", d.Run, d.Path, orNothing(d.Isol), orNothing(d.Runhcs))
	if d.Detail != "" {
		text += "\n\t\t(" + d.Detail + ")"
	}
	return text
}

func orNothing(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// Compare returns what differs between two observations of one scenario.
// Where one shim refuses what the other does, that is the difference: what came of it is not compared.
func Compare(run string, isol, runhcs *Observation) []Difference {
	maskGUIDs(isol, runhcs)
	c := &comparison{run: run}
	steps, parted := c.results(isol.Results, runhcs.Results)
	if parted {
		isol, runhcs = isol.until(steps), runhcs.until(steps)
	}
	c.calls(isol.Calls, runhcs.Calls, parted)
	if !parted {
		c.events(isol.Events, runhcs.Events)
		c.value("output", isol.Output, runhcs.Output)
	}
	return c.found
}

// comparison collects differences.
type comparison struct {
	run   string
	found []Difference
}

func (c *comparison) add(path, isol, runhcs, detail string) {
	c.found = append(c.found, Difference{Run: c.run, Path: path, Isol: isol, Runhcs: runhcs, Detail: detail})
}

// results compares step by step. It returns the steps that both took before
// one succeeded in only one of them, and whether that happened.
func (c *comparison) results(isol, runhcs []Result) (steps []string, parted bool) {
	for i := range max(len(isol), len(runhcs)) {
		if i >= len(isol) || i >= len(runhcs) || isol[i].Step != runhcs[i].Step {
			c.add("steps", labels(isol[min(i, len(isol)):]), labels(runhcs[min(i, len(runhcs)):]), "")
			return steps, true
		}
		a, b := isol[i], runhcs[i]
		path := "step/" + a.Step
		if a.Code != b.Code {
			c.add(path+"/code", quote(a.Code), quote(b.Code), strings.Trim(a.Message+" | "+b.Message, " |"))
		}
		if a.Code != b.Code && (a.Code == "OK" || b.Code == "OK" || critical(a.Step)) {
			return steps, true
		}
		c.value(path, a.Answer, b.Answer)
		steps = append(steps, a.Step)
	}
	return steps, false
}

// critical says whether a step's failure decides about those after it.
func critical(step string) bool {
	return strings.HasSuffix(step, ": create") || strings.HasSuffix(step, ": start")
}

func labels(results []Result) string {
	var list []string
	for _, r := range results {
		list = append(list, r.Step)
	}
	return strings.Join(list, ", ")
}

// until is what was observed during these steps.
func (o *Observation) until(steps []string) *Observation {
	kept := *o
	kept.Calls = nil
	for _, call := range o.Calls {
		if slices.Contains(steps, call.Step) {
			kept.Calls = append(kept.Calls, call)
		}
	}
	return &kept
}

// calls compares what was called, in its order, and beside that the calls that have none.
func (c *comparison) calls(isol, runhcs []Call, parted bool) {
	lanes := lanesOf(isol, runhcs)
	for _, lane := range slices.Sorted(maps.Keys(lanes)) {
		both := lanes[lane]
		c.sequence(ordered(both[0], true), ordered(both[1], true), true)
		if !parted { // else some of them may be cut off
			c.sequence(ordered(both[0], false), ordered(both[1], false), false)
		}
	}
}

var taskName = regexp.MustCompile(`<(?:scratch of )?([a-z]+)>`)

// lanesOf splits the calls by the container that they are about, where there
// are several: their lives go on side by side. Calls about a VM, and about no
// container, stay together.
func lanesOf(isol, runhcs []Call) map[string][2][]Call {
	lanes := map[string][2][]Call{}
	for i, calls := range [][]Call{isol, runhcs} {
		for _, x := range calls {
			lane := ""
			subject := x.System
			if path, ok := at(x.Args, "path").(string); ok && subject == "" {
				subject = path
			}
			if m := taskName.FindStringSubmatch(subject); m != nil && !strings.HasSuffix(x.System, "@vm") {
				lane = m[1]
			}
			both := lanes[lane]
			both[i] = append(both[i], x)
			lanes[lane] = both
		}
	}
	if len(lanes) > 2 { // no container, and several
		return lanes
	}
	return map[string][2][]Call{"": {isol, runhcs}}
}

// ordered are the calls whose order counts, or the others.
func ordered(calls []Call, want bool) []Call {
	var list []Call
	for _, x := range calls {
		if anyTime(x) != want {
			list = append(list, x)
		}
	}
	return list
}

func (c *comparison) sequence(isol, runhcs []Call, order bool) {
	pairs, onlyIsol, onlyRunhcs := align(isol, runhcs, func(x Call) string { return x.Name + "\x00" + x.System }, weight)
	for _, p := range pairs {
		c.pair(isol[p.a], runhcs[p.b])
	}
	for _, i := range onlyIsol {
		call := isol[i]
		other := slices.IndexFunc(onlyRunhcs, func(j int) bool { return runhcs[j].Name == call.Name && runhcs[j].System == call.System })
		if other < 0 {
			c.add("call/"+call.Name, brief(call), "", call.Step)
			continue
		}
		if order {
			c.add("order/"+call.Name, behind(isol, i), behind(runhcs, onlyRunhcs[other]), call.Step)
		}
		c.pair(call, runhcs[onlyRunhcs[other]])
		onlyRunhcs = slices.Delete(onlyRunhcs, other, other+1)
	}
	for _, j := range onlyRunhcs {
		if !isBareQuery(runhcs[j]) || count(isol, runhcs[j]) == 0 {
			c.add("call/"+runhcs[j].Name, "", brief(runhcs[j]), runhcs[j].Step)
		}
	}
}

func count(calls []Call, like Call) (n int) {
	for _, x := range calls {
		if x.Name == like.Name && x.System == like.System {
			n++
		}
	}
	return n
}

// weight says how much it is worth that a call is in order: that of a look-up
// less than that of what changes something.
func weight(c Call) int {
	for _, lookUp := range []string{"HcnEnumerate", "HcnOpen", "HcnQuery", "HcnClose", "HcsGet"} {
		if strings.HasPrefix(c.Name, lookUp) {
			return 1
		}
	}
	return 10
}

// anyTime says whether a shim makes a call on its own time, beside others: then
// it counts that it is made and with what, not when.
func anyTime(c Call) bool {
	switch name, _, _ := strings.Cut(c.Name, " "); name {
	case "GcsWaitForProcess": // sent beside whatever follows the process's start
		return true
	case "HcsCloseProcess": // when the last user of the handle is done: the exit, or a signal under way
		return true
	case "HcsSetComputeSystemCallback": // through vmcompute.dll, beside the creation that is still under way
		return true
	case "HcsCloseComputeSystem": // of a kill's own handle, while the exit takes its course
		return strings.HasSuffix(c.Name, opened)
	case "NameToGuid": // a computation
		return true
	}
	return false
}

func (c *comparison) pair(a, b Call) {
	c.value("call/"+a.Name, a.Args, b.Args)
	if a.Code != b.Code {
		c.add("call/"+a.Name+"/code", quote(a.Code), quote(b.Code), a.Error+" | "+b.Error)
	}
}

// behind says what a call came after.
func behind(calls []Call, i int) string {
	if i == 0 {
		return quote("first")
	}
	return quote("after " + calls[i-1].Name)
}

func brief(c Call) string {
	text := text(c.Args)
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return text
}

// events are compared in their order for each container: what several do side
// by side has none.
func (c *comparison) events(isol, runhcs []Event) {
	byTask := map[string][2][]Event{}
	for i, events := range [][]Event{isol, runhcs} {
		for _, x := range events {
			name := text(at(x.Body, "containerId"))
			both := byTask[name]
			both[i] = append(both[i], x)
			byTask[name] = both
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byTask)) {
		c.taskEvents(byTask[name][0], byTask[name][1])
	}
}

func (c *comparison) taskEvents(isol, runhcs []Event) {
	key := func(x Event) string {
		return x.Topic + text(at(x.Body, "containerId")) + text(at(x.Body, "id")) + text(at(x.Body, "execId"))
	}
	pairs, onlyIsol, onlyRunhcs := align(isol, runhcs, key, func(Event) int { return 1 })
	for _, p := range pairs {
		c.value("event"+isol[p.a].Topic, isol[p.a].Body, runhcs[p.b].Body)
	}
	for _, i := range onlyIsol {
		c.add("event"+isol[i].Topic, text(isol[i].Body), "", "")
	}
	for _, j := range onlyRunhcs {
		c.add("event"+runhcs[j].Topic, "", text(runhcs[j].Body), "")
	}
}

// value compares two JSON values member by member.
func (c *comparison) value(path string, isol, runhcs any) {
	a, okA := isol.(map[string]any)
	b, okB := runhcs.(map[string]any)
	if okA && okB {
		keys := slices.Sorted(maps.Keys(a))
		for k := range b {
			if _, ok := a[k]; !ok {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		for _, k := range keys {
			x, okX := a[k]
			y, okY := b[k]
			switch {
			case okX && okY:
				c.value(path+"/"+k, x, y)
			case okX:
				c.add(path+"/"+k, text(x), "", "")
			default:
				c.add(path+"/"+k, "", text(y), "")
			}
		}
		return
	}
	listA, okA := isol.([]any)
	listB, okB := runhcs.([]any)
	if okA && okB && len(listA) == len(listB) {
		for i := range listA {
			c.value(fmt.Sprintf("%s/%d", path, i), listA[i], listB[i])
		}
		return
	}
	if x, y := text(isol), text(runhcs); x != y {
		c.add(path, x, y, "")
	}
}

func text(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSpace(b.String())
}

func quote(s string) string { return text(s) }

var guidPattern = regexp.MustCompile(`[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}`)

// maskGUIDs leaves the GUIDs that both observations have, and makes the others
// alike: those were made in the run.
func maskGUIDs(a, b *Observation) {
	inA, inB := guids(a), guids(b)
	mask := func(s string) string {
		return guidPattern.ReplaceAllStringFunc(s, func(g string) string {
			g = strings.ToLower(g)
			if inA[g] && inB[g] {
				return g
			}
			return "<guid>"
		})
	}
	for _, o := range []*Observation{a, b} {
		for i := range o.Calls {
			c := &o.Calls[i]
			c.Name, c.System, c.Args = mask(c.Name), mask(c.System), masked(c.Args, mask)
		}
		for i := range o.Events {
			o.Events[i].Body = masked(o.Events[i].Body, mask)
		}
		for i := range o.Results {
			o.Results[i].Answer = masked(o.Results[i].Answer, mask)
		}
		o.Output = masked(o.Output, mask).(map[string]any)
	}
}

func guids(o *Observation) map[string]bool {
	found := map[string]bool{}
	for _, v := range []any{o.Calls, o.Events, o.Results, o.Output} {
		for _, g := range guidPattern.FindAllString(text(v), -1) {
			found[strings.ToLower(g)] = true
		}
	}
	return found
}

func masked(v any, mask func(string) string) any {
	switch v := v.(type) {
	case string:
		return mask(v)
	case []any:
		for i := range v {
			v[i] = masked(v[i], mask)
		}
	case map[string]any:
		for k, x := range v {
			x = masked(x, mask)
			delete(v, k)
			v[mask(k)] = x
		}
	}
	return v
}
