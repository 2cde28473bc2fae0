package pod

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/test/hcsemu"
)

func TestSignalIsDelivered(t *testing.T) {
	for sig, want := range map[uint32]string{0: "CtrlC", 15: "CtrlShutdown", 6: "CtrlShutdown"} {
		in(t, func(l *lab) {
			l.run("c1", "trap")
			synctest.Wait()
			l.must(l.pod.Kill(l.Context(), Kill{ID: "c1", Signal: sig}))
			if exit := l.wait("c1", ""); exit.Status != 42 {
				t.Errorf("signal %d: exit %+v", sig, exit)
			}
			if got := l.stdio.of("c1/").text(); !strings.HasSuffix(got, want+"\r\n") {
				t.Errorf("signal %d: the program heard %q", sig, got)
			}
		})
	}
}

// In servercore HCS answers a signal only when the process has ended. SIGKILL
// must not wait behind it, and repeated signals must not pile up
// (containerd#14081: 45 646 goroutines).
func TestKillDoesNotWaitBehindSignal(t *testing.T) {
	in(t, func(l *lab) {
		l.run("c1", "ignore")
		l.fault(hcsemu.Fault{Function: "HcsSignalProcess", Action: hcsemu.ActionHang, Times: -1})
		start := time.Now()
		for range 5 {
			l.must(l.pod.Kill(l.Context(), Kill{ID: "c1", Signal: 15}))
		}
		if n := l.emu.Hanging(""); n != 1 {
			t.Errorf("%d signals are on their way", n)
		}
		l.must(l.kill("c1", ""))
		l.wait("c1", "")
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// An outcome that is known at once is told: the client can act on it.
func TestSignalFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		code string
		kind fault.Kind
	}{
		"denied":          {"0x80070005", fault.PermissionDenied},
		"has just ended":  {"0x8037011f", fault.NotFound},
		"no such process": {"0x80070490", fault.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(l *lab) {
				l.run("c1", "ignore")
				l.fault(hcsemu.Fault{Function: "HcsSignalProcess", Action: hcsemu.ActionFail, Code: tc.code})
				if err := l.pod.Kill(l.Context(), Kill{ID: "c1", Signal: 15}); !fault.Is(err, tc.kind) {
					t.Errorf("got %v (%v), want %v", err, fault.KindOf(err), tc.kind)
				}
			})
		})
	}
}

// SIGKILL finds no process, and its exit was lost: the wait must end all the
// same (k8s#140187: the reference waits for ever, then closes the pod's VM).
func TestKillOfVanishedProcess(t *testing.T) {
	in(t, func(l *lab) {
		l.fault(hcsemu.Fault{Event: "ProcessExited", Action: hcsemu.ActionDrop, Times: -1})
		l.run("c1", "more")
		l.must(l.pod.CloseIO(l.Context(), "c1", "")) // more ends with its input
		time.Sleep(time.Hour)
		if s, err := l.pod.State("c1", ""); err != nil || s.Status != StatusRunning {
			t.Fatalf("the exit was not lost: %+v, %v", s, err)
		}
		if err := l.kill("c1", ""); !fault.Is(err, fault.NotFound) {
			t.Errorf("kill: %v", err)
		}
		if exit := l.wait("c1", ""); exit.Status != UnknownExitStatus {
			t.Errorf("exit %+v", exit)
		}
		if err := l.kill("c1", ""); !fault.Is(err, fault.NotFound) {
			t.Errorf("second kill: %v", err)
		}
		l.delete("c1", "")
		l.nothingLeft()
	})
}

// An init that does not die of SIGKILL: its container is terminated, after the
// deadline, and nothing else is.
func TestKillEscalates(t *testing.T) {
	for name, action := range map[string]hcsemu.Fault{
		"the call hangs": {Action: hcsemu.ActionHang, Times: -1},
		"the call fails": {Action: hcsemu.ActionFail, Code: "0x80004005", Times: -1},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(l *lab) {
				l.run("c1", "ignore")
				action.Function = "HcsTerminateProcess"
				l.fault(action)
				start := time.Now()
				if err := l.kill("c1", ""); err == nil {
					t.Error("a kill that did not work was reported as done")
				}
				l.wait("c1", "")
				if took := time.Since(start); took > DefaultDeadlines().Kill+time.Minute {
					t.Errorf("took %v", took)
				}
				l.delete("c1", "")
				l.nothingLeft()
			})
		})
	}
}

// SIGKILL breaks off a start that hangs; other signals say that it is too early.
func TestKillWhileStarting(t *testing.T) {
	for _, function := range []string{"HcsStartComputeSystem", "HcsCreateProcess"} {
		t.Run(function, func(t *testing.T) {
			in(t, func(l *lab) {
				l.create("c1", "ping -t localhost")
				l.fault(hcsemu.Fault{Function: function, Action: hcsemu.ActionHang})
				started := make(chan error, 1)
				go func() { _, err := l.pod.Start(l.Context(), "c1", ""); started <- err }()
				synctest.Wait()
				if err := l.pod.Kill(l.Context(), Kill{ID: "c1", Signal: 15}); !fault.Is(err, fault.FailedPrecondition) {
					t.Errorf("TERM while starting: %v", err)
				}
				l.must(l.kill("c1", ""))
				if err := <-started; !fault.Is(err, fault.Canceled) || !strings.Contains(err.Error(), "killed while it was being started") {
					t.Errorf("start: %v (%v)", err, fault.KindOf(err))
				}
				if exit := l.delete("c1", ""); exit.Status != 1 {
					t.Errorf("exit %+v", exit)
				}
				l.nothingLeft()
			})
		})
	}
}

func TestKillAll(t *testing.T) {
	in(t, func(l *lab) {
		l.run("c1", "ignore")
		l.exec("c1", "e1", "ignore")
		l.exec("c1", "e2", "cmd /c exit 0")
		l.wait("c1", "e2") // one that has ended is no error
		l.must(l.pod.Kill(l.Context(), Kill{ID: "c1", Signal: 9, All: true}))
		if exit := l.wait("c1", "e1"); exit.Status != 1067 {
			t.Errorf("exec: %+v", exit)
		}
		if exit := l.wait("c1", ""); exit.Status != 1067 {
			t.Errorf("init: %+v", exit)
		}
	})
}
