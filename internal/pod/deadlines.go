package pod

import "time"

// Deadlines bounds every step of a task's life. Each bounds one call to the
// system, or one wait, by itself: a slow step does not eat the time of the
// next, and a teardown ends after the sum of its steps at the latest.
type Deadlines struct {
	Boot          time.Duration // a utility VM, until its guest answers; its steps have deadlines of their own
	Create        time.Duration // HcsCreateComputeSystem
	Start         time.Duration // HcsStartComputeSystem
	CreateProcess time.Duration
	Streams       time.Duration // connecting to the client's pipes
	Layers        time.Duration // mounting, and unmounting, a root file system
	Network       time.Duration // finding, making or removing a network namespace; connecting a VM to one
	Query         time.Duration // properties: stats, pids
	Modify        time.Duration // resources, console size, end of input
	Signal        time.Duration // the delivery of a signal; it goes on after Kill has answered
	SignalAnswer  time.Duration // how long Kill waits for the delivery's outcome
	Kill          time.Duration // from SIGKILL to the end of the init; then the container is terminated
	Drain         time.Duration // delivery of output after the end of a process, even if a grandchild goes on writing
	DrainQuiet    time.Duration // silence after which a pipe held by a grandchild counts as ended
	Orphan        time.Duration // from the end of a container, or the news of it, to the end of its processes
	Shutdown      time.Duration // graceful end of a container; then it is terminated
	JobShutdown   time.Duration // the same for what the init of a HostProcess container leaves behind
	Terminate     time.Duration // forced end of a container; then its handle is closed
	Delete        time.Duration // how long Delete waits for the teardown
}

// DefaultDeadlines returns what production uses. Shutdown, Terminate, Delete,
// Kill (30 s each), JobShutdown (5 s) and DrainQuiet (1 s) are the reference's.
func DefaultDeadlines() Deadlines {
	return Deadlines{
		Boot:          10 * time.Minute,
		Create:        4 * time.Minute,
		Start:         4 * time.Minute,
		CreateProcess: time.Minute,
		Streams:       15 * time.Second,
		Layers:        2 * time.Minute,
		Network:       2 * time.Minute,
		Query:         10 * time.Second,
		Modify:        30 * time.Second,
		Signal:        30 * time.Second,
		SignalAnswer:  500 * time.Millisecond,
		Kill:          30 * time.Second,
		Drain:         15 * time.Second,
		DrainQuiet:    time.Second,
		Orphan:        2 * time.Second,
		Shutdown:      30 * time.Second,
		JobShutdown:   5 * time.Second,
		Terminate:     30 * time.Second,
		Delete:        30 * time.Second,
	}
}

// withDefaults fills in what is zero.
func (d Deadlines) withDefaults() Deadlines {
	def := DefaultDeadlines()
	for _, f := range []struct{ p, v *time.Duration }{
		{&d.Boot, &def.Boot}, {&d.Create, &def.Create}, {&d.Start, &def.Start}, {&d.CreateProcess, &def.CreateProcess},
		{&d.Streams, &def.Streams}, {&d.Layers, &def.Layers}, {&d.Network, &def.Network}, {&d.Query, &def.Query},
		{&d.Modify, &def.Modify}, {&d.Signal, &def.Signal}, {&d.SignalAnswer, &def.SignalAnswer},
		{&d.Kill, &def.Kill}, {&d.Drain, &def.Drain}, {&d.DrainQuiet, &def.DrainQuiet},
		{&d.Orphan, &def.Orphan}, {&d.Shutdown, &def.Shutdown}, {&d.JobShutdown, &def.JobShutdown}, {&d.Terminate, &def.Terminate},
		{&d.Delete, &def.Delete},
	} {
		if *f.p == 0 {
			*f.p = *f.v
		}
	}
	return d
}
