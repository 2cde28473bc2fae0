package e2e

import (
	"strings"
	"testing"
	"time"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/lab"
)

// A call of Windows's that fails on a node must be named in what kubectl or ctr
// shows, with its code and, where there is something to do, what to do; and the
// failed container must leave the node as it was.
func TestNativeCallFails(t *testing.T) {
	l := shared.of(t)
	for _, tc := range []struct {
		name, function, hresult string
		nth                     int
		step                    string // that the client sees fail; empty for none
		code                    codes.Code
		says                    []string
	}{
		{"scratch in use", "ActivateLayer", "0x80070020", 1, "create", codes.FailedPrecondition, []string{"mount layers", "ActivateLayer", `snapshots\`, "in use"}},
		{"layer that is not there", "NameToGuid", "0x80070002", 1, "create", codes.NotFound, []string{"mount layers", "NameToGuid"}},
		{"layer that the account may not read", "PrepareLayer", "0x80070005", 1, "create", codes.PermissionDenied, []string{"PrepareLayer"}},
		{"volume without a path", "GetLayerMountPath", "0x80004005", 2, "create", codes.Unknown, []string{"GetLayerMountPath", "0x80004005"}},
		{"no compute service", "HcsCreateComputeSystem", "0x80370114", 1, "create", codes.Unavailable, []string{"HcsCreateComputeSystem", "sc query vmcompute"}},
		{"image of another Windows", "HcsCreateComputeSystem", "0x80370101", 1, "create", codes.FailedPrecondition, []string{"HcsCreateComputeSystem", "Hyper-V isolation"}},
		{"time-out of the service", "HcsCreateComputeSystem", "0x80370118", 1, "create", codes.DeadlineExceeded, []string{"HcsCreateComputeSystem", "0x80370118"}},
		{"no events of the container", "HcsSetComputeSystemCallback", "0x80004005", 1, "create", codes.Unknown, []string{"HcsSetComputeSystemCallback"}},
		{"no properties", "HcsGetComputeSystemProperties", "0x80004005", 1, "create", codes.Unknown, []string{"HcsGetComputeSystemProperties"}},
		{"container that dies at start", "HcsStartComputeSystem", "0x80370106", 1, "start", codes.Internal, []string{"HcsStartComputeSystem", "Hyper-V-Compute-Operational"}},
		{"program that may not run", "HcsCreateProcess", "0x80070005", 1, "start", codes.PermissionDenied, []string{"run ping -t localhost", "HcsCreateProcess", "0x80070005"}},
		{"no events of the init", "HcsSetProcessCallback", "0x80004005", 1, "start", codes.Unknown, []string{"HcsSetProcessCallback"}},
		{"exec that fails", "HcsCreateProcess", "0x800705af", 2, "exec", codes.ResourceExhausted, []string{"run probe sleep 0", "HcsCreateProcess", "0x800705af"}},
		{"no list of processes", "HcsGetComputeSystemProperties", "0x80004005", 2, "pids", codes.Unknown, []string{"HcsGetComputeSystemProperties"}},
		{"container that can't be opened to kill", "HcsOpenComputeSystem", "0x80004005", 1, "kill", codes.Unknown, []string{"kill", "HcsOpenComputeSystem"}},
		{"kill that fails", "HcsTerminateProcess", "0x80004005", 1, "kill", codes.Unknown, []string{"kill", "HcsTerminateProcess"}},
		{"volume in use at the end", "UnprepareLayer", "0x80070020", 1, "", codes.OK, nil},
		{"disk in use at the end", "DeactivateLayer", "0x80070020", 1, "", codes.OK, nil},
		{"no list of containers", "HcsEnumerateComputeSystems", "0x80004005", 1, "", codes.OK, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := connect(t, l)
			faults(t, l, hcsemu.Fault{Function: tc.function, Nth: tc.nth, Action: hcsemu.ActionFail, Code: tc.hresult, Exe: lab.IsolShim})
			step, err := c.live("fails")
			if step != tc.step || status.Code(err) != tc.code {
				t.Errorf("failed in %q with %v: %v; want %q with %v", step, status.Code(err), err, tc.step, tc.code)
			}
			says(t, err, tc.says...)
			faults(t, l)
			c.remove("fails")
			clean(t, l)
		})
	}
}

// A call that hangs must not hang the node: who asked can give up, the state can
// be read, and the container can be taken away while the call still hangs.
func TestNativeCallHangs(t *testing.T) {
	l := shared.of(t)
	for _, function := range []string{"ActivateLayer", "HcsCreateComputeSystem", "HcsStartComputeSystem", "HcsCreateProcess"} {
		t.Run(function, func(t *testing.T) {
			c := connect(t, l)
			faults(t, l, hcsemu.Fault{Name: "stuck", Function: function, Action: hcsemu.ActionHang, Exe: lab.IsolShim})
			defer func() { // what the last resort did not end must end with the hang
				if _, err := l.Release("stuck"); err != nil {
					t.Error(err)
				}
			}()
			// A name of its own: containerd may still clean up behind a create that
			// its client gave up.
			id := "hangs-" + function
			request := c.container(id, packed(t, specURL, spec("ping", "-t", "localhost")), nil)
			ctx, cancel := c.within(2 * time.Second)
			defer cancel()
			_, err := c.tasks.Create(ctx, request)
			if err == nil {
				_, err = c.tasks.Start(ctx, &tasksapi.StartRequest{ContainerID: id})
			}
			if status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("a client that gives up after 2 s: %v", err)
			}
			if _, err := c.state(id, ""); err != nil && status.Code(err) != codes.NotFound {
				t.Errorf("state: %v", err)
			}
			began := time.Now()
			c.remove(id)
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("taking it away took %s", took)
			}
		})
	}
}

// A call that is only slow is no failure.
func TestNativeCallIsSlow(t *testing.T) {
	l := shared.of(t)
	c := connect(t, l)
	faults(t, l,
		hcsemu.Fault{Function: "HcsCreateComputeSystem", Action: hcsemu.ActionDelay, DelayMS: 1500, Exe: lab.IsolShim},
		hcsemu.Fault{Function: "HcsCreateProcess", Action: hcsemu.ActionDelay, DelayMS: 1500, Exe: lab.IsolShim})
	if step, err := c.live("slow"); err != nil {
		t.Errorf("%s: %v", step, err)
	}
}

// Windows Update restarts the compute service under running pods: their end must
// be seen, and what can't be released without the service must be released once
// it is back.
func TestComputeServiceGoes(t *testing.T) {
	l := shared.of(t)
	c := connect(t, l)
	c.run("gone1", "ping", "-t", "localhost")
	if err := l.Disconnect(); err != nil {
		t.Fatal(err)
	}
	back := func() {
		if err := l.Restore(); err != nil {
			t.Error(err)
		}
	}
	defer back()
	ctx, cancel := c.within(time.Minute)
	defer cancel()
	if _, err := c.tasks.Wait(ctx, &tasksapi.WaitRequest{ContainerID: "gone1"}); err != nil {
		t.Errorf("wait for a container whose service has gone: %v", err)
	}
	step, err := c.live("gone2")
	if step != "create" || status.Code(err) != codes.Unavailable {
		t.Errorf("a new container: %q, %v; want create to be unavailable", step, err)
	}
	says(t, err, "sc query vmcompute")
	_, err = c.tasks.Delete(ctx, &tasksapi.DeleteTaskRequest{ContainerID: "gone1"})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("delete without the service: %v", err)
	}
	says(t, err, "delete the task again")
	back()
	c.remove("gone1")
	clean(t, l)
}

// live lives a container's life and returns the first step that fails.
func (c *client) live(id string) (string, error) {
	request := c.container(id, packed(c.t, specURL, spec("ping", "-t", "localhost")), nil)
	ctx, cancel := c.within(time.Minute)
	defer cancel()
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"create", func() error { _, err := c.tasks.Create(ctx, request); return err }},
		{"start", func() error { _, err := c.tasks.Start(ctx, &tasksapi.StartRequest{ContainerID: id}); return err }},
		{"exec", func() error { return c.exec(ctx, id, "e1", process("probe", "sleep", "0")) }},
		{"pids", func() error { _, err := c.tasks.ListPids(ctx, &tasksapi.ListPidsRequest{ContainerID: id}); return err }},
		{"kill", func() error { return c.kill(ctx, id) }},
	} {
		if err := step.do(); err != nil {
			return step.name, err
		}
	}
	return "", nil
}

// faults replaces the fault plan.
func faults(t *testing.T, l *lab.Lab, plan ...hcsemu.Fault) {
	t.Helper()
	if err := l.Faults(plan...); err != nil {
		t.Fatal(err)
	}
}

// says fails the test for each word that is not in the error's text.
func says(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not say %q: %v", word, err)
		}
	}
}
