package computecore

import (
	"testing"
	"unsafe"
)

// The service writes these structs. A wrong offset reads a handle from padding.
// The numbers are those of ComputeDefs.h on 64-bit Windows (amd64 and arm64).
func TestLayout(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("isol runs on 64-bit Windows only")
	}
	var info processInformation
	var ev event
	for _, c := range []struct {
		name      string
		got, want uintptr
	}{
		{"sizeof HCS_PROCESS_INFORMATION", unsafe.Sizeof(info), 32},
		{"HCS_PROCESS_INFORMATION.ProcessId", unsafe.Offsetof(info.ProcessID), 0},
		{"HCS_PROCESS_INFORMATION.Reserved", unsafe.Offsetof(info.Reserved), 4},
		{"HCS_PROCESS_INFORMATION.StdInput", unsafe.Offsetof(info.StdInput), 8},
		{"HCS_PROCESS_INFORMATION.StdOutput", unsafe.Offsetof(info.StdOutput), 16},
		{"HCS_PROCESS_INFORMATION.StdError", unsafe.Offsetof(info.StdError), 24},
		{"sizeof HCS_EVENT", unsafe.Sizeof(ev), 24},
		{"HCS_EVENT.Type", unsafe.Offsetof(ev.Type), 0},
		{"HCS_EVENT.EventData", unsafe.Offsetof(ev.EventData), 8},
		{"HCS_EVENT.Operation", unsafe.Offsetof(ev.Operation), 16},
		{"sizeof handle", unsafe.Sizeof(handle(0)), 8},
	} {
		if c.got != c.want {
			t.Errorf("%s is %d, want %d", c.name, c.got, c.want)
		}
	}
}
