package dlltest

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/test/hcsemu/service"
	"golang.org/x/sys/windows"
)

// Codes of operations. Source:
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcshresult
const (
	notStarted     = 0x80370115
	alreadyStarted = 0x80370116
	pending        = 0x80370117
	timedOut       = 0x80370118
	callbackSet    = 0x80370119
)

// modern calls functions of computecore.dll by name.
type modern struct {
	t   *testing.T
	dll *windows.LazyDLL
}

func newModern(t *testing.T) modern { return modern{t, windows.NewLazySystemDLL("computecore.dll")} }

func (m modern) call(name string, args ...any) uint32 {
	m.t.Helper()
	return invoke(m.t, m.dll, name, args...)
}

// word is for functions that return no HRESULT.
func (m modern) word(name string, args ...uintptr) uintptr {
	r, _, _ := m.dll.NewProc(name).Call(args...)
	return r
}

func (m modern) want(code uint32, name string, args ...any) {
	m.t.Helper()
	if hr := m.call(name, args...); hr != code {
		m.t.Errorf("%s: %#x, want %#x", name, hr, code)
	}
}

// created makes a system and returns its handle, which is closed with the test.
func (m modern) created() uintptr { return m.create(document(m.t)) }

func (m modern) create(system *schema.ComputeSystem) uintptr {
	m.t.Helper()
	doc, err := json.Marshal(system)
	check(m.t, err)
	op := m.word("HcsCreateOperation", 0, 0)
	defer m.word("HcsCloseOperation", op)
	var handle uintptr
	var answer *uint16
	m.want(0, "HcsCreateComputeSystem", fmt.Sprint("op-", os.Getpid(), "-", m.t.Name()), string(doc), op, 0, &handle)
	if hr := m.call("HcsWaitForOperationResult", op, windows.INFINITE, &answer); hr != 0 {
		m.t.Fatalf("create: %#x %s", hr, text(answer))
	}
	m.t.Cleanup(func() { m.word("HcsCloseComputeSystem", handle) })
	return handle
}

// Operations are asynchronous: a call that the service holds returns at once,
// waits time out, and the operation can be given up meanwhile.
func TestOperations(t *testing.T) {
	m := newModern(t)
	system := m.created()
	op := m.word("HcsCreateOperation", 77, 0)
	var answer *uint16
	m.want(notStarted, "HcsGetOperationResult", op, &answer)
	m.want(notStarted, "HcsWaitForOperationResult", op, 0, &answer)
	if got := m.word("HcsGetOperationContext", op); got != 77 {
		t.Errorf("context %d, want 77", got)
	}

	admin(t, service.AdminFaults, `[{"function":"HcsStartComputeSystem","action":"hang","name":"start"}]`)
	t.Cleanup(func() { admin(t, service.AdminFaults, "") })
	m.want(0, "HcsStartComputeSystem", system, op, "")
	m.want(alreadyStarted, "HcsStartComputeSystem", system, op, "")
	m.want(pending, "HcsGetOperationResult", op, &answer)
	m.want(timedOut, "HcsWaitForOperationResult", op, 20, &answer)
	if got := m.word("HcsGetComputeSystemFromOperation", op); got != system {
		t.Errorf("system of the operation %#x, want %#x", got, system)
	}
	if got := int32(m.word("HcsGetOperationType", op)); got != 2 {
		t.Errorf("type of the operation %d, want 2 (start)", got)
	}
	awaitHang(t, "start")
	admin(t, service.AdminRelease, "start")
	m.want(0, "HcsWaitForOperationResult", op, windows.INFINITE, &answer)

	// An operation may be used again, and closed while its call is under way.
	m.want(0, "HcsGetComputeSystemProperties", system, op, "{}")
	m.word("HcsCloseOperation", op)
}

