package job

import (
	"fmt"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
)

// CallError is a failed call of a [System].
type CallError struct {
	Call    string // for example "LogonUserW"
	Subject string // account, path or job
	Code    uint32 // Win32 code, 0 if unknown
	Err     error
}

// Error returns a sentence with call, subject, cause, code and advice.
func (e *CallError) Error() string {
	s := e.Call + " " + e.Subject
	if err := codes.Explain(e.Code, e.Err); err != nil {
		s += ": " + err.Error()
	}
	if e.Code != 0 {
		s += fmt.Sprintf(" [%d]", e.Code)
	}
	return s
}

// Unwrap returns a fault with the kind and the advice that fit the code, and
// the error of the port that containers answer with, if there is one.
func (e *CallError) Unwrap() []error {
	errs := []error{codes.Explain(e.Code, e.Err)}
	if e.Code == 0 {
		return errs
	}
	if known := hcs.Classify(0x80070000 | e.Code&0xFFFF); known != hcs.ErrUnknown { // HRESULT_FROM_WIN32
		errs = append(errs, known)
	}
	return errs
}

const userHint = `HostProcess containers run as NT AUTHORITY\SYSTEM, NT AUTHORITY\LOCAL SERVICE, NT AUTHORITY\NETWORK SERVICE or as a member of a local group of the host: the image's users are not there`

// Win32 codes that isol knows what to do about.
// https://learn.microsoft.com/windows/win32/debug/system-error-codes
// https://learn.microsoft.com/windows/win32/netmgmt/network-management-error-codes
const (
	codeFileNotFound      = 2
	codePathNotFound      = 3
	codeAccessDenied      = 5
	codeNotSupported      = 50
	codeInvalidParameter  = 87
	codeCallNotFound      = 127
	codeAlreadyExists     = 183
	codeDirectory         = 267
	codePrivilegeNotHeld  = 1314
	codeNoSuchUser        = 1317
	codeLogonFailure      = 1326
	codeRestriction       = 1327
	codePasswordRule      = 1330
	codeAccountDisabled   = 1331
	codeLogonTypeRefused  = 1385
	codeNoSuchGroup       = 1376
	codeNoUser            = 2221 // NERR_UserNotFound
	codeUserExists        = 2224 // NERR_UserExists
	codePasswordTooSimple = 2245 // NERR_PasswordTooShort
)

var codes = append(fault.OutOfSpaceCodes("the snapshots, and on the system's"), fault.Codes{
	{Number: codeFileNotFound, Kind: fault.NotFound},
	{Number: codePathNotFound, Kind: fault.NotFound},
	{Number: codeAccessDenied, Kind: fault.PermissionDenied, Hint: "the shim needs administrator rights"},
	{Number: codePrivilegeNotHeld, Kind: fault.PermissionDenied, Hint: "the shim must run as SYSTEM, as it does under containerd's service: only SYSTEM may start processes of other users"},
	{Number: codeNotSupported, Kind: fault.Unimplemented},
	{Number: codeCallNotFound, Kind: fault.Unimplemented, Says: "this Windows does not have the function"},
	{Number: codeAlreadyExists, Kind: fault.AlreadyExists},
	{Number: codeDirectory, Kind: fault.InvalidArgument, Says: "the working directory is not there"},
	{Number: codeNoSuchUser, Kind: fault.InvalidArgument, Hint: userHint},
	{Number: codeNoUser, Kind: fault.InvalidArgument, Hint: userHint},
	{Number: codeLogonFailure, Kind: fault.InvalidArgument, Says: "the user is unknown or needs a password", Hint: userHint},
	{Number: codeRestriction, Kind: fault.InvalidArgument, Says: "the user may not log on like this", Hint: userHint},
	{Number: codePasswordRule, Kind: fault.InvalidArgument, Hint: userHint},
	{Number: codeAccountDisabled, Kind: fault.InvalidArgument, Hint: userHint},
	{Number: codeLogonTypeRefused, Kind: fault.InvalidArgument, Says: "the host's policy does not let the user log on like this", Hint: userHint},
	{Number: codeNoSuchGroup, Kind: fault.InvalidArgument, Hint: userHint},
	{Number: codeUserExists, Kind: fault.AlreadyExists, Says: "there is a user of this name"},
	{Number: codePasswordTooSimple, Kind: fault.FailedPrecondition, Says: "the host's password policy refuses the password that isol made"},
}...)
