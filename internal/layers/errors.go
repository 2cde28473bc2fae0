package layers

import (
	"fmt"

	"github.com/isolrun/isol/internal/fault"
)

// CallError is a failed call of a [Driver].
type CallError struct {
	Call string // for example "PrepareLayer"
	Path string
	Code uint32 // Win32 code or HRESULT, 0 if unknown
	Err  error
}

// Error returns a sentence with call, path, cause, code and advice.
func (e *CallError) Error() string {
	s := e.Call + " " + e.Path
	if err := e.Unwrap(); err != nil {
		s += ": " + err.Error()
	}
	if e.Code != 0 {
		s += fmt.Sprintf(" [0x%08x]", e.Code)
	}
	return s
}

// Unwrap returns a fault with the kind and the advice that fit the code.
func (e *CallError) Unwrap() error {
	for _, c := range codes {
		if c.code == win32(e.Code) {
			return &fault.Error{Kind: c.kind, Detail: c.says, Hint: c.hint, Err: e.Err}
		}
	}
	return e.Err
}

// win32 takes the Win32 code out of an HRESULT of that facility, and brings
// the two spellings of HCS codes (0xC037…, 0x8037…) to one.
func win32(code uint32) uint32 {
	switch {
	case code&0xffff0000 == 0x80070000:
		return code & 0xffff
	case code&0xffff0000 == 0xc0370000:
		return code&0xffff | 0x80370000
	}
	return code
}

// Win32 and HCS codes of the layer functions that isol knows what to do about.
// https://learn.microsoft.com/windows/win32/debug/system-error-codes
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcshresult
const (
	codeFileNotFound   = 2          // ERROR_FILE_NOT_FOUND
	codePathNotFound   = 3          // ERROR_PATH_NOT_FOUND
	codeAccessDenied   = 5          // ERROR_ACCESS_DENIED
	codeNotReady       = 21         // ERROR_NOT_READY
	codeSharing        = 32         // ERROR_SHARING_VIOLATION
	codeDevNotExist    = 55         // ERROR_DEV_NOT_EXIST
	codeDiskFull       = 112        // ERROR_DISK_FULL
	codeNotConnected   = 1167       // ERROR_DEVICE_NOT_CONNECTED
	codeNotFound       = 1168       // ERROR_NOT_FOUND
	codeRPCUnavailable = 1722       // RPC_S_SERVER_UNAVAILABLE
	codeBadLayer       = 0x80370112 // HCS_E_INVALID_LAYER
)

var codes = []struct {
	code       uint32
	kind       fault.Kind
	says, hint string
}{
	{codeFileNotFound, fault.NotFound, "", ""},
	{codePathNotFound, fault.NotFound, "", ""},
	{codeNotFound, fault.NotFound, "", ""},
	{codeAccessDenied, fault.PermissionDenied, "", "the shim needs administrator rights, and the disk must not be attached elsewhere"},
	{codeNotReady, fault.Unavailable, "the disk was not ready", "try again: the host is slow to attach disks"},
	{codeNotConnected, fault.Unavailable, "the disk was not ready", "try again: the host is slow to attach disks"},
	{codeDevNotExist, fault.NotFound, "", ""},
	{codeSharing, fault.FailedPrecondition, "the disk is in use", "another container or program holds it open"},
	{codeDiskFull, fault.ResourceExhausted, "the host's disk is full", "free space on the volume of the snapshots"},
	{codeRPCUnavailable, fault.Unavailable, "the compute service is not there", "check that the vmcompute service runs"},
	{codeBadLayer, fault.FailedPrecondition, "the host does not recognise the image's layer format",
		"an image newer than the host can have such layers: use one of an older release, for example ltsc2022"},
}

// retryable reports whether err is one of the two that runhcs retries: under
// load Server 2019 reports a disk as attached before it is there.
func retryable(err error) bool { return hasCode(err, codeNotReady, codeNotConnected) }

// gone reports whether an undo failed because there was nothing to undo.
func gone(err error) bool {
	return hasCode(err, codeFileNotFound, codePathNotFound, codeNotFound, codeDevNotExist, codeNotReady, codeNotConnected)
}
