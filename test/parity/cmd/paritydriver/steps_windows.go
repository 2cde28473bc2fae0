package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1/options"
	"github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1/stats"
	task "github.com/containerd/containerd/api/runtime/task/v2"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/isolrun/isol/test/parity/driver"
	"github.com/isolrun/isol/test/parity/scenario"
)

// The types under which containerd sends parts of an OCI spec.
const (
	processType   = "types.containerd.io/opencontainers/runtime-spec/1/Process"
	resourcesType = "types.containerd.io/opencontainers/runtime-spec/1/WindowsResources"
)

type answer = map[string]any

// do takes a step and returns what of the answer can be compared.
func (p *play) do(ctx context.Context, s scenario.Step) (answer, error) {
	t := p.taskOf(s.Task)
	switch s.Do {
	case "create":
		return nil, p.create(ctx, t, s)
	case "wait":
		return p.wait(ctx, t, s)
	case "expect", "write":
		return nil, p.talk(s)
	case "clean":
		return nil, p.clean(ctx, t)
	}
	if p.tasks == nil {
		return nil, &outcome{"no shim", "nothing was created"}
	}
	switch s.Do {
	case "exec":
		return nil, p.exec(ctx, t, s)
	case "update":
		return nil, p.update(ctx, t, s)
	}
	if ask := queries[s.Do]; ask != nil {
		return ask(ctx, p, t, s)
	}
	return nil, p.command1(ctx, t, s)
}

// command1 takes the steps whose answer is empty.
func (p *play) command1(ctx context.Context, t driver.Task, s scenario.Step) (err error) {
	switch s.Do {
	case "kill":
		_, err = p.tasks.Kill(ctx, &task.KillRequest{ID: t.ID, ExecID: s.Exec, Signal: s.Signal, All: s.All})
		if err == nil && s.Exec == "" {
			p.started[s.Task] = true // an exit will be told, even of a task that never ran
		}
	case "resize":
		_, err = p.tasks.ResizePty(ctx, &task.ResizePtyRequest{ID: t.ID, ExecID: s.Exec, Width: s.Width, Height: s.Height})
	case "closeio":
		_, err = p.tasks.CloseIO(ctx, &task.CloseIORequest{ID: t.ID, ExecID: s.Exec, Stdin: true})
	case "pause":
		_, err = p.tasks.Pause(ctx, &task.PauseRequest{ID: t.ID})
	case "resume":
		_, err = p.tasks.Resume(ctx, &task.ResumeRequest{ID: t.ID})
	case "checkpoint":
		_, err = p.tasks.Checkpoint(ctx, &task.CheckpointTaskRequest{ID: t.ID})
	case "shutdown":
		_, err = p.tasks.Shutdown(ctx, &task.ShutdownRequest{ID: t.ID})
	default:
		err = fmt.Errorf("unknown step %q", s.Do)
	}
	return err
}

func (p *play) create(ctx context.Context, t driver.Task, s scenario.Step) error {
	if err := p.connect(ctx, t); err != nil {
		return err
	}
	request := &task.CreateTaskRequest{ID: t.ID, Bundle: t.Bundle, Rootfs: t.Rootfs, Terminal: t.TTY, Options: optionsOf(t)}
	var err error
	if request.Stdin, request.Stdout, request.Stderr, err = p.streams(t.ID, s, t.TTY); err != nil {
		return err
	}
	_, err = p.tasks.Create(ctx, request)
	return err
}

