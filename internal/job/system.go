package job

import (
	"io"
	"time"
)

// System is what HostProcess containers need of a machine. All methods may be
// called from any goroutine; none takes a context because Windows' calls can't
// be broken off. Errors are [*CallError] values.
type System interface {
	// Facts says what the machine has.
	Facts() (Facts, error)

	// CreateJob makes a job object whose processes end with its last handle.
	// Errors: AlreadyExists if there is one of this name.
	CreateJob(name string) (Object, error)

	// TerminateJob ends the processes of the job object with this name,
	// whoever made it, and returns when none runs or limit has passed. There
	// being no such object is no error.
	TerminateJob(name string, limit time.Duration) error

	// IsGroup says whether a local group has this name.
	IsGroup(name string) (bool, error)

	// AddUser makes a local user in a local group. Errors: AlreadyExists, and
	// then the user is untouched. A failed AddUser leaves no user.
	AddUser(name, password, group string) error

	// RemoveUser removes a local user. It is idempotent.
	RemoveUser(name string) error

	// Logon returns a token of the account. Errors: InvalidArgument if the
	// account is unknown or may not log on.
	Logon(a Account) (Token, error)

	// OwnToken returns a token of this process's user.
	OwnToken() (Token, error)

	// MountFolder makes folder and mounts the volume, \\?\Volume{GUID}\, on it.
	// A failed MountFolder mounts nothing.
	MountFolder(folder, volume string) error

	// UnmountFolder undoes MountFolder. It is idempotent: a folder on which
	// nothing is mounted, or that is not there, is no error.
	UnmountFolder(folder string) error

	// Exists and IsFile look at a path as this process sees it.
	Exists(path string) (bool, error)
	IsFile(path string) bool

	// MakeFolder makes a folder with those above it. One that is there is no error.
	MakeFolder(path string) error

	// Link makes a link at path, and the folders above it. It takes the place
	// of a link or of an empty folder. Errors: AlreadyExists if something else
	// is there.
	Link(target, path string) error
}

// Facts are what a machine has.
type Facts struct {
	Silos         bool // job objects become silos and the bind filter is there
	SystemFolder  string
	WindowsFolder string
	Processors    uint32 // active, of all groups
}

// Object is a job object. All methods may be called from any goroutine.
type Object interface {
	// Promote makes the job a silo. It must be empty.
	Promote() error

	// Bind shows target at root, for the processes of this silo alone.
	Bind(root, target string, readOnly bool) error

	// SetLimits sets the limits that l names and leaves the others as they are.
	SetLimits(l Limits) error

	// Start starts a process in the job. Errors: NotFound, PermissionDenied,
	// and what Windows says of the token.
	Start(c Command) (Child, error)

	// Processes lists the ids of the job's processes.
	Processes() ([]uint32, error)

	// Details describes those of the processes that still run in the job.
	Details(pids []uint32) []Details

	// Usage returns what the job has used since it was made.
	Usage() (Usage, error)

	// Signal makes the control handlers of one of the job's processes run. It
	// reports false if there is no such process in the job any more.
	Signal(pid uint32, event ControlEvent) (bool, error)

	// Terminate ends all processes.
	Terminate(exitCode uint32) error

	// Emptied gets a value when the last process may have ended. Windows does not
	// promise to say so each time: look at Processes now and then as well.
	Emptied() <-chan struct{}

	// Close gives up the handle, and so ends all processes. It is idempotent.
	Close() error
}

// Token is a user's access token.
type Token interface {
	// Environment returns the user's own environment, NAME=value.
	Environment() ([]string, error)

	// Close is idempotent.
	Close() error
}

// Account is who a process runs as.
type Account struct {
	Domain   string // empty: the machine's own, or in the name (user@domain)
	Name     string
	Password string // empty: none is given
	Service  bool   // one of Windows' service accounts
}

// Command is a process to start.
type Command struct {
	Program     string // full path
	Line        string // the whole command line
	Folder      string
	Environment []string // NAME=value, sorted by name
	Token       Token
	Console     *Size // nil: no console
	Stdin       bool  // the caller wants these pipes
	Stdout      bool
	Stderr      bool
}

// Size is the size of a console in characters.
type Size struct{ Columns, Rows uint16 }

// ControlEvent is a console control event.
// https://learn.microsoft.com/windows/console/handlerroutine
type ControlEvent uint32

// The control events.
const (
	EventCtrlC        ControlEvent = 0
	EventCtrlBreak    ControlEvent = 1
	EventCtrlClose    ControlEvent = 2
	EventCtrlLogOff   ControlEvent = 5
	EventCtrlShutdown ControlEvent = 6
)

// Child is a started process. Its methods may be called from any goroutine.
type Child interface {
	PID() uint32

	// The caller's ends of the pipes, nil where none was asked for. Closing
	// one ends what waits on it.
	Stdin() io.WriteCloser
	Stdout() io.ReadCloser
	Stderr() io.ReadCloser

	// Resize sets the console's size. Errors: FailedPrecondition without one.
	Resize(Size) error

	// Kill ends the process. It reports false if it had ended.
	Kill() (bool, error)

	// Done is closed when the process has ended; ExitCode is valid from then on.
	Done() <-chan struct{}
	ExitCode() uint32

	// Close gives up the handle, the console and the streams, and ends the
	// wait for Done. It does not end the process. It is idempotent.
	Close() error
}

// Details describes one process.
type Details struct {
	PID               uint32
	Image             string // base name
	Created           time.Time
	Kernel, User      time.Duration
	Commit            uint64 // bytes, as the two below
	PrivateWorkingSet uint64
	SharedWorkingSet  uint64
}

// Usage is what a job has used.
type Usage struct {
	Kernel, User       time.Duration
	Commit, CommitPeak uint64 // bytes
	PrivateWorkingSet  uint64
	Reads, ReadBytes   uint64
	Writes, WriteBytes uint64
}
