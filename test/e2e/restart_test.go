package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"

	"github.com/isolrun/isol/test/lab"
)

// Updating or crashing containerd must not be seen by the containers: they run
// on, can be worked with, and end as always.
func TestContainerdRestarts(t *testing.T) {
	l := shared.of(t)
	m := emulated{l}
	must(t, m, "run", "-d", "--null-io", "--runtime", isol, m.Image(), "rest1", "ping", "-t", "localhost")
	defer remove(t, m, "rest1")
	before := pids(must(t, m, "task", "ps", "rest1"))

	if err := l.KillContainerd(); err != nil {
		t.Fatal(err)
	}
	if err := l.RestartContainerd(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out := must(t, m, "task", "ls"); !strings.Contains(out, "RUNNING") {
		t.Errorf("after a crash of containerd: %q", out)
	}
	if after := pids(must(t, m, "task", "ps", "rest1")); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("processes %v have become %v", before, after)
	}
	if out := must(t, m, "task", "exec", "--exec-id", "e1", "rest1", "cmd", "/c", "echo back"); strings.TrimSpace(out) != "back" {
		t.Errorf("exec after a crash of containerd printed %q", out)
	}
}

// What ends while containerd is away must be known when it is back, with its
// exit code: kubelet restarts the pod by it.
func TestExitWhileContainerdIsAway(t *testing.T) {
	l := shared.of(t)
	c := connect(t, l)
	c.run("away1", "cmd", "/c", "ping -n 3 localhost >nul & exit 9")
	if err := l.KillContainerd(); err != nil {
		t.Fatal(err)
	}
	gone(t, l, "ping.exe")
	if err := l.RestartContainerd(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := connect(t, l)
	ctx, cancel := again.within(time.Minute)
	defer cancel()
	r, err := again.tasks.Wait(ctx, &tasksapi.WaitRequest{ContainerID: "away1"})
	if err != nil || r.GetExitStatus() != 9 {
		t.Errorf("the end that containerd missed: status %d, %v; want 9", r.GetExitStatus(), err)
	}
	again.remove("away1")
}

// A log must have all lines, whatever containerd does meanwhile: the shim writes
// to the logger, not to containerd.
func TestLogSurvivesContainerd(t *testing.T) {
	l := shared.of(t)
	if err := l.Build(t.Context(), `C:\`, "./test/e2e/filelogger"); err != nil {
		t.Fatal(err)
	}
	c := connect(t, l)
	request := c.container("log1", packed(t, specURL, spec("cmd", "/c", "echo first& echo wrong >&2& ping -n 4 localhost >nul& echo last")), nil)
	request.Stdout = `binary:///C:/filelogger.exe?C:\`
	request.Stderr = request.GetStdout()
	ctx, cancel := c.within(time.Minute)
	defer cancel()
	if _, err := c.tasks.Create(ctx, request); err != nil {
		t.Fatal(err)
	}
	if _, err := c.tasks.Start(ctx, &tasksapi.StartRequest{ContainerID: "log1"}); err != nil {
		t.Fatal(err)
	}
	log := func(stream string) string {
		content, err := os.ReadFile(l.Path(`C:\log1-` + stream))
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(string(content), "\r\n", "\n")
	}
	until(t, "the first line", func() bool { return log("stdout") == "first\n" })
	if err := l.RestartContainerd(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := connect(t, l)
	ctx, cancel = again.within(time.Minute)
	defer cancel()
	if _, err := again.tasks.Wait(ctx, &tasksapi.WaitRequest{ContainerID: "log1"}); err != nil {
		t.Fatal(err)
	}
	// The exit is told only after the output has drained, so nothing is on its way.
	if out, errs := log("stdout"), log("stderr"); out != "first\nlast\n" || strings.TrimSpace(errs) != "wrong" {
		t.Errorf("the log is %q and %q", out, errs)
	}
	again.remove("log1")
}

// until waits for a condition that must come true soon.
func until(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(soonLimit); !reached(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come", what)
		}
	}
}

// gone waits until no process of that program is on the machine.
func gone(t *testing.T, l *lab.Lab, program string) {
	t.Helper()
	until(t, "the end of "+program, func() bool { return len(processesOf(t, l, program)) == 0 })
}
