package pod

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/test/hcsemu"
)

// in runs a test in a bubble of fake time.
func in(t *testing.T, f func(l *lab), options ...func(*Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, options...)
		defer l.end()
		f(l)
	})
}

// The life of a task as an operator sees it: output, exit code, events in
// order, and a machine that has everything back when the exit is published.
func TestTaskLife(t *testing.T) {
	in(t, func(l *lab) {
		l.create("c1", "cmd /c exit 7")
		s, err := l.pod.State("c1", "")
		l.must(err)
		want := State{ID: "c1", ExecID: "c1", Bundle: l.bundle, Status: StatusCreated, Name: "created", Stdio: StdioConfig{Stdin: "in", Stdout: "out"}, ExitStatus: UnknownExitStatus}
		if d := cmp.Diff(want, s); d != "" {
			t.Error("state of a created task:", d)
		}
		pid := l.start("c1", "")
		exit := l.wait("c1", "")
		if exit.Status != 7 || exit.PID != pid || exit.At.IsZero() {
			t.Errorf("exit %+v", exit)
		}
		l.nothingLeft() // before Delete: user-needs row 10
		s, err = l.pod.State("c1", "")
		l.must(err)
		if s.Status != StatusStopped || s.ExitStatus != 7 || s.PID != pid || s.ExitedAt != exit.At {
			t.Errorf("state of a stopped task: %+v", s)
		}
		if got := l.delete("c1", ""); got != exit {
			t.Errorf("delete said %+v, wait %+v", got, exit)
		}
		if d := cmp.Diff([]string{"create c1", "start c1", "exit c1/c1 7", "delete c1/"}, l.events.all()); d != "" {
			t.Error(d)
		}
		if _, err := l.pod.State("c1", ""); !fault.Is(err, fault.NotFound) {
			t.Error("state of a deleted task:", err)
		}
	})
}

// The native calls come in the order that the reference's come in
// (reference: process container, create to delete).
func TestNativeCalls(t *testing.T) {
	in(t, func(l *lab) {
		l.run("c1", "cmd /c exit 0")
		l.wait("c1", "")
		l.delete("c1", "")
		var calls []string
		for _, f := range l.functions() {
			if f != "NameToGuid" && f != "HcsSetComputeSystemCallback" && f != "HcsSetProcessCallback" {
				calls = append(calls, f)
			}
		}
		want := []string{"CreateSandboxLayer", "ActivateLayer", "PrepareLayer", "GetLayerMountPath", "GetLayerMountPath",
			"HcsCreateComputeSystem", "HcsGetComputeSystemProperties", "HcsStartComputeSystem", "HcsCreateProcess",
			"HcsCloseProcess", "HcsShutDownComputeSystem", "UnprepareLayer", "DeactivateLayer", "HcsCloseComputeSystem"}
		if d := cmp.Diff(want, calls); d != "" {
			t.Error(d)
		}
	})
}

func TestExecLife(t *testing.T) {
	in(t, func(l *lab) {
		init := l.run("c1", "more")
		pid := l.exec("c1", "e1", "cmd /c echo hello")
		if pid == init || pid == 0 {
			t.Errorf("pid %d", pid)
		}
		if exit := l.wait("c1", "e1"); exit.Status != 0 || exit.PID != pid {
			t.Errorf("exit %+v", exit)
		}
		if got := l.stdio.of("c1/e1").text(); got != "hello\r\n" {
			t.Errorf("output %q", got)
		}
		l.delete("c1", "e1")
		l.must(l.pod.CloseIO(l.Context(), "c1", "")) // more ends with its input
		if exit := l.wait("c1", ""); exit.Status != 0 {
			t.Errorf("exit %+v", exit)
		}
		l.delete("c1", "")
		l.nothingLeft()
		want := []string{"create c1", "start c1", "exec-added c1/e1", "exec-started c1/e1", "exit c1/e1 0", "delete c1/e1",
			"exit c1/c1 0", "delete c1/"}
		if d := cmp.Diff(want, l.events.all()); d != "" {
			t.Error(d)
		}
	})
}

func TestInputReachesTheProcess(t *testing.T) {
	in(t, func(l *lab) {
		l.run("c1", "more")
		e := l.stdio.of("c1/")
		if _, err := e.typed.Write([]byte("typed\n")); err != nil {
			t.Fatal(err)
		}
		l.must(l.pod.CloseIO(l.Context(), "c1", ""))
		l.wait("c1", "")
		if e.text() != "typed\n" {
			t.Errorf("output %q", e.text())
		}
	})
}

