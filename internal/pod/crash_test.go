package pod

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/test/hcsemu"
)

// wholeLife is a task with an exec, from create to delete; its errors do not
// matter, since the shim is killed somewhere in it.
func wholeLife(l *lab) {
	ctx := l.Context()
	req := l.withEndpoints(l.request("c1", "ping -t localhost"))
	if l.shape != nil {
		l.shape(&req)
	}
	if l.pod.Create(ctx, req) != nil {
		return
	}
	_, _ = l.pod.Start(ctx, "c1", "")
	if l.addExec("c1", "e1", "ping -t localhost") == nil {
		_, _ = l.pod.Start(ctx, "c1", "e1")
	}
	_ = l.pod.Kill(ctx, Kill{ID: "c1", Signal: SignalKill})
	_, _ = l.pod.Wait(ctx, "c1", "")
	_, _ = l.pod.Delete(ctx, "c1", "")
}

// The shim is killed before and after every call that it makes to the system.
// Each time the journal, as it was at that moment, is enough to clean up.
func TestShimKilledAtEveryCall(t *testing.T) {
	total := 0
	in(t, func(l *lab) {
		wholeLife(l)
		total = len(l.functions())
		l.nothingLeft()
	})
	if total < 15 {
		t.Fatalf("a whole life takes %d calls: the test shows nothing", total)
	}
	for n := 1; n <= total; n++ {
		for _, when := range []hcsemu.When{"before", "after"} {
			in(t, func(l *lab) { l.killAt(n, when) })
		}
	}
}

// killAt runs a task's life, kills the shim at its n-th call, and lets another
// process replay the journal.
func (l *lab) killAt(n int, when hcsemu.When) {
	l.Helper()
	path := filepath.Join(l.bundle, journal.FileName)
	var atDeath []byte
	died := false
	l.killed = func() {
		died = true
		data, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			l.Errorf("journal at the kill: %v", err)
		}
		atDeath = data
	}
	l.fault(hcsemu.Fault{Function: "*", Nth: n, When: when, Action: hcsemu.ActionKill})
	wholeLife(l)
	_ = l.pod.Close(context.Background()) // the dead shim's goroutines
	if !died {
		l.Errorf("call %d: the shim was not killed", n)
		return
	}
	// What the goroutines of the dead shim wrote after its death was not written.
	if atDeath == nil {
		l.must(os.RemoveAll(path))
	} else {
		l.must(os.WriteFile(path, atDeath, 0o600))
	}
	l.emu.ClearFaults()
	calls := l.functions()
	l.shim(2)
	l.recover()
	l.cni.remove()
	if left := l.emu.Ledger().Leaks(); len(left) > 0 {
		l.Errorf("killed %s call %d (%s), left:\n%s\njournal:\n%s", when, n, calls[min(n, len(calls))-1], left, atDeath)
	}
}

// Another program holds a handle to the container of a dead shim, so that it
// lives on: the replay ends it.
func TestReplayEndsLivingSystem(t *testing.T) {
	for name, f := range map[string]struct {
		fault *hcsemu.Fault
		kind  fault.Kind // of the replay's error; Unknown: none
	}{
		"ends":                       {nil, fault.Unknown},
		"has just ended":             {&hcsemu.Fault{Function: "HcsTerminateComputeSystem", Action: hcsemu.ActionFail, Code: "0x80370110"}, fault.Unknown},
		"cannot be opened":           {&hcsemu.Fault{Function: "HcsOpenComputeSystem", Action: hcsemu.ActionFail, Code: "0x80070005"}, fault.PermissionDenied},
		"cannot be terminated":       {&hcsemu.Fault{Function: "HcsTerminateComputeSystem", Action: hcsemu.ActionFail, Code: "0x80070005"}, fault.PermissionDenied},
		"terminate hangs":            {&hcsemu.Fault{Function: "HcsTerminateComputeSystem", Action: hcsemu.ActionHang}, fault.DeadlineExceeded},
		"says nothing when it ended": {&hcsemu.Fault{Event: "SystemExited", Action: hcsemu.ActionDrop, Times: -1}, fault.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(l *lab) {
				l.run("c1", "ping -t localhost")
				other := hcsemu.HostOn(l.emu.Connect(hcsemu.Caller{PID: 99, Exe: "hcsdiag.exe"}))
				handle, err := other.Open(l.Context(), "c1")
				l.must(err)
				dead := l.pod
				l.client.Disconnect()
				l.shim(2)
				if f.fault != nil {
					l.fault(*f.fault)
				}
				ctx, cancel := timeout(l, 4*time.Second)
				defer cancel()
				err = hcs.End(ctx, l.pod.cfg.Host, "c1")
				if fault.KindOf(err) != f.kind || (err == nil) != (f.kind == fault.Unknown) {
					t.Errorf("got %v (%v), want %v", err, fault.KindOf(err), f.kind)
				}
				l.must(handle.Close())
				l.recover()
				_ = dead.Close(context.Background()) // the dead shim's goroutines
				l.nothingLeft()
			})
		})
	}
}

// The service is back before the teardown looks again: the container that it
// lost sight of still runs and must end.
func TestTeardownAfterReconnect(t *testing.T) {
	in(t, func(l *lab) {
		l.run("c1", "ping -t localhost")
		other, err := hcsemu.HostOn(l.emu.Connect(hcsemu.Caller{PID: 99, Exe: "hcsdiag.exe"})).Open(l.Context(), "c1")
		l.must(err)
		l.emu.DisconnectService()
		l.emu.RestoreService()
		l.wait("c1", "")
		l.delete("c1", "")
		synctest.Wait()
		list, err := l.pod.cfg.Host.List(l.Context(), schema.SystemQuery{})
		l.must(err)
		if len(list) > 0 {
			t.Errorf("still there: %+v", list)
		}
		l.must(closed(other.Close()))
		l.nothingLeft()
	})
}
