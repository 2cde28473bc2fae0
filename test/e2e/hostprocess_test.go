package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/lab"
)

const systemUser = `NT AUTHORITY\SYSTEM`

// The image's programs. By their names alone the host's would be found.
const (
	rootPing  = `%CONTAINER_SANDBOX_MOUNT_POINT%\Windows\System32\ping.exe`
	rootProbe = `%CONTAINER_SANDBOX_MOUNT_POINT%\Windows\System32\probe.exe`
)

// hostProcess is the spec of a HostProcess container.
func hostProcess(user string, args ...string) *specs.Spec {
	s := spec(args...)
	s.Annotations = map[string]string{"microsoft.com/hostprocess-container": "true"}
	s.Process.User.Username = user
	s.Process.Cwd = `%CONTAINER_SANDBOX_MOUNT_POINT%`
	return s
}

// create makes a task, without starting it.
func (c *client) create(id string, s *specs.Spec) error {
	c.t.Helper()
	request := c.container(id, packed(c.t, specURL, s), nil)
	ctx, cancel := c.within(time.Minute)
	defer cancel()
	_, err := c.tasks.Create(ctx, request)
	return err
}

func (c *client) start(id string) uint32 {
	c.t.Helper()
	ctx, cancel := c.within(time.Minute)
	defer cancel()
	r, err := c.tasks.Start(ctx, &tasksapi.StartRequest{ContainerID: id})
	if err != nil {
		c.t.Fatal(err)
	}
	return r.GetPid()
}

func (c *client) wait(id string) uint32 {
	c.t.Helper()
	ctx, cancel := c.within(time.Minute)
	defer cancel()
	r, err := c.tasks.Wait(ctx, &tasksapi.WaitRequest{ContainerID: id})
	if err != nil {
		c.t.Fatal(err)
	}
	return r.GetExitStatus()
}

// A node agent is a process of the host: in its list, with its files and
// processors, in a job object with the limits that were asked for.
func TestHostProcess(t *testing.T) {
	l := shared.of(t)
	c := connect(t, l)
	if err := os.MkdirAll(l.Path(`C:\agent`), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(l.Path(`C:\agent`)) })
	if err := os.WriteFile(l.Path(`C:\agent\config.txt`), []byte("of the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := hostProcess(systemUser, "cmd", "/c", rootProbe+` env > C:\agent\env.txt & `+rootProbe+` cwd > C:\agent\cwd.txt & `+
		`type etc\config.txt > C:\agent\seen.txt & `+rootPing+` -t localhost > nul`)
	s.Process.Env = []string{`DATA=%CONTAINER_SANDBOX_MOUNT_POINT%\data`}
	s.Mounts = []specs.Mount{{Source: `C:\agent`, Destination: `C:\etc`}}
	memory, limit := uint64(512<<20), uint16(5000)
	s.Windows.Resources = &specs.WindowsResources{Memory: &specs.WindowsMemoryResources{Limit: &memory}, CPU: &specs.WindowsCPUResources{Maximum: &limit}}
	if err := c.create("hpc1", s); err != nil {
		t.Fatal(err)
	}
	pid := c.start("hpc1")
	if !holds(processesOf(t, l, "cmd.exe"), pid) {
		t.Errorf("process %d is not in the host's list", pid)
	}
	for deadline := time.Now().Add(20 * time.Second); len(processesOf(t, l, "ping.exe")) == 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the agent does not get to its end")
		}
	}
	env := hostFile(t, l, `C:\agent\env.txt`)
	for _, want := range []string{`CONTAINER_SANDBOX_MOUNT_POINT=C:\hpc\hpc1\`, `DATA=C:\hpc\hpc1\data`, `C:\hpc\hpc1\;`, "SystemRoot="} {
		if !strings.Contains(env, want) {
			t.Errorf("the environment has no %s:\n%s", want, env)
		}
	}
	if cwd := strings.TrimSpace(hostFile(t, l, `C:\agent\cwd.txt`)); !strings.EqualFold(cwd, `C:\hpc\hpc1`) {
		t.Errorf("the working folder is %s", cwd)
	}
	if seen := hostFile(t, l, `C:\agent\seen.txt`); seen != "of the host" {
		t.Errorf("the mount shows %q", seen)
	}
	// Streams, exit codes, the list of processes, metrics.
	m := emulated{l}
	if out := must(t, m, "task", "exec", "--exec-id", "e1", "hpc1", "cmd", "/c", "echo from exec"); strings.TrimSpace(out) != "from exec" {
		t.Errorf("exec printed %q", out)
	}
	if r := ctr(t, m, "task", "exec", "--exec-id", "e2", "hpc1", rootProbe, "exit", "3"); r.ExitCode != 3 {
		t.Errorf("exec's exit code %d: %s", r.ExitCode, r.Stderr)
	}
	if r := ctr(t, m, "task", "exec", "--exec-id", "e3", "hpc1", "nosuchprogram"); r.ExitCode == 0 || !strings.Contains(r.Stderr, "nosuchprogram") {
		t.Errorf("exec of nothing: exit %d, %s", r.ExitCode, r.Stderr)
	}
	if table := must(t, m, "task", "ps", "hpc1"); !strings.Contains(table, fmt.Sprint(pid)) || !strings.Contains(table, "ping.exe") {
		t.Errorf("the list of processes:\n%s", table)
	}
	if metrics := must(t, m, "task", "metrics", "hpc1"); !strings.Contains(metrics, "memory.commit_bytes") {
		t.Errorf("metrics:\n%s", metrics)
	}
	limits := setLimits(t, l, "JobContainer_hpc1")
	for _, want := range []string{`"class":15,"flags":5,"job":"JobContainer_hpc1","value":5000`, `"memory":536870912`} {
		if !strings.Contains(limits, want) {
			t.Errorf("the job object has no limit %s: %s", want, limits)
		}
	}
	ctx, cancel := c.within(time.Minute)
	defer cancel()
	if err := c.kill(ctx, "hpc1"); err != nil {
		t.Error(err)
	}
	clean(t, l) // the children too
	if _, err := os.Stat(l.Path(`C:\hpc\hpc1`)); !os.IsNotExist(err) {
		t.Errorf("its folder is left: %v", err)
	}
}

func holds(pids []uint32, pid uint32) bool {
	for _, p := range pids {
		if p == pid {
			return true
		}
	}
	return false
}

// hostFile reads a file of the machine.
func hostFile(t *testing.T, l *lab.Lab, path string) string {
	t.Helper()
	b, err := os.ReadFile(l.Path(path))
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// setLimits are the limits that were set on a job object, as JSON.
func setLimits(t *testing.T, l *lab.Lab, job string) string {
	t.Helper()
	calls, err := l.Calls(hcsemu.CallFilter{Function: "SetInformationJobObject"})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, call := range calls {
		if call.Args["job"] == job {
			line, err := json.Marshal(call.Args)
			if err != nil {
				t.Fatal(err)
			}
			out.Write(line)
		}
	}
	return out.String()
}

// A container runs as whom its spec names: a user is made for a local group and
// goes with the container, and what nobody can be is said so.
func TestHostProcessUsers(t *testing.T) {
	l := shared.of(t)
	c := connect(t, l)
	if err := c.create("hpc2", hostProcess("lab-agents", "cmd", "/c", "exit 7")); err != nil {
		t.Fatal(err)
	}
	ledger, err := l.Ledger()
	if err != nil {
		t.Fatal(err)
	}
	if text := ledger.String(); !strings.Contains(text, "local user isol-") || !strings.Contains(text, "lab-agents") {
		t.Errorf("no user was made for the group:\n%s", text)
	}
	c.start("hpc2")
	if code := c.wait("hpc2"); code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
	c.remove("hpc2")
	clean(t, l)
	for i, user := range []string{"ContainerUser"} {
		err := c.create(fmt.Sprint("hpc3-", i), hostProcess(user, "cmd"))
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), systemUser) {
			t.Errorf("as %q: %v", user, err)
		}
	}
}

// What a spec asks for and a job on the host can't be is refused by name, and
// nothing is left.
func TestHostProcessRefusals(t *testing.T) {
	l := shared.of(t)
	c := connect(t, l)
	for name, tc := range map[string]struct {
		change func(*specs.Spec)
		code   codes.Code
		says   string
	}{
		"mount of nothing": {func(s *specs.Spec) { s.Mounts = []specs.Mount{{Source: `C:\nowhere`, Destination: `C:\x`}} }, codes.FailedPrecondition, `C:\nowhere`},
		"root on Windows":  {func(s *specs.Spec) { s.Annotations["microsoft.com/hostprocess-rootfs-location"] = `C:\Windows` }, codes.InvalidArgument, `folder of the system`},
	} {
		t.Run(name, func(t *testing.T) {
			mine := *c
			c := &mine
			c.t = t
			s := hostProcess(systemUser, "cmd")
			tc.change(s)
			err := c.create("hpc4", s)
			if status.Code(err) != tc.code || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v: %v, want %v with %q", status.Code(err), err, tc.code, tc.says)
			}
		})
	}
}

// A shim that is killed takes the processes of its job with it; the user, the
// folder and the layers go with containerd's cleanup.
func TestHostProcessShimIsKilled(t *testing.T) {
	l := shared.of(t)
	c := connect(t, l)
	if err := c.create("hpc5", hostProcess("lab-agents", rootPing, "-t", "localhost")); err != nil {
		t.Fatal(err)
	}
	c.start("hpc5")
	if len(processesOf(t, l, "ping.exe")) != 1 {
		t.Error("the container's process does not run")
	}
	for _, p := range processesOf(t, l, lab.IsolShim) {
		if r, err := l.Run(t.Context(), "taskkill.exe", "/f", "/pid", fmt.Sprint(p)); err != nil || r.ExitCode != 0 {
			t.Fatalf("taskkill: exit %d, %v: %s%s", r.ExitCode, err, r.Stdout, r.Stderr)
		}
	}
	clean(t, l) // without a word of ours
}
