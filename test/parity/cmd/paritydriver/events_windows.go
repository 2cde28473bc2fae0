package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/Microsoft/go-winio"
	eventsapi "github.com/containerd/containerd/api/events"
	forward "github.com/containerd/containerd/api/services/ttrpc/events/v1"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/isolrun/isol/test/parity/driver"
)

// eventsPipe is where the shim sends events. Each driver has its own.
var eventsPipe = fmt.Sprintf(`\\.\pipe\isol-parity-events-%d`, os.Getpid())

// events are those that the shim has sent in this run, in their order. It is
// the service that containerd has for shims.
type events struct {
	mu   sync.Mutex
	list []driver.Event // guarded by mu
	more chan struct{}  // closed when one has come, and replaced; guarded by mu
}

// serveEvents takes the events of shims until the program ends.
func serveEvents() (*events, error) {
	listener, err := winio.ListenPipe(eventsPipe, nil)
	if err != nil {
		return nil, err
	}
	server, err := ttrpc.NewServer()
	if err != nil {
		return nil, err
	}
	e := &events{more: make(chan struct{})}
	forward.RegisterTTRPCEventsService(server, e)
	go server.Serve(context.Background(), listener) //nolint:errcheck // it ends with the program
	return e, nil
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

// Forward implements containerd's service.
func (e *events) Forward(_ context.Context, r *forward.ForwardRequest) (*emptypb.Empty, error) {
	topic := r.Envelope.GetTopic()
	body := map[string]any{}
	if kind := kinds[topic]; kind != nil {
		m := kind()
		if err := proto.Unmarshal(r.Envelope.GetEvent().GetValue(), m); err != nil {
			return nil, err
		}
		text, err := protojson.Marshal(m)
		if err == nil {
			err = json.Unmarshal(text, &body)
		}
		if err != nil {
			return nil, err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, driver.Event{Topic: topic, Body: body})
	close(e.more)
	e.more = make(chan struct{})
	return &emptypb.Empty{}, nil
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
