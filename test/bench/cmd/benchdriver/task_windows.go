package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	task "github.com/containerd/containerd/api/runtime/task/v2"
	"github.com/containerd/ttrpc"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/isolrun/isol/test/bench/driver"
)

// processType is the type under which containerd sends an exec's process.
const processType = "types.containerd.io/opencontainers/runtime-spec/1/Process"

func (d *drive) create(ctx context.Context, client *ttrpc.Client, r driver.Request, m *marks) error {
	tasks := task.NewTTRPCTaskClient(client)
	request := &task.CreateTaskRequest{ID: r.ID, Bundle: r.Bundle, Rootfs: r.Rootfs}
	if r.Streams {
		s, err := newSink(r.ID)
		if err != nil {
			return err
		}
		request.Stdout = s.path
	}
	m.at(driver.Begin)
	if _, err := tasks.Create(ctx, request); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	m.at(driver.Created)
	started, err := tasks.Start(ctx, &task.StartRequest{ID: r.ID})
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	m.at(driver.Started)
	m.PID = started.Pid
	process, err := openProcess(r, started.Pid)
	note(d, d.inits, r.ID, process)
	return err
}

func (d *drive) exec(ctx context.Context, client *ttrpc.Client, r driver.Request, m *marks) error {
	tasks := task.NewTTRPCTaskClient(client)
	spec, err := json.Marshal(&specs.Process{Cwd: `C:\`, Args: r.Args})
	if err != nil {
		return err
	}
	request := &task.ExecProcessRequest{ID: r.ID, ExecID: r.Exec, Spec: &anypb.Any{TypeUrl: processType, Value: spec}}
	var output *sink
	if r.Streams {
		if output, err = newSink(r.ID + "-" + r.Exec); err != nil {
			return err
		}
		request.Stdout = output.path
	}
	m.at(driver.Begin)
	if _, err := tasks.Exec(ctx, request); err != nil {
		return fmt.Errorf("exec: %w", err)
	}
	m.at(driver.Created)
	started, err := tasks.Start(ctx, &task.StartRequest{ID: r.ID, ExecID: r.Exec})
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	m.at(driver.Started)
	m.PID = started.Pid
	process, err := openProcess(r, started.Pid)
	if err != nil {
		return err
	}
	if output != nil {
		if err := output.wait(ctx, m); err != nil {
			return err
		}
	}
	return d.over(ctx, tasks, process, r, m)
}

// over takes the end of a process: of itself (nil if that cannot be seen), its
// event, its deletion.
func (d *drive) over(ctx context.Context, tasks task.TTRPCTaskService, process *running, r driver.Request, m *marks) error {
	name := r.Exec
	if name == "" {
		name = r.ID
	}
	exited, err := d.exits.wait(ctx, r.ID, name)
	if err != nil {
		return err
	}
	m.was(driver.Exited, exited)
	if _, err := tasks.Delete(ctx, &task.DeleteRequest{ID: r.ID, ExecID: r.Exec}); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	m.at(driver.Deleted)
	if process == nil {
		return nil
	}
	ended, err := process.ended(ctx)
	m.was(driver.Ended, ended)
	return err
}

func (d *drive) finish(ctx context.Context, client *ttrpc.Client, r driver.Request, m *marks) error {
	tasks := task.NewTTRPCTaskClient(client)
	process := take(d, d.inits, r.ID)
	m.at(driver.Begin)
	if r.Kill {
		if _, err := tasks.Kill(ctx, &task.KillRequest{ID: r.ID, Signal: 9}); err != nil {
			return fmt.Errorf("kill: %w", err)
		}
		m.at(driver.Killed)
	}
	return d.over(ctx, tasks, process, r, m)
}

func (d *drive) shutdown(ctx context.Context, client *ttrpc.Client, r driver.Request, m *marks) error {
	take(d, d.shims, r.ID)
	m.at(driver.Begin)
	// A shim may end before its answer has gone out: that it ends is what counts.
	_, _ = task.NewTTRPCTaskClient(client).Shutdown(ctx, &task.ShutdownRequest{ID: r.ID})
	if err := client.UserOnCloseWait(ctx); err != nil {
		return fmt.Errorf("the shim has not ended: %w", err)
	}
	m.at(driver.Ended)
	return client.Close()
}

// calls times a method of no consequence, call by call.
func calls(ctx context.Context, client *ttrpc.Client, r driver.Request, m *marks) error {
	tasks := task.NewTTRPCTaskClient(client)
	methods := map[string]func() error{
		"Stats":   func() error { _, err := tasks.Stats(ctx, &task.StatsRequest{ID: r.ID}); return err },
		"Pids":    func() error { _, err := tasks.Pids(ctx, &task.PidsRequest{ID: r.ID}); return err },
		"State":   func() error { _, err := tasks.State(ctx, &task.StateRequest{ID: r.ID}); return err },
		"Connect": func() error { _, err := tasks.Connect(ctx, &task.ConnectRequest{ID: r.ID}); return err },
	}
	call, ok := methods[r.Method]
	if !ok {
		return fmt.Errorf("unknown method %q", r.Method)
	}
	for range r.Count {
		span := driver.Span{Begin: time.Now()}
		if err := call(); err != nil {
			return fmt.Errorf("%s: %w", r.Method, err)
		}
		span.End = time.Now()
		m.Calls = append(m.Calls, span)
	}
	return nil
}
