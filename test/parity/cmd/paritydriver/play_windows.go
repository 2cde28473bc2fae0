package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/Microsoft/go-winio"
	task "github.com/containerd/containerd/api/runtime/task/v2"
	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/isolrun/isol/test/parity/driver"
	"github.com/isolrun/isol/test/parity/scenario"
)

// play is one run of a scenario with one shim.
type play struct {
	r      driver.Request
	events *events
	reply  driver.Reply

	client  *ttrpc.Client         // nil until the shim is there
	tasks   task.TTRPCTaskService // of client
	created map[string]bool       // tasks that were created and not deleted
	started map[string]bool       // processes that run or ran: "task", "task/exec"
	absent  map[string]bool       // tasks and execs that could not be created
	pipes   map[string]*pipe      // "task/exec/out"
}

func newPlay(r driver.Request, e *events) *play {
	return &play{r: r, events: e, created: map[string]bool{}, started: map[string]bool{}, absent: map[string]bool{}, pipes: map[string]*pipe{}}
}

func (p *play) close() {
	for _, x := range p.pipes {
		x.close()
	}
	if p.client != nil {
		_ = p.client.Close() // the run is over either way
	}
}

// play takes all steps and then the end: what is left is killed and deleted, as
// containerd does, and the shim shut down.
func (p *play) play(ctx context.Context) {
	for _, s := range p.r.Steps {
		p.step(ctx, s)
	}
	for i := len(p.r.Tasks) - 1; i >= 0; i-- {
		name := p.r.Tasks[i].Name
		if !p.created[name] {
			continue
		}
		p.step(ctx, scenario.Step{Do: "kill", Task: name, Signal: 9, All: true})
		p.step(ctx, scenario.Step{Do: "wait", Task: name})
		p.step(ctx, scenario.Step{Do: "delete", Task: name})
	}
	p.end(ctx)
	p.reply.Output = map[string]driver.Bytes{}
	for name, x := range p.pipes {
		if text := x.text(); text != "" {
			p.reply.Output[name] = driver.Bytes(text)
		}
	}
}

// end shuts the shim down and waits for its end.
func (p *play) end(ctx context.Context) {
	if p.client == nil {
		return
	}
	r := driver.Result{Step: "the shim's end", Code: "OK", Begin: time.Now()}
	first := p.r.Tasks[0]
	call, cancel := context.WithTimeout(ctx, endLimit)
	defer cancel()
	// A shim may end before its answer has gone out: that it ends is what counts.
	_, _ = p.tasks.Shutdown(call, &task.ShutdownRequest{ID: first.ID})
	if err := p.client.UserOnCloseWait(call); err != nil {
		r.Code, r.Message = "alive", "it has not ended after Shutdown"
		if process, err := os.FindProcess(int(p.reply.ShimPID)); err == nil && p.reply.ShimPID != 0 {
			_ = process.Kill() // it may have ended by now
		}
	}
	p.reply.Results = append(p.reply.Results, r)
}

// step takes one step. A step for what was never made is left out.
func (p *play) step(ctx context.Context, s scenario.Step) {
	if p.absent[s.Task] || p.absent[s.Task+"/"+s.Exec] {
		return
	}
	if s.Do == "wait" && !p.started[process(s)] {
		return // no exit will be told
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	r := driver.Result{Step: label(s), Begin: time.Now()}
	answer, err := p.do(ctx, s)
	r.Answer = answer
	r.Code, r.Message = code(err)
	p.note(s, err == nil)
	p.reply.Results = append(p.reply.Results, r)
}

// note keeps what the outcome of a step means for others.
func (p *play) note(s scenario.Step, ok bool) {
	switch s.Do {
	case "create":
		p.created[s.Task], p.absent[s.Task] = ok, !ok
	case "exec":
		p.absent[process(s)] = !ok
	case "start":
		p.started[process(s)] = ok
	case "delete":
		if s.Exec == "" && ok {
			p.created[s.Task] = false
		}
	}
}

// process names the process that a step is about.
func process(s scenario.Step) string {
	if s.Exec == "" {
		return s.Task
	}
	return s.Task + "/" + s.Exec
}

func label(s scenario.Step) string {
	text := process(s) + ": " + string(s.Do)
	if s.Do == "kill" {
		text += fmt.Sprintf(" %d", s.Signal)
		if s.All {
			text += " all"
		}
	}
	return text
}

// code is an error as the report has it.
func code(err error) (code, message string) {
	switch {
	case err == nil:
		return "OK", ""
	case errors.Is(err, ttrpc.ErrClosed):
		return "died", err.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout", err.Error()
	}
	var other *outcome
	if errors.As(err, &other) {
		return other.code, other.message
	}
	s := status.Convert(err)
	if s.Code() == codes.DeadlineExceeded {
		return "timeout", s.Message()
	}
	return s.Code().String(), s.Message()
}

// outcome is a failure that no gRPC code stands for.
type outcome struct{ code, message string }

func (o *outcome) Error() string { return o.code + ": " + o.message }

// connect dials the shim. Outside of a pod and for its sandbox that is one that is
// started for it.
func (p *play) connect(ctx context.Context, t driver.Task) error {
	// From version 3 on, which isol answers, containerd asks the sandbox's shim
	// without another start action.
	if p.client != nil && !p.r.Legacy {
		return nil
	}
	address, err := p.start(ctx, t)
	switch {
	case err != nil && ctx.Err() != nil:
		return &outcome{"timeout", err.Error()}
	case err != nil:
		return &outcome{"start failed", err.Error()}
	}
	if p.client != nil {
		return nil // the same shim, as the start action found
	}
	conn, err := winio.DialPipeContext(ctx, address)
	if err != nil {
		return &outcome{"not reached", fmt.Sprintf("dial %q: %v", address, err)}
	}
	p.client = ttrpc.NewClient(conn)
	p.tasks = task.NewTTRPCTaskClient(p.client)
	if c, err := p.tasks.Connect(ctx, &task.ConnectRequest{ID: t.ID}); err == nil {
		p.reply.ShimPID = c.ShimPid
	}
	return nil
}

func (p *play) taskOf(name string) driver.Task {
	for _, t := range p.r.Tasks {
		if t.Name == name {
			return t
		}
	}
	return driver.Task{}
}

// streams serves what a process is to have of "in", "out", "err".
func (p *play) streams(id string, s scenario.Step, tty bool) (in, out, errs string, err error) {
	want := s.Streams
	if want == "" {
		want = "out err"
		if tty {
			want = "out"
		}
	}
	for _, name := range strings.Fields(want) {
		if name == "none" {
			continue
		}
		x, err := newPipe(strings.ReplaceAll(id, "/", "-")+"-"+name, name == "in")
		if err != nil {
			return "", "", "", err
		}
		p.pipes[process(s)+"/"+name] = x
		switch name {
		case "in":
			in = x.path
		case "out":
			out = x.path
		case "err":
			errs = x.path
		}
	}
	return in, out, errs, nil
}
