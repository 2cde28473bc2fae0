// Package scenario is the corpus of test/parity as values: what is asked of a
// shim, as data.
//
// A file of the corpus holds one group:
//
//	{
//	  "group": "resources",
//	  "about": "limits of a container",
//	  "scenarios": [
//	    {"name": "memory", "short": true, "spec": {"windows": {"resources": {"memory": {"limit": 268435456}}}}}
//	  ]
//	}
//
// The spec is a merge patch (RFC 7396) of [Base], and of that with
// windows.hyperv in Hyper-V mode. A scenario runs in each of its modes; each is one of those that
// are counted. Without steps a task lives the plain life: create, start, wait
// for its end, delete. [Load] checks everything that can be checked without
// running: an unknown member, step or task is an error that names it.
package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Mode is the degree of isolation that a run asks for.
type Mode string

// The modes.
const (
	Process Mode = "process"
	HyperV  Mode = "hyperv"
)

// Group is a file of the corpus.
type Group struct {
	Group     string     `json:"group"`
	About     string     `json:"about"`
	Scenarios []Scenario `json:"scenarios"`
}

// Scenario is one thing that a user asks for.
type Scenario struct {
	Name    string          `json:"name"`
	About   string          `json:"about,omitempty"`
	Modes   []Mode          `json:"modes,omitempty"`   // none: both
	Short   []Mode          `json:"short,omitempty"`   // in these it belongs to the short form
	Spec    json.RawMessage `json:"spec,omitempty"`    // merge patch, of every task
	Options json.RawMessage `json:"options,omitempty"` // containerd.runhcs.v1.Options, which both shims read
	Tasks   []Task          `json:"tasks,omitempty"`   // none: one outside of a pod, called "task"
	Steps   []Step          `json:"steps,omitempty"`
	Network string          `json:"network,omitempty"` // "": none; a namespace with no endpoint ("empty"), "one" or "two"; "endpoints": two in no namespace
}

// Task is a container of the scenario.
type Task struct {
	Name string          `json:"name"`
	Role Role            `json:"role,omitempty"`
	Spec json.RawMessage `json:"spec,omitempty"` // merge patch, after the scenario's
}

// Role is a task's place in a pod.
type Role string

// The roles.
const (
	Alone     Role = "" // in no pod
	Sandbox   Role = "sandbox"
	Container Role = "container"
)

// Step is one request to the shim, or a wait.
type Step struct {
	Do      Verb            `json:"do"`
	Task    string          `json:"task,omitempty"` // "": the first
	Exec    string          `json:"exec,omitempty"`
	Process json.RawMessage `json:"process,omitempty"` // exec: the process; merge patch of {"cwd": "C:\\"}
	Streams string          `json:"streams,omitempty"` // create, exec: of "in", "out", "err"; "" is "out err"; "none"
	Signal  uint32          `json:"signal,omitempty"`  // kill
	All     bool            `json:"all,omitempty"`     // kill
	Width   uint32          `json:"width,omitempty"`   // resize
	Height  uint32          `json:"height,omitempty"`
	Text    string          `json:"text,omitempty"` // write: to the input; expect: waited for in the output

	Resources   json.RawMessage   `json:"resources,omitempty"` // update: WindowsResources
	Type        string            `json:"type,omitempty"`      // update: another type than that
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Verb is what a step does.
type Verb string

// Verbs are all of them. Those that are no method of the task API: wait waits
// for the event TaskExit, expect for a text in the output, write gives input, clean runs
// the shim's delete action.
var Verbs = []Verb{
	"create", "start", "state", "exec", "kill", "wait", "delete", "pids", "stats", "update", "resize", "closeio",
	"connect", "pause", "resume", "checkpoint", "shutdown", "expect", "write", "clean",
}

// Run is a scenario in one mode.
type Run struct {
	Scenario
	Group      string
	GroupAbout string
	Mode       Mode
}

// ID names the run: group/name/mode.
func (r Run) ID() string { return path.Join(r.Group, r.Name, string(r.Mode)) }

// IsShort says whether the run belongs to the short form.
func (r Run) IsShort() bool { return slices.Contains(r.Short, r.Mode) }

// Load reads the corpus, in the order of the files' names.
func Load(files fs.FS) ([]Run, error) {
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		return nil, err
	}
	var runs []Run
	seen := map[string]bool{}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		group, err := Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if want := strings.TrimSuffix(name, ".json"); group.Group != want {
			return nil, fmt.Errorf("%s: the group is %q, the file's name says %q", name, group.Group, want)
		}
		for _, r := range group.runs() {
			if seen[r.ID()] {
				return nil, fmt.Errorf("%s: there are two of %s", name, r.ID())
			}
			seen[r.ID()] = true
			runs = append(runs, r)
		}
	}
	return runs, nil
}

// Parse reads one group and completes it.
func Parse(text []byte) (*Group, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	g := &Group{}
	if err := d.Decode(g); err != nil {
		return nil, err
	}
	if g.Group == "" || g.About == "" {
		return nil, fmt.Errorf("a group needs a name and says what it is about")
	}
	for i := range g.Scenarios {
		s := &g.Scenarios[i]
		s.complete()
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("scenario %q: %w", s.Name, err)
		}
	}
	return g, nil
}

func (g *Group) runs() []Run {
	var runs []Run
	for _, s := range g.Scenarios {
		for _, m := range s.Modes {
			runs = append(runs, Run{Scenario: s, Group: g.Group, GroupAbout: g.About, Mode: m})
		}
	}
	return runs
}

// complete fills in what was not said.
func (s *Scenario) complete() {
	if len(s.Modes) == 0 {
		s.Modes = []Mode{Process, HyperV}
	}
	if len(s.Tasks) == 0 {
		s.Tasks = []Task{{Name: "task"}}
	}
	if len(s.Steps) == 0 {
		s.Steps = plainLife(s.Tasks)
	}
	for i := range s.Steps {
		if s.Steps[i].Task == "" {
			s.Steps[i].Task = s.Tasks[0].Name
		}
	}
}

// plainLife is each task's life; a sandbox lives around the others.
func plainLife(tasks []Task) []Step {
	var steps, last []Step
	for _, t := range tasks {
		steps = append(steps, Step{Do: "create", Task: t.Name}, Step{Do: "start", Task: t.Name})
		if t.Role == Sandbox {
			last = []Step{{Do: "kill", Task: t.Name, Signal: 9}, {Do: "wait", Task: t.Name}, {Do: "delete", Task: t.Name}}
			continue
		}
		steps = append(steps, Step{Do: "wait", Task: t.Name}, Step{Do: "delete", Task: t.Name})
	}
	return append(steps, last...)
}

func (s *Scenario) check() error {
	if s.Name == "" || strings.ContainsAny(s.Name, "/ ") {
		return fmt.Errorf("a name without slashes and spaces is needed")
	}
	for _, m := range append(slices.Clone(s.Modes), s.Short...) {
		if m != Process && m != HyperV {
			return fmt.Errorf("mode %q: %s and %s are allowed", m, Process, HyperV)
		}
	}
	for _, m := range s.Short {
		if !slices.Contains(s.Modes, m) {
			return fmt.Errorf("short in mode %q, in which it does not run", m)
		}
	}
	if !slices.Contains([]string{"", "empty", "one", "two", "endpoints"}, s.Network) {
		return fmt.Errorf("network %q", s.Network)
	}
	names := map[string]bool{}
	for _, t := range s.Tasks {
		if t.Name == "" || names[t.Name] {
			return fmt.Errorf("each task needs a name of its own, not %q", t.Name)
		}
		names[t.Name] = true
		if !slices.Contains([]Role{Alone, Sandbox, Container}, t.Role) {
			return fmt.Errorf("task %q: role %q", t.Name, t.Role)
		}
	}
	for i, step := range s.Steps {
		if !names[step.Task] {
			return fmt.Errorf("step %d: there is no task %q", i+1, step.Task)
		}
		if !slices.Contains(Verbs, step.Do) {
			return fmt.Errorf("step %d: %q is none of %v", i+1, step.Do, Verbs)
		}
	}
	return nil
}
