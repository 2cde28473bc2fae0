package e2e

import (
	"syscall"
	"testing"
	"time"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/runtimeoptions/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// createRequest is what a client asks for.
type createRequest struct {
	spec    *specs.Spec
	options *anypb.Any                        // the runtime's
	task    func(*tasksapi.CreateTaskRequest) // changes what stands around the spec
}

// inner changes the spec of a request.
func inner(change func(*specs.Spec)) createRequest {
	r := createRequest{spec: spec("cmd", "/c", "echo hi")}
	change(r.spec)
	return r
}

// outer changes what stands around the spec.
func outer(change func(*tasksapi.CreateTaskRequest)) createRequest {
	return createRequest{spec: spec("cmd", "/c", "echo hi"), task: change}
}

// layerFolders names layers in the spec and gives no rootfs mount.
func layerFolders(folders ...string) createRequest {
	r := inner(func(s *specs.Spec) { s.Windows.LayerFolders = folders })
	r.task = func(r *tasksapi.CreateTaskRequest) { r.Rootfs = nil }
	return r
}

// options are runtime options as containerd's CRI plugin sends them.
func options(toml string) createRequest {
	value, err := proto.Marshal(&runtimeoptions.Options{ConfigBody: []byte(toml)})
	if err != nil {
		panic(err) // bytes always encode
	}
	return createRequest{spec: spec("cmd"), options: &anypb.Any{TypeUrl: "runtimeoptions.v1.Options", Value: value}}
}

func annotation(key, value string) createRequest {
	return inner(func(s *specs.Spec) { s.Annotations = map[string]string{key: value} })
}

// A client that sends something wrong gets a code that its retries can rely on
// and a sentence that says what to change. Nothing is left of the attempt. A
// spec that is missing or no JSON does not come past containerd: the shim's own
// tests have it.
func TestCreateRefuses(t *testing.T) {
	l := shared.of(t)
	c := connect(t, l)
	for _, tc := range []struct {
		name    string
		request createRequest
		code    codes.Code
		says    []string
	}{
		{"no process", inner(func(s *specs.Spec) { s.Process = nil }), codes.InvalidArgument, []string{"process"}},
		{"nothing to run", inner(func(s *specs.Spec) { s.Process.Args = nil }), codes.InvalidArgument, []string{"process", "args"}},
		{"relative working folder", inner(func(s *specs.Spec) { s.Process.Cwd = "here" }), codes.InvalidArgument, []string{"here", "absolute"}},
		{"no layers", layerFolders(), codes.FailedPrecondition, []string{"layerFolders", "rootfs"}},
		{"one layer folder", layerFolders(`C:\only`), codes.FailedPrecondition, []string{"layerFolders", "at least two"}},
		{"rootfs and layer folders", inner(func(s *specs.Spec) { s.Windows.LayerFolders = []string{`C:\a`, `C:\b`} }), codes.FailedPrecondition, []string{"both"}},
		{"relative layer folder", layerFolders(`base`, `C:\scratch`), codes.InvalidArgument, []string{`base`, "absolute"}},
		{"layer folder that is not there", layerFolders(`C:\nolayer`, `C:\noscratch`), codes.NotFound, []string{`C:\no`}},
		{"unknown runtime option", options(`isolaton = "process"`), codes.InvalidArgument, []string{"isolaton", "isolation"}},
		{"runtime option of a wrong value", options(`isolation = "chroot"`), codes.InvalidArgument, []string{"chroot", "hyperv"}},
		{"runtime options that are no TOML", options("isolation ="), codes.InvalidArgument, []string{"1"}},
		{"runtime options of another runtime", createRequest{
			spec: spec("cmd"), options: &anypb.Any{TypeUrl: "containerd.runc.v1.Options", Value: []byte{8, 1}},
		}, codes.InvalidArgument, []string{"containerd.runc.v1.Options"}},
		{"unknown annotation of ours", annotation("io.isol.isolaton", "process"), codes.InvalidArgument, []string{"io.isol.isolaton", "io.isol.isolation"}},
		{"annotation of a wrong value", annotation("io.isol.isolation", "jail"), codes.InvalidArgument, []string{"jail", "hyperv"}},
		{"terminal with error output", outer(func(r *tasksapi.CreateTaskRequest) {
			r.Terminal, r.Stdout, r.Stderr = true, `\\.\pipe\out`, `\\.\pipe\err`
		}), codes.FailedPrecondition, []string{"terminal", "stderr"}},
		{"output to a file", outer(func(r *tasksapi.CreateTaskRequest) { r.Stdout = "file:///C:/log.txt" }), codes.InvalidArgument, []string{"file", "binary://"}},
		{"logger that is not there", outer(func(r *tasksapi.CreateTaskRequest) { r.Stdout = "binary:///C:/nologger.exe" }), codes.NotFound, []string{"nologger.exe"}},
		{"Hyper-V without a hypervisor", inner(func(s *specs.Spec) { s.Windows.HyperV = &specs.WindowsHyperV{} }), codes.FailedPrecondition, []string{"Hyper-V"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			request := c.container("refused", packed(t, specURL, tc.request.spec), tc.request.options)
			if tc.request.task != nil {
				tc.request.task(request)
			}
			ctx, cancel := c.within(time.Minute)
			defer cancel()
			_, err := c.tasks.Create(ctx, request)
			if status.Code(err) != tc.code {
				t.Errorf("code %v, want %v: %v", status.Code(err), tc.code, err)
			}
			says(t, err, tc.says...)
			c.remove("refused")
		})
	}
	clean(t, l)
}

// A program that can't be started is the image's author's to mend: the error
// names it, and the container is gone from the compute service.
func TestStartRefuses(t *testing.T) {
	l := shared.of(t)
	c := connect(t, l)
	for _, tc := range []struct {
		name    string
		process *specs.Process
		code    codes.Code
		says    []string
	}{
		{"program that is not there", process("nosuchprogram.exe", "x"), codes.NotFound, []string{"nosuchprogram.exe", "in the container"}},
		{"program that is none", process(`C:\Windows\System32\ntdll.dll`), codes.NotFound, []string{`ntdll.dll`}},
		{"working folder that is not there", &specs.Process{Args: []string{"cmd"}, Cwd: `C:\nofolder`}, codes.NotFound, []string{"working directory"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := spec("x")
			s.Process = tc.process
			request := c.container("unstarted", packed(t, specURL, s), nil)
			ctx, cancel := c.within(time.Minute)
			defer cancel()
			if _, err := c.tasks.Create(ctx, request); err != nil {
				t.Fatal(err)
			}
			_, err := c.tasks.Start(ctx, &tasksapi.StartRequest{ContainerID: "unstarted"})
			if status.Code(err) != tc.code {
				t.Errorf("code %v, want %v: %v", status.Code(err), tc.code, err)
			}
			says(t, err, tc.says...)
			ledger, lerr := l.Ledger()
			if lerr != nil || !ledger.Empty() {
				t.Errorf("after the failed start, before anybody deletes: %v, %v", ledger.Leaks(), lerr)
			}
			c.remove("unstarted")
		})
	}
}

// The requests that come in the wrong state, twice, or about what is not there.
func TestRequestsRefused(t *testing.T) {
	l := shared.of(t)
	c := connect(t, l)
	c.run("wrong1", "ping", "-t", "localhost")
	ctx, cancel := c.within(time.Minute)
	defer cancel()
	const sigUSR1 = syscall.Signal(10) // Linux's number: Windows has no such name
	kill := func(id, exec string, signal syscall.Signal) error {
		_, err := c.tasks.Kill(ctx, &tasksapi.KillRequest{ContainerID: id, ExecID: exec, Signal: uint32(signal)})
		return err
	}
	add := func(exec string, p *specs.Process) error {
		_, err := c.tasks.Exec(ctx, &tasksapi.ExecProcessRequest{ContainerID: "wrong1", ExecID: exec, Spec: packed(t, processURL, p)})
		return err
	}
	remove := func() error {
		_, err := c.tasks.Delete(ctx, &tasksapi.DeleteTaskRequest{ContainerID: "wrong1"})
		return err
	}
	refused := func(what string, err error, code codes.Code, words ...string) {
		t.Helper()
		if status.Code(err) != code {
			t.Errorf("%s: code %v, want %v: %v", what, status.Code(err), code, err)
		}
		says(t, err, words...)
	}

	refused("a signal that Windows has not", kill("wrong1", "", sigUSR1), codes.InvalidArgument, "allowed are")
	refused("a kill of an exec that is not there", kill("wrong1", "e9", syscall.SIGKILL), codes.NotFound, "e9")
	_, err := c.tasks.Start(ctx, &tasksapi.StartRequest{ContainerID: "wrong1"})
	refused("a second start", err, codes.FailedPrecondition, "running")
	refused("delete of what runs", remove(), codes.FailedPrecondition, "kill it first")
	_, err = c.tasks.ResizePty(ctx, &tasksapi.ResizePtyRequest{ContainerID: "wrong1", Width: 80, Height: 25})
	refused("resize without a terminal", err, codes.FailedPrecondition, "no terminal")
	_, err = c.tasks.Pause(ctx, &tasksapi.PauseTaskRequest{ContainerID: "wrong1"})
	refused("pause", err, codes.Unimplemented, "cannot be paused")
	_, err = c.tasks.Update(ctx, &tasksapi.UpdateTaskRequest{ContainerID: "wrong1", Resources: packed(t, specURL, spec("x"))})
	refused("update with what are no resources", err, codes.InvalidArgument, "WindowsResources")

	if err := add("e1", process("ping", "-t", "localhost")); err != nil {
		t.Fatal(err)
	}
	refused("an exec of the same id", add("e1", process("cmd")), codes.AlreadyExists, "e1")
	refused("an exec of nothing", add("e2", process()), codes.InvalidArgument, "args")
	_, err = c.tasks.Exec(ctx, &tasksapi.ExecProcessRequest{ContainerID: "wrong1", ExecID: "e3", Terminal: true,
		Stdout: `\\.\pipe\out`, Stderr: `\\.\pipe\err`, Spec: packed(t, processURL, process("cmd"))})
	refused("an exec on a terminal with error output", err, codes.FailedPrecondition, "stderr")

	if err := kill("wrong1", "", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := c.tasks.Wait(ctx, &tasksapi.WaitRequest{ContainerID: "wrong1"}); err != nil {
		t.Fatal(err)
	}
	refused("an exec in a stopped task", add("e4", process("cmd")), codes.FailedPrecondition, "has ended")
	refused("a kill of what has ended", kill("wrong1", "", syscall.SIGKILL), codes.NotFound, "ended")
	// an error would lose the statistics of all pods of the node
	if pids, err := c.tasks.ListPids(ctx, &tasksapi.ListPidsRequest{ContainerID: "wrong1"}); err != nil || len(pids.GetProcesses()) != 1 {
		t.Errorf("the processes of a stopped task: %v, %v, want its init alone", pids.GetProcesses(), err)
	}
}
