package pod

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/journal"
)

// kernel is where containers run: the host's (kernel_host.go) or a utility VM's
// (kernel_vm.go).
// It knows how to give a container its root file system and how to create it.
type kernel interface {
	// create makes the container of req. What it acquires it writes to j
	// first. A failed create leaves nothing behind, or else leaves it in j.
	create(s *steps, req *CreateTask, j *journal.Journal) (*container, error)
}

// container is a compute system with all that it holds. end and free are
// called by one goroutine at a time: the creator's, then the init's reaper,
// then Delete's.
type container struct {
	compute hcs.Compute
	vm      VM     // that the container owns: its end is the container's; nil for none
	frame   *frame // compute, if this is a sandbox in which nothing runs; nil for none
	in      VM     // that the container is in; nil for none
	hot     hotMounts
	// ports are those of the host that lead here; networked says that they were
	// read. Set before the container is the task's.
	ports     []isolation.Port
	networked bool
	// makeSure ends the system through a new handle, if it still runs. It is
	// for an end that our own handle did not see: the service went away, or
	// did not answer.
	makeSure func(ctx context.Context) error
	limits   *Deadlines
	grace    time.Duration // from asking it to end to forcing it
	journal  *journal.Journal
	log      *slog.Logger
	holds    []hold        // in the order of release from the last to the first
	gone     chan struct{} // closed when end has done what it can
	ended    bool          // the system is known to have ended
}

// newContainer returns one that has no compute system yet and holds nothing.
func newContainer(cfg *Config, log *slog.Logger, id string, j *journal.Journal) *container {
	return &container{limits: &cfg.Deadlines, grace: cfg.Deadlines.Shutdown, journal: j, log: log.With("id", id), gone: make(chan struct{})}
}

// hold is one thing to release.
type hold struct {
	name  string
	entry *journal.Entry
	limit time.Duration
	free  func(ctx context.Context) error
}

// explain puts the end of the VM that the container is in before an error that
// it caused: that a call failed says less than why.
func (c *container) explain(err error) error {
	if c.in == nil || !slices.ContainsFunc(signsOfDeath, func(sign error) bool { return errors.Is(err, sign) }) {
		return err
	}
	timer := time.NewTimer(c.limits.Orphan)
	defer timer.Stop()
	select {
	case <-c.in.Done():
	case <-timer.C:
		return err
	}
	switch exit := c.in.Exit(); {
	case exit == nil:
		return err
	case errors.Is(err, exit): // it says so already, as one of many causes
		return &fault.Error{Kind: fault.KindOf(exit), Err: err}
	default:
		return fmt.Errorf("%w: %w", exit, err)
	}
}

// signsOfDeath are the errors that calls to a VM that has ended, or is about to,
// fail with.
var signsOfDeath = []error{hcs.ErrDisconnected, hcs.ErrAlreadyStopped, hcs.ErrInvalidState, hcs.ErrClosed, hcs.ErrUnexpectedExit, hcs.ErrGuestCrash}

// end stops the container: asked, then forced, then by giving up the handle,
// which terminates a system whose document says
// ShouldTerminateOnLastHandleClosed. It is bounded by its own deadlines and
// leaves nothing to wait for. Without grace it is forced at once: for what was
// never started, or failed to.
func (c *container) end(grace bool) {
	defer close(c.gone)
	if grace && c.ask("shut down", c.grace, c.compute.Shutdown) ||
		c.ask("terminate", c.limits.Terminate, c.compute.Terminate) {
		c.ended = true
		return
	}
	c.log.Warn("the container did not end in time: closing its handle")
	if err := c.compute.Close(); err != nil {
		c.log.Warn("close the container's handle", "error", err)
	}
}

// force ends the container when its init did not die of SIGKILL. A guest that
// does not kill a process does not terminate a container either, so a VM of
// the container's own goes at once.
func (c *container) force() {
	c.log.Warn("the init did not die of SIGKILL: terminating its container")
	vm := c.machine()
	if vm == nil {
		c.ask("terminate", c.limits.Terminate, c.compute.Terminate)
		return
	}
	if err := vm.Close(); err != nil {
		c.log.Warn("close the container's VM", "error", err)
	}
}

// machine returns the VM that ends with the container, nil for none.
func (c *container) machine() VM {
	if c.frame != nil {
		return c.frame.machine()
	}
	return c.vm
}

// notCreated strikes the record of a system whose creation failed: by contract
// there is none. One that was given up may still come, and is ended then by
// whoever gave it up; its record stays for the case that the shim dies before.
func (c *container) notCreated(entry *journal.Entry, err error) {
	if fault.Is(err, fault.DeadlineExceeded) || fault.Is(err, fault.Canceled) {
		return
	}
	if err := c.journal.Release(entry); err != nil {
		c.log.Warn("strike the journal", "error", err)
	}
}

// misfit gives the service's word that an image does not fit the text of the
// decision. Other errors stay what they are.
func misfit(plan *isolation.Plan, err error) error {
	if !errors.Is(err, hcs.ErrImageMismatch) {
		return err
	}
	return plan.Mismatch(err)
}

// ask calls f and reports whether the container has ended within limit. One
// that can no longer be observed may still run.
func (c *container) ask(what string, limit time.Duration, f func(context.Context) error) bool {
	select {
	case <-c.compute.Done():
		return c.seenToEnd()
	default:
	}
	ctx, cancel := bounded(limit)
	defer cancel()
	switch err := f(ctx); {
	case errors.Is(err, hcs.ErrAlreadyStopped), errors.Is(err, hcs.ErrNotFound):
		return true
	case err != nil:
		c.log.Warn(what+" container", "error", err)
		return false
	}
	select {
	case <-c.compute.Done():
		return c.seenToEnd()
	case <-ctx.Done():
		c.log.Warn(what+" container", "error", "it did not end in time", "limit", limit)
		return false
	}
}

// seenToEnd reports whether a system that is done has ended, and not only been
// lost sight of.
func (c *container) seenToEnd() bool {
	err := c.compute.Exit()
	return !errors.Is(err, hcs.ErrDisconnected) && !errors.Is(err, hcs.ErrClosed) && !errors.Is(err, hcs.ErrUnavailable)
}

// free releases what the container holds, the last acquired first, each within
// its own deadline, and strikes it from the journal. What fails stays held, and
// free may be called again.
func (c *container) free() error {
	if c.compute != nil && !c.ended {
		ctx, cancel := bounded(c.limits.Terminate)
		defer cancel()
		if err := c.makeSure(ctx); err != nil {
			return fault.Wrap(err, "end", "the container") // layers in use cannot be unmounted
		}
		c.ended = true
	}
	var errs []error
	var left []hold
	for i := len(c.holds) - 1; i >= 0; i-- {
		h := c.holds[i]
		if err := c.freeOne(h); err != nil {
			errs = append(errs, fault.Wrap(err, "release", h.name))
			left = append([]hold{h}, left...)
		}
	}
	c.holds = left
	return errors.Join(errs...)
}

func (c *container) freeOne(h hold) error {
	ctx, cancel := bounded(h.limit)
	defer cancel()
	if err := h.free(ctx); err != nil {
		return err
	}
	if h.entry == nil {
		return nil
	}
	// An unstruck record only means that a replay undoes what is gone.
	if err := c.journal.Release(h.entry); err != nil {
		c.log.Warn("strike the journal", "error", err)
	}
	return nil
}
