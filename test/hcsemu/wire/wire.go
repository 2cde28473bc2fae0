// Package wire is the protocol between the DLL fronts (test/hcsemu/dll, in C)
// and the emulator's service (test/hcsemu/service, in Go). It is spoken over
// the byte-mode named pipe [PipeName] of one Wine prefix.
//
// # Frames
//
// Everything is little-endian. A connection carries frames of one shape:
//
//	 0        4      5      6       8                16       20        24
//	┌────────┬──────┬──────┬───────┬────────────────┬────────┬─────────┬───────────┐
//	│ length │ kind │ zero │ count │ id             │ code   │ zero    │ values …  │
//	│ u32    │ u8   │ u8   │ u16   │ u64            │ u32    │ u32     │ count × v │
//	└────────┴──────┴──────┴───────┴────────────────┴────────┴─────────┴───────────┘
//	  length counts what follows it, 20 at least and MaxFrame at most
//
//	v = ┌─────┬────────┬─────────┐   tag 0 null    (nothing follows the tag)
//	    │ tag │ length │ content │   tag 1 number  (u64, no length)
//	    │ u8  │ u32    │         │   tag 2 string  (UTF-16, length in bytes, no terminator)
//	    └─────┴────────┴─────────┘   tag 3 blob
//
// Strings are UTF-16 because that is what the callers of the DLLs pass and
// take: the C side copies and never converts.
//
// # Conversation
//
//	DLL                                              service
//	 │ Hello  id=token code=Version [role pid dll exe] │  first frame of a connection
//	 ├────────────────────────────────────────────────▶│
//	 │◀──────────────────────────────── Reply id=token │  code: S_OK or why not
//	 │ Request id=call [name args…]                    │  any number outstanding
//	 ├────────────────────────────────────────────────▶│
//	 │◀─────────────────── Reply id=call code [outs…]  │  in any order
//	 │◀── Event id=subscription code=type [status data]│  only on the events connection
//
// A client has one connection in [RoleCalls] and, once it subscribes to
// something, a second one in [RoleEvents] with the same token. They are apart so
// that a callback may call back into the DLL and wait for the reply. Events of
// one client keep their order; those that come before the events connection is
// there wait for it. When the calls connection ends, the client is gone and the
// service closes its handles, as the kernel does for a process that died.
//
// Handles and subscription ids are chosen by the client, so that a call that
// hands out a handle can return before it has completed, and later calls may
// name that handle at once. Number 0 is never a handle.
//
// # Failure rules
//
// A frame that breaks these rules ends its connection: there is no way to find
// the next one. Decoding never panics and never allocates more than the bytes
// received.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
)

// Constants of the protocol. transport.h repeats them; TestHeaderAgrees keeps
// the two the same (test/hcsemu/dll).
const (
	// PipeName is where the service listens. A Wine prefix has its own pipes,
	// so services of different prefixes do not meet.
	PipeName = `\\.\pipe\hcsemu`
	// Version is the protocol's version, sent in Hello. Both ends are built
	// from one checkout: a difference is an error, there is no negotiation.
	Version = 1
	// MaxFrame bounds the length field.
	MaxFrame = 16 << 20

	headerSize = 20 // what length counts before the values
)

// ErrMalformed is matched by every error that is the sender's fault.
var ErrMalformed = errors.New("malformed frame")

// Kind is the kind of a frame.
type Kind uint8

// The kinds.
const (
	KindHello   Kind = 1
	KindRequest Kind = 2
	KindReply   Kind = 3
	KindEvent   Kind = 4
)

// Role is what a connection is for.
type Role uint64

// The roles.
const (
	RoleCalls  Role = 1
	RoleEvents Role = 2
)

// Frame is one frame.
type Frame struct {
	Kind   Kind
	ID     uint64
	Code   uint32
	Values []Value
}

// Tag is the type of a value.
type Tag uint8

// The tags.
const (
	TagNull   Tag = 0
	TagNumber Tag = 1
	TagString Tag = 2
	TagBlob   Tag = 3
)

// Value is one typed value; the zero Value is null.
type Value struct {
	Tag    Tag
	Number uint64 // TagNumber
	Text   string // TagString; unpaired surrogates arrive as U+FFFD
	Blob   []byte // TagBlob
}

// Number returns a number.
func Number(n uint64) Value { return Value{Tag: TagNumber, Number: n} }

// String returns a string.
func String(s string) Value { return Value{Tag: TagString, Text: s} }

// Blob returns a blob. It keeps b.
func Blob(b []byte) Value { return Value{Tag: TagBlob, Blob: b} }

