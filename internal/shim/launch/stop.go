package launch

import (
	"context"
	"errors"
	"path/filepath"

	task "github.com/containerd/containerd/api/runtime/task/v2"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/journal"
)

// lostStatus is the exit status of a task whose shim has gone, as runhcs
// answers: nobody knows the real one.
const lostStatus = 255

// vmSuffix makes a utility VM's id of its pod's.
const vmSuffix = "@vm"

// Delete does the delete action. bundle is where the flag -bundle says.
func (m *Manager) Delete(ctx context.Context, ns, id, bundle string) (*task.DeleteResponse, error) {
	if ns == "" || id == "" {
		return nil, invalid("delete needs -namespace and -id: they are %q and %q", ns, id)
	}
	if head := m.Crash.Head(ns, id); head != "" {
		m.Log.Error("the shim had crashed", "namespace", ns, "id", id, "crash", head)
	}
	if err := m.Crash.Forget(ns, id); err != nil {
		m.Log.Debug("a crash file stays", "namespace", ns, "id", id, "error", err)
	}
	ctx, cancel := context.WithTimeout(ctx, DeleteLimit)
	defer cancel()
	if err := m.cleanUp(ctx, ns, id, bundle); err != nil {
		return nil, fault.Wrap(err, "delete", id)
	}
	return &task.DeleteResponse{ExitStatus: lostStatus, ExitedAt: timestamppb.Now()}, nil
}

func (m *Manager) cleanUp(ctx context.Context, ns, id, bundle string) error {
	host, err := m.Host()
	if err != nil {
		return err
	}
	undoers := m.Undo(host)
	first, cancel := context.WithTimeout(ctx, replayLimit)
	defer cancel()
	var errs []error
	if bundle == "" {
		m.Log.Warn("no -bundle was given: only the compute systems are cleaned up", "id", id)
	} else {
		report, err := m.replay(first, bundle, id, undoers)
		if err != nil && len(report.Left) > 0 {
			m.Log.Warn("not all could be released in time: a helper goes on", "id", id, "left", report.Left, "error", err)
			return m.handOver(ctx, ns, id, filepath.Join(bundle, journal.FileName))
		}
		errs = append(errs, err)
	}
	for _, system := range []string{id, id + vmSuffix} {
		errs = append(errs, m.terminateOwn(first, host, system, undoers))
	}
	return errors.Join(errs...)
}

func (m *Manager) replay(ctx context.Context, bundle, id string, undoers journal.Undoers) (journal.Report, error) {
	report, err := journal.Replay(ctx, filepath.Join(bundle, journal.FileName), id, undoers)
	for _, r := range report.Undone {
		m.Log.Info("released what the shim had left", "kind", r.Kind, "name", r.Name)
	}
	for _, r := range report.Left {
		m.Log.Warn("could not release what the shim had left", "kind", r.Kind, "name", r.Name)
	}
	return report, err
}

// terminateOwn ends a system that isol made and no journal names: its bundle
// may be lost. One of another owner is none of delete's business.
func (m *Manager) terminateOwn(ctx context.Context, host hcs.Host, id string, undoers journal.Undoers) error {
	found, err := host.List(ctx, schema.SystemQuery{IDs: []string{id}, Owners: []string{m.Owner}})
	if err != nil || len(found) == 0 {
		return err
	}
	return undoers.Undo[journal.KindComputeSystem](ctx, journal.Record{Kind: journal.KindComputeSystem, Name: id})
}
