package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	eventsapi "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/isolrun/isol/test/parity/driver"
	"github.com/isolrun/isol/test/standin"
)

// eventsPipe is where the shim sends events. Each driver has its own.
var eventsPipe = fmt.Sprintf(`\\.\pipe\isol-parity-events-%d`, os.Getpid())

// events are those that the shim has sent in this run, in their order.
type events struct {
	mu   sync.Mutex
	list []driver.Event // guarded by mu
	more chan struct{}  // closed when one has come, and replaced; guarded by mu
}

// serveEvents takes the events of shims until the program ends.
func serveEvents() (*events, error) {
	e := &events{more: make(chan struct{})}
	return e, standin.ServeEvents(eventsPipe, e.forward)
}

// kinds are the events of tasks by their topic.
var kinds = map[string]func() proto.Message{
	"/tasks/create":       func() proto.Message { return &eventsapi.TaskCreate{} },
	"/tasks/start":        func() proto.Message { return &eventsapi.TaskStart{} },
	"/tasks/exec-added":   func() proto.Message { return &eventsapi.TaskExecAdded{} },
	"/tasks/exec-started": func() proto.Message { return &eventsapi.TaskExecStarted{} },
	"/tasks/exit":         func() proto.Message { return &eventsapi.TaskExit{} },
	"/tasks/delete":       func() proto.Message { return &eventsapi.TaskDelete{} },
	"/tasks/oom":          func() proto.Message { return &eventsapi.TaskOOM{} },
	"/tasks/paused":       func() proto.Message { return &eventsapi.TaskPaused{} },
	"/tasks/resumed":      func() proto.Message { return &eventsapi.TaskResumed{} },
}

// forward takes an event.
func (e *events) forward(envelope *types.Envelope) error {
	topic := envelope.GetTopic()
	body := map[string]any{}
	if kind := kinds[topic]; kind != nil {
		m := kind()
		if err := proto.Unmarshal(envelope.GetEvent().GetValue(), m); err != nil {
			return err
		}
		text, err := protojson.Marshal(m)
		if err == nil {
			err = json.Unmarshal(text, &body)
		}
		if err != nil {
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, driver.Event{Topic: topic, Body: body})
	close(e.more)
	e.more = make(chan struct{})
	return nil
}

func (e *events) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = nil
}

func (e *events) all() []driver.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]driver.Event{}, e.list...)
}

// exit waits for the event TaskExit of a process and returns its body.
func (e *events) exit(ctx context.Context, task, process string) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	for {
		e.mu.Lock()
		more := e.more
		for _, ev := range e.list {
			if ev.Topic == "/tasks/exit" && ev.Body["containerId"] == task && ev.Body["id"] == process {
				e.mu.Unlock()
				return ev.Body, nil
			}
		}
		e.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return nil, fmt.Errorf("no TaskExit for %s of %s in %s", process, task, waitLimit)
		}
	}
}

// poll looks every few milliseconds until done or the limit has passed.
func poll(done func() bool) bool {
	for end := time.Now().Add(waitLimit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if done() {
			return true
		}
	}
	return false
}
