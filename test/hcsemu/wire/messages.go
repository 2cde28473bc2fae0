package wire

import "fmt"

// Hello is the first frame of a connection.
type Hello struct {
	Token uint64 // the same on both connections of a client, unique in the prefix
	Role  Role
	PID   uint32
	DLL   string // which front: "computecore.dll"
	Exe   string // the program that loaded it
}

// Frame returns h as a frame.
func (h Hello) Frame() *Frame {
	return &Frame{Kind: KindHello, ID: h.Token, Code: Version, Values: []Value{
		Number(uint64(h.Role)), Number(uint64(h.PID)), String(h.DLL), String(h.Exe),
	}}
}

// ParseHello reads the first frame of a connection.
func ParseHello(f *Frame) (Hello, error) {
	if f.Kind != KindHello {
		return Hello{}, fmt.Errorf("%w: a connection starts with Hello, not kind %d", ErrMalformed, f.Kind)
	}
	if f.Code != Version {
		return Hello{}, fmt.Errorf("protocol version %d, the service speaks %d: build DLLs and service from one checkout", f.Code, Version)
	}
	a := NewArgs(f.Values)
	h := Hello{Token: f.ID, Role: Role(a.Number()), PID: a.Uint32(), DLL: a.Text(), Exe: a.Text()}
	if err := a.End(); err != nil {
		return Hello{}, err
	}
	if h.Role != RoleCalls && h.Role != RoleEvents {
		return Hello{}, fmt.Errorf("%w: role %d, 1 (calls) or 2 (events) is allowed", ErrMalformed, h.Role)
	}
	return h, nil
}

// Request is a call of a function.
type Request struct {
	Call uint64
	Name string // as the DLL exports it: "HcsCreateComputeSystem"
	Args []Value
}

// Frame returns r as a frame.
func (r Request) Frame() *Frame {
	return &Frame{Kind: KindRequest, ID: r.Call, Values: append([]Value{String(r.Name)}, r.Args...)}
}

// ParseRequest reads a request.
func ParseRequest(f *Frame) (Request, error) {
	if f.Kind != KindRequest {
		return Request{}, fmt.Errorf("%w: kind %d where a request is expected", ErrMalformed, f.Kind)
	}
	if len(f.Values) == 0 || f.Values[0].Tag != TagString || f.Values[0].Text == "" {
		return Request{}, fmt.Errorf("%w: a request's first value is the function's name", ErrMalformed)
	}
	return Request{Call: f.ID, Name: f.Values[0].Text, Args: f.Values[1:]}, nil
}

// Reply answers the request (or Hello) with the same id.
type Reply struct {
	Call   uint64
	Result uint32 // HRESULT
	Outs   []Value
}

// Frame returns r as a frame.
func (r Reply) Frame() *Frame {
	return &Frame{Kind: KindReply, ID: r.Call, Code: r.Result, Values: r.Outs}
}

// ParseReply reads a reply.
func ParseReply(f *Frame) (Reply, error) {
	if f.Kind != KindReply {
		return Reply{}, fmt.Errorf("%w: kind %d where a reply is expected", ErrMalformed, f.Kind)
	}
	return Reply{Call: f.ID, Result: f.Code, Outs: f.Values}, nil
}

// Event is a notification to the subscription of a handle.
type Event struct {
	Subscription uint64
	Type         uint32 // HCS_EVENT_TYPE of computecore.dll
	Status       uint32 // HRESULT, for vmcompute.dll's callbacks
	Data         string // JSON, may be empty
}

// Frame returns e as a frame.
func (e Event) Frame() *Frame {
	return &Frame{Kind: KindEvent, ID: e.Subscription, Code: e.Type, Values: []Value{
		Number(uint64(e.Status)), String(e.Data),
	}}
}

// ParseEvent reads an event.
func ParseEvent(f *Frame) (Event, error) {
	if f.Kind != KindEvent {
		return Event{}, fmt.Errorf("%w: kind %d where an event is expected", ErrMalformed, f.Kind)
	}
	a := NewArgs(f.Values)
	e := Event{Subscription: f.ID, Type: f.Code, Status: a.Uint32(), Data: a.Text()}
	return e, a.End()
}

// Args reads values one after another and remembers the first that is not what
// was asked for.
type Args struct {
	values []Value
	next   int
	err    error
}

// NewArgs returns a reader of values.
func NewArgs(values []Value) *Args { return &Args{values: values} }

func (a *Args) take(want Tag) Value {
	if a.err != nil {
		return Value{}
	}
	if a.next == len(a.values) {
		a.err = fmt.Errorf("%w: argument %d is missing", ErrMalformed, a.next+1)
		return Value{}
	}
	v := a.values[a.next]
	a.next++
	if v.Tag != want && (v.Tag != TagNull || want == TagNumber) {
		a.err = fmt.Errorf("%w: argument %d has tag %d, want %d", ErrMalformed, a.next, v.Tag, want)
		return Value{}
	}
	return v
}

// Number returns the next value, a number.
func (a *Args) Number() uint64 { return a.take(TagNumber).Number }

// Uint32 returns the next value, a number that must fit 32 bits.
func (a *Args) Uint32() uint32 {
	n := a.Number()
	if n > 0xffffffff {
		a.err = fmt.Errorf("%w: argument %d is %d, 32 bits are allowed", ErrMalformed, a.next, n)
	}
	return uint32(n)
}

// Text returns the next value, a string; null is the empty string, as it is to
// the functions of these DLLs.
func (a *Args) Text() string { return a.take(TagString).Text }

// Blob returns the next value, a blob; null is nil.
func (a *Args) Blob() []byte { return a.take(TagBlob).Blob }

// Rest returns the values not read yet.
func (a *Args) Rest() []Value {
	rest := a.values[a.next:]
	a.next = len(a.values)
	return rest
}

// End returns the first error, or one if values are left.
func (a *Args) End() error {
	if a.err == nil && a.next != len(a.values) {
		a.err = fmt.Errorf("%w: %d arguments, want %d", ErrMalformed, len(a.values), a.next)
	}
	return a.err
}
