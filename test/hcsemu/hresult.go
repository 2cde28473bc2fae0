package hcsemu

import (
	"encoding/json"
	"errors"
	"fmt"
)

// HRESULT is a result code of a Windows API.
type HRESULT uint32

// The codes that the emulator returns, as computecore.dll has them. Source:
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcshresult and,
// for the general ones, winerror.h. They are kept apart from the mapping in
// internal/hcs on purpose: a test that shares its table with what it tests
// finds nothing.
const (
	OK                        HRESULT = 0
	ENotImpl                  HRESULT = 0x80004001 // E_NOTIMPL
	EAbort                    HRESULT = 0x80004004 // E_ABORT
	EFail                     HRESULT = 0x80004005 // E_FAIL
	EUnexpected               HRESULT = 0x8000FFFF // E_UNEXPECTED
	EFileNotFound             HRESULT = 0x80070002 // ERROR_FILE_NOT_FOUND
	EPathNotFound             HRESULT = 0x80070003 // ERROR_PATH_NOT_FOUND
	EAccessDenied             HRESULT = 0x80070005 // E_ACCESSDENIED
	EHandle                   HRESULT = 0x80070006 // E_HANDLE
	EInvalidData              HRESULT = 0x8007000D // ERROR_INVALID_DATA
	ENotReady                 HRESULT = 0x80070015 // ERROR_NOT_READY
	ESharingViolation         HRESULT = 0x80070020 // ERROR_SHARING_VIOLATION
	ENotSupported             HRESULT = 0x80070032 // ERROR_NOT_SUPPORTED
	EFileExists               HRESULT = 0x80070050 // ERROR_FILE_EXISTS
	EDiskFull                 HRESULT = 0x80070070 // ERROR_DISK_FULL
	EInvalidArg               HRESULT = 0x80070057 // E_INVALIDARG
	EAlreadyExists            HRESULT = 0x800700B7 // ERROR_ALREADY_EXISTS
	EDirectory                HRESULT = 0x8007010B // ERROR_DIRECTORY
	EElementNotFound          HRESULT = 0x80070490 // ERROR_NOT_FOUND
	ENotConnected             HRESULT = 0x8007048F // ERROR_DEVICE_NOT_CONNECTED
	ENoSuchUser               HRESULT = 0x80070525 // ERROR_NO_SUCH_USER
	ELogonFailure             HRESULT = 0x8007052E // ERROR_LOGON_FAILURE
	ENoSystemResources        HRESULT = 0x800705AA // ERROR_NO_SYSTEM_RESOURCES
	ERevisionMismatch         HRESULT = 0x8007051A // ERROR_REVISION_MISMATCH
	ETerminatedDuringStart    HRESULT = 0x80370100 // HCS_E_TERMINATED_DURING_START
	EImageMismatch            HRESULT = 0x80370101 // HCS_E_IMAGE_MISMATCH
	EHypervNotInstalled       HRESULT = 0x80370102 // HCS_E_HYPERV_NOT_INSTALLED
	EInvalidState             HRESULT = 0x80370105 // HCS_E_INVALID_STATE
	EUnexpectedExit           HRESULT = 0x80370106 // HCS_E_UNEXPECTED_EXIT
	ETerminated               HRESULT = 0x80370107 // HCS_E_TERMINATED
	EConnectFailed            HRESULT = 0x80370108 // HCS_E_CONNECT_FAILED
	EConnectionTimeout        HRESULT = 0x80370109 // HCS_E_CONNECTION_TIMEOUT
	EConnectionClosed         HRESULT = 0x8037010A // HCS_E_CONNECTION_CLOSED
	EUnknownMessage           HRESULT = 0x8037010B // HCS_E_UNKNOWN_MESSAGE
	EUnsupportedProtocol      HRESULT = 0x8037010C // HCS_E_UNSUPPORTED_PROTOCOL_VERSION
	EInvalidJSON              HRESULT = 0x8037010D // HCS_E_INVALID_JSON
	ESystemNotFound           HRESULT = 0x8037010E // HCS_E_SYSTEM_NOT_FOUND
	ESystemAlreadyExists      HRESULT = 0x8037010F // HCS_E_SYSTEM_ALREADY_EXISTS
	ESystemAlreadyStopped     HRESULT = 0x80370110 // HCS_E_SYSTEM_ALREADY_STOPPED
	EProtocolError            HRESULT = 0x80370111 // HCS_E_PROTOCOL_ERROR
	EInvalidLayer             HRESULT = 0x80370112 // HCS_E_INVALID_LAYER
	EServiceNotAvailable      HRESULT = 0x80370114 // HCS_E_SERVICE_NOT_AVAILABLE
	EOperationPending         HRESULT = 0x80370117 // HCS_E_OPERATION_PENDING
	EOperationTimeout         HRESULT = 0x80370118 // HCS_E_OPERATION_TIMEOUT
	ECallbackAlreadySet       HRESULT = 0x80370119 // HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET
	EHCSAccessDenied          HRESULT = 0x8037011B // HCS_E_ACCESS_DENIED
	EGuestCriticalError       HRESULT = 0x8037011C // HCS_E_GUEST_CRITICAL_ERROR
	EProcessInfoNotAvailable  HRESULT = 0x8037011D // HCS_E_PROCESS_INFO_NOT_AVAILABLE
	EServiceDisconnect        HRESULT = 0x8037011E // HCS_E_SERVICE_DISCONNECT
	EProcessAlreadyStopped    HRESULT = 0x8037011F // HCS_E_PROCESS_ALREADY_STOPPED
	ESystemNotConfigured      HRESULT = 0x80370120 // HCS_E_SYSTEM_NOT_CONFIGURED_FOR_OPERATION
	EOperationAlreadyCanceled HRESULT = 0x80370121 // HCS_E_OPERATION_ALREADY_CANCELLED
	ENetworkNotFound          HRESULT = 0x803B0001 // HCN_E_NETWORK_NOT_FOUND
	EEndpointNotFound         HRESULT = 0x803B0002 // HCN_E_ENDPOINT_NOT_FOUND
	ENetworkAlreadyExists     HRESULT = 0x803B0010 // HCN_E_NETWORK_ALREADY_EXISTS
	EHCNInvalidJSON           HRESULT = 0x803B001B // HCN_E_INVALID_JSON
	EEndpointNamespaceExists  HRESULT = 0x803B002B // HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS
	EEntityHasReferences      HRESULT = 0x803B002C // HCN_E_ENTITY_HAS_REFERENCES
)

