package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What one side sends is what the other side sees, for every kind of message.
func TestRoundTrip(t *testing.T) {
	hello := Hello{Token: 1 << 63, Role: RoleEvents, PID: 4242, DLL: "vmcompute.dll", Exe: `C:\shim.exe`}
	request := Request{Call: 7, Name: "HcsCreateProcess", Args: []Value{
		Number(9), String(`{"CommandLine":"ping größe 🐳"}`), {}, Blob([]byte{0, 1, 255}), String(""), Blob(nil),
	}}
	reply := Reply{Call: 7, Result: 0x80370118, Outs: []Value{String("x")}}
	event := Event{Subscription: 9, Type: 0x10000, Status: 0xC0370106, Data: `{"ExitCode":7}`}

	var b bytes.Buffer
	for _, f := range []*Frame{hello.Frame(), request.Frame(), reply.Frame(), event.Frame()} {
		if err := Write(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	next := func() *Frame {
		f, err := Read(&b)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	gotHello, err := ParseHello(next())
	if err != nil || gotHello != hello {
		t.Errorf("hello: %+v, %v", gotHello, err)
	}
	gotRequest, err := ParseRequest(next())
	if err != nil {
		t.Error(err)
	}
	request.Args[5].Blob = []byte{}
	if d := cmp.Diff(request, gotRequest); d != "" {
		t.Errorf("request (-want +got):\n%s", d)
	}
	gotReply, err := ParseReply(next())
	if d := cmp.Diff(reply, gotReply); d != "" || err != nil {
		t.Errorf("reply %v (-want +got):\n%s", err, d)
	}
	gotEvent, err := ParseEvent(next())
	if err != nil || gotEvent != event {
		t.Errorf("event: %+v, %v", gotEvent, err)
	}
	if _, err := Read(&b); err != io.EOF {
		t.Errorf("after the last frame: %v, want io.EOF", err)
	}
}

// A long document must survive the stepwise reading of a frame.
func TestRoundTripLong(t *testing.T) {
	doc := strings.Repeat("0123456789", 40_000)
	var b bytes.Buffer
	if err := Write(&b, Request{Call: 1, Name: "f", Args: []Value{String(doc)}}.Frame()); err != nil {
		t.Fatal(err)
	}
	f, err := Read(&b)
	if err != nil || f.Values[1].Text != doc {
		t.Fatalf("long document came back different: %v", err)
	}
}

// A frame too large for the other side is the sender's error, not the peer's disconnect.
func TestAppendRefusesTooLarge(t *testing.T) {
	for name, f := range map[string]*Frame{
		"bytes":  {Kind: KindReply, Values: []Value{Blob(make([]byte, MaxFrame))}},
		"values": {Kind: KindReply, Values: make([]Value, 0x10000)},
	} {
		if b, err := Append([]byte("kept"), f); !errors.Is(err, ErrMalformed) || string(b) != "kept" {
			t.Errorf("%s: %d bytes, %v; want ErrMalformed and nothing appended", name, len(b), err)
		}
	}
}

// A client that sends rubbish must be told apart from one that left, and must
// not take the service down.
func TestReadRefuses(t *testing.T) {
	valid, err := Append(nil, Reply{Call: 1, Outs: []Value{Number(1), String("ab"), Blob([]byte{1})}}.Frame())
	if err != nil {
		t.Fatal(err)
	}
	edit := func(at int, to byte) []byte {
		b := bytes.Clone(valid)
		b[at] = to
		return b
	}
	cases := map[string]struct {
		in   []byte
		want error
	}{
		"length below header": {[]byte{19, 0, 0, 0}, ErrMalformed},
		"length above limit":  {[]byte{1, 0, 0, 1}, ErrMalformed},
		"kind 0":              {edit(4, 0), ErrMalformed},
		"kind 5":              {edit(4, 5), ErrMalformed},
		"reserved byte":       {edit(5, 1), ErrMalformed},
		"reserved word":       {edit(20, 1), ErrMalformed},
		"too many values":     {edit(6, 4), ErrMalformed},
		"too few values":      {edit(6, 2), ErrMalformed},
		"unknown tag":         {edit(24, 9), ErrMalformed},
		"odd string":          {edit(34, 3), ErrMalformed},
		"string past the end": {edit(34, 200), ErrMalformed},
		"cut in the length":   {valid[:2], io.ErrUnexpectedEOF},
		"cut in the body":     {valid[:len(valid)-1], io.ErrUnexpectedEOF},
		"cut after length":    {valid[:4], io.ErrUnexpectedEOF},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if f, err := Read(bytes.NewReader(c.in)); !errors.Is(err, c.want) {
				t.Errorf("Read = %+v, %v; want %v", f, err, c.want)
			}
		})
	}
}

// Decode is also given bodies directly; cut-off values are its own to refuse.
func TestDecodeRefusesCutValues(t *testing.T) {
	head := make([]byte, headerSize)
	head[0], head[2] = byte(KindReply), 1
	for name, tail := range map[string][]byte{
		"no value": {}, "number": {1, 0, 0}, "length": {2, 0, 0}, "short body": nil,
	} {
		body := append(bytes.Clone(head), tail...)
		if name == "short body" {
			body = head[:5]
		}
		if _, err := Decode(body); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A message of the wrong kind or shape is refused with what was expected.
func TestParseRefuses(t *testing.T) {
	bad := func(f *Frame, edit func(*Frame)) *Frame { edit(f); return f }
	hello := func() *Frame { return Hello{Token: 1, Role: RoleCalls}.Frame() }
	cases := map[string]struct {
		frame *Frame
		parse func(*Frame) error
		want  string
	}{
		"hello kind":    {Reply{}.Frame(), hErr, "starts with Hello"},
		"hello version": {bad(hello(), func(f *Frame) { f.Code = 99 }), hErr, "version 99"},
		"hello role":    {bad(hello(), func(f *Frame) { f.Values[0].Number = 3 }), hErr, "role 3"},
		"hello pid":     {bad(hello(), func(f *Frame) { f.Values[1].Number = 1 << 32 }), hErr, "32 bits"},
		"hello short":   {bad(hello(), func(f *Frame) { f.Values = f.Values[:3] }), hErr, "argument 4 is missing"},
		"hello long":    {bad(hello(), func(f *Frame) { f.Values = append(f.Values, Value{}) }), hErr, "5 arguments"},
		"hello type":    {bad(hello(), func(f *Frame) { f.Values[2] = Number(1) }), hErr, "argument 3 has tag 1"},
		"null number":   {bad(hello(), func(f *Frame) { f.Values[1] = Value{} }), hErr, "argument 2 has tag 0"},
		"request kind":  {Reply{}.Frame(), func(f *Frame) error { _, err := ParseRequest(f); return err }, "request is expected"},
		"request name":  {&Frame{Kind: KindRequest}, func(f *Frame) error { _, err := ParseRequest(f); return err }, "function's name"},
		"reply kind":    {hello(), func(f *Frame) error { _, err := ParseReply(f); return err }, "reply is expected"},
		"event kind":    {hello(), func(f *Frame) error { _, err := ParseEvent(f); return err }, "event is expected"},
		"event empty":   {&Frame{Kind: KindEvent}, func(f *Frame) error { _, err := ParseEvent(f); return err }, "missing"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if err := c.parse(c.frame); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func hErr(f *Frame) error { _, err := ParseHello(f); return err }

// Null stands for an absent string or blob, as a null pointer does in C.
func TestArgsNull(t *testing.T) {
	a := NewArgs([]Value{{}, {}, Number(3), String("x")})
	text, blob := a.Text(), a.Blob()
	rest := a.Rest()
	if text != "" || blob != nil || len(rest) != 2 || a.End() != nil {
		t.Errorf("%q %v %v %v", text, blob, rest, a.End())
	}
}

// No input may crash the service, and what is accepted must encode back to
// what was read (but for strings that are not valid UTF-16).
func FuzzRead(f *testing.F) {
	for _, frame := range []*Frame{
		Hello{Token: 5, Role: RoleCalls, PID: 1, DLL: "d", Exe: "e"}.Frame(),
		Request{Call: 1, Name: "HcsStartComputeSystem", Args: []Value{Number(1), {}, Blob([]byte("b"))}}.Frame(),
		Event{Subscription: 1, Type: 2, Data: "{}"}.Frame(),
	} {
		b, err := Append(nil, frame)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		first, err := Read(bytes.NewReader(in))
		if err != nil {
			return
		}
		b, err := Append(nil, first)
		if err != nil {
			t.Fatalf("accepted frame does not encode: %v", err)
		}
		second, err := Read(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("encoded frame does not decode: %v", err)
		}
		if d := cmp.Diff(first, second); d != "" {
			t.Fatalf("round trip (-first +second):\n%s", d)
		}
	})
}