// What a client may ask in which state, through the API.
func TestRefusals(t *testing.T) {
	in(t, func(l *lab) {
		ctx := l.Context()
		refused := func(what string, err error, kind fault.Kind, says string) {
			t.Helper()
			if !fault.Is(err, kind) || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v (%v), want %v: … %s …", what, err, fault.KindOf(err), kind, says)
			}
		}
		start := func(id, exec string) error { _, err := l.pod.Start(ctx, id, exec); return err }
		remove := func(id, exec string) error { _, err := l.pod.Delete(ctx, id, exec); return err }

		refused("start before create", start("c1", ""), fault.NotFound, "find task c1")
		l.create("c1", "ping -t localhost")
		refused("duplicate id", l.pod.Create(ctx, l.request("c1", "x")), fault.AlreadyExists, "there is a task with this id")
		refused("second task", l.pod.Create(ctx, l.request("c2", "x")), fault.FailedPrecondition, "this shim serves c1")
		refused("exec before start", l.addExec("c1", "e1", "x"), fault.FailedPrecondition, "start the task first")
		l.start("c1", "")
		refused("second start", start("c1", ""), fault.FailedPrecondition, "it is running")
		refused("delete running", remove("c1", ""), fault.FailedPrecondition, "kill it first")
		refused("no such exec", start("c1", "e9"), fault.NotFound, "e9 of task c1")
		refused("exec without id", l.addExec("c1", "", "x"), fault.InvalidArgument, "id is empty")
		refused("exec with the task's id", l.addExec("c1", "c1", "x"), fault.InvalidArgument, "or the task's")
		l.must(l.addExec("c1", "e1", "ping -t localhost"))
		refused("duplicate exec", l.addExec("c1", "e1", "x"), fault.AlreadyExists, "has an exec with this id")
		refused("all with exec", l.pod.Kill(ctx, Kill{ID: "c1", ExecID: "e1", Signal: 9, All: true}), fault.FailedPrecondition, "not all of an exec")
		refused("unknown signal", l.pod.Kill(ctx, Kill{ID: "c1", Signal: 10}), fault.InvalidArgument, "allowed are CTRLC (0)")
		refused("resize without terminal", l.pod.Resize(ctx, "c1", "", schema.ConsoleSize{}), fault.FailedPrecondition, "no terminal")
		l.must(l.kill("c1", ""))
		l.wait("c1", "")
		refused("kill exited", l.kill("c1", ""), fault.NotFound, "it has ended")
		refused("exec in a stopped task", l.addExec("c1", "e2", "x"), fault.FailedPrecondition, "the task has ended")
		refused("start of an exec in a stopped task", start("c1", "e1"), fault.FailedPrecondition, "stopped")
		refused("start again", start("c1", ""), fault.FailedPrecondition, "create it anew")
		l.delete("c1", "")
		for what, err := range map[string]error{
			"state": func() error { _, err := l.pod.State("c1", ""); return err }(),
			"pids":  func() error { _, err := l.pod.Pids(ctx, "c1"); return err }(),
			"stats": func() error { _, err := l.pod.Stats(ctx, "c1"); return err }(),
			"wait":  func() error { _, err := l.pod.Wait(ctx, "c1", ""); return err }(),
			"kill":  l.kill("c1", ""), "delete": remove("c1", ""), "close io": l.pod.CloseIO(ctx, "c1", ""),
			"resize": l.pod.Resize(ctx, "c1", "", schema.ConsoleSize{}), "exec": l.addExec("c1", "e", "x"),
		} {
			refused(what+" after delete", err, fault.NotFound, "find task c1")
		}
	})
}

func TestBadRequests(t *testing.T) {
	in(t, func(l *lab) {
		for what, change := range map[string]func(*CreateTask){
			"id": func(r *CreateTask) { r.ID = "" }, "bundle": func(r *CreateTask) { r.Bundle = "" }, "plan": func(r *CreateTask) { r.Plan = nil },
		} {
			r := l.request("c1", "x")
			change(&r)
			if err := l.pod.Create(l.Context(), r); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), "no "+what) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
	if _, err := New(Config{}); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), "Host, Layers, Stdio, Events") {
		t.Error(err)
	}
}

// The same scratch is used again and again, as a restart policy does.
func TestCreateAgainAfterExit(t *testing.T) {
	in(t, func(l *lab) {
		for range 20 {
			l.run("c1", "cmd /c exit 0")
			l.wait("c1", "")
			l.delete("c1", "")
		}
		l.nothingLeft()
	})
}

