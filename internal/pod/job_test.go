package pod

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/job"
	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/jobdriver"
)

// jobs is what a lab's shims make HostProcess containers with.
type jobs struct {
	silos   bool
	missing []string
	driver  *jobdriver.Driver // of the last shim
}

func (j *jobs) connect(c *hcsemu.Client) Jobs {
	j.driver = jobdriver.New(c, j.silos, j.missing...)
	return hostJobs{job.NewHost(j.driver, nil)}
}

// hostJobs implements Jobs with internal/job, as the shim's wiring does.
type hostJobs struct{ *job.Host }

func (j hostJobs) Prepare(ctx context.Context, plan *isolation.Plan, user string) (Job, error) {
	return j.Host.Prepare(ctx, plan, user)
}

// inJobs runs f on a machine that makes silos, or does not.
func inJobs(t *testing.T, silos bool, f func(l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		defer l.end()
		l.client.Disconnect()
		l.jobs = &jobs{silos: silos, missing: []string{`C:\nowhere`}}
		l.shim(1)
		f(l)
	})
}

// hostProcess makes a request one of a HostProcess container.
func hostProcess(user string) func(*CreateTask) {
	return func(req *CreateTask) {
		req.Plan.Mode = isolation.ModeHostProcess
		req.Plan.Container = isolation.Container{HostProcess: &isolation.HostProcess{RootfsFolder: `C:\hpc`}}
		req.Process.User = user
	}
}

const systemUser = `NT AUTHORITY\SYSTEM`

func (l *lab) hostProcess(id, command, user string, more ...func(*CreateTask)) CreateTask {
	req := l.request(id, command)
	for _, f := range append([]func(*CreateTask){hostProcess(user)}, more...) {
		f(&req)
	}
	return req
}

// A node agent's life, in both layouts: its output, its end, its events, and a
// machine that has everything back.
func TestHostProcessLife(t *testing.T) {
	for _, silos := range []bool{false, true} {
		t.Run(fmt.Sprintf("silos %v", silos), func(t *testing.T) {
			inJobs(t, silos, func(l *lab) {
				l.must(l.pod.Create(l.Context(), l.hostProcess("c1", "cmd /c exit 7", systemUser)))
				pid := l.start("c1", "")
				if exit := l.wait("c1", ""); exit.Status != 7 || exit.PID != pid {
					t.Errorf("exit %+v", exit)
				}
				l.nothingLeft()
				l.delete("c1", "")
				want := []string{"create c1", "start c1", "exit c1/c1 7", "delete c1/"}
				if got := l.events.all(); !slices.Equal(got, want) {
					t.Errorf("events %q, want %q", got, want)
				}
			})
		})
	}
}

// What is acquired comes in this order and goes in the reverse: a volume that is
// unmounted under a process stays half mounted.
func TestHostProcessOrder(t *testing.T) {
	interesting := []string{"PrepareLayer", "UnprepareLayer", "SetVolumeMountPointW", "DeleteVolumeMountPointW", "NetUserAdd", "NetUserDel",
		"NetLocalGroupAddMembers", "CreateJobObjectW", "BfSetupFilter", "LogonUserW"}
	for _, tc := range []struct {
		name  string
		silos bool
		user  string
		want  []string
	}{
		{"folder, group", false, "Administrators", []string{"PrepareLayer", "SetVolumeMountPointW", "NetUserAdd", "NetLocalGroupAddMembers",
			"CreateJobObjectW", "LogonUserW", "NetUserDel", "DeleteVolumeMountPointW", "UnprepareLayer"}},
		{"silo, service", true, systemUser, []string{"PrepareLayer", "CreateJobObjectW", "BfSetupFilter", "BfSetupFilter", "LogonUserW", "UnprepareLayer"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inJobs(t, tc.silos, func(l *lab) {
				mount := isolation.Mount{Source: `C:\data`, Destination: `C:\in`, ReadOnly: true}
				l.must(l.pod.Create(l.Context(), l.hostProcess("c1", "ping -t localhost", tc.user, func(req *CreateTask) {
					req.Plan.Container.Mounts = []isolation.Mount{mount}
				})))
				l.start("c1", "")
				if !tc.silos && l.jobs.driver.Links()[`C:\hpc\c1\in`] != `C:\data` {
					t.Errorf("links %v", l.jobs.driver.Links())
				}
				l.must(l.kill("c1", ""))
				l.wait("c1", "")
				l.delete("c1", "")
				got := slices.DeleteFunc(l.functions(), func(f string) bool { return !slices.Contains(interesting, f) })
				if d := cmp.Diff(tc.want, got); d != "" {
					t.Error(d)
				}
				l.nothingLeft()
			})
		})
	}
}

