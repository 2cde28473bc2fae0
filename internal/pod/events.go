package pod

import (
	"time"

	"github.com/isolrun/isol/internal/layers"
)

// Event is one of the Task and Exec types of this file. internal/shim turns
// them into containerd's.
type Event interface {
	// TaskID is the id of the task that the event is about.
	TaskID() string
}

// TaskCreate says that a task was created: its container exists.
type TaskCreate struct {
	ID     string
	Bundle string
	Rootfs []layers.Mount
	Stdio  StdioConfig
	PID    uint32 // 0: no process runs yet
}

// TaskStart says that the init of a task runs.
type TaskStart struct {
	ID  string
	PID uint32
}

// ExecAdded says that an exec was created.
type ExecAdded struct {
	ID     string
	ExecID string
}

// ExecStarted says that the process of an exec runs.
type ExecStarted struct {
	ID     string
	ExecID string
	PID    uint32
}

// TaskExit says that the process of an init or an exec has ended and its
// output has been delivered. ExecID is the task's id for the init.
type TaskExit struct {
	ID         string
	ExecID     string
	PID        uint32
	ExitStatus uint32
	ExitedAt   time.Time
}

// TaskDelete says that a task, or with ExecID not empty an exec, was deleted.
type TaskDelete struct {
	ID         string
	ExecID     string
	PID        uint32
	ExitStatus uint32
	ExitedAt   time.Time
}

// TaskID returns the task's id.
func (e TaskCreate) TaskID() string { return e.ID }

// TaskID returns the task's id.
func (e TaskStart) TaskID() string { return e.ID }

// TaskID returns the task's id.
func (e ExecAdded) TaskID() string { return e.ID }

// TaskID returns the task's id.
func (e ExecStarted) TaskID() string { return e.ID }

// TaskID returns the task's id.
func (e TaskExit) TaskID() string { return e.ID }

// TaskID returns the task's id.
func (e TaskDelete) TaskID() string { return e.ID }
