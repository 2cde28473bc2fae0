// Package fault is the one error vocabulary of isol.
//
// An [Error] says what was being done (Op), to what (Subject), what went wrong
// (Detail or the wrapped Err) and what the reader can do about it (Hint). Its
// [Kind] decides the gRPC code; the one mapping from kinds to codes is the
// interceptor in internal/shim, so no other package imports gRPC for errors.
//
// An error of this package wraps with %w semantics: errors.Is and errors.As see
// through it. The outermost kind wins; an [Error] whose Kind is Unknown takes
// the kind of what it wraps.
package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Kind classifies an error by what the caller can do about it. Kinds are
// append-only: their numbers are written to journals and traces.
type Kind uint8

// The kinds. Each comment names the gRPC code that internal/shim maps it to.
const (
	Unknown            Kind = iota // nothing was said: UNKNOWN
	InvalidArgument                // the input is wrong whatever the state: INVALID_ARGUMENT
	NotFound                       // the thing named is not there: NOT_FOUND
	AlreadyExists                  // the id is taken: ALREADY_EXISTS
	FailedPrecondition             // right input, wrong state: FAILED_PRECONDITION
	PermissionDenied               // node policy or the system forbids it: PERMISSION_DENIED
	Unavailable                    // the service below is gone, try later: UNAVAILABLE
	DeadlineExceeded               // a deadline of ours or the caller's passed: DEADLINE_EXCEEDED
	Canceled                       // the caller gave up: CANCELED
	Unimplemented                  // isol does not do this: UNIMPLEMENTED
	ResourceExhausted              // no memory, disk, slot left: RESOURCE_EXHAUSTED
	Internal                       // an isol invariant broke, or the system answered nonsense: INTERNAL
)

var kindNames = [...]string{
	Unknown: "unknown", InvalidArgument: "invalid argument", NotFound: "not found",
	AlreadyExists: "already exists", FailedPrecondition: "failed precondition",
	PermissionDenied: "permission denied", Unavailable: "unavailable",
	DeadlineExceeded: "deadline exceeded", Canceled: "canceled",
	Unimplemented: "unimplemented", ResourceExhausted: "resource exhausted", Internal: "internal",
}

// String returns the kind's name in lower case words.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Error is one fault. The zero value of each field is left out of the text,
// which reads "op subject: detail: err (hint)".
type Error struct {
	Kind    Kind
	Op      string // what was being done, lower case: "create container"
	Subject string // to what: an id, a path, an annotation key
	Detail  string // what was given and what is allowed
	Hint    string // what to do about it
	Err     error  // the cause, if any
}

// Error returns the sentence a person reads.
func (e *Error) Error() string {
	var parts []string
	head := strings.TrimSpace(e.Op + " " + e.Subject)
	for _, s := range []string{head, e.Detail} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	s := strings.Join(parts, ": ")
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an error of the given kind with a formatted detail; %w wraps.
func New(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Err: fmt.Errorf(format, args...)}
}

// Wrap adds what was being done to err and keeps its kind. Wrap(nil) is nil.
func Wrap(err error, op, subject string) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Subject: subject, Err: err}
}

// KindOf returns the kind of err: the outermost kind that is not Unknown, or
// the one that fits a context error, or Unknown. KindOf(nil) is Unknown.
func KindOf(err error) Kind {
	for e := err; e != nil; {
		var f *Error
		if !errors.As(e, &f) {
			break
		}
		if f.Kind != Unknown {
			return f.Kind
		}
		e = f.Err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	return Unknown
}

// Is reports whether err is of the given kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }
