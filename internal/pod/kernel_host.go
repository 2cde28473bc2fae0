package pod

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/doc"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/layers"
)

// hostKernel runs containers on the host's kernel: process isolation. Its
// calls come in the reference's order: network, scratch, layers, credentials,
// document, system, affinity; released in the order system ended, credentials,
// layers, network, handle.
type hostKernel struct {
	cfg *Config
	log *slog.Logger
}

// create implements kernel.
func (k *hostKernel) create(s *steps, req *CreateTask, j *journal.Journal) (_ *container, err error) {
	c := newContainer(k.cfg, k.log, req.ID, j)
	if len(req.Plan.Container.Affinity) > 0 && k.cfg.Affinity == nil {
		return nil, &fault.Error{Kind: fault.Unimplemented, Op: s.what, Subject: req.ID,
			Detail: "this isol cannot pin containers to processors (windows.resources.cpu.affinity)",
			Hint:   "leave the affinity out"}
	}
	defer func() {
		if err != nil {
			c.abandon()
		}
	}()
	sources, err := k.sources(req)
	if err != nil {
		return nil, err
	}
	net, err := join(k.cfg, s, req, c)
	if err != nil {
		return nil, err
	}
	mounted, err := k.mount(s, req, c)
	if err != nil {
		return nil, err
	}
	facts := doc.Facts{Owner: k.cfg.Owner, Namespace: net.id, Root: mounted.Path, Layers: documentLayers(mounted), Paths: sources}
	if facts.CredentialGuard, err = guardCredentials(k.cfg, s, req, c, nil); err != nil {
		return nil, err
	}
	if facts.Extensions, err = deviceExtensions(req.Plan.Container.DeviceExtensions); err != nil {
		return nil, fault.Wrap(err, s.what, req.ID)
	}
	document, err := doc.Container(req.Plan, facts)
	if err != nil {
		return nil, fault.Wrap(err, s.what+" "+req.ID, "document")
	}
	if err := k.createSystem(s, req.ID, document, c); err != nil {
		return nil, misfit(req.Plan, err)
	}
	if masks := req.Plan.Container.Affinity; len(masks) > 0 {
		err = s.in(hcs.PhaseContainer, "affinity", k.cfg.Deadlines.Modify, func(ctx context.Context) error {
			return k.cfg.Affinity.SetAffinity(ctx, req.ID, masks)
		})
	}
	return c, err
}

// sources says where each mount's source really is. HCS maps the wrong thing, or
// nothing, where the path of a single file has a link in it; Kubernetes links
// the files of ConfigMaps and Secrets. As runhcs does: hcsoci.createMountsConfig.
func (k *hostKernel) sources(req *CreateTask) ([]string, error) {
	mounts := req.Plan.Container.Mounts
	if k.cfg.Source == nil || len(mounts) == 0 {
		return nil, nil
	}
	paths := make([]string, len(mounts))
	for i, m := range mounts {
		found, err := k.cfg.Source(m.Source)
		if err != nil {
			kind := fault.Internal
			if errors.Is(err, fs.ErrNotExist) {
				kind = fault.NotFound
			}
			return nil, &fault.Error{Kind: kind, Op: "create task", Subject: req.ID, Detail: fmt.Sprintf("mount %s to %s: the source cannot be found on the host", m.Source, m.Destination), Err: err,
				Hint: "make it before the container, and see where its links lead"}
		}
		paths[i] = found.Volume
	}
	return paths, nil
}

// mount makes the scratch if need be and mounts the layers.
func (k *hostKernel) mount(s *steps, req *CreateTask, c *container) (layers.Mounted, error) {
	var m layers.Mounted
	err := s.in(hcs.PhaseLayers, "scratch", k.cfg.Deadlines.Layers, func(ctx context.Context) error {
		defer hcs.Waiting(ctx)()
		return k.cfg.Layers.EnsureScratch(ctx, req.Layers)
	})
	if err != nil {
		return m, err
	}
	err = s.in(hcs.PhaseLayers, "layers", k.cfg.Deadlines.Layers, func(ctx context.Context) error {
		entry, err := c.journal.Acquire(journal.Record{Kind: journal.KindLayerMount, Name: req.Layers.Scratch})
		if err != nil {
			return err
		}
		// Held from now on: a mount that fails or hangs may still have to be undone.
		c.holds = append(c.holds, hold{"layers " + req.Layers.Scratch, entry, k.cfg.Deadlines.Layers, func(ctx context.Context) error {
			return k.cfg.Layers.Unmount(ctx, req.Layers.Scratch)
		}})
		answered := hcs.Waiting(ctx)
		m, err = k.cfg.Layers.Mount(ctx, req.Layers)
		answered()
		if err != nil && !fault.Is(err, fault.DeadlineExceeded) && !fault.Is(err, fault.Canceled) {
			c.forgetLast() // by contract nothing is mounted
		}
		return err
	})
	return m, err
}

// createSystem creates the compute system and puts its handle below the
// layers, so that it is closed after they are unmounted, as the reference does.
func (k *hostKernel) createSystem(s *steps, id string, document *schema.ComputeSystem, c *container) error {
	return s.in(hcs.PhaseContainer, "create", k.cfg.Deadlines.Create, func(ctx context.Context) error {
		entry, err := c.journal.Acquire(journal.Record{Kind: journal.KindComputeSystem, Name: id})
		if err != nil {
			return err
		}
		sys, err := k.cfg.Host.Create(ctx, id, document)
		if err != nil {
			c.notCreated(entry, err)
			return err
		}
		c.compute = sys
		c.makeSure = func(ctx context.Context) error { return hcs.End(ctx, k.cfg.Host, id) }
		c.holds = append([]hold{{"system " + id, entry, k.cfg.Deadlines.Terminate, func(context.Context) error {
			return closed(sys.Close())
		}}}, c.holds...)
		return nil
	})
}

// abandon undoes a create that failed. What cannot be released now is in the
// journal.
func (c *container) abandon() {
	if c.compute != nil {
		c.end(false)
	}
	if err := c.free(); err != nil {
		c.log.Error("undo create", "error", err, "left", c.journal.Outstanding())
	}
}

// forgetLast drops the newest hold and strikes it: nothing was acquired.
func (c *container) forgetLast() {
	last := len(c.holds) - 1
	if err := c.journal.Release(c.holds[last].entry); err != nil {
		c.log.Warn("strike the journal", "error", err)
	}
	c.holds = c.holds[:last]
}

// closed takes the error of a Close that was not the first for none.
func closed(err error) error {
	if errors.Is(err, hcs.ErrClosed) {
		return nil
	}
	return err
}
