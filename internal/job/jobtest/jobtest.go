// Package jobtest is the conformance suite of job.System: what containers rely
// on, whoever answers. The emulated machine passes it on every system, Windows'
// own adapter in the lab and on Windows.
//
// It has no states and no locks of its own. Each test leaves the machine as it
// found it, also when it fails.
package jobtest

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/job"
)

// Machine is what to test on. Its cmd.exe runs the processes.
type Machine struct {
	System job.System
	Group  string // a local group
}

const (
	userName = "isol-conformance"
	limit    = 30 * time.Second
)

// nameOf is the name of a test's job object. Each has its own, since Wine keeps
// a name a little longer than the job.
func nameOf(t *testing.T) string {
	return job.ObjectName("isol-conformance-" + t.Name()[strings.LastIndexByte(t.Name(), '/')+1:])
}

// Run tests m.
func Run(t *testing.T, m Machine) {
	for name, f := range map[string]func(*testing.T, Machine){
		"OneOfAName":        oneOfAName,
		"ExitAndOutput":     exitAndOutput,
		"Input":             input,
		"Kill":              kill,
		"Terminate":         terminate,
		"CloseEnds":         closeEnds,
		"EndedByAnother":    endedByAnother,
		"SignalsOnlyItsOwn": signalsOnlyItsOwn,
		"LimitsAndUsage":    limitsAndUsage,
		"NoProgram":         noProgram,
		"Users":             users,
		"Logon":             logon,
	} {
		t.Run(name, func(t *testing.T) { f(t, m) })
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func object(t *testing.T, m Machine) job.Object {
	t.Helper()
	o, err := m.System.CreateJob(nameOf(t))
	must(t, err)
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	return o
}

// start runs cmd.exe as this process's user.
func start(t *testing.T, m Machine, o job.Object, line string, streams ...string) job.Child {
	t.Helper()
	facts, err := m.System.Facts()
	must(t, err)
	token, err := m.System.OwnToken()
	must(t, err)
	defer token.Close()
	env, err := token.Environment()
	must(t, err)
	slices.Sort(env)
	c, err := o.Start(job.Command{
		Program: facts.SystemFolder + `\cmd.exe`, Line: line, Folder: facts.WindowsFolder, Environment: env, Token: token,
		Stdin: slices.Contains(streams, "in"), Stdout: slices.Contains(streams, "out"), Stderr: slices.Contains(streams, "err"),
	})
	must(t, err)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// ended waits for the end of a process and returns its exit code.
func ended(t *testing.T, c job.Child) uint32 {
	t.Helper()
	select {
	case <-c.Done():
		return c.ExitCode()
	case <-time.After(limit):
		t.Fatal("the process does not end")
		return 0
	}
}

// emptied waits until nothing runs in the job.
func emptied(t *testing.T, o job.Object) {
	t.Helper()
	deadline := time.After(limit)
	for {
		pids, err := o.Processes()
		must(t, err)
		if len(pids) == 0 {
			return
		}
		select {
		case <-o.Emptied():
		case <-time.After(50 * time.Millisecond): // notices may be lost
		case <-deadline:
			t.Fatalf("still in the job: %v", pids)
		}
	}
}

// Joining another's job object would let it end our container, and us its.
func oneOfAName(t *testing.T, m Machine) {
	o := object(t, m)
	if second, err := m.System.CreateJob(nameOf(t)); !fault.Is(err, fault.AlreadyExists) {
		t.Errorf("a second one of the name: %v, %v", second, err)
	}
	must(t, o.Close())
	must(t, o.Close())
	third, err := m.System.CreateJob(nameOf(t))
	must(t, err)
	must(t, third.Close())
}

func exitAndOutput(t *testing.T, m Machine) {
	o := object(t, m)
	c := start(t, m, o, "cmd /c exit 7", "out")
	if c.Stdin() != nil || c.Stderr() != nil {
		t.Error("streams that nobody asked for are there")
	}
	if code := ended(t, c); code != 7 || c.PID() == 0 {
		t.Errorf("exit code %d, pid %d", code, c.PID())
	}
	if killed, err := c.Kill(); killed || err != nil {
		t.Errorf("kill of what has ended: %v, %v", killed, err)
	}
	c = start(t, m, o, "cmd /c echo hello", "out")
	text, err := io.ReadAll(c.Stdout())
	if err != nil || strings.TrimSpace(string(text)) != "hello" {
		t.Errorf("printed %q, %v", text, err)
	}
	ended(t, c)
	emptied(t, o)
}

func input(t *testing.T, m Machine) {
	o := object(t, m)
	c := start(t, m, o, "cmd", "in", "out")
	go func() { _, _ = io.Copy(io.Discard, c.Stdout()) }() // prompts
	if _, err := io.WriteString(c.Stdin(), "exit 5\r\n"); err != nil {
		t.Fatal(err)
	}
	if code := ended(t, c); code != 5 {
		t.Errorf("exit code %d, want 5", code)
	}
}

// waiting starts a process that lives until it is ended.
func waiting(t *testing.T, m Machine, o job.Object) job.Child {
	t.Helper()
	c := start(t, m, o, "cmd", "in", "out")
	go func() { _, _ = io.Copy(io.Discard, c.Stdout()) }()
	return c
}

func kill(t *testing.T, m Machine) {
	c := waiting(t, m, object(t, m))
	if killed, err := c.Kill(); !killed || err != nil {
		t.Errorf("kill: %v, %v", killed, err)
	}
	if code := ended(t, c); code != 1067 {
		t.Errorf("exit code %d, want 1067, which HCS gives", code)
	}
}

func terminate(t *testing.T, m Machine) {
	o := object(t, m)
	a, b := waiting(t, m, o), waiting(t, m, o)
	pids, err := o.Processes()
	must(t, err)
	if !slices.Contains(pids, a.PID()) || !slices.Contains(pids, b.PID()) {
		t.Errorf("%v are in the job, not %d and %d", pids, a.PID(), b.PID())
	}
	must(t, o.Terminate(1067))
	ended(t, a)
	ended(t, b)
	emptied(t, o)
}

// A shim that dies must take its processes with it.
func closeEnds(t *testing.T, m Machine) {
	o := object(t, m)
	c := waiting(t, m, o)
	must(t, o.Close())
	ended(t, c)
	if _, err := o.Processes(); err == nil {
		t.Error("a closed job object answers")
	}
}

func endedByAnother(t *testing.T, m Machine) {
	o := object(t, m)
	c := waiting(t, m, o)
	must(t, m.System.TerminateJob(nameOf(t), limit))
	ended(t, c)
	must(t, o.Close())
	must(t, m.System.TerminateJob(nameOf(t), limit)) // there is none
}

func signalsOnlyItsOwn(t *testing.T, m Machine) {
	o := object(t, m)
	other, err := m.System.CreateJob(nameOf(t) + "-2")
	must(t, err)
	defer other.Close()
	c := waiting(t, m, other)
	for _, pid := range []uint32{c.PID(), 0xFFFFFFFC} {
		if delivered, err := o.Signal(pid, job.EventCtrlShutdown); delivered || err != nil {
			t.Errorf("a signal to process %d, which is not in the job: %v, %v", pid, delivered, err)
		}
	}
}

func limitsAndUsage(t *testing.T, m Machine) {
	o := object(t, m)
	must(t, o.SetLimits(job.Limits{Memory: 256 << 20, Rate: 5000}))
	must(t, o.SetLimits(job.Limits{Weight: 5}))
	must(t, o.SetLimits(job.Limits{}))
	c := waiting(t, m, o)
	u, err := o.Usage()
	if err != nil || u.Commit == 0 || u.CommitPeak < u.Commit {
		t.Errorf("usage %+v, %v", u, err)
	}
	details := o.Details([]uint32{c.PID()})
	if len(details) != 1 || details[0].PID != c.PID() || !strings.HasPrefix(strings.ToLower(details[0].Image), "cmd") || details[0].Created.IsZero() {
		t.Errorf("details %+v", details)
	}
}

func noProgram(t *testing.T, m Machine) {
	o := object(t, m)
	token, err := m.System.OwnToken()
	must(t, err)
	defer token.Close()
	c, err := o.Start(job.Command{Program: `C:\nowhere\nothing.exe`, Line: "nothing", Folder: `C:\`, Token: token, Stdin: true, Stdout: true})
	if !errors.Is(err, hcs.ErrFileNotFound) {
		t.Errorf("started %v, %v", c, err)
	}
}

func users(t *testing.T, m Machine) {
	for name, want := range map[string]bool{m.Group: true, "isol-no-such-group": false} {
		if is, err := m.System.IsGroup(name); err != nil || is != want {
			t.Errorf("group %s: %v, %v", name, is, err)
		}
	}
	t.Cleanup(func() { must(t, m.System.RemoveUser(userName)) })
	const password = "aZ9-conformance-of-isol"
	must(t, m.System.AddUser(userName, password, m.Group))
	if err := m.System.AddUser(userName, password, m.Group); !fault.Is(err, fault.AlreadyExists) {
		t.Errorf("a second user of the name: %v", err)
	}
	token, err := m.System.Logon(job.Account{Domain: ".", Name: userName, Password: password})
	must(t, err)
	must(t, token.Close())
	must(t, m.System.RemoveUser(userName))
	must(t, m.System.RemoveUser(userName))
	if err := m.System.AddUser(userName, password, "isol-no-such-group"); err == nil {
		t.Error("a user in no group")
	}
	if token, err := m.System.Logon(job.Account{Domain: ".", Name: userName, Password: password}); err == nil {
		t.Error("a failed AddUser left its user")
		_ = token.Close()
	}
}

func logon(t *testing.T, m Machine) {
	token, err := m.System.Logon(job.Account{Domain: "NT AUTHORITY", Name: "SYSTEM", Service: true})
	must(t, err)
	env, err := token.Environment()
	if err != nil || len(env) == 0 {
		t.Errorf("environment %v, %v", env, err)
	}
	must(t, token.Close())
	must(t, token.Close())
	if _, err := m.System.Logon(job.Account{Domain: ".", Name: "ContainerUser"}); !fault.Is(err, fault.InvalidArgument) || !errors.Is(err, hcs.ErrLogon) {
		t.Errorf("a user of the image: %v", err)
	}
}
