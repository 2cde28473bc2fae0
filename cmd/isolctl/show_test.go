package main

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/shim/diagnostics"
	"github.com/isolrun/isol/internal/uvm"
)

// A pod that is not there, one whose shim has gone, and one that is in several
// namespaces must be told apart: each asks for something else of the operator.
func TestShowFindsTheShim(t *testing.T) {
	n := newNode(t)
	n.task(t, "gone", "gone")
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"no id", nil, "name one pod or task"},
		{"unknown", []string{"nobody"}, "there is no pod or task nobody in any namespace"},
		{"unknown in a namespace", []string{"--namespace", "k8s.io", "gone"}, "there is no pod or task gone in namespace k8s.io"},
		{"shim gone", []string{"gone"}, "the shim of gone does not run"},
		{"VM of a pod whose shim has gone", []string{"gone@vm"}, "the shim of gone does not run"},
	} {
		for _, command := range []string{"show", "stacks"} {
			t.Run(tc.name+" "+command, func(t *testing.T) {
				make := showCommand
				if command == "stacks" {
					make = stacksCommand
				}
				if out, err := n.ctl(make, tc.args...); err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("error %v, want %q; printed %q", err, tc.want, out)
				}
			})
		}
	}
}

// What an operator reads first is there: states, the VM's end, each phase with
// isol's own share, why, what crosses the boundary, and what hangs.
func TestShowPrints(t *testing.T) {
	exit := uint32(255)
	var out strings.Builder
	err := writeReport(&out, diagnostics.Report{
		Pod: "pod1", Namespace: "k8s.io", Shim: diagnostics.Shim{PID: 42, Goroutines: 17, Started: time.Now()},
		VM: &uvm.Snapshot{ID: "pod1@vm", State: "ended", Reason: uvm.ReasonBugcheck, Error: "bugcheck 0xd1", Image: `C:\base`, Shares: 3, Disks: 2},
		Tasks: []diagnostics.Task{{
			Process: diagnostics.Process{ID: "web", State: "stopped", PID: 9, Exit: &exit},
			Plan: &isolation.Plan{Mode: isolation.ModeHyperV, Reasons: []isolation.Reason{{Decision: "hyperv", Input: "spec.Windows.HyperV", Why: "it is there"}},
				Crossings: []isolation.Crossing{{Host: `C:\data`, Inside: `C:\d`}}},
			Phases: []hcs.Span{{Phase: hcs.PhaseStart, Took: 30 * time.Millisecond, Waited: 20 * time.Millisecond}},
			Execs:  []diagnostics.Process{{ID: "e1", State: "running", PID: 10}},
		}},
		Calls: []diagnostics.Call{{Op: "HcsStartComputeSystem", Subject: "pod1@vm", For: time.Minute}},
	})
	must(t, err)
	for _, want := range []string{
		"pod1, namespace k8s.io", "pid 42", "17 goroutines", "pod1@vm, ended", "ended: bugcheck", "bugcheck 0xd1", "3 shares, 2 disks",
		"web, stopped, pid 9, exit status 255", "exec  e1, running", "start  30ms  20ms    10ms", "spec.Windows.HyperV", `C:\data`,
		"1m0s", "HcsStartComputeSystem pod1@vm",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

// Stacks of shim and guest go through whole.
func TestStacksPrint(t *testing.T) {
	n := newNode(t)
	n.task(t, "web", "web")
	server, err := ttrpc.NewServer()
	must(t, err)
	server.RegisterService("isol.diagnostics.v1.Diagnostics", &ttrpc.ServiceDesc{Methods: map[string]ttrpc.Method{
		"Stacks": func(_ context.Context, unmarshal func(any) error) (any, error) {
			var in anypb.Any
			err := unmarshal(&in)
			return &anypb.Any{TypeUrl: in.TypeUrl, Value: []byte(`{"shim":"goroutine 1","guest":"thread 7"}`)}, err
		},
	}})
	l, err := net.Listen("unix", t.TempDir()+"/s")
	must(t, err)
	go func() { _ = server.Serve(context.Background(), l) }()
	t.Cleanup(func() { server.Close() })
	n.answers = func() (net.Conn, error) { return net.Dial("unix", l.Addr().String()) }
	out, err := n.ctl(stacksCommand, "web")
	if err != nil || !strings.Contains(out, "goroutine 1") || !strings.Contains(out, "thread 7") {
		t.Errorf("printed %q, %v", out, err)
	}
}
