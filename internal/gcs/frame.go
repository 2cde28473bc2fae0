package gcs

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

const (
	headerSize = 16

	// maxFrame is the largest frame accepted from a guest, header included.
	// The reference accepts no larger one (runhcs: gcs/prot MaxMsgSize), so no
	// guest in production sends one.
	maxFrame = 0x10000
)

// MessageType is the first word of a frame.
type MessageType uint32

// The kinds of message, the highest four bits of a MessageType.
const (
	kindRequest  MessageType = 0x10000000
	kindResponse MessageType = 0x20000000
	kindNotify   MessageType = 0x30000000
	kindMask     MessageType = 0xf0000000
)

// Procedure is a request's type without its kind.
type Procedure uint32

// The procedures of protocol version 4. Names and numbers are the reference's.
const (
	ProcCreate               Procedure = 0x00100101
	ProcStart                Procedure = 0x00100201
	ProcShutdownGraceful     Procedure = 0x00100301
	ProcShutdownForced       Procedure = 0x00100401
	ProcExecuteProcess       Procedure = 0x00100501
	ProcWaitForProcess       Procedure = 0x00100601
	ProcSignalProcess        Procedure = 0x00100701
	ProcResizeConsole        Procedure = 0x00100801
	ProcGetProperties        Procedure = 0x00100901
	ProcModifySettings       Procedure = 0x00100A01
	ProcNegotiateProtocol    Procedure = 0x00100B01
	ProcDumpStacks           Procedure = 0x00100C01
	ProcDeleteContainerState Procedure = 0x00100D01
	ProcUpdateContainer      Procedure = 0x00100E01
	ProcLifecycle            Procedure = 0x00100F01
	ProcModifyService        Procedure = 0x00200101
)

var procedureNames = map[Procedure]string{
	ProcCreate: "Create", ProcStart: "Start", ProcShutdownGraceful: "ShutdownGraceful",
	ProcShutdownForced: "ShutdownForced", ProcExecuteProcess: "ExecuteProcess",
	ProcWaitForProcess: "WaitForProcess", ProcSignalProcess: "SignalProcess",
	ProcResizeConsole: "ResizeConsole", ProcGetProperties: "GetProperties",
	ProcModifySettings: "ModifySettings", ProcNegotiateProtocol: "NegotiateProtocol",
	ProcDumpStacks: "DumpStacks", ProcDeleteContainerState: "DeleteContainerState",
	ProcUpdateContainer: "UpdateContainer", ProcLifecycle: "LifecycleNotification",
	ProcModifyService: "ModifyServiceSettings",
}

// String returns the procedure's name, or its number if it has none.
func (p Procedure) String() string {
	if s, ok := procedureNames[p]; ok {
		return s
	}
	return fmt.Sprintf("%#x", uint32(p))
}

// Request returns the type of the procedure's request.
func (p Procedure) Request() MessageType { return MessageType(p) | kindRequest }

// Response returns the type of the answer to the procedure's request.
func (p Procedure) Response() MessageType { return MessageType(p) | kindResponse }

// Procedure returns the type without its kind.
func (t MessageType) Procedure() Procedure { return Procedure(t &^ kindMask) }

// NotifyContainer is the type of the notification that a container has ended.
const NotifyContainer MessageType = kindNotify | 0x00100101

// Frame is one message as it stands on the wire.
type Frame struct {
	Type MessageType
	ID   int64
	Body []byte // JSON
}

// ReadFrame reads one frame. The error is io.EOF if the stream ended between
// frames and io.ErrUnexpectedEOF within one; after any error the stream is of
// no more use.
func ReadFrame(r io.Reader) (Frame, error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Frame{}, err
	}
	size := binary.LittleEndian.Uint32(h[4:])
	if size < headerSize || size > maxFrame {
		return Frame{}, fmt.Errorf("a frame of %d bytes was announced, %d to %d are allowed", size, headerSize, maxFrame)
	}
	f := Frame{
		Type: MessageType(binary.LittleEndian.Uint32(h[0:])),
		ID:   int64(binary.LittleEndian.Uint64(h[8:])),
		Body: make([]byte, size-headerSize),
	}
	if _, err := io.ReadFull(r, f.Body); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, err
	}
	return f, nil
}

// Append appends the frame's bytes to buf. It fails only if the body does not
// fit the header's size field.
func (f Frame) Append(buf []byte) ([]byte, error) {
	if len(f.Body) > math.MaxUint32-headerSize {
		return nil, fmt.Errorf("a message of %d bytes does not fit a frame", len(f.Body))
	}
	buf = binary.LittleEndian.AppendUint32(buf, uint32(f.Type))
	buf = binary.LittleEndian.AppendUint32(buf, uint32(headerSize+len(f.Body)))
	buf = binary.LittleEndian.AppendUint64(buf, uint64(f.ID))
	return append(buf, f.Body...), nil
}
