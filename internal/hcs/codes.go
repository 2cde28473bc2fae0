package hcs

import "errors"

// code is one HRESULT of the compute service.
type code struct {
	hresult uint32
	name    string
	err     error
}

// codes lists the HRESULTs that the compute service, or Windows below it,
// answers. Those of the facility 0x37 are at
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcshresult; the
// older vmcompute.dll, guests, and some calls of today's service answer the same
// numbers with the severity of an NTSTATUS: 0xC037xxxx (winerror.h,
// ERROR_VMCOMPUTE_*). Classify takes both.
var codes = []code{
	{0x80370100, "HCS_E_TERMINATED_DURING_START", ErrUnexpectedExit},
	{0x80370101, "HCS_E_IMAGE_MISMATCH", ErrImageMismatch},
	{0x80370102, "HCS_E_HYPERV_NOT_INSTALLED", ErrNoHypervisor},
	{0x80370103, "ERROR_VMCOMPUTE_OPERATION_PENDING", ErrInvalidState}, // only as 0xC0370103
	{0x80370105, "HCS_E_INVALID_STATE", ErrInvalidState},
	{0x80370106, "HCS_E_UNEXPECTED_EXIT", ErrUnexpectedExit},
	{0x80370107, "HCS_E_TERMINATED", ErrUnexpectedExit},
	{0x80370108, "HCS_E_CONNECT_FAILED", ErrDisconnected},
	{0x80370109, "HCS_E_CONNECTION_TIMEOUT", ErrTimeout},
	{0x8037010A, "HCS_E_CONNECTION_CLOSED", ErrDisconnected},
	{0x8037010B, "HCS_E_UNKNOWN_MESSAGE", ErrNotSupported},
	{0x8037010C, "HCS_E_UNSUPPORTED_PROTOCOL_VERSION", ErrNotSupported},
	{0x8037010D, "HCS_E_INVALID_JSON", ErrInvalidDocument},
	{0x8037010E, "HCS_E_SYSTEM_NOT_FOUND", ErrNotFound},
	{0x8037010F, "HCS_E_SYSTEM_ALREADY_EXISTS", ErrAlreadyExists},
	{0x80370110, "HCS_E_SYSTEM_ALREADY_STOPPED", ErrAlreadyStopped},
	{0x80370111, "HCS_E_PROTOCOL_ERROR", ErrDisconnected},
	{0x80370112, "HCS_E_INVALID_LAYER", ErrImageFormat},
	{0x80370113, "HCS_E_WINDOWS_INSIDER_REQUIRED", ErrNotSupported},
	{0x80370114, "HCS_E_SERVICE_NOT_AVAILABLE", ErrUnavailable},
	{0x80370115, "HCS_E_OPERATION_NOT_STARTED", ErrInvalidState},
	{0x80370116, "HCS_E_OPERATION_ALREADY_STARTED", ErrInvalidState},
	{0x80370117, "HCS_E_OPERATION_PENDING", ErrInvalidState},
	{0x80370118, "HCS_E_OPERATION_TIMEOUT", ErrTimeout},
	{0x80370119, "HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET", ErrInvalidState},
	{0x8037011A, "HCS_E_OPERATION_RESULT_ALLOCATION_FAILED", ErrUnknown},
	{0x8037011B, "HCS_E_ACCESS_DENIED", ErrAccessDenied},
	{0x8037011C, "HCS_E_GUEST_CRITICAL_ERROR", ErrGuestCrash},
	{0x8037011D, "HCS_E_PROCESS_INFO_NOT_AVAILABLE", ErrInvalidState},
	{0x8037011E, "HCS_E_SERVICE_DISCONNECT", ErrDisconnected},
	{0x8037011F, "HCS_E_PROCESS_ALREADY_STOPPED", ErrProcessEnded},
	{0x80370120, "HCS_E_SYSTEM_NOT_CONFIGURED_FOR_OPERATION", ErrNotSupported},
	{0x80370121, "HCS_E_OPERATION_ALREADY_CANCELLED", ErrTimeout},

	{0x80351000, "ERROR_HV_NOT_PRESENT", ErrNoHypervisor},
	{0xC0351000, "STATUS_HV_NOT_PRESENT", ErrNoHypervisor},

	// Win32 errors as HRESULTs (facility 7):
	// https://learn.microsoft.com/windows/win32/debug/system-error-codes
	{0x80070002, "ERROR_FILE_NOT_FOUND", ErrFileNotFound},
	{0x80070003, "ERROR_PATH_NOT_FOUND", ErrFileNotFound},
	{0x80070005, "ERROR_ACCESS_DENIED", ErrAccessDenied},
	{0x80070006, "ERROR_INVALID_HANDLE", ErrClosed},
	{0x8007000D, "ERROR_INVALID_DATA", ErrInvalidDocument},
	{0x8007000E, "E_OUTOFMEMORY", ErrNoResources},
	{0x80070027, "ERROR_HANDLE_DISK_FULL", ErrDiskFull},
	{0x80070032, "ERROR_NOT_SUPPORTED", ErrNotSupported},
	{0x80070057, "ERROR_INVALID_PARAMETER", ErrInvalidDocument},
	{0x8007006D, "ERROR_BROKEN_PIPE", ErrDisconnected},
	{0x80070070, "ERROR_DISK_FULL", ErrDiskFull},
	{0x8007007B, "ERROR_INVALID_NAME", ErrFileNotFound},
	{0x8007007F, "ERROR_PROC_NOT_FOUND", ErrNotSupported},
	{0x800700B7, "ERROR_ALREADY_EXISTS", ErrAlreadyExists},
	{0x800700C1, "ERROR_BAD_EXE_FORMAT", ErrFileNotFound},
	{0x8007010B, "ERROR_DIRECTORY", ErrFileNotFound},
	{0x80070422, "ERROR_SERVICE_DISABLED", ErrUnavailable},
	{0x80070426, "ERROR_SERVICE_NOT_ACTIVE", ErrUnavailable},
	{0x80070490, "ERROR_NOT_FOUND", ErrProcessEnded},
	{0x8007050F, "ERROR_DISK_QUOTA_EXCEEDED", ErrDiskFull},
	{0x80070520, "ERROR_NO_SUCH_LOGON_SESSION", ErrLogon},
	{0x80070525, "ERROR_NO_SUCH_USER", ErrLogon},
	{0x8007052E, "ERROR_LOGON_FAILURE", ErrLogon},
	{0x80070532, "ERROR_PASSWORD_EXPIRED", ErrLogon},
	{0x80070533, "ERROR_ACCOUNT_DISABLED", ErrLogon},
	{0x80070534, "ERROR_NONE_MAPPED", ErrLogon},
	{0x80070569, "ERROR_LOGON_TYPE_NOT_GRANTED", ErrLogon},
	{0x800705AA, "ERROR_NO_SYSTEM_RESOURCES", ErrNoResources},
	{0x800705AF, "ERROR_COMMITMENT_LIMIT", ErrNoResources},
	{0x800705B4, "ERROR_TIMEOUT", ErrTimeout},
	{0x800706BA, "RPC_S_SERVER_UNAVAILABLE", ErrUnavailable},
	{0x800706BE, "RPC_S_CALL_FAILED", ErrDisconnected},
	{0x800706BF, "RPC_S_CALL_FAILED_DNE", ErrDisconnected},
	{0x80070775, "ERROR_ACCOUNT_LOCKED_OUT", ErrLogon},

	// https://learn.microsoft.com/windows/win32/seccrypto/common-hresult-values
	{0x80004001, "E_NOTIMPL", ErrNotSupported},
	{0x80004005, "E_FAIL", ErrUnknown},
}

