package fault

// Code is what isol knows of one error code of Windows.
type Code struct {
	Number uint32 // as [Win32] spells it
	Kind   Kind
	Says   string // in words, empty where the cause says it
	Hint   string // what to do about it, may be empty
}

// Codes is what isol knows of the error codes of one part of Windows.
type Codes []Code

// Explain returns err as an [Error] with the kind and the words that fit code,
// and err itself for a code that is not listed.
func (c Codes) Explain(code uint32, err error) error {
	for _, known := range c {
		if known.Number == Win32(code) {
			return &Error{Kind: known.Kind, Detail: known.Says, Hint: known.Hint, Err: err}
		}
	}
	return err
}

// Win32 brings the spellings of one error to one number: it takes the Win32
// code out of an HRESULT of that facility, and turns the compute service's
// codes with the severity of an NTSTATUS (0xC037…) into its HRESULTs (0x8037…).
// https://learn.microsoft.com/openspecs/windows_protocols/ms-erref
func Win32(code uint32) uint32 {
	switch {
	case code&0xffff0000 == 0x80070000:
		return code & 0xffff
	case code&0xffff0000 == 0xc0370000:
		return code&0xffff | 0x80370000
	}
	return code
}
