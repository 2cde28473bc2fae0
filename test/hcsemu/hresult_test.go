package hcsemu

import (
	"errors"
	"testing"
)

// runhcs compares the older codes, we the newer: each must get its own.
func TestDialects(t *testing.T) {
	for _, tt := range []struct{ code, v1 HRESULT }{
		{EInvalidState, 0xC0370105}, {ESystemNotFound, 0xC037010E}, {ESystemAlreadyStopped, 0xC0370110}, {EInvalidLayer, 0xC0370112},
		{EProcessAlreadyStopped, EProcessAlreadyStopped}, {EServiceDisconnect, EServiceDisconnect}, {EElementNotFound, EElementNotFound}, {OK, OK},
	} {
		if got := tt.code.For(VMCompute); got != tt.v1 {
			t.Errorf("0x%08x is 0x%08x in vmcompute.dll, want 0x%08x", uint32(tt.code), uint32(got), uint32(tt.v1))
		}
		if got := tt.code.For(ComputeCore); got != tt.code {
			t.Errorf("0x%08x changed to 0x%08x in computecore.dll", uint32(tt.code), uint32(got))
		}
	}
}

func TestErrorsAndTheirDocuments(t *testing.T) {
	for _, tt := range []struct {
		err       error
		code      HRESULT
		text, doc string
	}{
		{nil, OK, "", ""},
		{EInvalidState, EInvalidState, "HRESULT 0x80370105", ""},
		{&Error{Code: EHandle}, EHandle, "HRESULT 0x80070006", ""},
		{fail(EInvalidState, "no"), EInvalidState, "no (0x80370105)", `{"Error":-2143878907,"ErrorMessage":"no"}`},
		{errors.New("disk"), EFail, "disk", ""},
	} {
		if got := CodeOf(tt.err); got != tt.code {
			t.Errorf("%v: code 0x%08x, want 0x%08x", tt.err, uint32(got), uint32(tt.code))
		}
		if tt.err != nil && tt.err.Error() != tt.text {
			t.Errorf("text %q, want %q", tt.err, tt.text)
		}
		if got := ResultDocument(tt.err); got != tt.doc {
			t.Errorf("%v: document %s, want %s", tt.err, got, tt.doc)
		}
	}
}
