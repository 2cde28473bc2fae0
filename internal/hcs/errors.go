package hcs

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// The error values of the port. An error of this package matches exactly one
// of them by errors.Is. The HRESULTs behind each are listed in codes.go.
var (
	ErrNotFound        = errors.New("no such compute system")
	ErrAlreadyExists   = errors.New("a compute system with this id exists")
	ErrInvalidState    = errors.New("the compute system is not in a state for this")
	ErrAlreadyStopped  = errors.New("the compute system has already stopped")
	ErrProcessEnded    = errors.New("the process has already ended")
	ErrTimeout         = errors.New("the compute service did not answer in time")
	ErrDisconnected    = errors.New("the connection to the compute service was lost")
	ErrUnavailable     = errors.New("the compute service is not there")
	ErrNotSupported    = errors.New("this Windows build does not support this")
	ErrInvalidDocument = errors.New("the compute service refused the document")
	ErrImageMismatch   = errors.New("the container's operating system does not match the kernel it would run on")
	ErrImageFormat     = errors.New("the compute service does not recognise the image's format")
	ErrNoHypervisor    = errors.New("no hypervisor is present on this computer")
	ErrUnexpectedExit  = errors.New("the compute system exited unexpectedly")
	ErrGuestCrash      = errors.New("the guest's kernel crashed")
	ErrFileNotFound    = errors.New("file not found")
	ErrAccessDenied    = errors.New("access denied")
	ErrLogon           = errors.New("the user is unknown or may not log on")
	ErrDiskFull        = errors.New("there is not enough space on a disk")
	ErrNoResources     = errors.New("the host has not enough memory or other resources left")
	ErrClosed          = errors.New("the handle is closed")
	ErrUnknown         = errors.New("the compute service failed")
)

// Error is a failed call to the compute service or to a guest.
type Error struct {
	Op     string // the call, for example "HcsStartComputeSystem"
	ID     string // the system or process it was about
	Code   uint32 // the HRESULT, 0 if the failure was not the service's
	Result string // the service's result document, JSON, may be empty
	Err    error  // one of the Err values, or a context error
}

// NewError returns the error for an HRESULT that a call answered, with the
// service's result document, which may be empty.
func NewError(op, id string, hresult uint32, result string) *Error {
	return &Error{Op: op, ID: id, Code: hresult, Result: result, Err: Classify(hresult)}
}

// Error returns a sentence naming the call, the subject, the cause, the code,
// what the service said, and what to do about it.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s %s: %v", e.Op, e.ID, e.Err)
	if e.Code != 0 {
		s += fmt.Sprintf(" (0x%08x)", e.Code)
	}
	if said := resultText(e.Result); said != "" {
		s += ": " + said
	}
	if hint := Hint(e.Err); hint != "" && !strings.Contains(s, hint) { // a cause may have given it
		s += " (" + hint + ")"
	}
	return s
}

// resultText is what a person wants of a result document: its message and the
// messages of its events. A document that is not one is given as it is.
func resultText(doc string) string {
	var r schema.ResultError
	if doc == "" || json.Unmarshal([]byte(doc), &r) != nil {
		return doc
	}
	said := make([]string, 0, 1+len(r.ErrorEvents))
	for _, m := range append([]schema.ErrorEvent{{Message: r.ErrorMessage}}, r.ErrorEvents...) {
		if text := strings.TrimSpace(m.Message); text != "" {
			said = append(said, text)
		}
	}
	return strings.Join(said, "; ")
}

// Unwrap returns a fault of the right kind around the cause, so that both
// errors.Is(err, ErrTimeout) and fault.KindOf(err) work.
func (e *Error) Unwrap() error {
	return &fault.Error{Kind: kindOf(e.Err), Err: e.Err}
}

func kindOf(err error) fault.Kind {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.kind
		}
	}
	return fault.KindOf(err)
}

var kinds = []struct {
	err  error
	kind fault.Kind
}{
	{ErrNotFound, fault.NotFound},
	{ErrAlreadyExists, fault.AlreadyExists},
	{ErrInvalidState, fault.FailedPrecondition},
	{ErrAlreadyStopped, fault.FailedPrecondition},
	{ErrProcessEnded, fault.NotFound},
	{ErrTimeout, fault.DeadlineExceeded},
	{ErrDisconnected, fault.Unavailable},
	{ErrUnavailable, fault.Unavailable},
	{ErrNotSupported, fault.Unimplemented},
	{ErrInvalidDocument, fault.InvalidArgument},
	{ErrImageMismatch, fault.FailedPrecondition},
	{ErrImageFormat, fault.FailedPrecondition},
	{ErrNoHypervisor, fault.FailedPrecondition},
	{ErrUnexpectedExit, fault.Internal},
	{ErrGuestCrash, fault.Internal},
	{ErrFileNotFound, fault.NotFound},
	{ErrAccessDenied, fault.PermissionDenied},
	{ErrLogon, fault.InvalidArgument},
	{ErrDiskFull, fault.ResourceExhausted},
	{ErrNoResources, fault.ResourceExhausted},
	{ErrClosed, fault.FailedPrecondition},
	{ErrUnknown, fault.Unknown},
}
