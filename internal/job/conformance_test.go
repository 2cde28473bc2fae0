package job_test

import (
	"testing"

	"github.com/isolrun/isol/internal/job/jobtest"
	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/jobdriver"
)

// What the pod's tests run on must behave as Windows does.
func TestEmulatedSystem(t *testing.T) {
	e := hcsemu.New(hcsemu.Config{})
	t.Cleanup(e.Close)
	client := e.Connect(hcsemu.Caller{PID: 1, Exe: "containerd-shim-isol-v1.exe"})
	jobtest.Run(t, jobtest.Machine{System: jobdriver.New(client, false), Group: "Administrators"})
	if left := e.Ledger().Leaks(); len(left) > 0 {
		t.Errorf("left behind:\n%s", left)
	}
}
