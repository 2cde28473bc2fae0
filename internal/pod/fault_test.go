package pod

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/test/hcsemu"
)

// ways in which one call can go wrong, and the kinds of error that are right.
var ways = []struct {
	name  string
	fault hcsemu.Fault
	kinds []fault.Kind
}{
	{"fails", hcsemu.Fault{Action: hcsemu.ActionFail, Code: "0x80370105"}, []fault.Kind{fault.FailedPrecondition, fault.Unknown}},
	{"is denied", hcsemu.Fault{Action: hcsemu.ActionFail, Code: "0x80070005"}, []fault.Kind{fault.PermissionDenied}},
	{"fails after its effect", hcsemu.Fault{Action: hcsemu.ActionFail, Code: "0x80070005", When: "after"}, []fault.Kind{fault.PermissionDenied}},
	{"hangs", hcsemu.Fault{Action: hcsemu.ActionHang}, []fault.Kind{fault.DeadlineExceeded}},
	{"disconnects", hcsemu.Fault{Action: hcsemu.ActionDisconnect}, []fault.Kind{fault.Unavailable, fault.Unknown}},
}

func oneOf(err error, kinds []fault.Kind) bool {
	for _, k := range kinds {
		if err != nil && fault.KindOf(err) == k {
			return true
		}
	}
	return false
}

// recover brings the service back, lets hanging calls go, and replays the
// journal, as containerd's delete does after a failure.
func (l *lab) recover() {
	l.Helper()
	l.emu.ClearFaults()
	l.emu.RestoreService()
	l.emu.Release("")
	synctest.Wait()
	_, err := journal.Replay(l.Context(), filepath.Join(l.bundle, journal.FileName), "c1", l.pod.cfg.Undo)
	if err != nil {
		l.Errorf("replay: %v", err)
	}
	synctest.Wait()
}

// Whatever goes wrong in Create, the caller gets an error of the right kind
// that names the step, in bounded time, and nothing is left.
func TestCreateFaults(t *testing.T) {
	for function, step := range map[string]string{
		"CreateSandboxLayer": "scratch", "ActivateLayer": "layers", "PrepareLayer": "layers", "GetLayerMountPath": "layers",
		"HcsCreateComputeSystem": "create", "HcsGetComputeSystemProperties": "create",
	} {
		for _, way := range ways {
			if way.name == "disconnects" {
				step = "create" // layers do without the compute service
			}
			t.Run(function+" "+way.name, func(t *testing.T) {
				in(t, func(l *lab) {
					f := way.fault
					f.Function = function
					l.fault(f)
					start := time.Now()
					err := l.pod.Create(l.Context(), l.request("c1", "cmd /c exit 0"))
					if !oneOf(err, way.kinds) || !strings.Contains(err.Error(), "create task c1 "+step) {
						t.Errorf("got %v (%v), want step %s and one of %v", err, fault.KindOf(err), step, way.kinds)
					}
					if took := time.Since(start); took > 10*time.Minute {
						t.Errorf("took %v", took)
					}
					l.recover()
					l.nothingLeft()
					if events := l.events.all(); len(events) > 0 {
						t.Errorf("a task that never was has events: %v", events)
					}
					// The id and the scratch are free again.
					l.run("c1", "cmd /c exit 0")
					l.wait("c1", "")
					l.delete("c1", "")
					l.nothingLeft()
				})
			})
		}
	}
}

// Start is a transaction: a task whose Start failed is stopped, has its exit
// event, and holds nothing (containerd#5188).
func TestStartFaults(t *testing.T) {
	for function, step := range map[string]string{"HcsStartComputeSystem": "start", "HcsCreateProcess": "process"} {
		for _, way := range ways {
			t.Run(function+" "+way.name, func(t *testing.T) {
				in(t, func(l *lab) {
					l.create("c1", "ping -t localhost")
					f := way.fault
					f.Function = function
					l.fault(f)
					_, err := l.pod.Start(l.Context(), "c1", "")
					if !oneOf(err, way.kinds) || !strings.Contains(err.Error(), "start task c1 "+step) {
						t.Errorf("got %v (%v), want step %s and one of %v", err, fault.KindOf(err), step, way.kinds)
					}
					l.emu.ClearFaults()
					l.emu.RestoreService()
					if exit := l.wait("c1", ""); exit.Status != 1 || exit.PID != 0 {
						t.Errorf("exit %+v", exit)
					}
					l.delete("c1", "")
					l.recover()
					l.nothingLeft()
					if d := cmp.Diff([]string{"create c1", "exit c1/c1 1", "delete c1/"}, l.events.all()); d != "" {
						t.Error(d)
					}
				})
			})
		}
	}
}