// Append appends f in its encoded form to dst. The error matches ErrMalformed
// if f is more than a frame can carry.
func Append(dst []byte, f *Frame) ([]byte, error) {
	if len(f.Values) > 0xffff {
		return dst, fmt.Errorf("%w: %d values, at most 65535 fit", ErrMalformed, len(f.Values))
	}
	start := len(dst)
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, 0)
	dst = append(dst, byte(f.Kind), 0)
	dst = le.AppendUint16(dst, uint16(len(f.Values)))
	dst = le.AppendUint64(dst, f.ID)
	dst = le.AppendUint32(dst, f.Code)
	dst = le.AppendUint32(dst, 0)
	for i := range f.Values {
		dst = appendValue(dst, &f.Values[i])
	}
	n := len(dst) - start - 4
	if n > MaxFrame {
		return dst[:start], fmt.Errorf("%w: %d bytes, at most %d fit", ErrMalformed, n, MaxFrame)
	}
	le.PutUint32(dst[start:], uint32(n))
	return dst, nil
}

func appendValue(dst []byte, v *Value) []byte {
	le := binary.LittleEndian
	dst = append(dst, byte(v.Tag))
	switch v.Tag {
	case TagNumber:
		dst = le.AppendUint64(dst, v.Number)
	case TagString:
		units := utf16.Encode([]rune(v.Text))
		dst = le.AppendUint32(dst, uint32(2*len(units)))
		for _, u := range units {
			dst = le.AppendUint16(dst, u)
		}
	case TagBlob:
		dst = le.AppendUint32(dst, uint32(len(v.Blob)))
		dst = append(dst, v.Blob...)
	}
	return dst
}

// Write writes f in one Write call.
func Write(w io.Writer, f *Frame) error {
	b, err := Append(nil, f)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// Read reads one frame. It returns io.EOF if the connection ended between two
// frames, and an error that matches ErrMalformed if the sender broke the rules.
func Read(r io.Reader) (*Frame, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(length[:])
	if n < headerSize || n > MaxFrame {
		return nil, fmt.Errorf("%w: length %d, %d to %d is allowed", ErrMalformed, n, headerSize, MaxFrame)
	}
	body, err := readBody(r, int(n))
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return Decode(body)
}

// readBody grows with what arrives, so that a length alone costs nothing.
func readBody(r io.Reader, n int) ([]byte, error) {
	const step = 64 << 10
	body := make([]byte, 0, min(n, step))
	for len(body) < n {
		k := min(n-len(body), step)
		body = append(body, make([]byte, k)...)
		if _, err := io.ReadFull(r, body[len(body)-k:]); err != nil {
			return nil, err
		}
	}
	return body, nil
}

// Decode decodes the bytes that the length field counts. It keeps no reference
// to body except for blobs.
func Decode(body []byte) (*Frame, error) {
	if len(body) < headerSize {
		return nil, fmt.Errorf("%w: %d bytes, a header has %d", ErrMalformed, len(body), headerSize)
	}
	le := binary.LittleEndian
	f := &Frame{Kind: Kind(body[0]), ID: le.Uint64(body[4:]), Code: le.Uint32(body[12:])}
	if f.Kind < KindHello || f.Kind > KindEvent {
		return nil, fmt.Errorf("%w: kind %d, 1 to 4 is allowed", ErrMalformed, f.Kind)
	}
	if body[1] != 0 || le.Uint32(body[16:]) != 0 {
		return nil, fmt.Errorf("%w: reserved bytes are not zero", ErrMalformed)
	}
	count := int(le.Uint16(body[2:]))
	rest := body[headerSize:]
	for i := range count {
		v, tail, err := decodeValue(rest)
		if err != nil {
			return nil, fmt.Errorf("value %d: %w", i, err)
		}
		f.Values = append(f.Values, v)
		rest = tail
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%w: %d bytes after the last value", ErrMalformed, len(rest))
	}
	return f, nil
}

func decodeValue(b []byte) (Value, []byte, error) {
	if len(b) == 0 {
		return Value{}, nil, fmt.Errorf("%w: missing", ErrMalformed)
	}
	tag, b := Tag(b[0]), b[1:]
	switch tag {
	case TagNull:
		return Value{}, b, nil
	case TagNumber:
		if len(b) < 8 {
			return Value{}, nil, fmt.Errorf("%w: number cut off", ErrMalformed)
		}
		return Number(binary.LittleEndian.Uint64(b)), b[8:], nil
	case TagString, TagBlob:
		content, rest, err := decodeContent(b)
		if err != nil {
			return Value{}, nil, err
		}
		if tag == TagBlob {
			return Blob(content), rest, nil
		}
		if len(content)%2 != 0 {
			return Value{}, nil, fmt.Errorf("%w: string of %d bytes is not UTF-16", ErrMalformed, len(content))
		}
		return String(decodeText(content)), rest, nil
	}
	return Value{}, nil, fmt.Errorf("%w: tag %d, 0 to 3 is allowed", ErrMalformed, tag)
}

func decodeContent(b []byte) (content, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, fmt.Errorf("%w: length cut off", ErrMalformed)
	}
	n := uint64(binary.LittleEndian.Uint32(b))
	b = b[4:]
	if n > uint64(len(b)) {
		return nil, nil, fmt.Errorf("%w: %d bytes announced, %d left", ErrMalformed, n, len(b))
	}
	return b[:n:n], b[n:], nil
}

func decodeText(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}
