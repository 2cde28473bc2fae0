package gcs

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The numbers are the guest's: a wrong one is an unknown message to it.
func TestProcedureNumbers(t *testing.T) {
	for proc, want := range map[Procedure]uint32{
		ProcCreate: 0x10100101, ProcStart: 0x10100201, ProcShutdownGraceful: 0x10100301, ProcShutdownForced: 0x10100401,
		ProcExecuteProcess: 0x10100501, ProcWaitForProcess: 0x10100601, ProcSignalProcess: 0x10100701,
		ProcResizeConsole: 0x10100801, ProcGetProperties: 0x10100901, ProcModifySettings: 0x10100A01,
		ProcNegotiateProtocol: 0x10100B01, ProcDumpStacks: 0x10100C01, ProcDeleteContainerState: 0x10100D01,
		ProcUpdateContainer: 0x10100E01, ProcLifecycle: 0x10100F01, ProcModifyService: 0x10200101,
	} {
		if got := uint32(proc.Request()); got != want {
			t.Errorf("%v: request type %#x, want %#x", proc, got, want)
		}
		if got := uint32(proc.Response()); got != want+0x10000000 {
			t.Errorf("%v: response type %#x, want %#x", proc, got, want+0x10000000)
		}
		if strings.HasPrefix(proc.String(), "0x") {
			t.Errorf("%v has no name", proc)
		}
	}
	if uint32(NotifyContainer) != 0x30100101 {
		t.Errorf("NotifyContainer = %#x", uint32(NotifyContainer))
	}
	if got := Procedure(0x77).String(); got != "0x77" {
		t.Errorf("unknown procedure prints %q", got)
	}
}

// The header's layout is the guest's: type, size with header, id, little-endian.
func TestFrameLayout(t *testing.T) {
	b, err := Frame{Type: 0x10100B01, ID: 0x0102030405060708, Body: []byte("{}")}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []byte{0x01, 0x0B, 0x10, 0x10, 18, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, '{', '}'}
	if diff := cmp.Diff(want, b); diff != "" {
		t.Errorf("frame (-want +got):\n%s", diff)
	}
}

func TestReadFrame(t *testing.T) {
	header := func(size uint32) []byte {
		return []byte{1, 1, 16, 32, byte(size), byte(size >> 8), byte(size >> 16), byte(size >> 24), 1, 0, 0, 0, 0, 0, 0, 0}
	}
	for _, tc := range []struct {
		name string
		in   []byte
		want string // part of the error
	}{
		{"empty stream", nil, "EOF"},
		{"torn header", header(20)[:9], "unexpected EOF"},
		{"torn body", append(header(20), 'x'), "unexpected EOF"},
		{"no body at all", header(20), "unexpected EOF"},
		{"size below the header's", header(15), "15 bytes was announced"},
		{"size above the limit", header(maxFrame + 1), "65537 bytes was announced"},
		{"size that would take all memory", header(0xffffffff), "4294967295 bytes was announced"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ReadFrame(bytes.NewReader(tc.in))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
	if _, err := ReadFrame(bytes.NewReader(nil)); !errors.Is(err, io.EOF) {
		t.Errorf("a stream that ends between frames gives %v, want io.EOF", err)
	}
	largest := append(header(maxFrame), make([]byte, maxFrame-headerSize)...)
	if f, err := ReadFrame(bytes.NewReader(largest)); err != nil || len(f.Body) != maxFrame-headerSize {
		t.Errorf("the largest frame allowed: %d bytes, error %v", len(f.Body), err)
	}
}

// A hostile guest must not make the shim panic, nor allocate without bound,
// and what the host writes the guest must read back.
func FuzzFrame(f *testing.F) {
	seed, err := Frame{Type: ProcCreate.Response(), ID: 7, Body: []byte(`{"Result":0}`)}.Append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(seed[:5])
	f.Fuzz(func(t *testing.T, in []byte) {
		frame, err := ReadFrame(bytes.NewReader(in))
		if err != nil {
			return
		}
		out, err := frame.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out, in[:len(out)]) {
			t.Errorf("read and written again: %x, want %x", out, in[:len(out)])
		}
	})
}

// Whatever stands in a message's body, the host must not panic, and only the
// call that the message answers may end.
func FuzzReceive(f *testing.F) {
	f.Add(uint32(ProcGetProperties.Response()), int64(1), []byte(`{"Result":0,"Properties":"{}"}`))
	f.Add(uint32(ProcGetProperties.Response()), int64(1), []byte(`{"Result":"x"`))
	f.Add(uint32(NotifyContainer), int64(0), []byte(`{"ContainerId":"web","Type":"UnexpectedExit","ResultInfo":"{}"}`))
	f.Add(uint32(0x70000000), int64(2), []byte(nil))
	f.Fuzz(func(t *testing.T, kind uint32, id int64, body []byte) {
		mine := &call{proc: ProcGetProperties, resp: &PropertiesResponse{}, done: make(chan struct{})}
		other := &call{proc: ProcStart, resp: &ResponseBase{}, done: make(chan struct{})}
		b := &bridge{
			log: slog.New(slog.DiscardHandler), notify: func(ContainerNotification) {},
			calls: map[int64]*call{1: mine, 7: other}, late: map[int64]func([]byte){},
		}
		b.receive(Frame{Type: MessageType(kind), ID: id, Body: body})
		for n, c := range map[int64]*call{1: mine, 7: other} {
			select {
			case <-c.done:
				if id != n {
					t.Errorf("a message with id %d ended call %d", id, n)
				}
			default:
			}
		}
	})
}
