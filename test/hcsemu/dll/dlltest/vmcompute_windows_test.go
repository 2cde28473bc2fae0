package dlltest

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/isolrun/isol/internal/hcs/schema"
	"golang.org/x/sys/windows"
)

// The older interface's pending code and notifications, as hcsshim v0.14.1
// relies on them (internal/hcs/callback.go).
const (
	olderPending         = 0xC0370103
	olderNotFound        = 0xC037010E
	olderAlreadyStopped  = 0xC0370110
	notifySystemExited   = 0x1
	notifyCreated        = 0x2
	notifyStarted        = 0x3
	notifyProcessExited  = 0x10000
	notificationPatience = 30 * time.Second
)

// older calls functions of vmcompute.dll by name.
type older struct {
	t   *testing.T
	dll *windows.LazyDLL
}

// call passes strings as UTF-16 and everything else as it is.
func (o older) call(name string, args ...any) uint32 {
	o.t.Helper()
	return invoke(o.t, o.dll, name, args...)
}

func invoke(t *testing.T, dll *windows.LazyDLL, name string, args ...any) uint32 {
	t.Helper()
	words := make([]uintptr, len(args))
	var keep []any
	for i, arg := range args {
		switch v := arg.(type) {
		case string:
			p, err := windows.UTF16PtrFromString(v)
			check(t, err)
			words[i], keep = uintptr(unsafe.Pointer(p)), append(keep, p)
		case uintptr:
			words[i] = v
		case int:
			words[i] = uintptr(v)
		case *uintptr:
			words[i] = uintptr(unsafe.Pointer(v))
		case **uint16:
			words[i] = uintptr(unsafe.Pointer(v))
		case *processInformation:
			words[i] = uintptr(unsafe.Pointer(v))
		default:
			t.Fatalf("%s: argument %d has type %T", name, i, arg)
		}
	}
	r, _, _ := dll.NewProc(name).Call(words...)
	_ = keep
	return uint32(r)
}

// processInformation is HCS_PROCESS_INFORMATION.
type processInformation struct {
	PID, Reserved uint32
	In, Out, Err  windows.Handle
}

// text takes a string that a DLL has allocated.
func text(p *uint16) string {
	if p == nil {
		return ""
	}
	defer windows.CoTaskMemFree(unsafe.Pointer(p))
	return windows.UTF16PtrToString(p)
}

type notification struct {
	kind, status uint32
	data         string
}

// notifications are what the callbacks of this process got, by context.
var notifications = [8]chan notification{}

var olderCallback = windows.NewCallback(func(kind, context, status uintptr, data *uint16) uintptr {
	n := notification{kind: uint32(kind), status: uint32(status)}
	if data != nil {
		n.data = windows.UTF16PtrToString(data)
	}
	notifications[context] <- n
	return 0
})

func expect(t *testing.T, context int, kind uint32) notification {
	t.Helper()
	select {
	case n := <-notifications[context]:
		if n.kind != kind || int32(n.status) < 0 {
			t.Fatalf("notification %#x status %#x %s, want %#x", n.kind, n.status, n.data, kind)
		}
		return n
	case <-time.After(notificationPatience):
		t.Fatalf("no notification %#x", kind)
	}
	return notification{}
}

// A container's life through the older interface, call by call as hcsshim
// v0.14.1 makes them.
func TestOlderInterface(t *testing.T) {
	o := older{t, windows.NewLazySystemDLL("vmcompute.dll")}
	doc, err := json.Marshal(document(t))
	check(t, err)
	notifications[1], notifications[2] = make(chan notification, 8), make(chan notification, 8)

	var system, registration uintptr
	var result *uint16
	if hr := o.call("HcsOpenComputeSystem", "none", &system, &result); hr != olderNotFound {
		t.Errorf("open of an unknown system: %#x %s, want %#x", hr, text(result), uint32(olderNotFound))
	}
	id := fmt.Sprint("older-", os.Getpid())
	if hr := o.call("HcsCreateComputeSystem", id, string(doc), 0, &system, &result); hr != olderPending || system == 0 {
		t.Fatalf("create: %#x, handle %#x", hr, system)
	}
	if hr := o.call("HcsRegisterComputeSystemCallback", system, olderCallback, 1, &registration); hr != 0 {
		t.Fatalf("register: %#x", hr)
	}
	expect(t, 1, notifyCreated)
	var properties *uint16
	hr := o.call("HcsGetComputeSystemProperties", system, "{}", &properties, &result)
	if got := text(properties); hr != 0 || !strings.Contains(got, `"SystemType":"Container"`) {
		t.Errorf("properties: %#x %s", hr, got)
	}
	if hr := o.call("HcsStartComputeSystem", system, "", &result); hr != olderPending {
		t.Fatalf("start: %#x", hr)
	}
	expect(t, 1, notifyStarted)

	params, err := json.Marshal(schema.ProcessParameters{CommandLine: command("exit", "7"), CreateStdOutPipe: true})
	check(t, err)
	var process, processRegistration uintptr
	var info processInformation
	if hr := o.call("HcsCreateProcess", system, string(params), &info, &process, &result); hr != 0 {
		t.Fatalf("create process: %#x %s", hr, text(result))
	}
	if info.PID == 0 || info.Out == 0 || info.In != 0 || info.Err != 0 {
		t.Errorf("process information %+v", info)
	}
	check(t, windows.CloseHandle(info.Out))
	if hr := o.call("HcsRegisterProcessCallback", process, olderCallback, 2, &processRegistration); hr != 0 {
		t.Fatalf("register: %#x", hr)
	}
	expect(t, 2, notifyProcessExited)
	hr = o.call("HcsGetProcessProperties", process, &properties, &result)
	if got := text(properties); hr != 0 || !strings.Contains(got, `"ExitCode":7`) {
		t.Errorf("process properties: %#x %s", hr, got)
	}
	o.must("HcsUnregisterProcessCallback", processRegistration)
	o.must("HcsCloseProcess", process)

	if hr := o.call("HcsTerminateComputeSystem", system, "", &result); hr != olderPending {
		t.Errorf("terminate: %#x %s", hr, text(result))
	}
	expect(t, 1, notifySystemExited)
	if hr := o.call("HcsStartComputeSystem", system, "", &result); hr != olderPending {
		t.Errorf("start after the end: %#x, want pending and then the error", hr)
	}
	if n := <-notifications[1]; n.kind != notifyStarted || n.status != olderAlreadyStopped {
		t.Errorf("start after the end: %#x status %#x", n.kind, n.status)
	}
	o.must("HcsUnregisterComputeSystemCallback", registration)
	o.must("HcsCloseComputeSystem", system)
}

func (o older) must(name string, args ...any) {
	o.t.Helper()
	if hr := o.call(name, args...); hr != 0 {
		o.t.Errorf("%s: %#x", name, hr)
	}
}
