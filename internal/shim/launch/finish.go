package launch

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/journal"
)

// The time limits of finishing.
const (
	// FinishLimit is how long the background helper tries.
	FinishLimit = 10 * time.Minute
	// finishTry bounds one try at one journal.
	finishTry = time.Minute
	// firstPause and maxPause lie between two tries; each is twice the one before.
	firstPause = time.Second
	maxPause   = 30 * time.Second
	// startTry bounds what start does for an earlier task of its id.
	startTry = 20 * time.Second
)

// handOver leaves what delete could not do in time to the backlog and to the
// background helper. What it cannot hand over stays where it is: an error.
func (m *Manager) handOver(ctx context.Context, ns, id, path string) error {
	if err := m.Backlog.Take(path, ns, id); err != nil {
		return err
	}
	if err := m.System.Spawn(ctx, helper(ns, id)); err != nil {
		m.Log.Warn("no helper could be started: the next start or isolctl prune finishes what is left", "id", id, "error", err)
	}
	return nil
}

// helper is the background helper. What it takes to start is not delete's time.
func helper(ns, id string) Command {
	return Command{Args: []string{"-namespace", ns, "-id", id, "finish"}, Alone: true}
}

// Finish is the background helper: it goes through the backlog until nothing is
// left or FinishLimit has passed. Several at once do not disturb each other.
func (m *Manager) Finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, FinishLimit)
	defer cancel()
	pause := firstPause
	for {
		left, err := m.finishAll(ctx)
		if err != nil || left == 0 {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			pause = min(2*pause, maxPause)
		case <-ctx.Done():
			timer.Stop()
			return fault.New(fault.DeadlineExceeded, "%d journals in %s could not be finished in %v: isolctl prune tells why", left, m.Backlog, FinishLimit)
		}
	}
}

// finishAll tries each journal of the backlog once and returns how many are left.
func (m *Manager) finishAll(ctx context.Context) (left int, err error) {
	all, err := m.Backlog.List("", "")
	if err != nil || len(all) == 0 {
		return 0, err
	}
	host, err := m.Host()
	if err != nil {
		return len(all), err
	}
	for _, k := range all {
		err := m.finish(ctx, k, m.unlessServed(k, m.Undo(host)))
		if err != nil {
			left++
			m.Log.Warn("a journal of the backlog is not finished", "namespace", k.Namespace, "id", k.ID, "path", k.Path, "error", err)
		}
	}
	_, err = m.Backlog.List("", "") // takes empty folders away
	return left, err
}

func (m *Manager) finish(ctx context.Context, k journal.Kept, u journal.Undoers) error {
	ctx, cancel := context.WithTimeout(ctx, finishTry)
	defer cancel()
	report, err := journal.Replay(ctx, k.Path, k.ID, u)
	for _, r := range report.Undone {
		m.Log.Info("released what a shim had left", "id", k.ID, "kind", r.Kind, "name", r.Name)
	}
	return err
}

// unlessServed undoes nothing for an id that a new shim serves, which may mean
// the new task's things, and nothing that another has finished meanwhile. It
// asks before each step.
func (m *Manager) unlessServed(k journal.Kept, u journal.Undoers) journal.Undoers {
	guarded := journal.Undoers{Origin: u.Origin, Undo: map[journal.Kind]func(context.Context, journal.Record) error{}}
	for kind, undo := range u.Undo {
		guarded.Undo[kind] = func(ctx context.Context, r journal.Record) error {
			if _, err := os.Stat(k.Path); errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if served, err := m.served(ctx, k.Namespace, k.ID); err != nil || served {
				return errors.Join(err, fault.New(fault.FailedPrecondition, "a task %s runs again: left alone until it has ended", k.ID))
			}
			return undo(ctx, r)
		}
	}
	return guarded
}

// served reports whether a shim serves the id.
func (m *Manager) served(ctx context.Context, ns, id string) (bool, error) {
	address, err := Address(ns, id)
	if err != nil {
		return false, nil // no shim can
	}
	conn, err := m.System.Dial(ctx, address)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fault.New(fault.Unavailable, "ask the shim: %w", err)
	}
	return true, conn.Close()
}

// finishBefore is start's part: what an earlier task of this id has left must
// go before the new one may use the id; for others the helper is started.
func (m *Manager) finishBefore(ctx context.Context, ns, id string) error {
	all, err := m.Backlog.List("", "")
	if err != nil || len(all) == 0 {
		return err
	}
	var host hcs.Host
	var errs []error
	others := false
	ctx, cancel := context.WithTimeout(ctx, startTry)
	defer cancel()
	for _, k := range all {
		if k.Namespace != ns || k.ID != id {
			others = true
			continue
		}
		if host == nil {
			if host, err = m.Host(); err != nil {
				return err
			}
		}
		errs = append(errs, m.finish(ctx, k, m.Undo(host)))
	}
	if others {
		if err := m.System.Spawn(ctx, helper(ns, id)); err != nil {
			m.Log.Warn("no helper could be started for what other shims have left", "error", err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return &fault.Error{Op: "release what an earlier task left", Subject: id, Err: err, Hint: "use another id, or see isolctl prune"}
	}
	return nil
}
