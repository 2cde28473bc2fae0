package hcsemu

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Entry is one thing that the services have handed out and not had back.
type Entry struct {
	Kind   string    `json:"kind"`
	ID     string    `json:"id"`
	System string    `json:"system,omitempty"` // the compute system it belongs to
	Owner  Caller    `json:"owner"`            // the process that it was handed to
	Since  time.Time `json:"since"`
	Detail string    `json:"detail,omitempty"`

	// Lasting things are files' or the machine's own and outlive containers
	// rightly: networks, permissions on files, sizes of disks.
	Lasting bool `json:"lasting,omitempty"`
}

// String returns the entry as a line for a person.
func (x Entry) String() string {
	s := x.Kind + " " + x.ID
	if x.System != "" {
		s += " of " + x.System
	}
	return fmt.Sprintf("%s (%s %d) %s", s, x.Owner.Exe, x.Owner.PID, x.Detail)
}

// Ledger is everything that is handed out at one moment, ordered by kind and id.
type Ledger []Entry

// Empty says whether nothing is left that should have been given back.
func (l Ledger) Empty() bool { return len(l.Leaks()) == 0 }

// Leaks returns the entries that are not lasting.
func (l Ledger) Leaks() Ledger {
	return slices.DeleteFunc(slices.Clone(l), func(x Entry) bool { return x.Lasting })
}

// String returns the ledger as lines.
func (l Ledger) String() string {
	lines := make([]string, len(l))
	for i, x := range l {
		lines[i] = x.String()
	}
	return strings.Join(lines, "\n")
}

// Ledger returns what is handed out now. It is read off the state itself, so
// that it cannot disagree with it.
func (e *Emulator) Ledger() Ledger {
	e.mu.Lock()
	defer e.mu.Unlock()
	var l Ledger
	for _, s := range e.systems {
		l = append(l, s.entriesLocked()...)
	}
	for s := range e.clients {
		l = append(l, s.entriesLocked()...)
	}
	l = append(l, e.layerEntriesLocked()...)
	l = append(l, e.networkEntriesLocked()...)
	l = append(l, e.hostEntriesLocked()...)
	for key, b := range e.bindings {
		l = append(l, Entry{Kind: "file binding", ID: b.root, Owner: b.owner, Since: b.since, Detail: key.job + " to " + b.target})
	}
	for id, g := range e.credGuards {
		l = append(l, Entry{Kind: "credential guard", ID: id, Owner: g.owner, Since: g.since})
	}
	slices.SortFunc(l, func(a, b Entry) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.ID, b.ID), strings.Compare(a.System, b.System))
	})
	return l
}

func (s *system) entriesLocked() Ledger {
	l := Ledger{{Kind: "system", ID: s.id, Owner: s.owner, Since: s.since, Detail: s.stateName()}}
	for _, p := range s.processes {
		l = append(l, Entry{Kind: "process", ID: fmt.Sprint(p.pid), System: s.id, Owner: p.owner, Since: p.since, Detail: p.command})
	}
	for _, r := range s.resources {
		l = append(l, Entry{Kind: r.kind, ID: r.name, System: s.id, Owner: s.owner, Since: r.since})
	}
	return l
}

func (s *session) entriesLocked() Ledger {
	var l Ledger
	for h, r := range s.handles {
		x := Entry{ID: fmt.Sprint(h), Owner: s.caller}
		switch {
		case r.system != nil:
			x.Kind, x.System, x.Since = "system handle", r.system.id, r.system.since
		case r.process != nil:
			x.Kind, x.System, x.Since = "process handle", r.process.system.id, r.process.since
			x.Detail = fmt.Sprint("pid ", r.process.pid)
		case r.object != nil:
			x.Kind, x.Since = "network handle", r.object.since
			x.Detail = fmt.Sprint(r.object.kind, " ", r.object.id)
		default:
			x.Kind = "reserved handle"
		}
		l = append(l, x)
	}
	return l
}

func (e *Emulator) layerEntriesLocked() Ledger {
	var l Ledger
	for _, x := range e.layers {
		kind := map[layerState]string{layerKnown: "expanded layer", layerActive: "active layer", layerPrepared: "prepared layer"}[x.state]
		l = append(l, Entry{Kind: kind, ID: x.path, Owner: x.owner, Since: x.since, Detail: x.volume, Lasting: x.state == layerKnown})
	}
	for key, g := range e.grants {
		l = append(l, Entry{Kind: "vm access", ID: g.path, System: key.vm, Owner: g.owner, Since: g.since, Lasting: true})
	}
	return l
}

func (e *Emulator) networkEntriesLocked() Ledger {
	var l Ledger
	for kind, table := range e.networks {
		for id, o := range table {
			l = append(l, Entry{
				Kind: strings.ToLower(string(kind)), ID: string(id), Owner: o.owner, Since: o.since,
				Detail:  strings.Join(o.containers, " "),
				Lasting: kind == Network || kind == LoadBalancer || kind == Route,
			})
		}
	}
	return l
}
