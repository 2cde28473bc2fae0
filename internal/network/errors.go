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
func (e *CallError) Unwrap() error { return codes.Explain(e.Code, e.Err) }

const startService = "check that the hns service runs"

// codes are those of which isol knows what they mean for the user.
// https://learn.microsoft.com/windows/win32/debug/system-error-codes and
// https://learn.microsoft.com/windows/win32/com/com-error-codes (HCN_E_…).
var codes = append(fault.OutOfSpaceCodes("the system, where the network service keeps its state"), fault.Codes{
	{Number: 5, Kind: fault.PermissionDenied, Hint: "the shim needs administrator rights"},                                                              // ERROR_ACCESS_DENIED
	{Number: 126, Kind: fault.FailedPrecondition, Says: "the host has no network service for containers", Hint: "install the Containers feature"},       // ERROR_MOD_NOT_FOUND
	{Number: 127, Kind: fault.FailedPrecondition, Says: "the host's network service is too old", Hint: "Windows Server 2019 and later have namespaces"}, // ERROR_PROC_NOT_FOUND
	{Number: 1062, Kind: fault.Unavailable, Says: "the network service is not there", Hint: startService},                                               // ERROR_SERVICE_NOT_ACTIVE
	{Number: 1168, Kind: fault.NotFound}, // ERROR_NOT_FOUND
	{Number: 1722, Kind: fault.Unavailable, Says: "the network service is not there", Hint: startService},                                                        // RPC_S_SERVER_UNAVAILABLE
	{Number: 1753, Kind: fault.Unavailable, Says: "the network service is not there", Hint: startService},                                                        // EPT_S_NOT_REGISTERED
	{Number: 0x803b0001, Kind: fault.NotFound},                                                                                                                   // HCN_E_NETWORK_NOT_FOUND
	{Number: 0x803b0002, Kind: fault.NotFound, Says: "there is no such endpoint"},                                                                                // HCN_E_ENDPOINT_NOT_FOUND
	{Number: 0x803b0014, Kind: fault.FailedPrecondition, Says: "the endpoint is attached already", Hint: "an endpoint has one container or VM"},                  // HCN_E_ENDPOINT_ALREADY_ATTACHED
	{Number: 0x803b0020, Kind: fault.Unavailable, Says: "the network service is stopping", Hint: startService},                                                   // HCN_E_MANAGER_STOPPED
	{Number: 0x803b002b, Kind: fault.FailedPrecondition, Says: "another namespace has the endpoint", Hint: "name that namespace, or use an endpoint of its own"}, // HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS
	{Number: 0x803b002c, Kind: fault.FailedPrecondition, Says: "it is still in use", Hint: "end the container that is in it"},                                    // HCN_E_ENTITY_HAS_REFERENCES
}...)
