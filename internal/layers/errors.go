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
func (e *CallError) Unwrap() error { return codes.Explain(e.Code, e.Err) }

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
	codeNotConnected   = 1167       // ERROR_DEVICE_NOT_CONNECTED
	codeNotFound       = 1168       // ERROR_NOT_FOUND
	codeRPCUnavailable = 1722       // RPC_S_SERVER_UNAVAILABLE
	codeBadLayer       = 0x80370112 // HCS_E_INVALID_LAYER
)

var codes = append(fault.OutOfSpaceCodes("the snapshots"), fault.Codes{
	{Number: codeFileNotFound, Kind: fault.NotFound},
	{Number: codePathNotFound, Kind: fault.NotFound},
	{Number: codeNotFound, Kind: fault.NotFound},
	{Number: codeAccessDenied, Kind: fault.PermissionDenied, Hint: "the shim needs administrator rights, and the disk must not be attached elsewhere"},
	{Number: codeNotReady, Kind: fault.Unavailable, Says: "the disk was not ready", Hint: "try again: the host is slow to attach disks"},
	{Number: codeNotConnected, Kind: fault.Unavailable, Says: "the disk was not ready", Hint: "try again: the host is slow to attach disks"},
	{Number: codeDevNotExist, Kind: fault.NotFound},
	{Number: codeSharing, Kind: fault.FailedPrecondition, Says: "the disk is in use", Hint: "another container or program holds it open"},
	{Number: codeRPCUnavailable, Kind: fault.Unavailable, Says: "the compute service is not there", Hint: "check that the vmcompute service runs"},
	{Number: codeBadLayer, Kind: fault.FailedPrecondition, Says: "the host does not recognise the image's layer format", Hint: "an image newer than the host can have such layers: use one of an older release, for example ltsc2022"},
}...)

// retryable reports whether err is one of the two that runhcs retries: under
// load Server 2019 reports a disk as attached before it is there.
func retryable(err error) bool { return hasCode(err, codeNotReady, codeNotConnected) }

// gone reports whether an undo failed because there was nothing to undo.
func gone(err error) bool {
	return hasCode(err, codeFileNotFound, codePathNotFound, codeNotFound, codeDevNotExist, codeNotReady, codeNotConnected)
}
