package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1/options"
	"github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1/stats"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/runtime/v2/task"
	"github.com/containerd/errdefs"
	"github.com/containerd/ttrpc"
	"github.com/containerd/typeurl"
	gogotypes "github.com/gogo/protobuf/types"
)

// session runs a container's life over containerd 1.6's own ttrpc client and
// says, a line for each call, what it got.
func session(w io.Writer, address, bundle string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", address)
	if err != nil {
		return err
	}
	client := ttrpc.NewClient(conn)
	defer client.Close()
	s := &shimClient{ctx: ctx, tasks: task.NewTaskClient(client)}
	for _, step := range []struct {
		name string
		do   func() (string, error)
	}{
		{"state before create", s.state},
		{"create", func() (string, error) { return s.create(bundle) }},
		{"start", s.start},
		{"state", s.state},
		{"exec", s.exec},
		{"pids", s.pids},
		{"stats", s.stats},
		{"kill", s.kill},
		{"wait", s.wait},
		{"delete", s.delete},
		{"kill after delete", s.kill},
	} {
		text, err := step.do()
		if err != nil {
			err = errdefs.FromGRPC(err) // as containerd does
			text = fmt.Sprintf("error, of a task that is not there: %t", errdefs.IsNotFound(err))
			if !errdefs.IsNotFound(err) {
				text += ": " + err.Error()
			}
		}
		if _, err := fmt.Fprintf(w, "%s: %s\n", step.name, text); err != nil {
			return err
		}
	}
	return nil
}

type shimClient struct {
	ctx   context.Context
	tasks task.TaskService
}

const containerID = "c1"

func (s *shimClient) create(bundle string) (string, error) {
	packed, err := typeurl.MarshalAny(&options.Options{Debug: true})
	if err != nil {
		return "", err
	}
	_, err = s.tasks.Create(s.ctx, &task.CreateTaskRequest{
		ID: containerID, Bundle: bundle, Options: packed,
		Rootfs: []*types.Mount{{Type: "windows-layer", Source: `C:\snapshots\3`, Options: []string{"rw", `parentLayerPaths=["C:\\snapshots\\1"]`}}},
	})
	return "ok", err
}

func (s *shimClient) start() (string, error) {
	r, err := s.tasks.Start(s.ctx, &task.StartRequest{ID: containerID})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("has a pid: %t", r.Pid != 0), nil
}

func (s *shimClient) state() (string, error) {
	r, err := s.tasks.State(s.ctx, &task.StateRequest{ID: containerID})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, exit time set: %t", r.Status, !r.ExitedAt.IsZero()), nil
}

func (s *shimClient) exec() (string, error) {
	process := &gogotypes.Any{
		TypeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Process",
		Value:   []byte(`{"args":["cmd","/c","echo hello"],"cwd":"C:\\"}`),
	}
	_, err := s.tasks.Exec(s.ctx, &task.ExecProcessRequest{ID: containerID, ExecID: "e1", Spec: process})
	return "ok", err
}

func (s *shimClient) pids() (string, error) {
	r, err := s.tasks.Pids(s.ctx, &task.PidsRequest{ID: containerID})
	if err != nil {
		return "", err
	}
	if len(r.Processes) == 0 {
		return "none", nil
	}
	info, err := typeurl.UnmarshalAny(r.Processes[0].Info)
	details, ok := info.(*options.ProcessDetails)
	return fmt.Sprintf("%T, of the process: %t", info, ok && details.ProcessID == r.Processes[0].Pid), err
}

func (s *shimClient) stats() (string, error) {
	r, err := s.tasks.Stats(s.ctx, &task.StatsRequest{ID: containerID})
	if err != nil {
		return "", err
	}
	read, err := typeurl.UnmarshalAny(r.Stats)
	statistics, ok := read.(*stats.Statistics)
	return fmt.Sprintf("%T, of Windows: %t", read, ok && statistics.GetWindows() != nil), err
}

func (s *shimClient) kill() (string, error) {
	_, err := s.tasks.Kill(s.ctx, &task.KillRequest{ID: containerID, Signal: 9})
	return "ok", err
}

func (s *shimClient) wait() (string, error) {
	r, err := s.tasks.Wait(s.ctx, &task.WaitRequest{ID: containerID})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("failed: %t, exit time set: %t", r.ExitStatus != 0, !r.ExitedAt.IsZero()), nil
}

func (s *shimClient) delete() (string, error) {
	r, err := s.tasks.Delete(s.ctx, &task.DeleteRequest{ID: containerID})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("failed: %t", r.ExitStatus != 0), nil
}
