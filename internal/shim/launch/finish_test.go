package launch

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/journal"
)

// busyLab is a machine on which a layer cannot be released for a time.
type busyLab struct {
	*deleteLab
	mu     sync.Mutex
	busy   bool // the layer is in use
	hang   bool // the call does not come back before its context ends
	helper int  // how many helpers were started
	pipes  map[string]bool
}

func newBusyLab(t *testing.T) *busyLab {
	l := &busyLab{deleteLab: newDeleteLab(t), pipes: map[string]bool{}}
	l.m.Backlog = journal.Backlog(filepath.Join(t.TempDir(), "backlog"))
	l.m.System = l
	u := journal.Undoers{Undo: map[journal.Kind]func(context.Context, journal.Record) error{
		journal.KindLayerMount:    l.unmount,
		journal.KindComputeSystem: func(_ context.Context, r journal.Record) error { l.undone = append(l.undone, r.Name); return nil },
	}}
	l.m.Undo = func(hcs.Host) journal.Undoers { return u }
	return l
}

func (l *busyLab) unmount(ctx context.Context, r journal.Record) error {
	l.mu.Lock()
	hang, busy := l.hang, l.busy
	l.mu.Unlock()
	switch {
	case hang:
		<-ctx.Done()
		return context.Cause(ctx)
	case busy:
		return fault.New(fault.FailedPrecondition, "the disk is in use")
	}
	l.undone = append(l.undone, r.Name)
	return nil
}

func (l *busyLab) Spawn(_ context.Context, c Command) error {
	if c.Args[len(c.Args)-1] == "finish" {
		l.helper++
	}
	return nil
}

func (l *busyLab) Dial(_ context.Context, address string) (net.Conn, error) {
	if !l.pipes[address] {
		return nil, fs.ErrNotExist
	}
	ours, theirs := net.Pipe()
	return ours, theirs.Close()
}

func (l *busyLab) Listen(string) (net.Listener, error) { return nil, errors.New("not here") }

// left makes the bundle of a task whose shim has died.
func (l *busyLab) left(t *testing.T, id string) string {
	t.Helper()
	bundle := t.TempDir()
	j, err := journal.Create(filepath.Join(bundle, journal.FileName), journal.Header{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []journal.Record{{Kind: journal.KindLayerMount, Name: `C:\snapshots\` + id}, {Kind: journal.KindComputeSystem, Name: id}} {
		if _, err := j.Acquire(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return bundle
}

func (l *busyLab) backlog(t *testing.T) int {
	t.Helper()
	all, err := l.m.Backlog.List("", "")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// A layer that cannot be released within the five seconds that containerd
// gives, after which it removes the bundle: a helper releases it later.
func TestDeleteHandsOver(t *testing.T) {
	for name, set := range map[string]func(l *busyLab){
		"in use": func(l *busyLab) { l.busy = true },
		"hangs":  func(l *busyLab) { l.hang = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newBusyLab(t)
				set(l)
				bundle := l.left(t, "c1")
				began := time.Now()
				if _, err := l.m.Delete(t.Context(), "default", "c1", bundle); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > DeleteLimit {
					t.Errorf("it took %v", took)
				}
				if l.helper != 1 || l.backlog(t) != 1 {
					t.Errorf("%d helpers, %d in the backlog", l.helper, l.backlog(t))
				}
				if _, err := l.m.Delete(t.Context(), "default", "c1", bundle); err != nil || l.backlog(t) != 1 {
					t.Errorf("a second delete: %v, %d in the backlog", err, l.backlog(t))
				}
				go func() {
					time.Sleep(20 * time.Second)
					l.mu.Lock()
					defer l.mu.Unlock()
					l.busy, l.hang = false, false
				}()
				if err := l.m.Finish(t.Context()); err != nil {
					t.Error(err)
				}
				if d := cmp.Diff([]string{"c1", `C:\snapshots\c1`}, l.undone); d != "" {
					t.Error(d)
				}
				if l.backlog(t) != 0 {
					t.Error("the backlog is not empty")
				}
			})
		})
	}
}

// The helper does not try for ever, and says that something is left.
func TestFinishEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newBusyLab(t)
		l.busy = true
		if _, err := l.m.Delete(t.Context(), "default", "c1", l.left(t, "c1")); err != nil {
			t.Fatal(err)
		}
		if err := l.m.Finish(t.Context()); !fault.Is(err, fault.DeadlineExceeded) || !strings.Contains(err.Error(), "isolctl prune") {
			t.Error(err)
		}
		if l.backlog(t) != 1 {
			t.Error("the journal is gone, and the layer is mounted")
		}
	})
}

// While a new task of the id runs, what an old journal names may be its own.
func TestFinishLeavesARunningTaskAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newBusyLab(t)
		l.busy = true
		if _, err := l.m.Delete(t.Context(), "default", "c1", l.left(t, "c1")); err != nil {
			t.Fatal(err)
		}
		l.busy = false
		l.undone = nil
		address, err := Address("default", "c1")
		if err != nil {
			t.Fatal(err)
		}
		l.pipes[address] = true
		if err := l.m.Finish(t.Context()); err == nil || len(l.undone) > 0 {
			t.Errorf("%v, undone under a running task: %v", err, l.undone)
		}
		delete(l.pipes, address)
		if err := l.m.Finish(t.Context()); err != nil || len(l.undone) != 1 {
			t.Errorf("%v, undone %v", err, l.undone)
		}
	})
}

// The next start of the id finishes first, or says why it cannot; that of
// another id starts a helper and does not wait.
func TestStartFinishesTheBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newBusyLab(t)
		l.busy = true
		if _, err := l.m.Delete(t.Context(), "default", "c1", l.left(t, "c1")); err != nil {
			t.Fatal(err)
		}
		l.helper = 0
		if err := l.m.finishBefore(t.Context(), "default", "c1"); err == nil || !strings.Contains(err.Error(), "in use") || l.helper != 0 {
			t.Errorf("%v, %d helpers", err, l.helper)
		}
		if err := l.m.finishBefore(t.Context(), "default", "c2"); err != nil || l.helper != 1 {
			t.Errorf("%v, %d helpers", err, l.helper)
		}
		l.busy = false
		if err := l.m.finishBefore(t.Context(), "default", "c1"); err != nil || l.backlog(t) != 0 {
			t.Errorf("%v, %d in the backlog", err, l.backlog(t))
		}
	})
}

// A journal that names what isol would not have made is no work for a helper:
// containerd and the operator must hear of it.
func TestDeleteRefuses(t *testing.T) {
	l := newBusyLab(t)
	bundle := l.left(t, "other")
	_, err := l.m.Delete(t.Context(), "default", "c1", bundle)
	if !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), `of task "other"`) || l.helper+len(l.undone)+l.backlog(t) > 0 {
		t.Errorf("%v; %d helpers, undone %v", err, l.helper, l.undone)
	}
}
