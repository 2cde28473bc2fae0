package shim

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1/options"
	"github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1/stats"
	bootapi "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	taskv2 "github.com/containerd/containerd/api/runtime/task/v2"
	task "github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/containerd/api/types"
	runtimeoptions "github.com/containerd/containerd/api/types/runtimeoptions/v1"
	taskstate "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/typeurl/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/test/hcsemu"
)

// The whole life of a task with an exec, as a containerd of today drives it.
func TestTaskLifeV3(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	l.spec("ping -t localhost", nil)
	l.must(l.tasks.Create(ctx, l.request()))
	started, err := l.tasks.Start(ctx, &task.StartRequest{ID: "c1"})
	l.must(started, err)
	if started.Pid == 0 {
		t.Error("start answers pid 0")
	}

	l.must(l.tasks.Exec(ctx, &task.ExecProcessRequest{ID: "c1", ExecID: "e1",
		Stdout: l.pipes.serve("e1-stdout"), Spec: processAny(t, "cmd /c echo hello")}))
	l.must(l.tasks.Start(ctx, &task.StartRequest{ID: "c1", ExecID: "e1"}))
	exit, err := l.tasks.Wait(ctx, &task.WaitRequest{ID: "c1", ExecID: "e1"})
	l.must(exit, err)
	if text := l.pipes.textOf(t, "e1-stdout"); text != "hello\r\n" || exit.ExitStatus != 0 {
		t.Errorf("the exec wrote %q and ended with %d", text, exit.ExitStatus)
	}
	l.must(l.tasks.Delete(ctx, &task.DeleteRequest{ID: "c1", ExecID: "e1"}))

	state, err := l.tasks.State(ctx, &task.StateRequest{ID: "c1"})
	l.must(state, err)
	if state.Status != taskstate.Status_RUNNING || state.Pid != started.Pid || state.Bundle != l.bundle || state.ExitedAt != nil {
		t.Errorf("state %v", state)
	}
	connect, err := l.tasks.Connect(ctx, &task.ConnectRequest{ID: "c1"})
	l.must(connect, err)
	if connect.TaskPid != started.Pid || connect.ShimPid == 0 || connect.Version == "" {
		t.Errorf("connect %v", connect)
	}

	l.must(l.tasks.Kill(ctx, &task.KillRequest{ID: "c1", Signal: 9}))
	exit, err = l.tasks.Wait(ctx, &task.WaitRequest{ID: "c1"})
	l.must(exit, err)
	deleted, err := l.tasks.Delete(ctx, &task.DeleteRequest{ID: "c1"})
	l.must(deleted, err)
	if deleted.ExitStatus != exit.ExitStatus || deleted.Pid != started.Pid || !deleted.ExitedAt.AsTime().Equal(exit.ExitedAt.AsTime()) {
		t.Errorf("delete %v, wait %v", deleted, exit)
	}
	l.must(l.tasks.Shutdown(ctx, &task.ShutdownRequest{ID: "c1"}))
	select {
	case <-l.ended:
	case <-time.After(5 * time.Second):
		t.Error("the shim does not end after Shutdown")
	}
	want := []string{"/tasks/create", "/tasks/start", "/tasks/exec-added", "/tasks/exec-started",
		"/tasks/exit", "/tasks/delete", "/tasks/exit", "/tasks/delete"}
	if diff := cmp.Diff(want, l.ctrd.topics(len(want))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	l.clean()
}

// A containerd that speaks version 2 must find the same task.
func TestTaskLifeV2(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	l.spec("cmd /c exit 7", nil)
	r := l.request()
	l.must(l.tasks2.Create(ctx, &taskv2.CreateTaskRequest{ID: r.ID, Bundle: r.Bundle, Rootfs: r.Rootfs, Stdout: r.Stdout}))
	l.must(l.tasks2.Start(ctx, &taskv2.StartRequest{ID: "c1"}))
	exit, err := l.tasks2.Wait(ctx, &taskv2.WaitRequest{ID: "c1"})
	l.must(exit, err)
	if exit.ExitStatus != 7 {
		t.Errorf("exit status %d", exit.ExitStatus)
	}
	state, err := l.tasks.State(ctx, &task.StateRequest{ID: "c1"})
	l.must(state, err)
	if state.Status != taskstate.Status_STOPPED || state.ExitStatus != 7 {
		t.Errorf("version 3 sees %v", state)
	}
	l.must(l.tasks2.Delete(ctx, &taskv2.DeleteRequest{ID: "c1"}))
	l.clean()
}

// CRI and moby assert these Go types: another one makes kubectl top and docker
// top fail.
func TestStatsAndPidsHaveTheTypesThatClientsAssert(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	l.spec("ping -t localhost", nil)
	l.must(l.tasks.Create(ctx, l.request()))
	l.must(l.tasks.Start(ctx, &task.StartRequest{ID: "c1"}))

	pids, err := l.tasks.Pids(ctx, &task.PidsRequest{ID: "c1"})
	l.must(pids, err)
	if len(pids.Processes) == 0 {
		t.Fatal("no processes")
	}
	for _, p := range pids.Processes {
		v, err := typeurl.UnmarshalAny(p.Info)
		l.must(v, err)
		details, ok := v.(*options.ProcessDetails)
		if !ok || details.ProcessID != p.Pid || details.ImageName == "" {
			t.Errorf("process %v is %T %v", p.Pid, v, v)
		}
	}
	resp, err := l.tasks.Stats(ctx, &task.StatsRequest{ID: "c1"})
	l.must(resp, err)
	v, err := typeurl.UnmarshalAny(resp.Stats)
	l.must(v, err)
	if s, ok := v.(*stats.Statistics); !ok || s.GetWindows().GetTimestamp() == nil {
		t.Errorf("stats are %T %v", v, v)
	}
	l.must(l.tasks.Kill(ctx, &task.KillRequest{ID: "c1", Signal: 9, All: true}))
	l.must(l.tasks.Wait(ctx, &task.WaitRequest{ID: "c1"}))
	l.must(l.tasks.Delete(ctx, &task.DeleteRequest{ID: "c1"}))
	l.clean()
}

// Everything that a user can get wrong before anything runs: the right code, a
// sentence that says what, and nothing left behind.
func TestCreateRefuses(t *testing.T) {
	tooMany := []*types.Mount{rootfs()[0], rootfs()[0]}
	cases := []struct {
		name   string
		spec   func(l *lab)
		change func(r *task.CreateTaskRequest)
		code   codes.Code
		says   []string
	}{
		{"no config.json", func(*lab) {}, nil, codes.NotFound, []string{"config.json"}},
		{"malformed config.json", func(l *lab) { l.file("config.json", "{\n  \"process\": 7\n}") }, nil,
			codes.InvalidArgument, []string{"config.json", "process"}},
		{"no process", func(l *lab) { l.spec("x", func(s *specs.Spec) { s.Process = nil }) }, nil,
			codes.InvalidArgument, []string{"process"}},
		{"unknown runtime option", nil, func(r *task.CreateTaskRequest) {
			r.Options = anyOptions(t, `isolatoin = "process"`)
		}, codes.InvalidArgument, []string{"isolatoin", "isolation"}},
		{"options of another runtime", nil, func(r *task.CreateTaskRequest) {
			r.Options = &anypb.Any{TypeUrl: "containerd.runc.v1.Options"}
		}, codes.InvalidArgument, []string{"containerd.runc.v1.Options"}},
		{"no layers", nil, func(r *task.CreateTaskRequest) { r.Rootfs = nil }, codes.FailedPrecondition, []string{"layer"}},
		{"one layer folder", func(l *lab) {
			l.spec("x", func(s *specs.Spec) { s.Windows.LayerFolders = []string{scratchLayer} })
		}, func(r *task.CreateTaskRequest) { r.Rootfs = nil }, codes.FailedPrecondition, []string{"layer"}},
		{"both rootfs and layer folders", func(l *lab) {
			l.spec("x", func(s *specs.Spec) { s.Windows.LayerFolders = []string{baseLayer, scratchLayer} })
		}, nil, codes.FailedPrecondition, []string{"layerFolders", "rootfs"}},
		{"two rootfs mounts", nil, func(r *task.CreateTaskRequest) { r.Rootfs = tooMany }, codes.FailedPrecondition, []string{"mount"}},
		{"relative scratch", nil, func(r *task.CreateTaskRequest) { r.Rootfs[0].Source = `snapshots\3` },
			codes.InvalidArgument, []string{`snapshots\3`}},
		{"terminal together with stderr", nil, func(r *task.CreateTaskRequest) {
			r.Terminal, r.Stderr = true, `\\.\pipe\c1-stderr`
		}, codes.FailedPrecondition, []string{"stderr must be empty"}},
		{"output of another scheme", nil, func(r *task.CreateTaskRequest) { r.Stdout = "file:///C:/x.log" },
			codes.InvalidArgument, []string{`"file"`, "binary://"}},
		{"pipe that nobody serves", nil, func(r *task.CreateTaskRequest) { r.Stdout = `\\.\pipe\nobody` },
			codes.NotFound, []string{`\\.\pipe\nobody`}},
		{"checkpoint", nil, func(r *task.CreateTaskRequest) { r.Checkpoint = `C:\cp` }, codes.Unimplemented, []string{"checkpoint"}},
		{"Hyper-V, until it is built", func(l *lab) {
			l.spec("x", func(s *specs.Spec) { s.Windows.HyperV = &specs.WindowsHyperV{} })
		}, nil, codes.Unimplemented, []string{"process isolation"}},
		{"network namespace that is not there", func(l *lab) {
			l.spec("x", func(s *specs.Spec) {
				s.Windows.Network = &specs.WindowsNetwork{NetworkNamespace: "00000000-1111-2222-3333-444444444444"}
			})
		}, nil, codes.FailedPrecondition, []string{"00000000-1111-2222-3333-444444444444", "windows.network"}},
		{"endpoint that is not there", func(l *lab) {
			l.spec("x", func(s *specs.Spec) {
				s.Windows.Network = &specs.WindowsNetwork{EndpointList: []string{"00000000-1111-2222-3333-555555555555"}}
			})
		}, nil, codes.FailedPrecondition, []string{"00000000-1111-2222-3333-555555555555"}},
		{"workload without its sandbox", func(l *lab) {
			l.spec("x", func(s *specs.Spec) {
				s.Annotations = map[string]string{
					"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": "s1",
				}
			})
		}, nil, codes.FailedPrecondition, []string{"s1"}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t)
			if tc.spec != nil {
				tc.spec(l)
			} else {
				l.spec("ping -t localhost", nil)
			}
			r := l.request()
			if tc.change != nil {
				tc.change(r)
			}
			_, err := l.tasks.Create(t.Context(), r)
			expect(t, err, tc.code, tc.says...)
			_, err = l.tasks.State(t.Context(), &task.StateRequest{ID: "c1"})
			expect(t, err, codes.NotFound, "c1")
			l.clean()
		})
	}
}

