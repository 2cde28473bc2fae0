package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/lab"
)

// A shim that is killed (out of memory, an operator's mistake) must not leave
// its container running where nobody sees it: containerd's cleanup, which calls
// the shim's delete action, must end it and give everything back.
func TestShimIsKilled(t *testing.T) {
	l := shared.of(t)
	c := connect(t, l)
	c.run("killed1", "ping", "-t", "localhost")
	for _, p := range processesOf(t, l, lab.IsolShim) {
		r, err := l.Run(t.Context(), "taskkill.exe", "/f", "/pid", fmt.Sprint(p))
		if err != nil || r.ExitCode != 0 {
			t.Fatalf("taskkill: exit %d, %v: %s%s", r.ExitCode, err, r.Stdout, r.Stderr)
		}
	}
	clean(t, l) // without a word of ours
	c.remove("killed1")
	c.run("killed1", "ping", "-t", "localhost") // the id is free again
}

// Killed in the midst of whatever it does, the shim leaves a journal by which
// the next one cleans up.
func TestShimIsKilledInACall(t *testing.T) {
	l := shared.of(t)
	for _, function := range []string{"PrepareLayer", "HcsCreateComputeSystem", "HcsStartComputeSystem", "HcsCreateProcess", "HcsTerminateProcess", "UnprepareLayer"} {
		t.Run(function, func(t *testing.T) {
			c := connect(t, l)
			faults(t, l, hcsemu.Fault{Function: function, When: "after", Action: hcsemu.ActionKill, Exe: lab.IsolShim})
			if _, err := c.live("dies-" + function); err == nil {
				t.Error("the shim was killed and nobody noticed")
			}
			faults(t, l)
			c.remove("dies-" + function)
			clean(t, l)
		})
	}
}

// processesOf are the ids of the processes of that program on the machine.
func processesOf(t *testing.T, l *lab.Lab, program string) (found []uint32) {
	t.Helper()
	processes, err := l.Processes(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		if strings.EqualFold(p.Name, program) {
			found = append(found, p.PID)
		}
	}
	return found
}
