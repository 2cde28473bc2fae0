package hcsemu

import (
	"context"
	"strings"
	"time"
)

// hostFunctions are those of the host itself, by their DLL: Windows has them
// with or without the compute service.
var hostFunctions = map[string]string{
	"CreateJobObjectW": "kernel32.dll", "SetInformationJobObject": "kernel32.dll", "SetVolumeMountPointW": "kernel32.dll",
	"DeleteVolumeMountPointW": "kernel32.dll", "CreateSymbolicLinkW": "kernel32.dll", "LogonUserW": "advapi32.dll", "NetLocalGroupGetInfo": "netapi32.dll",
	"NetUserAdd": "netapi32.dll", "NetUserDel": "netapi32.dll", "NetLocalGroupAddMembers": "netapi32.dll",
}

// Job is a job object of a scripted machine, held by the client that made it.
// In the lab jobs are Wine's own; there the emulator hears of their limits only
// ([Client.SetJobInformation]). Its fields are guarded by the emulator's mu.
type Job struct {
	Name string
	Silo Silo // its processes

	c       *Client
	since   time.Time
	gone    bool
	started []RunningProcess
}

// CreateJob makes a job object that ends with its processes when it is closed,
// or when the client's process ends.
// https://learn.microsoft.com/windows/win32/api/jobapi2/nf-jobapi2-createjobobjectw
func (c *Client) CreateJob(ctx context.Context, name string) (*Job, error) {
	job := &Job{Name: name, c: c}
	req := request{function: "CreateJobObjectW", args: Args{"job": name}, offline: true, undo: func(context.Context) { job.Close() }}
	err := c.simple(ctx, req, func(ctx context.Context) error {
		silo, err := c.e.config.Runner.NewSilo(ctx, SiloSpec{ID: name})
		if err != nil {
			return err
		}
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		if c.e.jobs[strings.ToLower(name)] != nil {
			return fail(EAlreadyExists, "there is a job object %s", name)
		}
		job.Silo, job.since = silo, c.e.config.Now()
		c.e.jobs[strings.ToLower(name)] = job
		return nil
	})
	if err != nil {
		return nil, err
	}
	return job, nil
}

// Job returns the job object of this name, nil if there is none.
func (e *Emulator) Job(name string) *Job {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.jobs[strings.ToLower(name)]
}

// Close closes the last handle: the processes end. It is idempotent.
func (j *Job) Close() {
	e := j.c.e
	e.mu.Lock()
	first := !j.gone
	j.gone = true
	if first {
		delete(e.jobs, strings.ToLower(j.Name))
		for key := range e.bindings {
			if key.job == j.Name {
				delete(e.bindings, key) // the bindings of a silo end with it
			}
		}
	}
	e.mu.Unlock()
	if first && j.Silo != nil {
		j.Silo.Terminate()
		j.Silo.Close()
	}
}

// SetJobInformation records a change of a job object's limits.
// https://learn.microsoft.com/windows/win32/api/jobapi2/nf-jobapi2-setinformationjobobject
func (c *Client) SetJobInformation(ctx context.Context, job string, class uint32, settings Args) error {
	args := Args{"job": job, "class": class}
	for k, v := range settings {
		args[k] = v
	}
	return c.simple(ctx, request{function: "SetInformationJobObject", args: args, offline: true}, func(context.Context) error { return nil })
}

// jobsOf returns the job objects that a session's process holds.
func (e *Emulator) jobsOf(s *session) []*Job {
	e.mu.Lock()
	defer e.mu.Unlock()
	var held []*Job
	for _, j := range e.jobs {
		if j.c.session == s {
			held = append(held, j)
		}
	}
	return held
}

// hostEntriesLocked are the things of the host itself that a client made.
func (e *Emulator) hostEntriesLocked() Ledger {
	var l Ledger
	for _, j := range e.jobs {
		l = append(l, Entry{Kind: "job object", ID: j.Name, Owner: j.c.caller, Since: j.since})
	}
	for _, u := range e.users {
		l = append(l, Entry{Kind: "local user", ID: u.name, Owner: u.owner, Since: u.since, Detail: strings.Join(u.groups, " ")})
	}
	for _, f := range e.folders {
		l = append(l, Entry{Kind: "volume folder", ID: f.folder, Owner: f.owner, Since: f.since, Detail: f.volume})
	}
	return l
}

// EndProcesses ends the job's processes; the job stays, and takes new ones.
func (j *Job) EndProcesses() {
	for _, p := range j.running() {
		_ = p.Kill() // it may have ended
	}
}

// Signal delivers a control event to one of the job's processes. It reports
// false if there is none of this id.
func (j *Job) Signal(pid uint32, s Signal) (bool, error) {
	for _, p := range j.running() {
		if p.PID() == pid {
			return p.Signal(s) == nil, nil
		}
	}
	return false, nil
}

// Start starts a process in the job.
func (j *Job) Start(ctx context.Context, spec ProcessSpec) (RunningProcess, error) {
	p, err := j.Silo.Start(ctx, spec)
	if err == nil {
		j.c.e.mu.Lock()
		j.started = append(j.started, p)
		j.c.e.mu.Unlock()
	}
	return p, err
}

// running returns the started processes that have not ended.
func (j *Job) running() []RunningProcess {
	j.c.e.mu.Lock()
	defer j.c.e.mu.Unlock()
	var live []RunningProcess
	for _, p := range j.started {
		select {
		case <-p.Done():
		default:
			live = append(live, p)
		}
	}
	return live
}
