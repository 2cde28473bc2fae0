package pod

import (
	"log/slog"
	"time"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/oci"
)

// UnknownExitStatus is the status of a process that has not ended, and of one
// whose real status can no longer be found out. It is containerd's own value
// for the second (pkg UnknownExitStatus).
const UnknownExitStatus = 255

// Config is what a pod works with. Host, Layers, Stdio and Events are
// required; New refuses to go without them.
type Config struct {
	ID        string // the id that the shim was started for; empty: the first task's
	Owner     string // Owner of HCS documents: the base name of the shim's exe
	HostBuild uint32 // Windows build of the host, for rules that need one
	Host      hcs.Host
	Layers    layers.Store
	Stdio     StdioOpener
	Events    Publisher
	VMs       VMs            // nil: plans with Hyper-V isolation are refused as unimplemented
	Jobs      Jobs           // nil: HostProcess containers are refused as unimplemented
	Networks  Networks       // nil: a plan with endpoints of its own is refused as unimplemented
	Affinity  AffinitySetter // nil: plans with CPU affinity are refused as unimplemented
	// Source says where a mount's source really is, and again when the container
	// starts: one that leads elsewhere by then is refused. nil: where it says.
	Source func(path string) (Source, error)
	Undo   journal.Undoers // what an earlier task of a bundle left is released with it; its Origin identifies this machine
	Log    *slog.Logger    // nil: discarded
	// Journal makes the journal of a task; nil: journal.Create.
	Journal   func(path string, h journal.Header) (*journal.Journal, error)
	Deadlines Deadlines // zero fields take the values of DefaultDeadlines
}

// Source is where a path of the host leads, links followed.
type Source struct {
	Path   string // by drive or share, as plans have it
	Volume string // by the GUID of its volume, as documents of the host have it
}

// CreateTask asks for a task.
type CreateTask struct {
	ID      string
	Bundle  string // folder of the bundle; the journal is kept there
	Plan    *isolation.Plan
	Process oci.Process    // the init
	Layers  layers.Layers  // as layers.Resolve returned them
	Rootfs  []layers.Mount // as the client gave them, for the event only
	Stdio   StdioConfig
}

// CreateExec asks for an exec in a running task.
type CreateExec struct {
	ID      string // of the task
	ExecID  string
	Process oci.Process
	Stdio   StdioConfig
}

// Kill asks for a signal.
type Kill struct {
	ID     string
	ExecID string // empty: the init
	Signal uint32 // number as the client gave it
	All    bool   // every process of the task; on a sandbox every task of the pod
}

// Status is the state of a process as outsiders see it.
type Status uint8

// The statuses.
const (
	StatusUnknown Status = iota
	StatusCreated
	StatusRunning
	StatusStopped
)

// State describes a task's init or one of its execs.
type State struct {
	ID         string // of the task
	ExecID     string // the task's id for the init
	Bundle     string
	PID        uint32 // 0 before start
	Status     Status
	Name       string // of the state within isol, finer than Status: "starting", "exiting"
	Stdio      StdioConfig
	ExitStatus uint32    // UnknownExitStatus until it has exited
	ExitedAt   time.Time // zero until it has exited
}

// Exit is how a process ended.
type Exit struct {
	PID    uint32
	Status uint32
	At     time.Time
}

// ProcessInfo describes one process of a container.
type ProcessInfo struct {
	PID               uint32
	ExecID            string // of the exec whose process it is; the task's id for the init; empty for children
	ImageName         string
	CreatedAt         time.Time
	KernelTime100ns   uint64
	UserTime100ns     uint64
	MemoryCommitBytes uint64
	WorkingSetPrivate uint64
	WorkingSetShared  uint64
}

// Stats are the statistics of a container. Only Timestamp is set for one that
// does not run.
type Stats struct {
	Timestamp      time.Time
	ContainerStart time.Time
	Uptime         time.Duration
	CPUTotal       time.Duration
	CPUUser        time.Duration
	CPUKernel      time.Duration

	MemoryCommitBytes       uint64
	MemoryCommitPeakBytes   uint64
	MemoryPrivateWorkingSet uint64

	StorageReadCount  uint64
	StorageReadBytes  uint64
	StorageWriteCount uint64
	StorageWriteBytes uint64

	VM *VMStats // nil unless the task owns a utility VM
}

// VMStats are the statistics of a utility VM.
type VMStats struct {
	CPUTotal time.Duration
	Nodes    uint32           // virtual NUMA nodes
	Memory   *schema.VMMemory // as HCS reports it, nil if it does not
}

// Update changes the resources of a running container; nil is not changed.
type Update struct {
	ID          string
	MemoryBytes *uint64
	CPU         *UpdateCPU
	CPUGroup    string // GUID of a CPU group of the host, for the VM that the task owns; empty: not changed
}

// UpdateCPU holds the processor limits of an Update. At most one of Count,
// Maximum and Shares may be set; Affinity may stand with one of them or alone.
type UpdateCPU struct {
	Count    *uint64
	Maximum  *uint16 // of 10 000
	Shares   *uint16 // relative weight, 1 to 10 000
	Affinity []isolation.AffinityMask
}

// TaskInfo describes a task for diagnostics.
type TaskInfo struct {
	State
	Plan   *isolation.Plan // with the ports that its network publishes
	Execs  []State         // in the order of their ids
	Phases []hcs.Span      // of bringing it up, with those of the VM that was booted for it
	VM     VM              // that it owns; nil for none
}
