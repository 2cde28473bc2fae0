package hcstest

import (
	"context"
	"errors"
	"testing"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

var systemCases = []testCase{
	{name: "a container lives and ends", run: lifecycle},
	{name: "an id is taken once", run: duplicateID},
	{name: "a document that says nothing is refused", run: emptyDocument},
	{name: "a creation that failed leaves no id behind", run: failedCreateLeavesNothing},
	{name: "an unknown id is not found", run: openUnknown},
	{name: "a second handle sees the same system", run: secondHandle},
	{name: "the last handle ends the system", run: lastHandle},
	{name: "a system starts once", run: startTwice},
	{name: "termination ends its processes", run: terminateEndsProcesses},
	{name: "shutdown ends the system", needs: Shutdown, run: shutdown},
	{name: "a stopped system says so", run: stopped},
	{name: "a closed handle says so", run: closedSystem},
	{name: "a context that has ended starts nothing", run: endedContext},
	{name: "basic properties", run: basicProperties},
	{name: "memory can be changed", run: modifyMemory},
	{name: "a resource that is not there cannot be changed", run: modifyUnknown},
}

func lifecycle(t *testing.T, b *bench) {
	s := b.create(t)
	if s.RuntimeID() != "" {
		t.Errorf("a container has the runtime id %q", s.RuntimeID())
	}
	if err := s.Start(b.ctx); err != nil {
		t.Fatal(err)
	}
	p := b.exec(t, s, b.Commands.Exit(7), nil)
	if code := b.exitCode(t, p); code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
	select {
	case <-s.Done():
		t.Error("the system ended with its process: a pod would lose its container")
	default:
	}
	if err := s.Terminate(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.done(t, "the system", s.Done())
	if err := s.Exit(); err != nil {
		t.Errorf("what was terminated ended with %v, want no error", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	b.gone(t, s.ID())
}

// gone waits until an id is free.
func (b *bench) gone(t *testing.T, id string) {
	t.Helper()
	b.eventually(t, "the id of an ended system is free", func() bool {
		s, err := b.Host.Open(b.ctx, id)
		if err == nil {
			_ = s.Close()
			return false
		}
		fails(t, "open", err, hcs.ErrNotFound)
		return true
	})
}

func duplicateID(t *testing.T, b *bench) {
	s := b.create(t)
	_, err := b.Host.Create(b.ctx, s.ID(), b.Document(t))
	fails(t, "create with an id that is taken", err, hcs.ErrAlreadyExists)
	if err := s.Start(b.ctx); err != nil {
		t.Errorf("the refused create has hurt the system that has the id: %v", err)
	}
}

func emptyDocument(t *testing.T, b *bench) {
	_, err := b.Host.Create(b.ctx, b.id(), &schema.ComputeSystem{SchemaVersion: schema.V21()})
	fails(t, "create without container or machine", err, hcs.ErrInvalidDocument)
}

func failedCreateLeavesNothing(t *testing.T, b *bench) {
	id := b.id()
	if _, err := b.Host.Create(b.ctx, id, &schema.ComputeSystem{SchemaVersion: schema.V21()}); err == nil {
		t.Fatal("create without container or machine succeeded")
	}
	s, err := b.Host.Create(b.ctx, id, b.Document(t))
	if err != nil {
		t.Fatalf("the id of a failed create is still taken: %v", err)
	}
	_ = s.Close()
}

func openUnknown(t *testing.T, b *bench) {
	_, err := b.Host.Open(b.ctx, b.id())
	fails(t, "open", err, hcs.ErrNotFound)
}

func secondHandle(t *testing.T, b *bench) {
	s := b.running(t)
	again, err := b.Host.Open(b.ctx, s.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	if again.ID() != s.ID() {
		t.Errorf("opened %q, want %q", again.ID(), s.ID())
	}
	if err := again.Terminate(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.done(t, "the first handle's system", s.Done())
	b.done(t, "the second handle's system", again.Done())
}

func lastHandle(t *testing.T, b *bench) {
	s := b.running(t)
	second, err := b.Host.Open(b.ctx, s.ID())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Properties(b.ctx, schema.PropertyQuery{}); err != nil {
		t.Errorf("the system ended with its first handle: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	b.gone(t, s.ID())
}

func startTwice(t *testing.T, b *bench) {
	s := b.create(t)
	_, err := s.CreateProcess(b.ctx, &schema.ProcessParameters{CommandLine: b.Commands.Exit(0)})
	fails(t, "a process before start", err, hcs.ErrInvalidState)
	if err := s.Start(b.ctx); err != nil {
		t.Fatal(err)
	}
	fails(t, "the second start", s.Start(b.ctx), hcs.ErrInvalidState)
}

func terminateEndsProcesses(t *testing.T, b *bench) {
	s := b.running(t)
	p := b.exec(t, s, b.Commands.Forever, nil)
	if err := s.Terminate(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.done(t, "the process", p.Done())
	b.done(t, "the system", s.Done())
}

func shutdown(t *testing.T, b *bench) {
	s := b.running(t)
	b.exec(t, s, b.Commands.Forever, nil)
	if err := s.Shutdown(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.done(t, "the system", s.Done())
	if err := s.Exit(); err != nil {
		t.Errorf("what was shut down ended with %v, want no error", err)
	}
}

func stopped(t *testing.T, b *bench) {
	s := b.running(t)
	if err := s.Terminate(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.done(t, "the system", s.Done())
	fails(t, "terminate", s.Terminate(b.ctx), hcs.ErrAlreadyStopped)
	fails(t, "shutdown", s.Shutdown(b.ctx), hcs.ErrAlreadyStopped)
	_, err := s.Properties(b.ctx, schema.PropertyQuery{})
	fails(t, "properties", err, hcs.ErrAlreadyStopped)
	_, err = s.CreateProcess(b.ctx, &schema.ProcessParameters{CommandLine: b.Commands.Exit(0)})
	fails(t, "a process", err, hcs.ErrInvalidState, hcs.ErrAlreadyStopped, hcs.ErrNotFound)
}

func closedSystem(t *testing.T, b *bench) {
	s := b.running(t)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	b.done(t, "what can no longer be observed", s.Done())
	fails(t, "start", s.Start(b.ctx), hcs.ErrClosed)
	fails(t, "terminate", s.Terminate(b.ctx), hcs.ErrClosed)
	fails(t, "shutdown", s.Shutdown(b.ctx), hcs.ErrClosed)
	fails(t, "modify", s.Modify(b.ctx, &schema.ModificationRequest{ResourcePath: schema.PathContainerMemory}), hcs.ErrClosed)
	_, err := s.Properties(b.ctx, schema.PropertyQuery{})
	fails(t, "properties", err, hcs.ErrClosed)
	_, err = s.CreateProcess(b.ctx, &schema.ProcessParameters{CommandLine: b.Commands.Exit(0)})
	fails(t, "a process", err, hcs.ErrClosed)
}

func endedContext(t *testing.T, b *bench) {
	gaveUp, cancel := context.WithCancel(b.ctx)
	cancel()
	id := b.id()
	if _, err := b.Host.Create(gaveUp, id, b.Document(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("create: %v, want context.Canceled", err)
	}
	b.gone(t, id)
	s := b.create(t)
	if err := s.Start(gaveUp); !errors.Is(err, context.Canceled) {
		t.Errorf("start: %v, want context.Canceled", err)
	}
	late, cancel := context.WithTimeout(b.ctx, -1)
	defer cancel()
	fails(t, "start after its deadline", s.Start(late), hcs.ErrTimeout)
	if err := s.Start(b.ctx); err != nil {
		t.Errorf("a start that was given up has happened: %v", err)
	}
}

func basicProperties(t *testing.T, b *bench) {
	doc := b.Document(t)
	s, err := b.Host.Create(b.ctx, b.id(), doc)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	p, err := s.Properties(b.ctx, schema.PropertyQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if p.SystemType != schema.SystemContainer || p.Owner != doc.Owner {
		t.Errorf("%s of owner %q, want %s of %q", p.SystemType, p.Owner, schema.SystemContainer, doc.Owner)
	}
}

func modifyMemory(t *testing.T, b *bench) {
	s := b.running(t)
	req := &schema.ModificationRequest{ResourcePath: schema.PathContainerMemory, RequestType: schema.RequestUpdate, Settings: 256}
	if err := s.Modify(b.ctx, req); err != nil {
		t.Error(err)
	}
}

func modifyUnknown(t *testing.T, b *bench) {
	s := b.running(t)
	req := &schema.ModificationRequest{ResourcePath: "Container/Weather", RequestType: schema.RequestUpdate, Settings: 1}
	fails(t, "modify", s.Modify(b.ctx, req), hcs.ErrNotSupported, hcs.ErrInvalidDocument)
}
