package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	eventsapi "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/protobuf/proto"

	"github.com/isolrun/isol/test/standin"
)

// eventsPipe is where shims send events.
const eventsPipe = `\\.\pipe\isol-bench-events`

// exits are the events TaskExit by the process that they are about.
type exits struct {
	mu  sync.Mutex
	all map[string]chan time.Time // guarded by mu
}

// serveEvents takes the events of shims until the program ends.
func serveEvents() (*exits, error) {
	e := &exits{all: map[string]chan time.Time{}}
	return e, standin.ServeEvents(eventsPipe, e.forward)
}

// forward takes an event.
func (e *exits) forward(envelope *types.Envelope) error {
	now := time.Now()
	if envelope.GetTopic() != "/tasks/exit" {
		return nil
	}
	var exit eventsapi.TaskExit
	if err := proto.Unmarshal(envelope.GetEvent().GetValue(), &exit); err != nil {
		return err
	}
	select {
	case e.of(exit.ContainerID, exit.ID) <- now:
	default: // it was told before
	}
	return nil
}

func (e *exits) of(task, process string) chan time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := task + "/" + process
	if e.all[key] == nil {
		e.all[key] = make(chan time.Time, 1)
	}
	return e.all[key]
}

// wait returns when the exit of a process was told.
func (e *exits) wait(ctx context.Context, task, process string) (time.Time, error) {
	select {
	case t := <-e.of(task, process):
		return t, nil
	case <-ctx.Done():
		return time.Time{}, fmt.Errorf("no TaskExit for %s of %s: %w", process, task, ctx.Err())
	}
}
