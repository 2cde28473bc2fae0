package job

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// Container is a HostProcess container. It implements [hcs.Compute].
type Container struct {
	id     string
	log    *slog.Logger
	host   *Host
	object Object
	token  Token
	layout layout
	facts  Facts
	user   user

	done  chan struct{} // closed when stopped
	ended sync.Once
	exit  error // set before done is closed

	mu       sync.Mutex
	state    state
	starting int       // processes that are being started. Guarded by mu.
	since    time.Time // of Start. Guarded by mu.
}

// state is what the package comment draws.
type state uint8

const (
	created state = iota
	running
	ending
)

var _ hcs.Compute = (*Container)(nil)

func newContainer(p *Preparation, object Object, token Token) *Container {
	return &Container{
		id: p.id, log: p.host.log.With("id", p.id), host: p.host, object: object, token: token,
		layout: p.layout, facts: p.facts, user: p.user, done: make(chan struct{}),
	}
}

// ID implements hcs.Compute, as do the methods below.
func (c *Container) ID() string { return c.id }

// Start lets processes be created. A job has nothing to start.
func (c *Container) Start(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != created {
		return c.failed("start", hcs.ErrInvalidState)
	}
	c.state, c.since = running, time.Now()
	return nil
}

// Shutdown lets the control handlers of all processes run, as a host does when
// it shuts down.
func (c *Container) Shutdown(context.Context) error {
	if !c.endSoon() {
		return c.failed("shut down", hcs.ErrAlreadyStopped)
	}
	pids, err := c.object.Processes()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if _, err := c.object.Signal(pid, EventCtrlShutdown); err != nil {
			c.log.Warn("a process was not told to shut down", "pid", pid, "error", err)
		}
	}
	return nil
}

// terminated is the exit code of processes that were ended, HCS's own:
// ERROR_PROCESS_ABORTED.
const terminated = 1067

// Terminate ends all processes.
func (c *Container) Terminate(context.Context) error {
	if !c.endSoon() {
		return c.failed("terminate", hcs.ErrAlreadyStopped)
	}
	return c.object.Terminate(terminated)
}

// endSoon moves to ending, and reports false if the container has stopped.
func (c *Container) endSoon() bool {
	select {
	case <-c.done:
		return false
	default:
	}
	c.mu.Lock()
	first := c.state != ending
	c.state = ending
	c.mu.Unlock()
	if first {
		go c.watch()
	}
	return true
}

// lookAgain is how often an ending job is looked at without being told to.
const lookAgain = 250 * time.Millisecond

// watch stops the container when its last process has ended. Notices may be
// lost, so it also looks by itself; it runs only while the container is ending.
func (c *Container) watch() {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		if c.empty() {
			c.stop(nil)
			return
		}
		select {
		case <-c.object.Emptied():
		case <-tick.C:
		case <-c.done:
			return
		}
	}
}

func (c *Container) empty() bool {
	c.mu.Lock()
	starting := c.starting
	c.mu.Unlock()
	if starting > 0 {
		return false
	}
	pids, err := c.object.Processes()
	return err == nil && len(pids) == 0
}

func (c *Container) stop(err error) {
	c.ended.Do(func() {
		c.exit = err
		close(c.done)
	})
}

// Done is closed when the container has stopped.
func (c *Container) Done() <-chan struct{} { return c.done }

// Exit says how it stopped.
func (c *Container) Exit() error { return c.exit }

// Close gives up the job object, which ends what runs in it, and the token.
func (c *Container) Close() error {
	c.stop(c.failed("close", hcs.ErrClosed))
	err := c.object.Close()
	if terr := c.token.Close(); err == nil {
		err = terr
	}
	return err
}

// Modify changes limits.
func (c *Container) Modify(_ context.Context, req *schema.ModificationRequest) error {
	select {
	case <-c.done:
		return c.failed("modify", hcs.ErrAlreadyStopped)
	default:
	}
	l, err := changedLimits(req, c.facts.Processors)
	if err != nil {
		return err
	}
	return c.object.SetLimits(l)
}

