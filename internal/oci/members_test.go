package oci

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// A member that a new runtime-spec brings would be dropped without a word.
func TestMembersAreThoseOfTheSpec(t *testing.T) {
	raw := reflect.TypeFor[*json.RawMessage]()
	own, spec := reflect.TypeFor[members](), reflect.TypeFor[specs.Spec]()
	for field := range spec.Fields() {
		mine, ok := own.FieldByName(field.Name)
		if !ok || mine.Tag.Get("json") != field.Tag.Get("json") || mine.Type != field.Type && mine.Type != raw {
			t.Errorf("%s is a %v %q of the spec, here a %v %q", field.Name, field.Type, field.Tag.Get("json"), mine.Type, mine.Tag.Get("json"))
		}
	}
	if own.NumField() != spec.NumField() {
		t.Errorf("%d members, the spec has %d", own.NumField(), spec.NumField())
	}
}

// Which way a spec is decoded must not be seen in what comes of it.
func FuzzDecodeWindows(f *testing.F) {
	typical, err := os.ReadFile("testdata/kubernetes.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(typical)
	for _, seed := range []string{
		`{"OCIVERSION":"1","Windows":{"hyperv":{}},"linux":null,"hooks":null}`,
		`{"windows":{},"linux":{"namespaces":[{"type":"pid"}]}}`,
		`{"windows":{"resources":{"cpu":{"shares":70000}}}}`,
		`{"process":{"args":["a"]},"process":{"cwd":"C:\\"},"vm":{}}`,
		`{"hooks":{}}`, `{"zos":1}`, `[]`, `null`, ``, `{} {}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, ok := decodeWindows(data)
		if !ok {
			return // all of it is decoded
		}
		want := new(specs.Spec)
		if err := json.Unmarshal(data, want); err != nil {
			t.Fatalf("decoded, though encoding/json says %v", err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// Kubernetes' specs for Windows must take the cheap way.
func TestWindowsSpecIsDecodedAlone(t *testing.T) {
	data, err := os.ReadFile("testdata/kubernetes.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := decodeWindows(data); !ok {
		t.Error("all of the spec is decoded")
	}
	for _, other := range []string{`{"linux":{}}`, `{"hooks":{}}`, `{"vm":{}}`, `{"zos":{}}`, `{"solaris":{}}`, `{"freebsd":{}}`, `{"process":1}`} {
		if spec, ok := decodeWindows([]byte(other)); ok {
			t.Errorf("%s was decoded as a spec for Windows: %+v", other, spec)
		}
	}
}
