package event

import (
	"fmt"
	"time"

	"github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/isolrun/isol/internal/pod"
)

// The topics, as containerd names them (core/runtime/events.go).
const (
	topicCreate      = "/tasks/create"
	topicStart       = "/tasks/start"
	topicExecAdded   = "/tasks/exec-added"
	topicExecStarted = "/tasks/exec-started"
	topicExit        = "/tasks/exit"
	topicDelete      = "/tasks/delete"
)

// encode turns an event of the pod into what containerd's events service takes.
func encode(namespace string, e pod.Event, now time.Time) (*types.Envelope, error) {
	topic, msg, err := message(e)
	if err != nil {
		return nil, err
	}
	value, err := proto.Marshal(msg)
	if err != nil {
		return nil, err
	}
	return &types.Envelope{
		Timestamp: timestamppb.New(now),
		Namespace: namespace,
		Topic:     topic,
		// containerd's type URLs are bare names, without a host.
		Event: &anypb.Any{TypeUrl: string(msg.ProtoReflect().Descriptor().FullName()), Value: value},
	}, nil
}

func message(e pod.Event) (topic string, msg proto.Message, err error) {
	switch e := e.(type) {
	case pod.TaskCreate:
		return topicCreate, taskCreate(e), nil
	case pod.TaskStart:
		return topicStart, &events.TaskStart{ContainerID: e.ID, Pid: e.PID}, nil
	case pod.ExecAdded:
		return topicExecAdded, &events.TaskExecAdded{ContainerID: e.ID, ExecID: e.ExecID}, nil
	case pod.ExecStarted:
		return topicExecStarted, &events.TaskExecStarted{ContainerID: e.ID, ExecID: e.ExecID, Pid: e.PID}, nil
	case pod.TaskExit:
		return topicExit, &events.TaskExit{
			ContainerID: e.ID, ID: e.ExecID, Pid: e.PID, ExitStatus: e.ExitStatus, ExitedAt: timestamppb.New(e.ExitedAt),
		}, nil
	case pod.TaskDelete:
		return topicDelete, &events.TaskDelete{
			ContainerID: e.ID, ID: e.ExecID, Pid: e.PID, ExitStatus: e.ExitStatus, ExitedAt: timestamppb.New(e.ExitedAt),
		}, nil
	}
	return "", nil, fmt.Errorf("unknown event %T", e)
}

func taskCreate(e pod.TaskCreate) *events.TaskCreate {
	msg := &events.TaskCreate{
		ContainerID: e.ID, Bundle: e.Bundle, Pid: e.PID,
		IO: &events.TaskIO{Stdin: e.Stdio.Stdin, Stdout: e.Stdio.Stdout, Stderr: e.Stdio.Stderr, Terminal: e.Stdio.Terminal},
	}
	for _, m := range e.Rootfs {
		msg.Rootfs = append(msg.Rootfs, &types.Mount{Type: m.Type, Source: m.Source, Target: m.Target, Options: m.Options})
	}
	return msg
}
