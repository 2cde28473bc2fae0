package network

import (
	"fmt"

	"github.com/isolrun/isol/internal/fault"
)

// CallError is a failed call of a [Driver].
type CallError struct {
	Call string // for example "HcnOpenNamespace"
	ID   string // of the object, or empty
	Code uint32 // Win32 code or HRESULT, 0 if unknown
	Said string // what the service said beside the code, or empty
	Err  error
}

// Error returns a sentence with call, id, cause, code and advice.
func (e *CallError) Error() string {
	s := e.Call
	if e.ID != "" {
		s += " " + e.ID
	}
	if err := e.Unwrap(); err != nil {
		s += ": " + err.Error()
	}
	if e.Said != "" {
		s += ": " + e.Said
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

// win32 takes the Win32 code out of an HRESULT of that facility.
func win32(code uint32) uint32 {
	if code&0xffff0000 == 0x80070000 {
		return code & 0xffff
	}
	return code
}

const startService = "check that the hns service runs"

// codes are those of which isol knows what they mean for the user.
// https://learn.microsoft.com/windows/win32/debug/system-error-codes and
// https://learn.microsoft.com/windows/win32/com/com-error-codes (HCN_E_…).
var codes = []struct {
	code       uint32
	kind       fault.Kind
	says, hint string
}{
	{5, fault.PermissionDenied, "", "the shim needs administrator rights"},                                                    // ERROR_ACCESS_DENIED
	{126, fault.FailedPrecondition, "the host has no network service for containers", "install the Containers feature"},       // ERROR_MOD_NOT_FOUND
	{127, fault.FailedPrecondition, "the host's network service is too old", "Windows Server 2019 and later have namespaces"}, // ERROR_PROC_NOT_FOUND
	{1062, fault.Unavailable, "the network service is not there", startService},                                               // ERROR_SERVICE_NOT_ACTIVE
	{1168, fault.NotFound, "", ""},                                                                                                     // ERROR_NOT_FOUND
	{1722, fault.Unavailable, "the network service is not there", startService},                                                        // RPC_S_SERVER_UNAVAILABLE
	{1753, fault.Unavailable, "the network service is not there", startService},                                                        // EPT_S_NOT_REGISTERED
	{0x803b0001, fault.NotFound, "", ""},                                                                                               // HCN_E_NETWORK_NOT_FOUND
	{0x803b0002, fault.NotFound, "there is no such endpoint", ""},                                                                      // HCN_E_ENDPOINT_NOT_FOUND
	{0x803b0014, fault.FailedPrecondition, "the endpoint is attached already", "an endpoint has one container or VM"},                  // HCN_E_ENDPOINT_ALREADY_ATTACHED
	{0x803b0020, fault.Unavailable, "the network service is stopping", startService},                                                   // HCN_E_MANAGER_STOPPED
	{0x803b002b, fault.FailedPrecondition, "another namespace has the endpoint", "name that namespace, or use an endpoint of its own"}, // HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS
	{0x803b002c, fault.FailedPrecondition, "it is still in use", "end the container that is in it"},                                    // HCN_E_ENTITY_HAS_REFERENCES
}