// A created task that is killed or deleted ends; its init has an exit event,
// so that whoever waits for one is not left waiting.
func TestEndBeforeStart(t *testing.T) {
	for name, tc := range map[string]struct {
		end    func(l *lab) error
		status uint32
	}{
		"kill":   {func(l *lab) error { return l.pod.Kill(l.Context(), Kill{ID: "c1", Signal: 15}) }, 1},
		"delete": {func(l *lab) error { return nil }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(l *lab) {
				l.create("c1", "ping -t localhost")
				l.must(tc.end(l))
				if exit := l.delete("c1", ""); exit.Status != tc.status || exit.PID != 0 {
					t.Errorf("exit %+v", exit)
				}
				l.nothingLeft()
				want := []string{"create c1", "exit c1/c1 " + string('0'+rune(tc.status)), "delete c1/"}
				if d := cmp.Diff(want, l.events.all()); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

// An exec that never ran has no exit event, as the reference has it.
func TestExecEndBeforeStart(t *testing.T) {
	in(t, func(l *lab) {
		l.run("c1", "ping -t localhost")
		l.must(l.addExec("c1", "killed", "x"))
		l.must(l.kill("c1", "killed"))
		if exit := l.wait("c1", "killed"); exit.Status != 1 {
			t.Errorf("killed: %+v", exit)
		}
		l.must(l.addExec("c1", "deleted", "x"))
		if exit := l.delete("c1", "deleted"); exit.Status != 0 {
			t.Errorf("deleted: %+v", exit)
		}
		l.must(l.addExec("c1", "left", "x"))
		l.must(l.kill("c1", ""))
		l.wait("c1", "")
		if exit := l.wait("c1", "left"); exit.Status != 1 {
			t.Errorf("left: %+v", exit)
		}
		want := []string{"create c1", "start c1", "exec-added c1/killed", "exec-added c1/deleted", "delete c1/deleted",
			"exec-added c1/left", "exit c1/c1 1067"}
		if d := cmp.Diff(want, l.events.all()); d != "" {
			t.Error(d)
		}
		l.nothingLeft()
	})
}

// An init that ends takes its execs with it: their exits come before its own.
func TestInitEndsWithExecs(t *testing.T) {
	in(t, func(l *lab) {
		l.run("c1", "more")
		l.exec("c1", "e1", "ping -t localhost")
		l.must(l.pod.CloseIO(l.Context(), "c1", ""))
		l.wait("c1", "")
		events := l.events.all()
		if d := cmp.Diff([]string{"exit c1/e1 3221225786", "exit c1/c1 0"}, events[len(events)-2:]); d != "" {
			t.Error(d)
		}
		l.nothingLeft()
	})
}

// Output that the client has not read yet delays the exit, not the other way
// round: whoever sees the exit has all output.
func TestExitWaitsForOutput(t *testing.T) {
	in(t, func(l *lab) {
		l.stdio.stall = make(chan struct{})
		l.run("c1", "cmd /c echo last words")
		synctest.Wait()
		if s, err := l.pod.State("c1", ""); err != nil || s.Status != StatusRunning || s.ExitStatus != UnknownExitStatus {
			t.Errorf("before the output is read: %+v, %v", s, err)
		}
		close(l.stdio.stall)
		l.wait("c1", "")
		if got := l.stdio.of("c1/").text(); got != "last words\r\n" {
			t.Errorf("output %q", got)
		}
	})
}

// A client that never reads delays the exit by the drain's deadline and no more.
func TestDrainDeadline(t *testing.T) {
	in(t, func(l *lab) {
		l.stdio.stall = make(chan struct{})
		start := time.Now()
		l.run("c1", "cmd /c echo unread")
		l.wait("c1", "")
		if took := time.Since(start); took != DefaultDeadlines().Drain {
			t.Errorf("the exit came after %v", took)
		}
		close(l.stdio.stall)
		l.nothingLeft()
	})
}

func TestPids(t *testing.T) {
	in(t, func(l *lab) {
		l.create("c1", "ping -t localhost")
		pids := func() map[uint32]string {
			list, err := l.pod.Pids(l.Context(), "c1")
			l.must(err)
			out := map[uint32]string{}
			for _, p := range list {
				if p.ImageName == "" || p.CreatedAt.IsZero() || p.MemoryCommitBytes == 0 {
					t.Errorf("bare facts: %+v", p)
				}
				out[p.PID] = p.ExecID
			}
			return out
		}
		list, err := l.pod.Pids(l.Context(), "c1")
		if !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "created") {
			t.Errorf("created: %v, %v: containerd would take an empty list for a leaked shim", list, err)
		}
		init := l.start("c1", "")
		exec := l.exec("c1", "e1", "ping -t localhost")
		if d := cmp.Diff(map[uint32]string{init: "c1", exec: "e1"}, pids()); d != "" {
			t.Error(d)
		}
		l.must(l.kill("c1", ""))
		l.wait("c1", "")
		// An error would fail CRI's statistics of the node while containerd has not yet
		// seen the exit.
		list, err = l.pod.Pids(l.Context(), "c1")
		if d := cmp.Diff([]ProcessInfo{{PID: init, ExecID: "c1"}}, list); d != "" || err != nil {
			t.Errorf("stopped: %v %s", err, d)
		}
	})
}

// The kubelet asks at any time; an error would lose the whole node's statistics.
func TestStatsAreNeverAnError(t *testing.T) {
	in(t, func(l *lab) {
		stats := func() Stats {
			t.Helper()
			s, err := l.pod.Stats(l.Context(), "c1")
			l.must(err)
			if s.Timestamp.IsZero() {
				t.Error("no timestamp")
			}
			return s
		}
		l.create("c1", "ping -t localhost")
		if s := stats(); s.MemoryCommitBytes != 0 {
			t.Errorf("before start: %+v", s)
		}
		l.start("c1", "")
		time.Sleep(time.Second)
		if s := stats(); s.MemoryCommitBytes == 0 || s.CPUUser == 0 || s.ContainerStart.IsZero() || s.Uptime == 0 {
			t.Errorf("running: %+v", s)
		}
		// HCS knows of the end before we do.
		l.fault(hcsemu.Fault{Function: "HcsGetComputeSystemProperties", Action: hcsemu.ActionFail, Code: "0x80370110"})
		if s := stats(); s.MemoryCommitBytes != 0 {
			t.Errorf("just exited: %+v", s)
		}
		l.must(l.kill("c1", ""))
		l.wait("c1", "")
		stats()
	})
}

// While HCS is slow, clients that ask again and again share one question, and
// none waits longer than it wants.
func TestStatsShareOneQuestion(t *testing.T) {
	in(t, func(l *lab) {
		l.run("c1", "ping -t localhost")
		before := len(l.emu.Calls(hcsemu.CallFilter{Function: "HcsGetComputeSystemProperties"}))
		l.fault(hcsemu.Fault{Function: "HcsGetComputeSystemProperties", Action: hcsemu.ActionHang})
		errs := make(chan error, 10)
		for range cap(errs) {
			go func() { _, err := l.pod.Stats(l.Context(), "c1"); errs <- err }()
		}
		for range cap(errs) {
			if err := <-errs; !fault.Is(err, fault.DeadlineExceeded) {
				t.Errorf("stats of a hanging service: %v", err)
			}
		}
		if n := len(l.emu.Calls(hcsemu.CallFilter{Function: "HcsGetComputeSystemProperties"})) - before; n != 1 {
			t.Errorf("%d questions", n)
		}
	})
}

// A size that comes before the process, as a terminal sends it, is not lost
// (moby#50402).
func TestResize(t *testing.T) {
	in(t, func(l *lab) {
		r := l.request("c1", "size")
		r.Stdio.Terminal, r.Process.Terminal = true, true
		l.must(l.pod.Create(l.Context(), r))
		l.must(l.pod.Resize(l.Context(), "c1", "", schema.ConsoleSize{Height: 40, Width: 100}))
		l.start("c1", "")
		synctest.Wait()
		l.must(l.pod.Resize(l.Context(), "c1", "", schema.ConsoleSize{Height: 50, Width: 120}))
		synctest.Wait()
		l.must(l.pod.CloseIO(l.Context(), "c1", ""))
		l.wait("c1", "")
		if got := l.stdio.of("c1/").text(); !strings.HasSuffix(got, "40x100\r\n50x120\r\n") {
			t.Errorf("sizes %q", got)
		}
		if err := l.pod.Resize(l.Context(), "c1", "", schema.ConsoleSize{Height: 1, Width: 1}); err != nil {
			t.Error("resize after exit:", err)
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	in(t, func(l *lab) {
		l.run("c1", "ping -t localhost")
		ctx, cancel := timeout(l, time.Second)
		defer cancel()
		if _, err := l.pod.Wait(ctx, "c1", ""); !fault.Is(err, fault.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