// Error makes an HRESULT an error.
func (h HRESULT) Error() string { return fmt.Sprintf("HRESULT 0x%08x", uint32(h)) }

// API is the family of functions through which a call came. It decides how
// codes look.
type API uint8

// The families.
const (
	ComputeCore API = iota // computecore.dll and everything that is not HCS
	VMCompute              // vmcompute.dll, the older HCS functions
)

// For returns the code as the given family returns it. vmcompute.dll gives the
// codes up to HCS_E_INVALID_LAYER as NTSTATUS-like 0xC03701xx values; later ones
// are the same in both. As runhcs relies on it: hcsshim v0.14.1 compares with
// 0xC0370105, 0xC037010E and 0xC0370110, but with 0x8037011F.
func (h HRESULT) For(api API) HRESULT {
	if api == VMCompute && h >= ETerminatedDuringStart && h <= EInvalidLayer {
		return h&0xFFFF | 0xC0370000
	}
	return h
}

// Error is a call that failed: its code and, for some, a sentence that a
// caller finds in the result document.
type Error struct {
	Code    HRESULT
	Message string
}

// Error returns the sentence and the code.
func (e *Error) Error() string {
	if e.Message == "" {
		return e.Code.Error()
	}
	return fmt.Sprintf("%s (0x%08x)", e.Message, uint32(e.Code))
}

// Unwrap returns the code, so that errors.Is(err, EInvalidState) works.
func (e *Error) Unwrap() error { return e.Code }

// fail returns an *Error with a formatted sentence.
func fail(code HRESULT, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code in err: OK for nil, E_FAIL for an error of another kind.
func CodeOf(err error) HRESULT {
	var h HRESULT
	switch {
	case err == nil:
		return OK
	case errors.As(err, &h):
		return h
	}
	return EFail
}

// ResultDocument returns the JSON document that the service hands back beside
// a failed call's code, or "" if the error says nothing beyond the code. Its
// form is the ResultError type of the published schema.
func ResultDocument(err error) string {
	var e *Error
	if !errors.As(err, &e) || e.Message == "" {
		return ""
	}
	doc := struct {
		Error        int32
		ErrorMessage string
	}{int32(e.Code), e.Message}
	b, merr := json.Marshal(doc)
	if merr != nil {
		return ""
	}
	return string(b)
}
