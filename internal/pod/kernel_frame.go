package pod

import (
	"context"
	"log/slog"

	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/journal"
)

// frameKernel makes sandboxes in which nothing runs and that have no VM, or
// none yet: those of the Sandbox API. Nothing of them is on the machine, but
// their network must be there.
type frameKernel struct {
	cfg *Config
	log *slog.Logger
}

// create implements kernel.
func (k *frameKernel) create(s *steps, req *CreateTask, j *journal.Journal) (*container, error) {
	c := newContainer(k.cfg, k.log, req.ID, j)
	if err := isolation.Runnable(req.Plan); err != nil {
		return nil, err
	}
	if _, err := join(k.cfg, s, req, c); err != nil {
		return nil, err
	}
	if req.Plan.UVM != nil && req.Plan.UVM.Late {
		c.frame = newLateFrame(k.cfg, req, c)
	} else {
		c.frame = newFrame(req.Plan, nil)
	}
	c.compute = c.frame
	c.makeSure = func(context.Context) error { return c.frame.giveUp() }
	return c, nil
}