// A cancelled call completes, and what it did not do is not done.
func TestCancel(t *testing.T) {
	m := newModern(t)
	system := m.created()
	admin(t, service.AdminFaults, `[{"function":"HcsStartComputeSystem","action":"hang","name":"cancel"}]`)
	t.Cleanup(func() { admin(t, service.AdminFaults, "") })
	op := m.word("HcsCreateOperation", 0, 0)
	defer m.word("HcsCloseOperation", op)
	m.want(0, "HcsStartComputeSystem", system, op, "")
	awaitHang(t, "cancel")
	m.want(0, "HcsCancelOperation", op)
	var answer *uint16
	m.want(uint32(windows.E_ABORT), "HcsWaitForOperationResult", op, windows.INFINITE, &answer)
	m.want(0, "HcsStartComputeSystem", system, op, "")
	m.want(0, "HcsWaitForOperationResult", op, windows.INFINITE, &answer)
}

var operationDone = make(chan uintptr, 1)

// An operation's callback runs once the result is there, and may call HCS and
// wait: that must not stop the thread that brings results.
func TestOperationCallback(t *testing.T) {
	m := newModern(t)
	system := m.created()
	callback := windows.NewCallback(func(op, context uintptr) uintptr {
		var answer *uint16
		inner := m.word("HcsCreateOperation", 0, 0)
		m.want(0, "HcsGetOperationResult", op, &answer)
		m.want(0, "HcsGetComputeSystemProperties", context, inner, "{}")
		m.want(0, "HcsWaitForOperationResult", inner, windows.INFINITE, &answer)
		m.word("HcsCloseOperation", inner)
		operationDone <- op
		return 0
	})
	op := m.word("HcsCreateOperation", 0, 0)
	m.want(0, "HcsSetOperationCallback", op, system, callback)
	m.want(0, "HcsStartComputeSystem", system, op, "")
	if got := <-operationDone; got != op {
		t.Errorf("callback of operation %#x, want %#x", got, op)
	}
	m.word("HcsCloseOperation", op)
}

// A handle has one callback, until that is taken away.
func TestOneCallback(t *testing.T) {
	m := newModern(t)
	system := m.created()
	callback := windows.NewCallback(func(event, context uintptr) uintptr { return 0 })
	m.want(0, "HcsSetComputeSystemCallback", system, 0, 0, callback)
	m.want(callbackSet, "HcsSetComputeSystemCallback", system, 0, 0, callback)
	m.want(0, "HcsSetComputeSystemCallback", system, 0, 0, 0)
	m.want(0, "HcsSetComputeSystemCallback", system, 0, 0, callback)
}

// Exits can be waited for without callbacks.
func TestWaitForExit(t *testing.T) {
	m := newModern(t)
	system := m.created()
	var answer *uint16
	m.want(timedOut, "HcsWaitForComputeSystemExit", system, 20, &answer)
	op := m.word("HcsCreateOperation", 0, 0)
	defer m.word("HcsCloseOperation", op)
	m.want(0, "HcsTerminateComputeSystem", system, op, "")
	m.want(0, "HcsWaitForComputeSystemExit", system, windows.INFINITE, &answer)
	var exit schema.SystemExitStatus
	if got := text(answer); json.Unmarshal([]byte(got), &exit) != nil || exit.ExitType == "" {
		t.Errorf("exit document %q", got)
	}
}

// What is not a handle or an operation is refused, not followed.
func TestRubbish(t *testing.T) {
	m := newModern(t)
	var answer *uint16
	m.want(uint32(windows.E_INVALIDARG), "HcsGetOperationResult", 0, &answer)
	m.want(uint32(windows.E_INVALIDARG), "HcsStartComputeSystem", 5, 0, "")
	op := m.word("HcsCreateOperation", 0, 0)
	defer m.word("HcsCloseOperation", op)
	if hr := m.call("HcsStartComputeSystem", 5, op, ""); hr != uint32(windows.E_HANDLE) {
		t.Errorf("start of handle 5: %#x, want E_HANDLE", hr)
	}
	m.word("HcsCloseComputeSystem", 5)
	m.word("HcsCloseOperation", 0)
}
