package wire

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	_ "github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1/options" // registers its messages, as those below
	_ "github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1/stats"
	_ "github.com/containerd/containerd/api/events"
	taskv2 "github.com/containerd/containerd/api/runtime/task/v2"
	_ "github.com/containerd/containerd/api/services/ttrpc/events/v1"
	_ "github.com/containerd/containerd/api/types/runtimeoptions/v1"
	"github.com/containerd/typeurl/v2"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/isolrun/isol/internal/options"
)

// example is one message of testdata/cases.json.
type example struct {
	Name    string
	Type    string          // full name of the message
	Message json.RawMessage // its fields
	Field   string          // a field that holds what is no protobuf message …
	Any     *foreign        // … and that
	Options bool            // the message is runtime options
}

// foreign is JSON in an Any: typeurl sends the OCI spec's types so.
type foreign struct {
	TypeURL string          `json:"type_url"`
	Value   json.RawMessage `json:"value"`
}

// question and answer are those of package gogo.
type question struct {
	Type    string
	Message json.RawMessage
	Field   string
	Any     *anyFields
	Value   []byte
}

type answer struct {
	TypeURL string
	Value   []byte
	Read    json.RawMessage
	Any     *anyFields
}

// anyFields is how encoding/json reads an Any of either library.
type anyFields struct {
	TypeURL string `json:"type_url"`
	Value   []byte `json:"value"`
}

// A containerd 1.6 on the node must read what isol writes, and the reverse:
// what is lost or changed on the way is a wrong exit code, a pod without
// statistics, a container in the wrong isolation.
func TestGogoClients(t *testing.T) {
	examples := readExamples(t)
	for i, a := range ask(t, questions(t, examples)) {
		e := examples[i]
		t.Run(e.Name, func(t *testing.T) {
			ours := e.message(t)
			wantSame(t, "isol reads what gogo wrote", ours, decode(t, e, a.Value))
			wantSame(t, "gogo reads what isol wrote", ours, e.said(t, a))
			packed, err := typeurl.MarshalAny(ours)
			if err != nil {
				t.Fatal(err)
			}
			if packed.GetTypeUrl() != a.TypeURL {
				t.Errorf("isol calls it %q, gogo calls it %q", packed.GetTypeUrl(), a.TypeURL)
			}
			if e.Options {
				wantSameOptions(t, a, packed)
			}
		})
	}
}

// The options in a request of containerd 1.6 must decide as those of today.
func wantSameOptions(t *testing.T, a answer, ours typeurl.Any) {
	t.Helper()
	want, err := options.Decode(ours.GetTypeUrl(), ours.GetValue())
	if err != nil {
		t.Fatal(err)
	}
	got, err := options.Decode(a.TypeURL, a.Value)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other options (-isol +gogo):\n%s", diff)
	}
}

// What CRI of containerd 1.6 sends for a Hyper-V handler is Hyper-V isolation:
// the whole way, from its request to our options.
func TestIsolationOfAnOldRequest(t *testing.T) {
	all := readExamples(t)
	a := ask(t, questions(t, all[:1]))
	var r taskv2.CreateTaskRequest
	if err := proto.Unmarshal(a[0].Value, &r); err != nil {
		t.Fatal(err)
	}
	o, err := options.Decode(r.GetOptions().GetTypeUrl(), r.GetOptions().GetValue())
	if err != nil {
		t.Fatal(err)
	}
	if o.Isolation.V != options.IsolationHyperV || !o.ScaleCPULimits.V {
		t.Errorf("%+v", o)
	}
}

// Each message of the task API must be tried.
func TestExamplesCoverTheAPI(t *testing.T) {
	tried := map[string]bool{
		"containerd.task.v2.CheckpointTaskRequest": true, // Windows containers have no checkpoints
		"containerd.task.v2.ExecProcessResponse":   true, // no method has it: Exec answers google.protobuf.Empty
	}
	for _, e := range readExamples(t) {
		tried[e.Type] = true
	}
	messages := taskv2.File_runtime_task_v2_shim_proto.Messages()
	for i := range messages.Len() {
		if name := string(messages.Get(i).FullName()); !tried[name] {
			t.Errorf("testdata/cases.json has no %s", name)
		}
	}
}

