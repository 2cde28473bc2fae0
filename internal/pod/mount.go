package pod

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs/doc"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
)

// checkSources looks at the host's directories and files again before anything
// can see them: the plan names where they led at create, and a link that was
// put there since would open something that nobody has decided about.
func (t *task) checkSources() error {
	if t.cfg.Source == nil {
		return nil
	}
	for _, m := range t.plan.Container.Mounts {
		if m.Mechanism != isolation.MechanismBind && m.Mechanism != isolation.MechanismVSMB {
			continue
		}
		found, err := t.cfg.Source(m.Source)
		if err != nil {
			return &fault.Error{Kind: fault.FailedPrecondition, Op: "mount", Subject: m.Source, Err: err,
				Detail: "it was there when the container was created", Hint: "create the container anew"}
		}
		if !strings.EqualFold(strings.TrimSuffix(found.Path, `\`), strings.TrimSuffix(m.Source, `\`)) {
			return &fault.Error{Kind: fault.FailedPrecondition, Op: "mount", Subject: m.Source,
				Detail: "it leads to " + found.Path + " now, and did not when the container was created", Hint: "create the container anew"}
		}
	}
	return nil
}

// hotMounts are the mounts that a container was given while it ran. What they
// hold of a VM is released by unmounting, or with the container.
//
//	absent ── add ──▶ busy ──▶ mounted ── remove ──▶ busy ──▶ absent
//	all of them ── release ──▶ sealed: nothing is added any more
//
// The zero value is empty. No lock is held across a call.
type hotMounts struct {
	mu     sync.Mutex
	sealed bool                 // guarded by mu
	at     map[string]*hotMount // by destination in lower case; guarded by mu
}

// hotMount is guarded by hotMounts.mu until busy is false.
type hotMount struct {
	busy    bool
	mapped  schema.MappedDirectory
	release func(context.Context) error // nil on the host
}

// begin reserves a destination: one that is free (want false) or mounted.
func (h *hotMounts) begin(destination string, want bool) (*hotMount, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := strings.ToLower(destination)
	m := h.at[key]
	switch {
	case h.sealed:
		return nil, &fault.Error{Kind: fault.FailedPrecondition, Op: "mount", Subject: destination, Detail: "the container has ended"}
	case m != nil && m.busy:
		return nil, &fault.Error{Kind: fault.FailedPrecondition, Op: "mount", Subject: destination, Detail: "another update is at work on it"}
	case want && m == nil:
		return nil, &fault.Error{Kind: fault.NotFound, Op: "unmount", Subject: destination, Detail: "nothing was mounted there while the container ran"}
	case !want && m != nil:
		return nil, &fault.Error{Kind: fault.AlreadyExists, Op: "mount", Subject: destination, Detail: m.mapped.HostPath + " is mounted there"}
	case m == nil:
		m = &hotMount{}
		if h.at == nil {
			h.at = map[string]*hotMount{}
		}
		h.at[key] = m
	}
	m.busy = true
	return m, nil
}

// settle ends what begin has begun. It reports whether the container has ended
// meanwhile while this is still mounted: then the caller has to give it back.
func (h *hotMounts) settle(destination string, m *hotMount, mounted bool) (late bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m.busy = false
	if !mounted || h.sealed {
		delete(h.at, strings.ToLower(destination))
	}
	return h.sealed && mounted
}

// free releases all that is mounted, at the container's end. What fails stays
// and is tried again by the next call.
func (h *hotMounts) free(ctx context.Context) error {
	h.mu.Lock()
	h.sealed = true
	var mounted []string
	for key, m := range h.at {
		if !m.busy {
			mounted = append(mounted, key)
		}
	}
	h.mu.Unlock()
	var errs []error
	for _, key := range mounted {
		h.mu.Lock()
		m := h.at[key]
		h.mu.Unlock()
		if m.release != nil {
			if err := m.release(ctx); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		h.mu.Lock()
		delete(h.at, key)
		h.mu.Unlock()
	}
	return errors.Join(errs...)
}

// Mount gives a running container a directory or file of the host, as
// isolation.DecideMount has planned it. Errors: NotFound, FailedPrecondition
// unless it runs, AlreadyExists for a destination that is taken, and those of
// the steps; a failed Mount leaves nothing.
func (p *Pod) Mount(ctx context.Context, id string, m isolation.Mount) error {
	t, err := p.running(id)
	if err != nil {
		return err
	}
	c := t.container
	hot, err := c.hot.begin(m.Destination, false)
	if err != nil {
		return err
	}
	s := &steps{ctx: ctx, what: "mount", id: id}
	hot.mapped = schema.MappedDirectory{HostPath: m.Source, ContainerPath: m.Destination, ReadOnly: m.ReadOnly}
	err = s.do(m.Destination, p.cfg.Deadlines.Modify, func(ctx context.Context) error {
		if c.in != nil {
			path, release, err := c.in.Share(ctx, m.Source, m.ReadOnly)
			if err != nil {
				return err
			}
			hot.mapped.HostPath, hot.release = path, release
		}
		return c.compute.Modify(ctx, doc.Directory(schema.RequestAdd, hot.mapped))
	})
	if late := c.hot.settle(m.Destination, hot, err == nil); err == nil && !late {
		return nil
	}
	return errors.Join(err, hot.giveBack(p.cfg.Deadlines.Modify))
}

// Unmount takes away what Mount gave. Errors: NotFound for a task or
// destination that is not there, FailedPrecondition unless it runs.
func (p *Pod) Unmount(ctx context.Context, id, destination string) error {
	t, err := p.running(id)
	if err != nil {
		return err
	}
	c := t.container
	hot, err := c.hot.begin(destination, true)
	if err != nil {
		return err
	}
	s := &steps{ctx: ctx, what: "unmount", id: id}
	err = s.do(destination, p.cfg.Deadlines.Modify, func(ctx context.Context) error {
		if err := c.compute.Modify(ctx, doc.Directory(schema.RequestRemove, hot.mapped)); err != nil || hot.release == nil {
			return err
		}
		return hot.release(ctx)
	})
	if late := c.hot.settle(destination, hot, err != nil); !late {
		return err
	}
	return errors.Join(err, hot.giveBack(p.cfg.Deadlines.Modify))
}

// giveBack releases what a mount holds of a VM, for a container that has ended
// or never had it.
func (m *hotMount) giveBack(limit time.Duration) error {
	if m.release == nil {
		return nil
	}
	ctx, cancel := bounded(limit)
	defer cancel()
	return m.release(ctx)
}

// running returns the task if updates may reach its container.
func (p *Pod) running(id string) (*task, error) {
	t, err := p.task(id)
	if err != nil {
		return nil, err
	}
	if err := t.init.move(evUpdate); err != nil {
		return nil, err
	}
	if t.plan.Role == isolation.RoleSandbox && t.plan.Mode == isolation.ModeHyperV {
		return nil, &fault.Error{Kind: fault.FailedPrecondition, Op: "mount", Subject: id,
			Detail: "no process of a Hyper-V pod's sandbox runs in its VM", Hint: "mount to a container of the pod"}
	}
	return t, nil
}
