package computecore

import "unsafe"

// handle is an opaque handle of computecore.dll: HCS_SYSTEM, HCS_PROCESS,
// HCS_OPERATION, or a file handle. 0 is none.
type handle uintptr

// noHandle is INVALID_HANDLE_VALUE: HcsGetProcessInfo may answer it for a
// stream that was not asked for.
const noHandle = ^handle(0)

// processInformation is HCS_PROCESS_INFORMATION
// (https://learn.microsoft.com/virtualization/api/hcs/reference/hcs_process_information).
type processInformation struct {
	ProcessID uint32
	Reserved  uint32
	StdInput  handle
	StdOutput handle
	StdError  handle
}

// event is HCS_EVENT
// (https://learn.microsoft.com/virtualization/api/hcs/reference/hcs_event).
type event struct {
	Type      eventType
	EventData unsafe.Pointer // PCWSTR, may be nil; valid during the callback only
	Operation handle
}

// eventType is HCS_EVENT_TYPE
// (https://learn.microsoft.com/virtualization/api/hcs/reference/hcs_event_type).
type eventType uint32

const (
	eventSystemExited         eventType = 0x00000001
	eventSystemCrashInitiated eventType = 0x00000002
	eventSystemCrashReport    eventType = 0x00000003
	eventProcessExited        eventType = 0x00010000
	eventServiceDisconnect    eventType = 0x02000000
)
