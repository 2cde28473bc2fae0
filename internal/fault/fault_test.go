package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

var errCause = errors.New("the cause")

// A client decides by the code whether to retry; a kind lost on the way up
// turns a clear refusal into Unknown.
func TestKindOf(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want Kind
	}{
		{"nil", nil, Unknown},
		{"foreign", errCause, Unknown},
		{"own", New(NotFound, "no task %q", "a"), NotFound},
		{"own behind fmt", fmt.Errorf("create: %w", New(AlreadyExists, "x")), AlreadyExists},
		{"outermost wins", &Error{Kind: InvalidArgument, Err: New(NotFound, "x")}, InvalidArgument},
		{"Wrap keeps the kind", Wrap(New(PermissionDenied, "x"), "create", "c1"), PermissionDenied},
		{"unknown outside takes the inner", &Error{Err: fmt.Errorf("y: %w", New(Unavailable, "x"))}, Unavailable},
		{"deadline", fmt.Errorf("x: %w", context.DeadlineExceeded), DeadlineExceeded},
		{"cancel behind an unknown fault", Wrap(context.Canceled, "start", "c1"), Canceled},
		{"a kind beats the context error it wraps", &Error{Kind: Unavailable, Err: context.DeadlineExceeded}, Unavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := KindOf(tc.err); got != tc.want {
				t.Errorf("KindOf(%v) = %v, want %v", tc.err, got, tc.want)
			}
			if tc.err != nil && !Is(tc.err, tc.want) {
				t.Errorf("Is(%v, %v) = false", tc.err, tc.want)
			}
		})
	}
	if Is(nil, Unknown) {
		t.Error("Is(nil, Unknown) = true: no error is of no kind")
	}
}

// The text is all that an operator sees in `ctr` and in kubectl's events.
func TestErrorText(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{&Error{Op: "create container", Subject: "c1", Detail: "2 layers given", Hint: "give one", Err: errCause}, "create container c1: 2 layers given: the cause (give one)"},
		{&Error{Detail: "only this"}, "only this"},
		{New(InvalidArgument, "key %s: %w", "k", errCause), "key k: the cause"},
		{Wrap(errCause, "start", ""), "start: the cause"},
	} {
		if got := tc.err.Error(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
	if Wrap(nil, "op", "s") != nil {
		t.Error("Wrap(nil) is not nil: success would become an error")
	}
	if !errors.Is(Wrap(errCause, "a", "b"), errCause) {
		t.Error("the cause is lost behind Wrap")
	}
}

// A full disk is the operator's to mend: the error must say which, and nothing
// else may be taken for one.
func TestOutOfSpace(t *testing.T) {
	full := fmt.Errorf("write x: %w", ErrDiskFull)
	if err := OutOfSpace(full, "the snapshots"); KindOf(err) != ResourceExhausted || !errors.Is(err, ErrDiskFull) ||
		!strings.HasSuffix(err.Error(), "(free space on the volume of the snapshots)") {
		t.Errorf("%v of kind %v", err, KindOf(err))
	}
	for _, err := range []error{errCause, nil} {
		if got := OutOfSpace(err, "x"); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}

// Kinds are written to journals and traces: a moved number changes their meaning.
func TestKindNumbers(t *testing.T) {
	want := []Kind{Unknown, InvalidArgument, NotFound, AlreadyExists, FailedPrecondition, PermissionDenied,
		Unavailable, DeadlineExceeded, Canceled, Unimplemented, ResourceExhausted, Internal}
	for n, k := range want {
		if int(k) != n {
			t.Errorf("%v has number %d, want %d", k, int(k), n)
		}
		if k.String() == "" {
			t.Errorf("kind %d has no name", n)
		}
	}
	if got := Kind(200).String(); got != "kind(200)" {
		t.Errorf("unknown kind prints %q", got)
	}
}

// A code in the spelling of another DLL must get the same words: a user who
// meets it through vmcompute.dll has the same trouble.
func TestCodes(t *testing.T) {
	codes := Codes{
		{Number: 5, Kind: PermissionDenied, Hint: "run as administrator"},
		{Number: 0x80370112, Kind: FailedPrecondition, Says: "bad layer"},
	}
	for _, tc := range []struct {
		name string
		code uint32
		want Kind
		text string
	}{
		{"plain", 5, PermissionDenied, "the cause (run as administrator)"},
		{"as an HRESULT", 0x80070005, PermissionDenied, "the cause (run as administrator)"},
		{"as an NTSTATUS of the compute service", 0xc0370112, FailedPrecondition, "bad layer: the cause"},
		{"not listed", 6, Unknown, "the cause"},
		{"of another facility", 0x80080005, Unknown, "the cause"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := codes.Explain(tc.code, errCause)
			if KindOf(err) != tc.want || err.Error() != tc.text || !errors.Is(err, errCause) {
				t.Errorf("Explain(%#x) = %v (%v), want %q (%v)", tc.code, err, KindOf(err), tc.text, tc.want)
			}
		})
	}
}