// Probes, kubectl exec, metrics and limits work as for other containers.
func TestHostProcessExecAndQueries(t *testing.T) {
	inJobs(t, true, func(l *lab) {
		l.must(l.pod.Create(l.Context(), l.hostProcess("c1", "ping -t localhost", systemUser)))
		l.start("c1", "")
		l.exec("c1", "e1", "cmd /c echo %CONTAINER_SANDBOX_MOUNT_POINT%")
		l.wait("c1", "e1")
		if out := l.stdio.of("c1/e1").text(); strings.TrimSpace(out) != `C:\hpc` {
			t.Errorf("exec printed %q", out)
		}
		l.delete("c1", "e1")
		pids, err := l.pod.Pids(l.Context(), "c1")
		if err != nil || len(pids) != 1 || pids[0].ExecID != "c1" {
			t.Errorf("pids %+v, %v", pids, err)
		}
		stats, err := l.pod.Stats(l.Context(), "c1")
		if err != nil || stats.MemoryCommitBytes == 0 || stats.ContainerStart.IsZero() {
			t.Errorf("stats %+v, %v", stats, err)
		}
		memory, limit := uint64(64<<20), uint16(5000)
		l.must(l.pod.Update(l.Context(), Update{ID: "c1", MemoryBytes: &memory, CPU: &UpdateCPU{Maximum: &limit}}))
		calls := l.emu.Calls(hcsemu.CallFilter{Function: "SetInformationJobObject"})
		last := calls[len(calls)-2:]
		if fmt.Sprint(last[0].Args["memory"], last[1].Args["rate"]) != "67108864 5000" {
			t.Errorf("limits %v", last)
		}
		// A user of another kind than the container's needs a token of its own.
		for user, kind := range map[string]fault.Kind{
			`NT AUTHORITY\LOCAL SERVICE`: fault.Unknown, "Administrators": fault.InvalidArgument, "nobody": fault.InvalidArgument,
		} {
			err := l.pod.CreateExec(l.Context(), CreateExec{ID: "c1", ExecID: "e2", Process: l.hostProcess("", "cmd /c exit 0", user).Process})
			l.must(err)
			_, err = l.pod.Start(l.Context(), "c1", "e2")
			if fault.KindOf(err) != kind || (err == nil) != (kind == fault.Unknown) {
				t.Errorf("exec as %s: %v, want %v", user, err, kind)
			}
			l.wait("c1", "e2")
			l.delete("c1", "e2")
		}
		// What the init leaves behind is told to shut down, then ended: an agent that
		// is restarted must not wait for long.
		l.exec("c1", "e3", "ignore")
		l.must(l.kill("c1", ""))
		killed := time.Now()
		l.wait("c1", "")
		if took, want := time.Since(killed), l.pod.cfg.Deadlines.JobShutdown; took < want || took > want+time.Second {
			t.Errorf("it took %v, want %v", took, want)
		}
		l.delete("c1", "")
		l.nothingLeft()
	})
}

// Wrong users and mounts are named, with a code that says whose fault it is,
// and nothing is left of the attempt.
func TestHostProcessBadInput(t *testing.T) {
	mounted := func(source string) func(*CreateTask) {
		return func(req *CreateTask) {
			req.Plan.Container.Mounts = []isolation.Mount{{Source: source, Destination: `C:\in`}}
		}
	}
	for _, tc := range []struct {
		name string
		user string
		more func(*CreateTask)
		kind fault.Kind
		says string
	}{
		{"no user", "", nil, fault.InvalidArgument, "NT AUTHORITY\\SYSTEM"},
		{"user of the image", "ContainerUser", nil, fault.InvalidArgument, "ContainerUser"},
		{"unknown service", `NT AUTHORITY\Nobody`, nil, fault.InvalidArgument, "Nobody"},
		{"mount of nothing", systemUser, mounted(`C:\nowhere`), fault.FailedPrecondition, `C:\nowhere`},
		{"id that is a path", systemUser, func(r *CreateTask) { r.Plan.ID = `..\c1` }, fault.InvalidArgument, `..\`},
	} {
		for _, silos := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, silos %v", tc.name, silos), func(t *testing.T) {
				inJobs(t, silos, func(l *lab) {
					req := l.hostProcess("c1", "ping -t localhost", tc.user)
					if tc.more != nil {
						tc.more(&req)
					}
					err := l.pod.Create(l.Context(), req)
					if !fault.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.says) {
						t.Errorf("error %v, want %v with %q", err, tc.kind, tc.says)
					}
					l.nothingLeft()
				})
			})
		}
	}
	inJobs(t, true, func(l *lab) {
		// A job object of another program has the name: it is not ours to join.
		other, err := l.emu.Connect(hcsemu.Caller{PID: 99, Exe: "other.exe"}).CreateJob(l.Context(), job.ObjectName("c1"))
		l.must(err)
		if err := l.pod.Create(l.Context(), l.hostProcess("c1", "ping -t localhost", systemUser)); !fault.Is(err, fault.AlreadyExists) {
			t.Errorf("a job object of this name is there: %v", err)
		}
		other.Close()
		l.nothingLeft()
	})
}

// A user that is there already, whoever made it, is not removed with the
// container that could not be made.
func TestHostProcessLeavesOthersUsers(t *testing.T) {
	inJobs(t, true, func(l *lab) {
		prepared, err := l.pod.cfg.Jobs.Prepare(l.Context(), l.hostProcess("c1", "", "").Plan, "Administrators")
		l.must(err)
		other := l.emu.Connect(hcsemu.Caller{PID: 99, Exe: "other.exe"})
		l.must(other.NetUserAdd(l.Context(), prepared.UserName(), "x"))
		err = l.pod.Create(l.Context(), l.hostProcess("c1", "ping -t localhost", "Administrators"))
		if !fault.Is(err, fault.AlreadyExists) {
			t.Errorf("error %v", err)
		}
		l.must(other.NetUserDel(l.Context(), prepared.UserName())) // it is still there
		l.nothingLeft()
	})
}

// A HostProcess pod: the sandbox holds nothing, its workloads are jobs, and a
// container of another kind does not get in.
func TestHostProcessPod(t *testing.T) {
	inJobs(t, true, func(l *lab) {
		sandbox := l.hostProcess("pod", "pause", "ContainerUser", func(r *CreateTask) {
			r.Plan.Role, r.Plan.SandboxID, r.Bundle = isolation.RoleSandbox, "pod", t.TempDir()
		})
		l.must(l.pod.Create(l.Context(), sandbox))
		l.start("pod", "")
		l.nothingHeld("before the workload")
		workload := func(id string) CreateTask {
			return l.hostProcess(id, "ping -t localhost", systemUser, func(r *CreateTask) {
				r.Plan.Role, r.Plan.SandboxID, r.Bundle = isolation.RoleWorkload, "pod", t.TempDir()
			})
		}
		plain := workload("c2")
		plain.Plan.Mode, plain.Plan.Container.HostProcess = isolation.ModeProcess, nil
		if err := l.pod.Create(l.Context(), plain); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "HostProcess") {
			t.Errorf("a process container in a HostProcess pod: %v", err)
		}
		l.must(l.pod.Create(l.Context(), workload("c1")))
		l.start("c1", "")
		if _, err := l.pod.Stats(l.Context(), "pod"); err != nil {
			t.Errorf("statistics of the sandbox: %v", err)
		}
		l.must(l.addExec("pod", "e", "cmd"))
		if _, err := l.pod.Start(l.Context(), "pod", "e"); !errors.Is(err, hcs.ErrNotSupported) {
			t.Errorf("an exec in the sandbox: %v", err)
		}
		l.must(l.pod.Kill(l.Context(), Kill{ID: "pod", Signal: SignalKill, All: true}))
		l.wait("c1", "")
		l.wait("pod", "")
		l.delete("c1", "")
		l.delete("pod", "")
		l.nothingLeft()
	})
}

func (l *lab) nothingHeld(when string) {
	l.Helper()
	if left := l.emu.Ledger().Leaks(); len(left) > 0 {
		l.Errorf("%s:\n%s", when, left)
	}
}

// The shim is killed before and after every call of a HostProcess container's
// life. Its processes end with it, and the journal is enough for the rest: the
// user, the folder, the layers.
func TestShimKilledAtEveryCallOfHostProcess(t *testing.T) {
	for _, tc := range []struct {
		silos bool
		user  string
	}{{false, "Administrators"}, {true, systemUser}} {
		total := 0
		inJobs(t, tc.silos, func(l *lab) {
			l.shape = hostProcess(tc.user)
			wholeLife(l)
			total = len(l.functions())
			l.nothingLeft()
		})
		if total < 12 {
			t.Fatalf("a whole life takes %d calls: the test shows nothing", total)
		}
		for n := 1; n <= total; n++ {
			for _, when := range []hcsemu.When{"before", "after"} {
				inJobs(t, tc.silos, func(l *lab) {
					l.shape = hostProcess(tc.user)
					l.killAt(n, when)
				})
			}
		}
	}
}

// Each call of a create fails once: the error says so and nothing is left.
func TestHostProcessCreateFails(t *testing.T) {
	for _, f := range []string{"SetVolumeMountPointW", "NetUserAdd", "NetLocalGroupAddMembers", "CreateJobObjectW", "LogonUserW", "SetInformationJobObject"} {
		t.Run(f, func(t *testing.T) {
			inJobs(t, false, func(l *lab) {
				l.fault(hcsemu.Fault{Function: f, Action: hcsemu.ActionFail, Code: "0x80070005"})
				err := l.pod.Create(l.Context(), l.hostProcess("c1", "ping -t localhost", "Administrators"))
				if !fault.Is(err, fault.PermissionDenied) || !strings.Contains(err.Error(), f) {
					t.Errorf("error %v", err)
				}
				l.nothingLeft()
			})
		})
	}
}

// A HostProcess container of a Hyper-V pod is a job in the guest, if the guest
// has that: its command goes through cmd, and who inherits the user of the
// guest's agent is SYSTEM.
func TestHostProcessInGuest(t *testing.T) {
	for build, kind := range map[uint32]fault.Kind{26100: fault.Unknown, 20348: fault.FailedPrecondition} {
		t.Run(fmt.Sprint(build), func(t *testing.T) {
			l := newVMLab(t)
			defer l.end()
			l.machines.Build = build
			l.bootPod()
			req := l.isolated("web", isolation.RoleWorkload, "whoami")
			req.Plan.Mode = isolation.ModeHostProcess
			req.Plan.Container.HostProcess = &isolation.HostProcess{InGuest: true, InheritUser: true, RootfsFolder: `C:\hpc`}
			err := l.pod.Create(l.Context(), req)
			if fault.KindOf(err) != kind || (err == nil) != (kind == fault.Unknown) {
				t.Fatalf("error %v, want %v", err, kind)
			}
			if err == nil {
				l.start("web", "")
				l.wait("web", "")
				if out := l.stdio.of("web/").text(); !strings.Contains(out, "system") {
					t.Errorf("it runs as %q", out)
				}
				l.delete("web", "")
			}
			l.must(l.kill("pod", ""))
			l.wait("pod", "")
			l.delete("pod", "")
			l.nothingLeft()
		})
	}
}
