package job

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/isolrun/isol/internal/deadline"
	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/isolation"
)

// Host makes the HostProcess containers of one machine. All methods may be
// called from any goroutine.
type Host struct {
	system System
	log    *slog.Logger

	facts func() (Facts, error) // reads them once
}

// NewHost returns the host over s.
func NewHost(s System, log *slog.Logger) *Host {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Host{system: s, log: log, facts: sync.OnceValues(s.Facts)}
}

// namePrefix begins the names of job objects, as runhcs's do: tools look for them.
const namePrefix = "JobContainer_"

// ObjectName is the name of a container's job object.
func ObjectName(id string) string { return namePrefix + id }

// Preparation is a container that was decided and not made yet.
type Preparation struct {
	host   *Host
	id     string
	plan   *isolation.Plan
	layout layout
	user   user
	facts  Facts

	password string // of the user that MakeUser made
}

// Prepare decides how the container of plan is made for the user that its init
// names. It changes nothing. Errors: InvalidArgument for a user that can't be,
// and those of the system.
func (h *Host) Prepare(ctx context.Context, plan *isolation.Plan, userName string) (*Preparation, error) {
	hp := plan.Container.HostProcess
	if hp == nil || hp.InGuest {
		return nil, fault.New(fault.Internal, "the plan of %s is not of a job on the host", plan.ID)
	}
	if plan.ID == "" || strings.ContainsAny(plan.ID, `\/:*?"<>|`) {
		return nil, fault.New(fault.InvalidArgument, "the id %q can't name a job object and a folder", plan.ID)
	}
	return within(ctx, "prepare HostProcess container", plan.ID, func() (*Preparation, error) {
		facts, err := h.facts()
		if err != nil {
			return nil, err
		}
		u, err := userOf(plan.ID, userName, hp.InheritUser, h.system.IsGroup)
		if err != nil {
			return nil, err
		}
		return &Preparation{host: h, id: plan.ID, plan: plan, layout: layoutOf(plan.ID, hp, facts.Silos), user: u, facts: facts}, nil
	}, nil)
}

// Folder is the folder of the host that the image's volume must be mounted on
// before Create, empty in a silo.
func (p *Preparation) Folder() string { return p.layout.folder }

// MountFolder mounts the volume on the folder.
func (p *Preparation) MountFolder(ctx context.Context, volume string) error {
	return p.host.do(ctx, "mount the image's volume on", p.layout.folder,
		func() error { return p.host.system.MountFolder(p.layout.folder, volume) },
		func() error { return p.host.system.UnmountFolder(p.layout.folder) })
}

// UnmountFolder undoes MountFolder of any container. It is idempotent.
func (h *Host) UnmountFolder(ctx context.Context, folder string) error {
	return h.do(ctx, "unmount", folder, func() error { return h.system.UnmountFolder(folder) }, nil)
}

// UserName is the local user that must be made before Create, empty for none.
func (p *Preparation) UserName() string {
	if p.user.kind != accountGroup {
		return ""
	}
	return p.user.account.Name
}

// MakeUser makes the user. Errors: AlreadyExists, and then the user that is
// there is untouched.
func (p *Preparation) MakeUser(ctx context.Context) error {
	name, password := p.user.account.Name, newPassword()
	err := p.host.do(ctx, "make the user "+name+" in the local group", p.user.group,
		func() error { return p.host.system.AddUser(name, password, p.user.group) },
		func() error { return p.host.system.RemoveUser(name) })
	if err == nil {
		p.password = password
	}
	return err
}

// RemoveUser undoes MakeUser of any container. It is idempotent.
func (h *Host) RemoveUser(ctx context.Context, name string) error {
	return h.do(ctx, "remove user", name, func() error { return h.system.RemoveUser(name) }, nil)
}

// endLimit bounds how long Terminate waits when its context does not.
const endLimit = 30 * time.Second

// Terminate ends the processes of a job object that another process made. It is
// idempotent.
func (h *Host) Terminate(ctx context.Context, id string) error {
	limit := endLimit
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline)
	}
	return h.do(ctx, "end the processes of job", ObjectName(id),
		func() error { return h.system.TerminateJob(ObjectName(id), limit) }, nil)
}

// do runs a call that can't be broken off, and undoes it if it succeeds late.
func (h *Host) do(ctx context.Context, op, subject string, f, undo func() error) error {
	late := func(struct{}) {
		if undo == nil {
			return
		}
		if err := undo(); err != nil {
			h.log.Warn("undo what came late", "op", op, "subject", subject, "error", err)
		}
	}
	_, err := within(ctx, op, subject, func() (struct{}, error) { return struct{}{}, f() }, late)
	return err
}

// within returns what f does, or ctx's error if ctx ends first. Then late gets
// what f returns in the end, if it succeeds.
func within[T any](ctx context.Context, op, subject string, f func() (T, error), late func(T)) (T, error) {
	v, err := deadline.Call(ctx, "Windows", f, func(v T, err error, isLate bool) {
		if isLate && err == nil && late != nil {
			late(v)
		}
	})
	return v, fault.Wrap(err, op, subject)
}

// logon gets a token for the container.
func (p *Preparation) logon() (Token, error) {
	if p.user.kind == accountShim {
		return p.host.system.OwnToken()
	}
	a := p.user.account
	a.Password = p.password
	return p.host.system.Logon(a)
}

// String names the layout and the user, for the log.
func (p *Preparation) String() string {
	where := "in folder " + p.layout.folder
	if p.layout.silo {
		where = "in a silo with files at " + p.layout.root
	}
	switch p.user.kind {
	case accountShim:
		return where + ", as the shim's user"
	case accountGroup:
		return fmt.Sprintf("%s, as a member of %s", where, p.user.group)
	}
	return fmt.Sprintf(`%s, as %s\%s`, where, p.user.account.Domain, p.user.account.Name)
}
