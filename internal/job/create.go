package job

import (
	"context"
	"errors"
	"strings"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/isolation"
)

// Create makes the container: the job object with its limits, the user's token,
// and what of the files is bound or linked. volume is the image's mounted
// volume, \\?\Volume{GUID}\. A failed Create leaves no job object. Errors: those
// of the system, FailedPrecondition for a mount whose source is not there.
func (p *Preparation) Create(ctx context.Context, volume string) (hcs.Compute, error) {
	c, err := within(ctx, "create job", ObjectName(p.id), func() (*Container, error) { return p.create(volume) },
		func(c *Container) { _ = c.Close() }) // nobody has it, and nothing runs in it
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (p *Preparation) create(volume string) (_ *Container, err error) {
	system := p.host.system
	for i := range p.plan.Container.Mounts {
		if err := p.checkSource(&p.plan.Container.Mounts[i]); err != nil {
			return nil, err
		}
	}
	object, err := system.CreateJob(ObjectName(p.id))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, object.Close())
		}
	}()
	if p.layout.silo {
		if err := p.bind(object, volume); err != nil {
			return nil, err
		}
	} else if err := p.link(p.layout.root, fail); err != nil {
		return nil, err
	}
	if err := object.SetLimits(limitsOf(&p.plan.Container, p.facts.Processors)); err != nil {
		return nil, err
	}
	token, err := p.logon()
	if err != nil {
		return nil, err
	}
	p.host.log.Info("HostProcess container", "id", p.id, "runs", p.String())
	return newContainer(p, object, token), nil
}

// checkSource refuses a mount of nothing: a link to nothing can be made, and
// fails far from the cause.
func (p *Preparation) checkSource(m *isolation.Mount) error {
	there, err := p.host.system.Exists(m.Source)
	if err != nil || there {
		return fault.Wrap(err, "mount", m.Source)
	}
	return &fault.Error{Kind: fault.FailedPrecondition, Op: "mount", Subject: m.Source,
		Detail: "there is no such file or folder on this host (to " + m.Destination + ")", Hint: "make it, or correct the mount's source"}
}

// bind makes the job a silo and shows the image's files and the mounts in it.
// As runhcs does: each mount is seen below the root as well, where the older
// layout has it, as far as that can be.
func (p *Preparation) bind(object Object, volume string) error {
	if err := object.Promote(); err != nil {
		return err
	}
	if err := p.bindOne(object, p.layout.root, volume, false); err != nil {
		return err
	}
	for _, m := range p.plan.Container.Mounts {
		if err := p.bindOne(object, m.Destination, m.Source, m.ReadOnly); err != nil {
			return err
		}
	}
	return p.link(strings.TrimRight(volume, `\`), func(m isolation.Mount, err error) error {
		p.host.log.Warn("a mount is not seen below the root", "id", p.id, "source", m.Source, "error", err)
		return nil
	})
}

// bindOne binds one path. As runhcs does: the folder above must exist on the
// host, so it is made, and stays.
func (p *Preparation) bindOne(object Object, root, target string, readOnly bool) error {
	if i := strings.LastIndexByte(root, '\\'); i > len(`C:`) {
		if err := p.host.system.MakeFolder(root[:i]); err != nil {
			return err
		}
	}
	return object.Bind(root, target, readOnly)
}

// link makes a link for each mount below a folder. A link can be written through
// whatever the mount says, which the log tells.
func (p *Preparation) link(folder string, failed func(isolation.Mount, error) error) error {
	for _, m := range p.plan.Container.Mounts {
		err := p.host.system.Link(m.Source, folder+`\`+withoutDrive(m.Destination))
		if err != nil {
			if err := failed(m, err); err != nil {
				return err
			}
			continue
		}
		if m.ReadOnly && !p.layout.silo {
			p.host.log.Warn("the mount is a link on this host and can be written", "id", p.id, "source", m.Source, "destination", m.Destination)
		}
	}
	return nil
}

func fail(m isolation.Mount, err error) error {
	return fault.Wrap(err, "mount "+m.Source+" to", m.Destination)
}
