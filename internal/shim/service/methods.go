package service

import (
	"context"

	task "github.com/containerd/containerd/api/runtime/task/v2"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/proto"

	api "github.com/isolrun/isol/internal/shim/sandboxapi"
)

// The names under which the methods are served. Shims that answer version 2 are
// asked by the first, those that answer 3 by the second.
const (
	taskV2 = "containerd.task.v2.Task"
	taskV3 = "containerd.task.v3.Task"
)

// Register serves both versions of the Task API, and the Sandbox API.
func (s *Service) Register(server *ttrpc.Server) {
	methods := s.methods()
	server.RegisterService(taskV2, &ttrpc.ServiceDesc{Methods: methods})
	server.RegisterService(taskV3, &ttrpc.ServiceDesc{Methods: methods})
	server.RegisterService(api.Name, &ttrpc.ServiceDesc{Methods: s.sandboxMethods()})
}

func (s *Service) methods() map[string]ttrpc.Method {
	return map[string]ttrpc.Method{
		"State":      method(s.state, func() *task.StateRequest { return new(task.StateRequest) }),
		"Create":     method(s.create, func() *task.CreateTaskRequest { return new(task.CreateTaskRequest) }),
		"Start":      method(s.start, func() *task.StartRequest { return new(task.StartRequest) }),
		"Delete":     method(s.delete, func() *task.DeleteRequest { return new(task.DeleteRequest) }),
		"Pids":       method(s.pids, func() *task.PidsRequest { return new(task.PidsRequest) }),
		"Pause":      method(s.pause, func() *task.PauseRequest { return new(task.PauseRequest) }),
		"Resume":     method(s.resume, func() *task.ResumeRequest { return new(task.ResumeRequest) }),
		"Checkpoint": method(s.checkpoint, func() *task.CheckpointTaskRequest { return new(task.CheckpointTaskRequest) }),
		"Kill":       method(s.kill, func() *task.KillRequest { return new(task.KillRequest) }),
		"Exec":       method(s.exec, func() *task.ExecProcessRequest { return new(task.ExecProcessRequest) }),
		"ResizePty":  method(s.resizePty, func() *task.ResizePtyRequest { return new(task.ResizePtyRequest) }),
		"CloseIO":    method(s.closeIO, func() *task.CloseIORequest { return new(task.CloseIORequest) }),
		"Update":     method(s.update, func() *task.UpdateTaskRequest { return new(task.UpdateTaskRequest) }),
		"Wait":       method(s.wait, func() *task.WaitRequest { return new(task.WaitRequest) }),
		"Stats":      method(s.stats, func() *task.StatsRequest { return new(task.StatsRequest) }),
		"Connect":    method(s.connect, func() *task.ConnectRequest { return new(task.ConnectRequest) }),
		"Shutdown":   method(s.shutdown, func() *task.ShutdownRequest { return new(task.ShutdownRequest) }),
	}
}

// method makes ttrpc's form of a method. An answer next to an error is dropped:
// ttrpc must see one of the two.
func method[Req, Resp proto.Message](call func(context.Context, Req) (Resp, error), request func() Req) ttrpc.Method {
	return func(ctx context.Context, unmarshal func(any) error) (any, error) {
		req := request()
		if err := unmarshal(req); err != nil {
			return nil, err
		}
		resp, err := call(ctx, req)
		if err != nil {
			return nil, err
		}
		return resp, nil
	}
}