func (p *play) exec(ctx context.Context, t driver.Task, s scenario.Step) error {
	var patch any
	if len(s.Process) > 0 {
		if err := json.Unmarshal(s.Process, &patch); err != nil {
			return err
		}
	}
	process, err := json.Marshal(scenario.Merge(answer{"cwd": `C:\`, "user": answer{}}, patch))
	if err != nil {
		return err
	}
	var tty struct{ Terminal bool }
	if err := json.Unmarshal(process, &tty); err != nil {
		return err
	}
	request := &task.ExecProcessRequest{ID: t.ID, ExecID: s.Exec, Terminal: tty.Terminal, Spec: &anypb.Any{TypeUrl: processType, Value: process}}
	if request.Stdin, request.Stdout, request.Stderr, err = p.streams(t.ID+"/"+s.Exec, s, tty.Terminal); err != nil {
		return err
	}
	_, err = p.tasks.Exec(ctx, request)
	return err
}

func (p *play) wait(ctx context.Context, t driver.Task, s scenario.Step) (answer, error) {
	name := s.Exec
	if name == "" {
		name = t.ID
	}
	exit, err := p.events.exit(ctx, t.ID, name)
	if err != nil {
		return nil, &outcome{"timeout", err.Error()}
	}
	return answer{"exitStatus": exit["exitStatus"]}, nil
}

func (p *play) talk(s scenario.Step) error {
	stream := map[scenario.Verb]string{"expect": "out", "write": "in"}[s.Do]
	x := p.pipes[process(s)+"/"+stream]
	if x == nil {
		return fmt.Errorf("%s has no stream %q", process(s), stream)
	}
	err := x.expect
	if s.Do == "write" {
		err = x.write
	}
	if err := err(s.Text); err != nil {
		return &outcome{"timeout", err.Error()}
	}
	return nil
}

// clean runs the delete action, as containerd does when a shim is gone.
func (p *play) clean(ctx context.Context, t driver.Task) error {
	out, err := p.shimOf(t).DeleteCommand(ctx).CombinedOutput()
	if err != nil {
		return &outcome{"failed", fmt.Sprintf("%v: %s", err, out)}
	}
	return nil
}

func (p *play) update(ctx context.Context, t driver.Task, s scenario.Step) error {
	request := &task.UpdateTaskRequest{ID: t.ID, Annotations: s.Annotations}
	if len(s.Resources) > 0 {
		request.Resources = &anypb.Any{TypeUrl: resourcesType, Value: s.Resources}
		if s.Type != "" {
			request.Resources.TypeUrl = s.Type
		}
	}
	_, err := p.tasks.Update(ctx, request)
	return err
}

// queries are the steps whose answer says something.
var queries = map[scenario.Verb]func(context.Context, *play, driver.Task, scenario.Step) (answer, error){
	"start": func(ctx context.Context, p *play, t driver.Task, s scenario.Step) (answer, error) {
		r, err := p.tasks.Start(ctx, &task.StartRequest{ID: t.ID, ExecID: s.Exec})
		if err != nil {
			return nil, err
		}
		return answer{"has pid": r.Pid != 0}, nil
	},
	"state": func(ctx context.Context, p *play, t driver.Task, s scenario.Step) (answer, error) {
		r, err := p.tasks.State(ctx, &task.StateRequest{ID: t.ID, ExecID: s.Exec})
		if err != nil {
			return nil, err
		}
		return answer{
			"status": r.Status.String(), "exitStatus": r.ExitStatus, "terminal": r.Terminal, "has pid": r.Pid != 0,
			"has exit time": r.ExitedAt.IsValid() && r.ExitedAt.AsTime().Year() > 1, "bundle": r.Bundle, "id": r.ID, "execID": r.ExecID,
			"streams": []bool{r.Stdin != "", r.Stdout != "", r.Stderr != ""},
		}, nil
	},
	"delete": func(ctx context.Context, p *play, t driver.Task, s scenario.Step) (answer, error) {
		r, err := p.tasks.Delete(ctx, &task.DeleteRequest{ID: t.ID, ExecID: s.Exec})
		if err != nil {
			return nil, err
		}
		return answer{"exitStatus": r.ExitStatus, "has pid": r.Pid != 0}, nil
	},
	"connect": func(ctx context.Context, p *play, t driver.Task, _ scenario.Step) (answer, error) {
		r, err := p.tasks.Connect(ctx, &task.ConnectRequest{ID: t.ID})
		if err != nil {
			return nil, err
		}
		return answer{"task pid is the shim's": r.TaskPid == r.ShimPid, "version": r.Version}, nil
	},
	"pids": func(ctx context.Context, p *play, t driver.Task, _ scenario.Step) (answer, error) {
		r, err := p.tasks.Pids(ctx, &task.PidsRequest{ID: t.ID})
		if err != nil {
			return nil, err
		}
		return pids(r)
	},
	"stats": func(ctx context.Context, p *play, t driver.Task, _ scenario.Step) (answer, error) {
		r, err := p.tasks.Stats(ctx, &task.StatsRequest{ID: t.ID})
		if err != nil {
			return nil, err
		}
		var m stats.Statistics
		if err := proto.Unmarshal(r.GetStats().GetValue(), &m); err != nil {
			return nil, err
		}
		shape, err := shapeOf(&m)
		return answer{"type": r.GetStats().GetTypeUrl(), "has": shape}, err
	},
}

// pids is what a list of processes has, whatever their numbers are.
func pids(r *task.PidsResponse) (answer, error) {
	var list []any
	for _, x := range r.Processes {
		var d options.ProcessDetails
		if err := proto.Unmarshal(x.GetInfo().GetValue(), &d); err != nil {
			return nil, err
		}
		list = append(list, answer{
			"type": x.GetInfo().GetTypeUrl(), "image": d.ImageName, "execID": d.ExecID, "created": d.CreatedAt.IsValid(), "the same pid": d.ProcessID == x.Pid,
		})
	}
	slices.SortFunc(list, func(a, b any) int {
		if a.(answer)["image"].(string) < b.(answer)["image"].(string) {
			return -1
		}
		return 1
	})
	return answer{"processes": list}, nil
}

// shapeOf is a message with all its values left out.
func shapeOf(m proto.Message) (any, error) {
	text, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	return shape(v), nil
}

func shape(v any) any {
	object, ok := v.(map[string]any)
	if !ok {
		return true
	}
	for k := range object {
		object[k] = shape(object[k])
	}
	return object
}
