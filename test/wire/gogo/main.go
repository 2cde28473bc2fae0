// Command gogo is a containerd 1.6 of a few lines: it has the messages of the
// task API, of events and of runhcs in the Go types that gogo/protobuf generated
// for that release and its ttrpc client, and says what it reads and writes, of single
// messages or of a container's life. The tests of the folder above hold what it
// says against isol's side.
//
// It is a module of its own: its containerd and hcsshim are older versions of
// modules that isol links, and gogo/protobuf must not come near the shim.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"

	"github.com/containerd/typeurl"
	"github.com/gogo/protobuf/jsonpb"
	"github.com/gogo/protobuf/proto"
	"github.com/gogo/protobuf/types"

	// The messages, which register themselves by name.
	_ "github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1/options"
	_ "github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1/stats"
	_ "github.com/containerd/containerd/api/events"
	_ "github.com/containerd/containerd/api/services/ttrpc/events/v1"
	_ "github.com/containerd/containerd/pkg/runtimeoptions/v1"
	_ "github.com/containerd/containerd/runtime/v2/task"
)

// question is one message, as JSON and as the other side encodes it.
type question struct {
	Type    string          // full name of the message
	Message json.RawMessage // its fields
	Field   string          // Go name of a field of type Any that Any goes to; empty: none
	Any     *types.Any      // what JSON can't say: a value that is no protobuf message
	Value   []byte          // the message as the other side encodes it
}

// answer is what gogo makes of a question.
type answer struct {
	TypeURL string          // what typeurl writes for the message
	Value   []byte          // Message, encoded
	Read    json.RawMessage // the question's Value, decoded
	Any     *types.Any      // the field Field of it
}

func main() {
	err := errors.New("usage: gogo < QUESTIONS, or gogo SOCKET BUNDLE")
	switch len(os.Args) {
	case 1:
		err = run(os.Stdin, os.Stdout)
	case 3:
		err = session(os.Stdout, os.Args[1], os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gogo:", err)
		os.Exit(1)
	}
}

// run answers a JSON list of questions with a JSON list of answers.
func run(r io.Reader, w io.Writer) error {
	var questions []question
	if err := json.NewDecoder(r).Decode(&questions); err != nil {
		return err
	}
	answers := make([]answer, len(questions))
	for i, q := range questions {
		a, err := exchange(q)
		if err != nil {
			return fmt.Errorf("question %d, %s: %w", i, q.Type, err)
		}
		answers[i] = a
	}
	return json.NewEncoder(w).Encode(answers)
}

func exchange(q question) (answer, error) {
	written, read := newMessage(q.Type), newMessage(q.Type)
	if written == nil {
		return answer{}, fmt.Errorf("containerd 1.6 has no such message")
	}
	if err := jsonpb.Unmarshal(bytes.NewReader(q.Message), written); err != nil {
		return answer{}, err
	}
	if q.Any != nil {
		field(written, q.Field).Set(reflect.ValueOf(q.Any))
	}
	packed, err := typeurl.MarshalAny(written)
	if err != nil {
		return answer{}, err
	}
	if err := proto.Unmarshal(q.Value, read); err != nil {
		return answer{}, err
	}
	a := answer{TypeURL: packed.TypeUrl, Value: packed.Value}
	if q.Any != nil {
		a.Any, _ = field(read, q.Field).Interface().(*types.Any)
		field(read, q.Field).SetZero()
	}
	var text bytes.Buffer
	if err := (&jsonpb.Marshaler{OrigName: true}).Marshal(&text, read); err != nil {
		return answer{}, err
	}
	a.Read = text.Bytes()
	return a, nil
}

// newMessage returns an empty message of a registered type, or nil.
func newMessage(name string) proto.Message {
	t := proto.MessageType(name)
	if t == nil {
		return nil
	}
	m, _ := reflect.New(t.Elem()).Interface().(proto.Message)
	return m
}

func field(m proto.Message, name string) reflect.Value {
	return reflect.ValueOf(m).Elem().FieldByName(name)
}
