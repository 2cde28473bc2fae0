package sandboxapi

import (
	"testing"

	sandbox "github.com/containerd/containerd/api/runtime/sandbox/v1"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A field that containerd adds or renumbers would be lost in silence: after an
// update of containerd's API the messages must be generated anew.
func TestMessagesAreContainerds(t *testing.T) {
	theirs := sandbox.File_runtime_sandbox_v1_sandbox_proto
	ours := File_isol_sandbox_v1_sandbox_proto
	if got := theirs.Services().Get(0).FullName(); Name != string(got) {
		t.Errorf("the service is called %s, want %s", Name, got)
	}
	if a, b := theirs.Messages().Len(), ours.Messages().Len(); a != b {
		t.Errorf("containerd has %d messages, %d are here", a, b)
	}
	for i := range theirs.Messages().Len() {
		want := theirs.Messages().Get(i)
		got := ours.Messages().ByName(want.Name())
		if got == nil {
			t.Errorf("message %s is missing: go generate ./internal/shim/sandboxapi", want.Name())
			continue
		}
		if d := cmp.Diff(fields(want), fields(got)); d != "" {
			t.Errorf("message %s (-containerd +here): %s\ngo generate ./internal/shim/sandboxapi", want.Name(), d)
		}
	}
}

// field is what travels of a field.
type field struct {
	Number      protoreflect.FieldNumber
	Name        protoreflect.Name
	Kind        protoreflect.Kind
	Cardinality protoreflect.Cardinality
	Message     protoreflect.Name
}

func fields(m protoreflect.MessageDescriptor) []field {
	var out []field
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		row := field{f.Number(), f.Name(), f.Kind(), f.Cardinality(), ""}
		if f.Message() != nil {
			row.Message = f.Message().Name()
		}
		out = append(out, row)
	}
	return out
}