// A command that is not there is the user's mistake: the error names it.
func TestStartOfMissingCommand(t *testing.T) {
	in(t, func(l *lab) {
		l.create("c1", `C:\app\sever.exe --port 80`)
		_, err := l.pod.Start(l.Context(), "c1", "")
		if !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), `C:\app\sever.exe --port 80`) {
			t.Errorf("got %v (%v)", err, fault.KindOf(err))
		}
		l.nothingLeft()
	})
}

// An exec that fails must not touch its task.
func TestExecStartFaults(t *testing.T) {
	for _, way := range ways[:4] {
		t.Run(way.name, func(t *testing.T) {
			in(t, func(l *lab) {
				l.run("c1", "ping -t localhost")
				l.must(l.addExec("c1", "e1", "ping -t localhost"))
				f := way.fault
				f.Function = "HcsCreateProcess"
				l.fault(f)
				_, err := l.pod.Start(l.Context(), "c1", "e1")
				if !oneOf(err, way.kinds) || !strings.Contains(err.Error(), "start exec e1 process") {
					t.Errorf("got %v (%v)", err, fault.KindOf(err))
				}
				if exit := l.delete("c1", "e1"); exit.Status != 1 {
					t.Errorf("exit %+v", exit)
				}
				if s, err := l.pod.State("c1", ""); err != nil || s.Status != StatusRunning {
					t.Errorf("the task: %+v, %v", s, err)
				}
				l.must(l.kill("c1", ""))
				l.wait("c1", "")
				l.delete("c1", "")
				l.nothingLeft()
				want := []string{"create c1", "start c1", "exec-added c1/e1", "delete c1/e1", "exit c1/c1 1067", "delete c1/"}
				if d := cmp.Diff(want, l.events.all()); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

// The end of a container escalates on its own clock, whatever hangs.
func TestTeardownFaults(t *testing.T) {
	d := DefaultDeadlines()
	for name, tc := range map[string]struct {
		faults []hcsemu.Fault
		limit  time.Duration
		left   bool // something is left until Delete tries again
	}{
		"shutdown fails":      {[]hcsemu.Fault{{Function: "HcsShutDownComputeSystem", Action: hcsemu.ActionFail, Code: "0x80370105"}}, time.Second, false},
		"shutdown hangs":      {[]hcsemu.Fault{{Function: "HcsShutDownComputeSystem", Action: hcsemu.ActionHang}}, d.Shutdown + time.Second, false},
		"shutdown is no use":  {[]hcsemu.Fault{{Event: "SystemExited", Action: hcsemu.ActionDrop}}, d.Shutdown + time.Second, false},
		"exit event is lost":  {[]hcsemu.Fault{{Event: "SystemExited", Action: hcsemu.ActionDrop, Times: -1}}, d.Shutdown + d.Terminate + time.Second, false},
		"both hang":           {[]hcsemu.Fault{{Function: "HcsShutDownComputeSystem", Action: hcsemu.ActionHang}, {Function: "HcsTerminateComputeSystem", Action: hcsemu.ActionHang}}, d.Shutdown + d.Terminate + time.Second, false},
		"terminate fails":     {[]hcsemu.Fault{{Function: "HcsShutDownComputeSystem", Action: hcsemu.ActionFail, Code: "0x80370105"}, {Function: "HcsTerminateComputeSystem", Action: hcsemu.ActionFail, Code: "0x80004005"}}, time.Second, false},
		"unprepare fails":     {[]hcsemu.Fault{{Function: "UnprepareLayer", Action: hcsemu.ActionFail, Code: "0x80070020"}}, time.Second, true},
		"deactivate fails":    {[]hcsemu.Fault{{Function: "DeactivateLayer", Action: hcsemu.ActionFail, Code: "0x80070020"}}, time.Second, true},
		"service disconnects": {[]hcsemu.Fault{{Function: "HcsShutDownComputeSystem", Action: hcsemu.ActionDisconnect}}, time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(l *lab) {
				for _, f := range tc.faults {
					l.fault(f)
				}
				start := time.Now()
				l.run("c1", "cmd /c exit 3")
				if exit := l.wait("c1", ""); exit.Status != 3 {
					t.Errorf("exit %+v", exit)
				}
				if took := time.Since(start); took > tc.limit {
					t.Errorf("took %v, at most %v is right", took, tc.limit)
				}
				l.emu.RestoreService()
				if left := !l.emu.Ledger().Empty(); left != tc.left {
					t.Errorf("left before Delete: %v\n%s", left, l.emu.Ledger().Leaks())
				}
				l.delete("c1", "")
				l.nothingLeft()
				if d := cmp.Diff([]string{"create c1", "start c1", "exit c1/c1 3", "delete c1/"}, l.events.all()); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

// What cannot be released keeps the task, so that Delete can be tried again,
// and is in the journal for whoever comes after us.
func TestDeleteOfWhatCannotBeReleased(t *testing.T) {
	in(t, func(l *lab) {
		l.fault(hcsemu.Fault{Function: "UnprepareLayer", Action: hcsemu.ActionFail, Code: "0x80070020", Times: -1})
		l.run("c1", "cmd /c exit 0")
		l.wait("c1", "")
		_, err := l.pod.Delete(l.Context(), "c1", "")
		if !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), scratch) || !strings.Contains(err.Error(), "delete the task again") {
			t.Errorf("got %v (%v)", err, fault.KindOf(err))
		}
		if err := l.pod.Close(l.Context()); err == nil || !strings.Contains(err.Error(), "the journal in") {
			t.Error("close:", err)
		}
		c, err := journal.Read(filepath.Join(l.bundle, journal.FileName))
		if err != nil || len(c.Entries) != 1 || c.Entries[0].Record().Name != scratch {
			t.Errorf("journal %+v, %v", c, err)
		}
		l.emu.ClearFaults()
		l.delete("c1", "")
		l.nothingLeft()
	})
}

// A client that gives up a create asks the shim to end and does not ask again:
// what the create makes must go all the same. (The kubelet gives up on a sandbox
// after a few minutes; containerd then sends Delete, which is refused, and
// Shutdown.)
func TestEndWhileCreating(t *testing.T) {
	for name, f := range map[string]hcsemu.Fault{
		"slow":     {Function: "HcsCreateComputeSystem", Action: hcsemu.ActionDelay, DelayMS: 500},
		"released": {Name: "held", Function: "ActivateLayer", Action: hcsemu.ActionHang},
		"late":     {Name: "held", Function: "HcsCreateComputeSystem", When: "after", Action: hcsemu.ActionHang},
		"later":    {Function: "HcsCreateComputeSystem", When: "after", Action: hcsemu.ActionDelay, DelayMS: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(l *lab) {
				l.fault(f)
				created := make(chan error, 1)
				go func() { created <- l.pod.Create(context.Background(), l.request("c1", "ping -t localhost")) }()
				synctest.Wait()
				if _, err := l.pod.Delete(l.Context(), "c1", ""); !fault.Is(err, fault.FailedPrecondition) {
					t.Errorf("delete while creating: %v", err)
				}
				closed := make(chan error, 1)
				go func() { closed <- l.pod.Close(l.Context()) }()
				synctest.Wait()
				l.emu.Release("held")
				if err := <-closed; err != nil {
					t.Errorf("close: %v", err)
				}
				if err := <-created; !fault.Is(err, fault.Canceled) {
					t.Errorf("create: %v", err)
				}
				l.nothingLeft() // without the delete action: the bundle may be gone by then
			})
		})
	}
}

// A teardown that takes its time does not block Delete for ever.
func TestDeleteDeadline(t *testing.T) {
	in(t, func(l *lab) {
		l.fault(hcsemu.Fault{Function: "HcsShutDownComputeSystem", Action: hcsemu.ActionHang})
		l.fault(hcsemu.Fault{Function: "HcsTerminateComputeSystem", Action: hcsemu.ActionHang})
		l.run("c1", "cmd /c exit 0")
		synctest.Wait()
		if _, err := l.pod.Delete(l.Context(), "c1", ""); !fault.Is(err, fault.DeadlineExceeded) || !strings.Contains(err.Error(), "delete again later") {
			t.Error(err)
		}
		l.wait("c1", "")
		l.delete("c1", "")
		l.nothingLeft()
	})
}

// The service goes away under a running task with execs: every process has its
// exit, the init's last, and when the service is back nothing is left.
func TestServiceDisconnect(t *testing.T) {
	in(t, func(l *lab) {
		l.run("c1", "ping -t localhost")
		l.exec("c1", "e1", "ping -t localhost")
		l.must(l.addExec("c1", "e2", "ping -t localhost"))
		l.emu.DisconnectService()
		if exit := l.wait("c1", ""); exit.Status != UnknownExitStatus {
			t.Errorf("exit %+v", exit)
		}
		l.emu.RestoreService()
		l.delete("c1", "")
		l.recover()
		l.nothingLeft()
		want := []string{"create c1", "start c1", "exec-added c1/e1", "exec-started c1/e1", "exec-added c1/e2",
			"exit c1/e1 255", "exit c1/c1 255", "delete c1/"}
		if d := cmp.Diff(want, l.events.all()); d != "" {
			t.Error(d)
		}
	})
}

func TestContainerCrash(t *testing.T) {
	for name, drop := range map[string]bool{"with the processes' exits": false, "whose processes' exits are lost": true} {
		t.Run(name, func(t *testing.T) {
			in(t, func(l *lab) {
				l.run("c1", "ping -t localhost")
				l.exec("c1", "e1", "ping -t localhost")
				if drop {
					l.fault(hcsemu.Fault{Event: "ProcessExited", Action: hcsemu.ActionDrop, Times: -1})
				}
				l.must(l.emu.Crash("c1"))
				exit := l.wait("c1", "")
				if drop != (exit.Status == UnknownExitStatus) {
					t.Errorf("exit %+v", exit)
				}
				events := l.events.all()
				if last := events[len(events)-2:]; !strings.HasPrefix(last[0], "exit c1/e1") || !strings.HasPrefix(last[1], "exit c1/c1") {
					t.Errorf("order of exits: %v", last)
				}
				l.nothingLeft()
			})
		})
	}
}

// kill -9 of the shim: HCS ends the container with its last handle, the rest
// is in the journal, and a replay, or the next create in the bundle, clears it.
func TestShimKilled(t *testing.T) {
	for name, clean := range map[string]func(l *lab){
		"replay by delete": func(l *lab) { l.recover() },
		"create anew": func(l *lab) {
			l.create("c1", "cmd /c exit 0")
			l.delete("c1", "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(l *lab) {
				l.run("c1", "ping -t localhost")
				dead := l.pod
				l.client.Disconnect()
				defer func() { _ = dead.Close(context.Background()) }() // ends the dead shim's goroutines
				l.stdio.open = map[string]*ends{}
				l.shim(2)
				if l.emu.Ledger().Empty() {
					t.Fatal("the kill left nothing to clean up: the test shows nothing")
				}
				clean(l)
				l.nothingLeft()
			})
		})
	}
}

// The client's pipe is not there: the container is never made.
func TestStreamsFault(t *testing.T) {
	in(t, func(l *lab) {
		l.stdio.fail = fault.New(fault.NotFound, "no such pipe")
		if err := l.pod.Create(l.Context(), l.request("c1", "x")); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "create task c1 streams") {
			t.Error(err)
		}
		if calls := l.functions(); len(calls) > 0 {
			t.Errorf("calls for a client that is not there: %v", calls)
		}
		l.run("c1", "ping -t localhost")
		l.stdio.fail = fault.New(fault.NotFound, "no such pipe")
		if err := l.addExec("c1", "e1", "x"); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		l.exec("c1", "e1", "cmd /c exit 0") // the id is free again
		l.stdio.hang = true
		if err := l.addExec("c1", "e2", "x"); !fault.Is(err, fault.DeadlineExceeded) {
			t.Error("a pipe that hangs:", err)
		}
	})
}

// CRI gives up in the middle of a create: what was begun is undone, in its own
// time.
func TestCreateCanceled(t *testing.T) {
	in(t, func(l *lab) {
		l.fault(hcsemu.Fault{Function: "HcsCreateComputeSystem", Action: hcsemu.ActionHang})
		ctx, cancel := context.WithCancelCause(l.Context())
		go func() { time.Sleep(time.Second); cancel(context.Canceled) }()
		if err := l.pod.Create(ctx, l.request("c1", "x")); !fault.Is(err, fault.Canceled) || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v (%v)", err, fault.KindOf(err))
		}
		l.nothingLeft()
	})
}

// The init ends while an exec is being added or started: the exec ends too, and
// before it.
func TestInitEndsWhileExecIsMade(t *testing.T) {
	in(t, func(l *lab) {
		l.run("c1", "ping -t localhost")
		l.must(l.addExec("c1", "e1", "ping -t localhost"))
		l.fault(hcsemu.Fault{Function: "HcsCreateProcess", Action: hcsemu.ActionHang})
		started := make(chan error, 1)
		go func() { _, err := l.pod.Start(l.Context(), "c1", "e1"); started <- err }()
		synctest.Wait()
		begin := time.Now()
		l.must(l.kill("c1", ""))
		l.wait("c1", "")
		if err := <-started; !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "its container ended") {
			t.Errorf("start of the exec: %v (%v)", err, fault.KindOf(err))
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the hanging start held the exit for %v", took)
		}
		l.nothingLeft()
	})
}
