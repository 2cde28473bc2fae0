package hcs

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/isolrun/isol/internal/fault"
)

// The pod's decisions hang on these values: a code that maps to another value
// makes it retry, give up, or report a process that ended as lost.
func TestClassify(t *testing.T) {
	for _, c := range []struct {
		code uint32
		want error
	}{
		{0, nil},
		{0x00000001, nil}, // S_FALSE
		{0x80370101, ErrImageMismatch},
		{0xC0370101, ErrImageMismatch},
		{0x80370102, ErrNoHypervisor},
		{0x80351000, ErrNoHypervisor},
		{0xC0351000, ErrNoHypervisor},
		{0x80370105, ErrInvalidState},
		{0xC0370106, ErrUnexpectedExit},
		{0x8037010D, ErrInvalidDocument},
		{0xC037010E, ErrNotFound},
		{0x8037010F, ErrAlreadyExists},
		{0xC0370110, ErrAlreadyStopped},
		{0xC0370112, ErrImageFormat},
		{0x80370118, ErrTimeout},
		{0x8037011B, ErrAccessDenied},
		{0x8037011E, ErrDisconnected},
		{0x8037011F, ErrProcessEnded},
		{0x80070002, ErrFileNotFound},
		{0x80070005, ErrAccessDenied},
		{0x8007000D, ErrInvalidDocument},
		{0x8007000E, ErrNoResources},
		{0x80070070, ErrDiskFull},
		{0x800705AA, ErrNoResources},
		{0x80070490, ErrProcessEnded},
		{0x8007052E, ErrLogon},
		{0x800706BA, ErrUnavailable},
		{0x8007007F, ErrNotSupported},
		{0x80004001, ErrNotSupported},
		{0x80004005, ErrUnknown},
		{0xDEADBEEF, ErrUnknown},
		{0xC0370FFF, ErrUnknown},
	} {
		if got := Classify(c.code); got != c.want {
			t.Errorf("0x%08x is %v, want %v", c.code, got, c.want)
		}
	}
	if name := CodeName(0xC037010E); name != "HCS_E_SYSTEM_NOT_FOUND" {
		t.Errorf("0xC037010E is called %q", name)
	}
}

func TestCodesHaveOneRowEach(t *testing.T) {
	seen := map[uint32]string{}
	for _, c := range codes {
		if prev, ok := seen[c.hresult]; ok {
			t.Errorf("0x%08x is both %s and %s", c.hresult, prev, c.name)
		}
		seen[c.hresult] = c.name
		if Classify(c.hresult) != c.err {
			t.Errorf("%s: the table is not reached", c.name)
		}
	}
}

// Every Err value must have a kind, or its callers answer UNKNOWN; and a code,
// or the adapter never says it.
func TestEveryValueHasKindAndCode(t *testing.T) {
	for _, k := range kinds {
		if k.err != ErrUnknown && fault.KindOf(&Error{Err: k.err}) != k.kind {
			t.Errorf("%v: kind %v, want %v", k.err, fault.KindOf(&Error{Err: k.err}), k.kind)
		}
		if !slices.ContainsFunc(codes, func(c code) bool { return c.err == k.err }) {
			t.Errorf("%v: no code means it", k.err)
		}
	}
}

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		name string
		err  *Error
		want []string // in this order
	}{
		{"with the service's words", NewError("HcsStartComputeSystem", "web-0", 0xC0370106,
			`{"Error":-1070137082,"ErrorMessage":"it exited","ErrorEvents":[{"Message":"layer 3 is bad "},{"Provider":"x"}]}`),
			[]string{"HcsStartComputeSystem web-0: ", ErrUnexpectedExit.Error(), "(0xc0370106)", "it exited; layer 3 is bad", "event log"}},
		{"with words that are no document", NewError("op", "id", 0x80370101, "oops"), []string{"(0x80370101): oops", "Hyper-V isolation"}},
		{"without code", &Error{Op: "op", ID: "id", Err: ErrClosed}, []string{"op id: the handle is closed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rest := c.err.Error()
			for _, w := range c.want {
				_, after, ok := strings.Cut(rest, w)
				if !ok {
					t.Fatalf("%q: want %q in order", c.err, w)
				}
				rest = after
			}
		})
	}
}

// A caller asks both ways: by value and by kind.
func TestErrorMatchesValueAndKind(t *testing.T) {
	err := error(NewError("op", "id", 0x8037010E, ""))
	if !errors.Is(err, ErrNotFound) || !fault.Is(err, fault.NotFound) {
		t.Errorf("%v: want ErrNotFound of kind not found, is kind %v", err, fault.KindOf(err))
	}
	late := &Error{Op: "op", ID: "id", Err: context.DeadlineExceeded}
	if !errors.Is(late, context.DeadlineExceeded) || !fault.Is(late, fault.DeadlineExceeded) {
		t.Errorf("a context's error lost its kind: %v", fault.KindOf(late))
	}
}
