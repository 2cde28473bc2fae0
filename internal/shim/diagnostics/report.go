package diagnostics

import (
	"time"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/pod"
	"github.com/isolrun/isol/internal/uvm"
)

// Version is the version of the report's format.
const Version = 1

// Question says what to report.
type Question struct {
	OlderThan time.Duration `json:"olderThan,omitempty"` // calls under way are listed from this age on
}

// Report is what one shim knows of its pod. Durations are nanoseconds.
type Report struct {
	Version   int           `json:"version"`
	Namespace string        `json:"namespace"`
	Pod       string        `json:"pod"` // id of the sandbox, or of the standalone task
	Shim      Shim          `json:"shim"`
	VM        *uvm.Snapshot `json:"vm,omitempty"`
	Tasks     []Task        `json:"tasks"`
	Calls     []Call        `json:"calls,omitempty"` // under way, the oldest first
}

// Shim is the process that answers.
type Shim struct {
	PID        int       `json:"pid"`
	Version    string    `json:"version"`
	Started    time.Time `json:"started"`
	Goroutines int       `json:"goroutines"`
	HeapBytes  uint64    `json:"heapBytes"`
}

// Task is one container with its execs.
type Task struct {
	Process
	Bundle string          `json:"bundle"`
	Plan   *isolation.Plan `json:"plan"`
	Phases []hcs.Span      `json:"phases,omitempty"` // with those of the VM that was booted for it
	Execs  []Process       `json:"execs,omitempty"`
}

// Process is a task's init or an exec.
type Process struct {
	ID       string    `json:"id"`
	State    string    `json:"state"` // finer than what containerd is told: see internal/pod
	PID      uint32    `json:"pid,omitempty"`
	Exit     *uint32   `json:"exit,omitempty"` // status, once it has stopped
	ExitedAt time.Time `json:"exitedAt,omitzero"`
	Terminal bool      `json:"terminal,omitempty"`
}

// Call is a call that has not come back.
type Call struct {
	Op      string        `json:"op"`
	Subject string        `json:"subject,omitempty"`
	For     time.Duration `json:"for"`
}

// Stacks are the goroutines of the shim, and what the guest's agent says of its own.
type Stacks struct {
	Shim  string `json:"shim"`
	Guest string `json:"guest,omitempty"` // empty without a utility VM
}

// tasksOf turns what the pod tells into the report's tasks.
func tasksOf(infos []pod.TaskInfo) []Task {
	tasks := make([]Task, 0, len(infos))
	for _, i := range infos {
		t := Task{Process: processOf(i.ID, i.State), Bundle: i.Bundle, Plan: i.Plan, Phases: i.Phases}
		for _, e := range i.Execs {
			t.Execs = append(t.Execs, processOf(e.ExecID, e))
		}
		tasks = append(tasks, t)
	}
	return tasks
}

func processOf(id string, s pod.State) Process {
	p := Process{ID: id, State: s.Name, PID: s.PID, Terminal: s.Stdio.Terminal, ExitedAt: s.ExitedAt}
	if s.Status == pod.StatusStopped {
		p.Exit = &s.ExitStatus
	}
	return p
}

func callsOf(open []hcs.Call) []Call {
	calls := make([]Call, 0, len(open))
	for _, c := range open {
		calls = append(calls, Call{Op: c.Op, Subject: c.Subject, For: time.Since(c.Since)})
	}
	return calls
}
