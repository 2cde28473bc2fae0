package pod

import "time"

// Deadlines bounds every step of a task's life. Each bounds one call to the
// system, or one wait, by itself: a slow step does not eat the time of the
// next, and a teardown ends after the sum of its steps at the latest.
type Deadlines struct {
	Create        time.Duration // HcsCreateComputeSystem
	Start         time.Duration // HcsStartComputeSystem
	CreateProcess time.Duration
	Streams       time.Duration // connecting to the client's pipes
	Layers        time.Duration // mounting, and unmounting, a root file system
	Query         time.Duration // properties: stats, pids
	Modify        time.Duration // resources, console size, end of input
	Signal        time.Duration // the delivery of a signal; it goes on after Kill has answered
	SignalAnswer  time.Duration // how long Kill waits for the delivery's outcome
	Kill          time.Duration // from SIGKILL to the end of the process, then the container is terminated
	Drain         time.Duration // delivery of output after the end of a process
	DrainQuiet    time.Duration // silence after which a pipe held by a grandchild counts as ended
	Orphan        time.Duration // from the end of a container to the end of its processes
	Shutdown      time.Duration // graceful end of a container, then it is terminated
	Terminate     time.Duration // forced end of a container, then its handle is closed
	Delete        time.Duration // how long Delete waits for the teardown
}

// DefaultDeadlines returns what production uses. Shutdown, Terminate, Delete
// and DrainQuiet are the reference's (30 s, 30 s, 30 s, 1 s).
func DefaultDeadlines() Deadlines {
	return Deadlines{
		Create:        4 * time.Minute,
		Start:         4 * time.Minute,
		CreateProcess: time.Minute,
		Streams:       10 * time.Second,
		Layers:        2 * time.Minute,
		Query:         10 * time.Second,
		Modify:        30 * time.Second,
		Signal:        30 * time.Second,
		SignalAnswer:  500 * time.Millisecond,
		Kill:          30 * time.Second,
		Drain:         10 * time.Second,
		DrainQuiet:    time.Second,
		Orphan:        2 * time.Second,
		Shutdown:      30 * time.Second,
		Terminate:     30 * time.Second,
		Delete:        30 * time.Second,
	}
}