// Properties answers statistics and the process list.
func (c *Container) Properties(_ context.Context, q schema.PropertyQuery) (*schema.Properties, error) {
	select {
	case <-c.done:
		return nil, c.failed("query", hcs.ErrAlreadyStopped)
	default:
	}
	c.mu.Lock()
	since := c.since
	c.mu.Unlock()
	out := &schema.Properties{ID: c.id, SystemType: schema.SystemContainer, Owner: ""}
	for _, t := range q.PropertyTypes {
		switch t {
		case schema.PropertyStatistics:
			u, err := c.object.Usage()
			if err != nil {
				return nil, err
			}
			out.Statistics = statistics(u, since, time.Now())
		case schema.PropertyProcessList:
			pids, err := c.object.Processes()
			if err != nil {
				return nil, err
			}
			out.ProcessList = processList(c.object.Details(pids))
		default:
			return nil, c.failed("query "+string(t)+" of", hcs.ErrNotSupported)
		}
	}
	return out, nil
}

// unit is what HCS counts time in.
const unit = 100 * time.Nanosecond

func statistics(u Usage, since, now time.Time) *schema.Statistics {
	s := &schema.Statistics{
		Timestamp: now, ContainerStartTime: since,
		Processor: &schema.ProcessorStats{
			TotalRuntime100ns: uint64((u.User + u.Kernel) / unit), RuntimeUser100ns: uint64(u.User / unit), RuntimeKernel100ns: uint64(u.Kernel / unit),
		},
		Memory: &schema.MemoryStats{
			MemoryUsageCommitBytes: u.Commit, MemoryUsageCommitPeakBytes: u.CommitPeak, MemoryUsagePrivateWorkingSetBytes: u.PrivateWorkingSet,
		},
		Storage: &schema.StorageStats{
			ReadCountNormalized: u.Reads, ReadSizeBytes: u.ReadBytes, WriteCountNormalized: u.Writes, WriteSizeBytes: u.WriteBytes,
		},
	}
	if !since.IsZero() {
		s.Uptime100ns = uint64(now.Sub(since) / unit)
	}
	return s
}

func processList(details []Details) []schema.ProcessDetails {
	out := make([]schema.ProcessDetails, 0, len(details))
	for _, d := range details {
		out = append(out, schema.ProcessDetails{
			ProcessID: d.PID, ImageName: d.Image, CreateTimestamp: d.Created,
			UserTime100ns: uint64(d.User / unit), KernelTime100ns: uint64(d.Kernel / unit),
			MemoryCommitBytes: d.Commit, MemoryWorkingSetPrivateBytes: d.PrivateWorkingSet, MemoryWorkingSetSharedBytes: d.SharedWorkingSet,
		})
	}
	return out
}

func (c *Container) failed(op string, err error) error {
	return &hcs.Error{Op: op + " HostProcess container", ID: c.id, Err: err}
}

// tokenFor returns the token of a process: the container's own unless an exec
// names another user, and whether the caller must close it.
func (c *Container) tokenFor(name string) (_ Token, own bool, err error) {
	if c.user.kind == accountShim || name == "" || c.isOwnUser(name) {
		return c.token, false, nil
	}
	u, err := userOf(c.id, name, false, c.host.system.IsGroup)
	switch {
	case err != nil:
		return nil, false, err
	case u.kind == accountGroup:
		return nil, false, &fault.Error{Kind: fault.InvalidArgument, Detail: "the process asks for the local group " + u.group + ", and a user is made for the container's own group only",
			Hint: "run it as the container's user, or as a service account"}
	}
	t, err := c.host.system.Logon(u.account)
	return t, true, err
}

// isOwnUser says whether name is how the container's user was named.
func (c *Container) isOwnUser(name string) bool {
	u, err := userOf(c.id, name, false, func(n string) (bool, error) {
		return c.user.kind == accountGroup && strings.EqualFold(n, c.user.group), nil
	})
	return err == nil && u.kind == c.user.kind && strings.EqualFold(u.group, c.user.group) &&
		strings.EqualFold(u.account.Domain, c.user.account.Domain) && strings.EqualFold(u.account.Name, c.user.account.Name)
}