func readExamples(t *testing.T) []example {
	t.Helper()
	text, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []example
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

func questions(t *testing.T, examples []example) []question {
	t.Helper()
	var out []question
	for _, e := range examples {
		value, err := proto.Marshal(e.message(t))
		if err != nil {
			t.Fatal(err)
		}
		q := question{Type: e.Type, Message: e.Message, Value: value}
		if e.Any != nil {
			q.Field = strings.ToUpper(e.Field[:1]) + e.Field[1:]
			q.Any = &anyFields{e.Any.TypeURL, e.Any.Value}
		}
		out = append(out, q)
	}
	return out
}

// gogo is the program of package gogo, built once.
var gogo = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "isol-gogo-")
	if err != nil {
		return "", err
	}
	exe := dir + "/gogo.exe"
	cmd := exec.Command("go", "build", "-o", exe, ".")
	cmd.Dir = "gogo" // its go.mod, not ours
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false", "GOOS=", "GOARCH=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", &buildError{string(out), err}
	}
	return exe, nil
})

type buildError struct {
	output string
	err    error
}

func (e *buildError) Error() string { return "build gogo: " + e.err.Error() + "\n" + e.output }

func TestMain(m *testing.M) {
	code := m.Run()
	if exe, err := gogo(); err == nil {
		_ = os.RemoveAll(strings.TrimSuffix(exe, "/gogo.exe"))
	}
	os.Exit(code)
}

// ask runs the client of containerd 1.6.
func ask(t *testing.T, q []question) []answer {
	t.Helper()
	exe, err := gogo()
	if err != nil {
		t.Fatal(err)
	}
	in, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.Command(exe)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	var a []answer
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatal(err)
	}
	if len(a) != len(q) {
		t.Fatalf("%d answers to %d questions", len(a), len(q))
	}
	return a
}

func (e example) empty(t *testing.T) proto.Message {
	t.Helper()
	mt, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(e.Type))
	if err != nil {
		t.Fatalf("%s: %v", e.Type, err)
	}
	return mt.New().Interface()
}

// message is the example in the types that isol uses.
func (e example) message(t *testing.T) proto.Message {
	t.Helper()
	var foreign *anyFields
	if e.Any != nil {
		foreign = &anyFields{e.Any.TypeURL, e.Any.Value}
	}
	return e.parse(t, e.Message, foreign)
}

// said is the example as gogo understood it from our bytes.
func (e example) said(t *testing.T, a answer) proto.Message {
	t.Helper()
	return e.parse(t, a.Read, a.Any)
}

func (e example) parse(t *testing.T, text []byte, foreign *anyFields) proto.Message {
	t.Helper()
	m := e.empty(t)
	if err := protojson.Unmarshal(text, m); err != nil {
		t.Fatalf("%s: %v\n%s", e.Type, err, text)
	}
	if foreign != nil {
		r := m.ProtoReflect()
		packed := &anypb.Any{TypeUrl: foreign.TypeURL, Value: foreign.Value}
		r.Set(r.Descriptor().Fields().ByName(protoreflect.Name(e.Field)), protoreflect.ValueOfMessage(packed.ProtoReflect()))
	}
	return m
}

// decode refuses fields that our message does not have.
func decode(t *testing.T, e example, value []byte) proto.Message {
	t.Helper()
	m := e.empty(t)
	if err := proto.Unmarshal(value, m); err != nil {
		t.Fatalf("%s: %v", e.Type, err)
	}
	if unknown := m.ProtoReflect().GetUnknown(); len(unknown) > 0 {
		t.Errorf("fields that isol does not know: %x", unknown)
	}
	return m
}

// wantSame compares messages.
func wantSame(t *testing.T, what string, want, got proto.Message) {
	t.Helper()
	dropZeroTimes(got.ProtoReflect())
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("%s (-isol +gogo):\n%s", what, diff)
	}
}

// dropZeroTimes clears times of year 1: gogo's types hold a time by value, and
// its zero is "not set", which isol leaves out.
func dropZeroTimes(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Kind() == protoreflect.MessageKind && !f.IsList() && !f.IsMap() {
			if at, ok := v.Message().Interface().(*timestamppb.Timestamp); ok && at.AsTime().IsZero() {
				m.Clear(f)
			}
		}
		return true
	})
}
