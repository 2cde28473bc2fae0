package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/Microsoft/go-winio"
	eventsapi "github.com/containerd/containerd/api/events"
	forward "github.com/containerd/containerd/api/services/ttrpc/events/v1"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// eventsPipe is where shims send events.
const eventsPipe = `\\.\pipe\isol-bench-events`

// exits are the events TaskExit by the process that they are about. It is the
// service that containerd has for shims.
type exits struct {
	mu  sync.Mutex
	all map[string]chan time.Time // guarded by mu
}

// serveEvents takes the events of shims until the program ends.
func serveEvents() (*exits, error) {
	listener, err := winio.ListenPipe(eventsPipe, nil)
	if err != nil {
		return nil, err
	}
	server, err := ttrpc.NewServer()
	if err != nil {
		return nil, err
	}
	e := &exits{all: map[string]chan time.Time{}}
	forward.RegisterTTRPCEventsService(server, e)
	go server.Serve(context.Background(), listener) //nolint:errcheck // it ends with the program
	return e, nil
}

// Forward implements containerd's service.
func (e *exits) Forward(_ context.Context, r *forward.ForwardRequest) (*emptypb.Empty, error) {
	now := time.Now()
	if r.Envelope.GetTopic() != "/tasks/exit" {
		return &emptypb.Empty{}, nil
	}
	var exit eventsapi.TaskExit
	if err := proto.Unmarshal(r.Envelope.GetEvent().GetValue(), &exit); err != nil {
		return nil, err
	}
	select {
	case e.of(exit.ContainerID, exit.ID) <- now:
	default: // it was told before
	}
	return &emptypb.Empty{}, nil
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
