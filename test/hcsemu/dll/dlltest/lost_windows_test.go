package dlltest

import (
	"os/exec"
	"testing"
	"time"

	"github.com/isolrun/isol/test/hcsemu/service"
	"golang.org/x/sys/windows"
)

const (
	serviceNotAvailable = 0x80370114
	serviceDisconnect   = 0x8037011E
)

// restart ends the service and starts it again; between the two it calls f.
func restart(t *testing.T, f func()) {
	t.Helper()
	run := func(args ...string) {
		if out, err := exec.CommandContext(t.Context(), `C:\hcsemu.exe`, args...).CombinedOutput(); err != nil {
			t.Fatalf("hcsemu %v: %v\n%s", args, err, out)
		}
	}
	run("stop")
	f()
	check(t, exec.Command(`C:\hcsemu.exe`, "serve").Start()) // it outlives this test
	run("ping", "--timeout", "30s")
}

// A service that dies fails what is under way, tells every callback, and is
// used again once it is back. Handles of before stay dead.
func TestServiceLost(t *testing.T) {
	m := newModern(t)
	op := m.word("HcsCreateOperation", 0, 0)
	defer m.word("HcsCloseOperation", op)
	m.want(0, "HcsEnumerateComputeSystems", "", op)
	var answer *uint16
	m.want(0, "HcsWaitForOperationResult", op, windows.INFINITE, &answer)
	text(answer)

	storage, _ := rootfs(t) // the new service knows nothing of it
	system := m.create(container(storage))
	events := make(chan uint32, 4)
	callback := windows.NewCallback(func(event *uint32, context uintptr) uintptr {
		events <- *event
		return 0
	})
	m.want(0, "HcsSetComputeSystemCallback", system, 0, 0, callback)
	admin(t, service.AdminFaults, `[{"function":"HcsStartComputeSystem","action":"hang","name":"lost"}]`)
	m.want(0, "HcsStartComputeSystem", system, op, "")
	awaitHang(t, "lost")
	restart(t, func() {
		m.want(serviceDisconnect, "HcsWaitForOperationResult", op, windows.INFINITE, &answer)
		select {
		case kind := <-events:
			if kind != 0x02000000 {
				t.Errorf("event %#x, want the disconnect", kind)
			}
		case <-time.After(30 * time.Second):
			t.Error("the callback was not told")
		}
		m.want(serviceDisconnect, "HcsTerminateComputeSystem", system, op, "")
		m.want(serviceNotAvailable, "HcsEnumerateComputeSystems", "", op)
	})
	m.want(0, "HcsEnumerateComputeSystems", "", op)
	m.want(0, "HcsWaitForOperationResult", op, windows.INFINITE, &answer)
	if got := text(answer); got != "[]" {
		t.Errorf("systems of the new service: %s", got)
	}
	m.want(serviceDisconnect, "HcsTerminateComputeSystem", system, op, "")
}