// hints say what a person can do about a code; one hint per error value.
var hints = []struct {
	err  error
	hint string
}{
	{ErrImageMismatch, "use an image of the host's Windows version, or Hyper-V isolation, which takes older images"},
	{ErrImageFormat, "a layer is of a format this host's Windows does not know: pull the image again, or use one of the host's version or older"},
	{ErrNoHypervisor, "enable Hyper-V, or virtualization in the firmware or the outer machine, or use process isolation"},
	{ErrUnavailable, "check that the Containers feature is installed and the service vmcompute runs: sc query vmcompute"},
	{ErrUnexpectedExit, "the event log Microsoft-Windows-Hyper-V-Compute-Operational says more"},
	{ErrGuestCrash, "the annotation io.microsoft.virtualmachine.dump-directory-path keeps a dump of the next crash"},
	{ErrLogon, "check process.user.username: it must be a user of the image, as name or DOMAIN\\name"},
	{ErrDiskFull, "free space on the volume of the snapshots, on which the writable disks of containers and utility VMs grow"},
	{ErrNoResources, "end something that runs on the host, or ask for less: memory, mounts, disks"},
	{ErrFileNotFound, "check the path; a command and its working directory are looked up in the container"},
}

// newForm maps the NTSTATUS severity of facility 0x37 to the form of the table.
func newForm(hresult uint32) uint32 {
	if hresult&0xFFFF0000 == 0xC0370000 {
		return hresult&0xFFFF | 0x80370000
	}
	return hresult
}

// lookup returns the row of hresult.
func lookup(hresult uint32) (code, bool) {
	hresult = newForm(hresult)
	for _, c := range codes {
		if c.hresult == hresult {
			return c, true
		}
	}
	return code{}, false
}

// Classify returns the Err value that hresult stands for. ErrUnknown stands for
// a code that is not listed. A code that means success gives nil.
func Classify(hresult uint32) error {
	if hresult&0x80000000 == 0 {
		return nil
	}
	if c, ok := lookup(hresult); ok {
		return c.err
	}
	return ErrUnknown
}

// CodeName returns the published name of hresult, or the empty string.
func CodeName(hresult uint32) string {
	c, _ := lookup(hresult)
	return c.name
}

// Hint says what a person can do about err, or nothing.
func Hint(err error) string {
	for _, h := range hints {
		if errors.Is(err, h.err) {
			return h.hint
		}
	}
	return ""
}
