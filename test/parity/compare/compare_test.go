package compare

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/parity/driver"
)

const (
	made1 = "11111111-1111-4111-8111-111111111111"
	made2 = "22222222-2222-4222-8222-222222222222"
	layer = "a9568b42-1784-5ecf-a23d-dfb0c08f17b0"
	disk  = `\\?\Volume{33333333-3333-4333-8333-333333333333}\`
)

// call is a recorded call; args is JSON.
func call(function, system, args string) hcsemu.Call {
	c := hcsemu.Call{Function: function, System: system, Args: hcsemu.Args{}}
	if args != "" {
		if err := json.Unmarshal([]byte(args), &c.Args); err != nil {
			panic(err)
		}
	}
	return c
}

// record is a run of one task with the given id.
func record(id string, calls ...hcsemu.Call) *Raw {
	r := &Raw{Names: map[string]string{}, Reply: &driver.Reply{Results: []driver.Result{{Step: "task: create", Code: "OK"}}}}
	r.Name(driver.Task{Name: "task", ID: id, Bundle: `C:\b\` + id}, false)
	for i, c := range calls {
		c.Seq, c.Time = i+1, time.Unix(int64(i), 0)
		r.Calls = append(r.Calls, c)
	}
	return r
}

// paths are the differences, without what differs in them.
func paths(isol, runhcs *Raw) []string {
	var list []string
	for _, d := range Compare("x", Observe(isol), Observe(runhcs)) {
		list = append(list, d.Path)
	}
	return list
}

// What is no difference must not be one, and what is must be seen: this is what
// every figure of the report stands on.
func TestCompare(t *testing.T) {
	create := func(id, memory string) hcsemu.Call {
		return call("HcsCreateComputeSystem", id, `{"document":{"Owner":"`+map[string]string{"a": "containerd-shim-isol-v1.exe", "b": "containerd-shim-runhcs-v1.exe"}[id[:1]]+
			`","Memory":`+memory+`,"Root":"`+map[string]string{"a": made1, "b": made2}[id[:1]]+`","Layer":"`+layer+`"}}`)
	}
	start := func(id string) hcsemu.Call { return call("HcsStartComputeSystem", id, "") }
	for _, tc := range []struct {
		name         string
		isol, runhcs *Raw
		want         []string
	}{
		{"ids, owners and GUIDs of the run", record("a-1", create("a-1", "1")), record("b-22", create("b-22", "1")), nil},
		{"a member", record("a-1", create("a-1", "1")), record("b-22", create("b-22", "2")), []string{"call/HcsCreateComputeSystem/document/Memory"}},
		{"a call of one", record("a-1", create("a-1", "1"), start("a-1")), record("b-22", create("b-22", "1")), []string{"call/HcsStartComputeSystem"}},
		{"another order", record("a-1", start("a-1"), create("a-1", "1")), record("b-22", create("b-22", "1"), start("b-22")), []string{"order/HcsStartComputeSystem"}},
		{"calls that have no order",
			record("a-1", call("NameToGuid", "", `{"name":"1"}`), start("a-1")), record("b-22", start("b-22"), call("NameToGuid", "", `{"name":"1"}`)), nil},
		{"an error code", record("a-1", start("a-1")), record("b-22", func() hcsemu.Call { c := start("b-22"); c.Code = hcsemu.EInvalidArg; return c }()), []string{"call/HcsStartComputeSystem/code"}},
		{"the older interface",
			record("a-1", call("HcsGrantVmAccess", "a-1@vm", "")), record("b-22", call("GrantVmAccess", "b-22@vm", ""), call("HcsGetProcessProperties", "b-22", "")), nil},
		{"a query that is asked twice",
			record("a-1", call("HcsGetComputeSystemProperties", "a-1", `{"query":{}}`)),
			record("b-22", call("HcsGetComputeSystemProperties", "b-22", `{"query":{}}`), call("HcsGetComputeSystemProperties", "b-22", `{"query":{}}`)), nil},
		{"a query that only one asks", record("a-1"), record("b-22", call("HcsGetComputeSystemProperties", "b-22", `{"query":{}}`)), []string{"call/HcsGetComputeSystemProperties"}},
		{"traces of messages",
			record("a-1", call("GcsStart", "a-1@vm", `{"message":{"ContainerId":"a-1"}}`)),
			record("b-22", call("GcsStart", "b-22@vm", `{"message":{"ContainerId":"b-22","ActivityId":"`+made2+`","ocsc":{"SpanID":"x"}}}`)), nil},
		{"a document in a message",
			record("a-1", call("GcsCreate", "a-1@vm", `{"message":{"ContainerConfig":"{\"A\":{\"B\":1}}"}}`)),
			record("b-22", call("GcsCreate", "b-22@vm", `{"message":{"ContainerConfig":"{\"A\":{\"B\":2}}"}}`)), []string{"call/GcsCreate/message/ContainerConfig/A/B"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, paths(tc.isol, tc.runhcs)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A layer has one id everywhere: a wrong one must not pass as one that was made in the run.
func TestKnownGUIDsCount(t *testing.T) {
	isol := record("a-1", call("NameToGuid", "", `{"x":"`+layer+`"}`), call("PrepareLayer", "", `{"id":"`+layer+`"}`))
	runhcs := record("b-22", call("NameToGuid", "", `{"x":"`+layer+`"}`), call("PrepareLayer", "", `{"id":"`+made2+`"}`))
	if diff := cmp.Diff([]string{"call/PrepareLayer/id"}, paths(isol, runhcs)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A kill has a handle of its own: what it does with it is not taken for what
// the task's own handle is used for.
func TestOpenedHandles(t *testing.T) {
	open := func(id string) hcsemu.Call {
		c := call("HcsOpenComputeSystem", id, "")
		c.Result = 7
		return c
	}
	isol := record("a-1", open("a-1"), call("HcsCloseComputeSystem", "a-1", `{"handle":7}`), call("HcsCloseComputeSystem", "a-1", `{"handle":1}`))
	runhcs := record("b-22", open("b-22"), call("HcsCloseComputeSystem", "b-22", `{"handle":1}`), call("HcsCloseComputeSystem", "b-22", `{"handle":7}`))
	if got := paths(isol, runhcs); got != nil {
		t.Errorf("%v", got)
	}
}

// Where one shim refuses, what the other did is no further difference.
func TestParted(t *testing.T) {
	isol, runhcs := record("a-1"), record("b-22", call("HcsCreateComputeSystem", "b-22", ""))
	isol.Reply.Results[0].Code = "Unimplemented"
	runhcs.Reply.Results = append(runhcs.Reply.Results, driver.Result{Step: "task: start", Code: "OK"})
	runhcs.Reply.Events = []driver.Event{{Topic: "/tasks/create", Body: map[string]any{}}}
	if diff := cmp.Diff([]string{"step/task: create/code"}, paths(isol, runhcs)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEvents(t *testing.T) {
	isol, runhcs := record("a-1"), record("b-22")
	event := func(id string, status int) driver.Event {
		return driver.Event{Topic: "/tasks/exit", Body: map[string]any{"containerId": id, "id": id, "pid": 12 + status, "exitStatus": status, "exitedAt": status}}
	}
	isol.Reply.Events = []driver.Event{event("a-1", 1), {Topic: "/tasks/delete", Body: map[string]any{"containerId": "a-1"}}}
	runhcs.Reply.Events = []driver.Event{event("b-22", 2)}
	if diff := cmp.Diff([]string{"event/tasks/exit/exitStatus", "event/tasks/delete"}, paths(isol, runhcs)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A volume's name is made by the layer store.
func TestVolumes(t *testing.T) {
	n := newNames(nil)
	if got := n.text(disk + "x"); got != `\\?\Volume{<guid>}\x` {
		t.Error(got)
	}
}

// The table cannot rot: a rule that explains nothing is told, and so is a
// difference that no rule explains.
func TestJudge(t *testing.T) {
	d := func(run, path, isol, runhcs string) Difference {
		return Difference{Run: run, Path: path, Isol: isol, Runhcs: runhcs}
	}
	rules := []Rule{
		{Name: "narrow", Runs: "b/*", Path: "call/X*"},
		{Name: "gone", Path: "call/Y", Isol: None},
		{Name: "values", Path: "call/Z", Isol: `"a"%"b"`, Runhcs: None},
	}
	v := Judge([]string{"a/1", "b/1", "c/1"}, map[string][]Difference{
		"b/1": {d("b/1", "call/X/y", "1", "2"), d("b/1", "call/Z", `"b"`, "")},
		"c/1": {d("c/1", "call/X/y", "1", "2"), d("c/1", "call/Y", "1", "")},
	}, rules)
	if diff := cmp.Diff([]string{"a/1"}, v.Equal); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"b/1"}, v.Explained); diff != "" {
		t.Error(diff)
	}
	if len(v.Unexplained) != 2 || len(v.Stale) != 1 || v.Stale[0] != "gone" {
		t.Errorf("unexplained %v, stale %v", v.Unexplained, v.Stale)
	}
}
