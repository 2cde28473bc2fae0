package pod

import (
	"context"
	"strings"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/journal"
)

// Jobs makes HostProcess containers: job objects of the host. internal/job
// implements it. All methods may be called from any goroutine and end with
// their contexts.
type Jobs interface {
	// Prepare decides how the container of plan is made for the user that its
	// init names. It changes nothing. Errors: InvalidArgument for a user that
	// can't be.
	Prepare(ctx context.Context, plan *isolation.Plan, user string) (Job, error)

	// What undoes a Job, here and in replays of journals (internal/undo).
	// UnmountFolder, RemoveUser and Terminate are idempotent. Terminate returns
	// when the processes of the container's job object have ended.
	UnmountFolder(ctx context.Context, folder string) error
	RemoveUser(ctx context.Context, name string) error
	Terminate(ctx context.Context, id string) error
}

// Job is a HostProcess container in the making. The first two steps are needed
// if they have a name, and before Create. A step that failed leaves nothing.
type Job interface {
	// Folder is the folder of the host that the image's volume is mounted on.
	Folder() string
	MountFolder(ctx context.Context, volume string) error

	// UserName is the local user that is made for the container.
	UserName() string
	MakeUser(ctx context.Context) error

	// Create makes the container from the image's mounted volume.
	Create(ctx context.Context, volume string) (hcs.Compute, error)
}

// jobKernel runs HostProcess containers. They are on the host's network. Its
// calls come in the order scratch, layers, folder, user, job object, and are
// undone in the reverse: what has files of the image open ends first.
//
// The sandbox of a HostProcess pod runs no process and mounts nothing. As
// runhcs does: its image's user is not there on the host, and containerd counts
// on it (it asks such sandboxes for no statistics:
// https://github.com/containerd/containerd/blob/v2.4.2/internal/cri/server/sandbox_stats_windows.go).
type jobKernel struct {
	hostKernel
}

// create implements kernel.
func (k *jobKernel) create(s *steps, req *CreateTask, j *journal.Journal) (_ *container, err error) {
	c := newContainer(k.cfg, k.log, req.ID, j)
	c.grace = k.cfg.Deadlines.JobShutdown
	if req.Plan.Role == isolation.RoleSandbox {
		c.compute = newEmptySandbox(req.ID)
		c.makeSure = func(context.Context) error { return c.compute.Close() }
		return c, nil
	}
	defer func() {
		if err != nil {
			c.abandon()
		}
	}()
	var job Job
	err = s.do("prepare", k.cfg.Deadlines.Query, func(ctx context.Context) error {
		job, err = k.cfg.Jobs.Prepare(ctx, req.Plan, req.Process.User)
		return err
	})
	if err != nil {
		return nil, err
	}
	mounted, err := k.mount(s, req, c)
	if err != nil {
		return nil, err
	}
	volume := strings.TrimRight(mounted.Path, `\`) + `\`
	if err := k.mountFolder(s, c, job, volume); err != nil {
		return nil, err
	}
	if err := k.makeUser(s, c, job); err != nil {
		return nil, err
	}
	return c, k.createJob(s, req.ID, c, job, volume)
}

// mountFolder mounts the image's volume where the container can see it.
func (k *jobKernel) mountFolder(s *steps, c *container, job Job, volume string) error {
	folder := job.Folder()
	if folder == "" {
		return nil
	}
	return s.do("folder", k.cfg.Deadlines.Layers, func(ctx context.Context) error {
		entry, err := c.journal.Acquire(journal.Record{Kind: journal.KindVolumeFolder, Name: folder})
		if err != nil {
			return err
		}
		// Held from now on: an answer may get lost, and the folder is the container's own.
		c.hold("folder "+folder, entry, k.cfg.Deadlines.Layers, func(ctx context.Context) error {
			return k.cfg.Jobs.UnmountFolder(ctx, folder)
		})
		return job.MountFolder(ctx, volume)
	})
}

// makeUser makes the local user that the container runs as.
func (k *jobKernel) makeUser(s *steps, c *container, job Job) error {
	name := job.UserName()
	if name == "" {
		return nil
	}
	return s.do("user", k.cfg.Deadlines.Modify, func(ctx context.Context) error {
		entry, err := c.journal.Acquire(journal.Record{Kind: journal.KindUser, Name: name})
		if err != nil {
			return err
		}
		err = job.MakeUser(ctx)
		if fault.Is(err, fault.AlreadyExists) {
			c.notCreated(entry, err) // it is not ours
			return err
		}
		c.hold("user "+name, entry, k.cfg.Deadlines.Modify, func(ctx context.Context) error {
			return k.cfg.Jobs.RemoveUser(ctx, name)
		})
		return err // the answer of one that was made may have got lost
	})
}

// createJob makes the job object. Its processes end with this process; the
// record is for a handle of it that somebody else may have.
func (k *jobKernel) createJob(s *steps, id string, c *container, job Job, volume string) error {
	return s.do("create", k.cfg.Deadlines.Create, func(ctx context.Context) error {
		entry, err := c.journal.Acquire(journal.Record{Kind: journal.KindJob, Name: id})
		if err != nil {
			return err
		}
		compute, err := job.Create(ctx, volume)
		if err != nil {
			c.notCreated(entry, err)
			return err
		}
		c.compute = compute
		c.makeSure = func(ctx context.Context) error { return k.cfg.Jobs.Terminate(ctx, id) }
		c.hold("job "+id, entry, k.cfg.Deadlines.Terminate, func(context.Context) error { return closed(compute.Close()) })
		return nil
	})
}
