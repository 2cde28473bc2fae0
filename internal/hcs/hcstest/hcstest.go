// Package hcstest is the conformance suite of the port internal/hcs: whoever
// implements [hcs.Host] runs it, the emulator on any machine and the Windows
// adapter where there is a service. Each case states one promise of the port's
// contract and what breaks for a user if it is not kept.
//
// The suite knows nothing of documents or programs: an [Env] brings a document
// that its host accepts and command lines that do what they say.
package hcstest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// Env is an implementation under test and what the suite may do with it.
type Env struct {
	Host     hcs.Host
	Commands Commands

	// Document returns the document of a process container with a root of its
	// own. It has an Owner and ShouldTerminateOnLastHandleClosed.
	Document func(t *testing.T) *schema.ComputeSystem

	// Without names what this environment cannot do, with the reason; the cases
	// that need it are skipped with that word.
	Without map[Capability]string
}

// Commands are command lines for a container of the environment.
type Commands struct {
	Forever string                   // runs until it is killed or gets a control signal; writes nothing
	Cat     string                   // copies stdin to stdout until stdin ends, then exits with 0
	Missing string                   // names a program that is not there
	Exit    func(code uint32) string // exits with code
	Echo    func(text string) string // writes text and a line end to stdout, exits with 0
	EchoErr func(text string) string // writes text and a line end to stderr, exits with 0
}

// Capability is something that an environment may lack.
type Capability string

// The capabilities.
const (
	Console  Capability = "console"  // processes with a console, and its size
	Signals  Capability = "signals"  // control signals reach processes
	Shutdown Capability = "shutdown" // a container ends when it is asked to
)

// patience is how long the suite waits for what must happen soon. It is long
// because a slow machine is no failure.
const patience = 30 * time.Second

// Run runs the suite; newEnv is called once for each case.
func Run(t *testing.T, newEnv func(t *testing.T) Env) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := newEnv(t)
			if why := e.Without[c.needs]; c.needs != "" && why != "" {
				t.Skipf("this environment has no %s: %s", c.needs, why)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			c.run(t, &bench{Env: e, ctx: ctx})
		})
	}
}

// testCase is one promise.
type testCase struct {
	name  string
	needs Capability
	run   func(*testing.T, *bench)
}

var cases = append(append(append([]testCase{}, systemCases...), processCases...), serviceCases...)

// bench is an environment with what the cases do again and again.
type bench struct {
	Env
	ctx   context.Context
	count int
}

// id returns a new system id.
func (b *bench) id() string {
	b.count++
	return fmt.Sprintf("hcstest-%d-%d", time.Now().UnixNano(), b.count)
}

// create makes a system that is closed with the test.
func (b *bench) create(t *testing.T) hcs.System {
	t.Helper()
	s, err := b.Host.Create(b.ctx, b.id(), b.Document(t))
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// running makes a system and starts it.
func (b *bench) running(t *testing.T) hcs.System {
	t.Helper()
	s := b.create(t)
	if err := s.Start(b.ctx); err != nil {
		t.Fatalf("start: %v", err)
	}
	return s
}

// exec starts a process that is closed with the test. change may be nil.
func (b *bench) exec(t *testing.T, s hcs.Compute, command string, change func(*schema.ProcessParameters)) hcs.Process {
	t.Helper()
	params := &schema.ProcessParameters{CommandLine: command, CreateStdOutPipe: true, CreateStdErrPipe: true}
	if change != nil {
		change(params)
	}
	p, err := s.CreateProcess(b.ctx, params)
	if err != nil {
		t.Fatalf("create process %q: %v", command, err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// done waits for what must come to an end.
func (b *bench) done(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-b.ctx.Done():
		t.Fatalf("%s has not ended after %v", what, patience)
	}
}

// exitCode waits for a process and returns its exit code.
func (b *bench) exitCode(t *testing.T, p hcs.Process) uint32 {
	t.Helper()
	b.done(t, "the process", p.Done())
	code, err := p.ExitCode()
	if err != nil {
		t.Fatalf("exit code: %v", err)
	}
	return code
}

// eventually tries until ok says true.
func (b *bench) eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-b.ctx.Done():
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

// allValues are the port's error values, of which an error matches exactly one.
var allValues = []error{
	hcs.ErrNotFound, hcs.ErrAlreadyExists, hcs.ErrInvalidState, hcs.ErrAlreadyStopped, hcs.ErrProcessEnded,
	hcs.ErrTimeout, hcs.ErrDisconnected, hcs.ErrUnavailable, hcs.ErrNotSupported, hcs.ErrInvalidDocument,
	hcs.ErrImageMismatch, hcs.ErrImageFormat, hcs.ErrNoHypervisor, hcs.ErrUnexpectedExit, hcs.ErrGuestCrash, hcs.ErrFileNotFound,
	hcs.ErrAccessDenied, hcs.ErrLogon, hcs.ErrDiskFull, hcs.ErrNoResources, hcs.ErrClosed, hcs.ErrUnknown,
}

// fails checks that err is an *hcs.Error that matches one of the wanted values
// and no other, and that it has a kind.
func fails(t *testing.T, what string, err error, want ...error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s succeeded, want %v", what, want)
		return
	}
	var e *hcs.Error
	if !errors.As(err, &e) {
		t.Errorf("%s: %v is a %T, want an *hcs.Error", what, err, err)
	}
	matched := false
	for _, v := range allValues {
		is, wanted := errors.Is(err, v), false
		for _, w := range want {
			wanted = wanted || w == v
		}
		matched = matched || is && wanted
		if is && !wanted {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	if !matched {
		t.Errorf("%s: %v matches none of %v", what, err, want)
	}
	if fault.KindOf(err) == fault.Unknown {
		t.Errorf("%s: %v has no kind: a client would see UNKNOWN", what, err)
	}
}