func anyOptions(t *testing.T, toml string) *anypb.Any {
	t.Helper()
	a, err := typeurl.MarshalAnyToProto(&runtimeoptions.Options{ConfigBody: []byte(toml)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func expect(t *testing.T, err error, code codes.Code, says ...string) {
	t.Helper()
	if status.Code(err) != code {
		t.Errorf("error %v, want code %v", err, code)
		return
	}
	for _, word := range says {
		if err != nil && !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
}

// A call that fails in a later state must say why, and change nothing.
func TestCallsInTheWrongState(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	l.spec("ping -t localhost", nil)
	l.must(l.tasks.Create(ctx, l.request()))
	_, err := l.tasks.Create(ctx, l.request())
	expect(t, err, codes.AlreadyExists, "c1")
	_, err = l.tasks.Exec(ctx, &task.ExecProcessRequest{ID: "c1", ExecID: "e1", Spec: processAny(t, "x")})
	expect(t, err, codes.FailedPrecondition, "c1")
	_, err = l.tasks.Start(ctx, &task.StartRequest{ID: "c2"})
	expect(t, err, codes.NotFound, "c2")
	l.must(l.tasks.Start(ctx, &task.StartRequest{ID: "c1"}))
	_, err = l.tasks.Start(ctx, &task.StartRequest{ID: "c1"})
	expect(t, err, codes.FailedPrecondition, "c1")
	l.must(l.tasks.Exec(ctx, &task.ExecProcessRequest{ID: "c1", ExecID: "e1", Spec: processAny(t, "cmd /c ping -t localhost")}))
	_, err = l.tasks.Exec(ctx, &task.ExecProcessRequest{ID: "c1", ExecID: "e1", Spec: processAny(t, "x")})
	expect(t, err, codes.AlreadyExists, "e1")
	_, err = l.tasks.Exec(ctx, &task.ExecProcessRequest{ID: "c1", ExecID: "e2", Spec: &anypb.Any{TypeUrl: "x", Value: []byte("{")}})
	expect(t, err, codes.InvalidArgument, "e2")
	_, err = l.tasks.Kill(ctx, &task.KillRequest{ID: "c1", Signal: 10})
	if c := status.Code(err); c != codes.InvalidArgument && c != codes.FailedPrecondition {
		t.Errorf("unknown signal: %v", err)
	}
	_, err = l.tasks.ResizePty(ctx, &task.ResizePtyRequest{ID: "c1", Width: 80, Height: 25})
	expect(t, err, codes.FailedPrecondition, "c1")
	_, err = l.tasks.ResizePty(ctx, &task.ResizePtyRequest{ID: "c1", Width: 70000, Height: 25})
	expect(t, err, codes.InvalidArgument, "70000")
	_, err = l.tasks.Pause(ctx, &task.PauseRequest{ID: "c1"})
	expect(t, err, codes.Unimplemented, "paused")
	_, err = l.tasks.Resume(ctx, &task.ResumeRequest{ID: "c1"})
	expect(t, err, codes.Unimplemented, "paused")
	_, err = l.tasks.Checkpoint(ctx, &task.CheckpointTaskRequest{ID: "c1"})
	expect(t, err, codes.Unimplemented, "checkpoint")
	_, err = l.tasks.Delete(ctx, &task.DeleteRequest{ID: "c1"})
	expect(t, err, codes.FailedPrecondition, "c1")
	l.must(l.tasks.Kill(ctx, &task.KillRequest{ID: "c1", Signal: 9}))
	l.must(l.tasks.Wait(ctx, &task.WaitRequest{ID: "c1"}))
	_, err = l.tasks.Exec(ctx, &task.ExecProcessRequest{ID: "c1", ExecID: "e3", Spec: processAny(t, "x")})
	expect(t, err, codes.FailedPrecondition, "c1")
	_, err = l.tasks.Kill(ctx, &task.KillRequest{ID: "c1", Signal: 9})
	expect(t, err, codes.NotFound, "c1")
	l.must(l.tasks.Delete(ctx, &task.DeleteRequest{ID: "c1"}))
	l.clean()
}

func TestUpdate(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	l.spec("ping -t localhost", nil)
	l.must(l.tasks.Create(ctx, l.request()))
	l.must(l.tasks.Start(ctx, &task.StartRequest{ID: "c1"}))
	const windows = "types.containerd.io/opencontainers/runtime-spec/1/WindowsResources"
	cases := []struct {
		name string
		res  *anypb.Any
		code codes.Code
		says string
	}{
		{"memory", &anypb.Any{TypeUrl: windows, Value: []byte(`{"memory":{"limit":209715200}}`)}, codes.OK, ""},
		{"cpu", &anypb.Any{TypeUrl: windows, Value: []byte(`{"cpu":{"maximum":5000}}`)}, codes.OK, ""},
		{"nothing", nil, codes.InvalidArgument, "missing"},
		{"two cpu limits", &anypb.Any{TypeUrl: windows, Value: []byte(`{"cpu":{"maximum":5000,"shares":10}}`)}, codes.InvalidArgument, "c1"},
		{"storage", &anypb.Any{TypeUrl: windows, Value: []byte(`{"storage":{"iops":1}}`)}, codes.Unimplemented, "storage"},
		{"Linux", &anypb.Any{TypeUrl: "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources", Value: []byte(`{}`)}, codes.InvalidArgument, "LinuxResources"},
		{"a misspelt field", &anypb.Any{TypeUrl: windows, Value: []byte(`{"memroy":{}}`)}, codes.InvalidArgument, "memroy"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, err := l.tasks.Update(ctx, &task.UpdateTaskRequest{ID: "c1", Resources: tc.res})
			expect(t, err, tc.code, tc.says)
		})
	}
	_, err := l.tasks.Update(ctx, &task.UpdateTaskRequest{ID: "c1", Annotations: map[string]string{"a": "b"},
		Resources: &anypb.Any{TypeUrl: windows, Value: []byte(`{}`)}})
	expect(t, err, codes.Unimplemented, `"a"`)
	mount := func(json string) error {
		_, err := l.tasks.Update(ctx, &task.UpdateTaskRequest{ID: "c1", Resources: &anypb.Any{
			TypeUrl: "github.com/Microsoft/hcsshim/pkg/ctrdtaskapi/ContainerMount", Value: []byte(json)}})
		return err
	}
	l.must(nil, mount(`{"HostPath":"C:\\data","ContainerPath":"C:\\in","ReadOnly":true}`))
	expect(t, mount(`{"HostPath":"C:\\data","ContainerPath":"C:\\in"}`), codes.AlreadyExists, `C:\in`)
	expect(t, mount(`{"HostPath":"data","ContainerPath":"C:\\in2"}`), codes.InvalidArgument, `data`)
	expect(t, mount(`{"Hostpath":1}`), codes.InvalidArgument, `ContainerMount`)
	_, err = l.tasks.Update(ctx, &task.UpdateTaskRequest{ID: "c1", Annotations: map[string]string{"io.isol.unmount": "true"}, Resources: &anypb.Any{
		TypeUrl: "github.com/Microsoft/hcsshim/pkg/ctrdtaskapi/ContainerMount", Value: []byte(`{"HostPath":"C:\\data","ContainerPath":"/in"}`)}})
	l.must(nil, err)
	_, err = l.tasks.Update(ctx, &task.UpdateTaskRequest{ID: "c1", Resources: &anypb.Any{
		TypeUrl: "github.com/Microsoft/hcsshim/pkg/ctrdtaskapi/PolicyFragment", Value: []byte(`{}`)}})
	expect(t, err, codes.Unimplemented, "confidential")
	l.must(l.tasks.Shutdown(ctx, &task.ShutdownRequest{ID: "c1"}))
	l.clean()
}

// A create that cannot start its process must name it and leave nothing in HCS.
func TestProcessThatCannotBeStarted(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	l.spec("nosuchprogram.exe", nil)
	l.must(l.tasks.Create(ctx, l.request()))
	_, err := l.tasks.Start(ctx, &task.StartRequest{ID: "c1"})
	expect(t, err, codes.NotFound, "nosuchprogram.exe")
	l.must(l.tasks.Delete(ctx, &task.DeleteRequest{ID: "c1"}))
	l.clean()
}

// Without HCS the shim must come up all the same, so that the create answers.
func TestComputeServiceThatIsNotThere(t *testing.T) {
	l := newLab(t, func(m *Machine, _ *bootapi.BootstrapParams) {
		m.Host = func(*hcs.CallTable) (hcs.Host, error) {
			return nil, &hcs.Error{Op: "load", ID: "computecore.dll", Err: hcs.ErrUnavailable}
		}
	})
	l.spec("cmd", nil)
	_, err := l.tasks.Create(t.Context(), l.request())
	expect(t, err, codes.Unavailable, "computecore.dll")
	l.clean()
}

// Options that start could not read must not keep the shim from serving: the
// create answers with the reason.
func TestBadOptionsAtStart(t *testing.T) {
	l := newLab(t, withOptions(t, "nonsense = 1"))
	l.spec("cmd", nil)
	r := l.request()
	r.Options = anyOptions(t, "nonsense = 1")
	_, err := l.tasks.Create(t.Context(), r)
	expect(t, err, codes.InvalidArgument, "nonsense")
}

// Shutdown with the id of another task is what containerd sends after each
// workload's delete: the pod must live on.
func TestShutdownOfAnotherIDIsIgnored(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	l.must(l.tasks.Shutdown(ctx, &task.ShutdownRequest{ID: "other"}))
	select {
	case <-l.ended:
		t.Fatal("the shim ended")
	case <-time.After(50 * time.Millisecond):
	}
	l.must(l.tasks.Shutdown(ctx, &task.ShutdownRequest{ID: "c1"}))
	<-l.ended
}

// An exit that happens while containerd is away must be told when it is back,
// and in order.
func TestEventsSurviveARestartOfContainerd(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	l.spec("pause", nil)
	r := l.request()
	r.Stdin = l.pipes.serve("c1-stdin")
	l.must(l.tasks.Create(ctx, r))
	l.must(l.tasks.Start(ctx, &task.StartRequest{ID: "c1"}))
	l.ctrd.topics(2)
	l.ctrd.stop()
	l.must(l.tasks.Kill(ctx, &task.KillRequest{ID: "c1", Signal: 9}))
	l.must(l.tasks.Wait(ctx, &task.WaitRequest{ID: "c1"}))
	l.must(l.tasks.Delete(ctx, &task.DeleteRequest{ID: "c1"}))
	l.ctrd.start()
	want := []string{"/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"}
	got := slices.Compact(l.ctrd.topics(4))
	if len(got) < len(want) {
		// The answer to one was lost with its connection: it is rightly sent again.
		got = slices.Compact(l.ctrd.topics(5))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// HCS that fails at any step of a create: a code, a sentence, an empty ledger.
func TestHCSFailsAtAnyStep(t *testing.T) {
	for _, call := range []string{"HcsCreateComputeSystem", "HcsStartComputeSystem", "HcsCreateProcess", "ActivateLayer", "PrepareLayer"} {
		t.Run(call, func(t *testing.T) {
			l := newLab(t)
			ctx := t.Context()
			if err := l.emu.AddFaults(hcsemu.Fault{Function: call, Action: hcsemu.ActionFail, Code: "0x80070005"}); err != nil {
				t.Fatal(err)
			}
			l.spec("ping -t localhost", nil)
			_, err := l.tasks.Create(ctx, l.request())
			if err == nil {
				_, err = l.tasks.Start(ctx, &task.StartRequest{ID: "c1"})
				l.must(l.tasks.Delete(ctx, &task.DeleteRequest{ID: "c1"}))
			}
			expect(t, err, codes.PermissionDenied, "c1")
			l.clean()
		})
	}
}

// CloseIO while the last bytes are on their way must not cut them, and must end
// the process's input.
func TestCloseIO(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	l.spec("more", nil)
	r := l.request()
	r.Stdin = l.pipes.serve("c1-stdin")
	l.must(l.tasks.Create(ctx, r))
	client := l.pipes.input("c1-stdin")
	l.must(l.tasks.Start(ctx, &task.StartRequest{ID: "c1"}))
	if _, err := client.Write([]byte("first ")); err != nil {
		t.Fatal(err)
	}
	l.must(l.tasks.CloseIO(ctx, &task.CloseIORequest{ID: "c1", Stdin: true}))
	if _, err := client.Write([]byte("last")); err != nil {
		t.Fatal(err)
	}
	l.must(l.tasks.Wait(ctx, &task.WaitRequest{ID: "c1"}))
	if text := l.pipes.textOf(t, "c1-stdout"); text != "first last" {
		t.Errorf("the process read %q", text)
	}
}

// A shim whose containerd died between start and create must not live on; one
// that was called once must.
func TestShimThatNobodyCallsEnds(t *testing.T) {
	for name, called := range map[string]bool{"never called": false, "called once": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				end := newEnding()
				w := newWatch(end, slog.New(slog.DiscardHandler))
				time.Sleep(IdleLimit - time.Second)
				if called {
					w.stop()
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				select {
				case <-end.done:
					if called {
						t.Error("it has ended, though it was called")
					}
				default:
					if !called {
						t.Error("it lives on, though nobody calls")
					}
				}
			})
		})
	}
}
