package oci

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/isolrun/isol/internal/fault"
)

// checkFault: every refusal has a kind, so that the caller can tell a wrong
// spec from a broken shim.
func checkFault(t *testing.T, err error) {
	t.Helper()
	if k := fault.KindOf(err); k != fault.InvalidArgument && k != fault.Unimplemented {
		t.Errorf("error of kind %v: %v", k, err)
	}
	if err.Error() == "" {
		t.Error("an error without a text")
	}
}

// FuzzSpec: no config.json makes the shim panic or changes under its hands.
func FuzzSpec(f *testing.F) {
	typical, err := os.ReadFile("testdata/kubernetes.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(typical)
	f.Add([]byte(`{"windows":{"hyperv":{},"credentialSpec":"{}"},"annotations":{"io.isol.isolation":"auto"}}`))
	f.Add([]byte(`{"linux":{"namespaces":[{"type":"pid","path":"x"}],"sysctl":{"a":"b"}},"mounts":[{"destination":"/dev/shm","type":"tmpfs","source":"shm"}]}`))
	f.Add([]byte(`{"windows":{"resources":{"cpu":{"count":1,"affinity":[{"mask":1}]},"memory":{"limit":2097152}}},"annotations":{"io.microsoft.container.memory.sizeinmb":"2097152"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		spec, err := DecodeSpec("config.json", data)
		if err != nil {
			checkFault(t, err)
			return
		}
		before, err := json.Marshal(spec)
		if err != nil {
			t.Skip("a spec that cannot be written again")
		}
		if _, err := Parse(spec, map[string]string{keyMemoryMB: "512"}); err != nil {
			checkFault(t, err)
		}
		if after, _ := json.Marshal(spec); string(after) != string(before) {
			t.Error("Parse changed the spec")
		}
	})
}

// FuzzAnnotation: no annotation of ours becomes a default silently: it is
// refused, kept, or noted.
func FuzzAnnotation(f *testing.F) {
	for _, key := range knownKeys() {
		f.Add(key, "true")
		f.Add(key, "0")
		f.Add(key, "1.5")
	}
	f.Add(string(KeyTestRegistry), badRegistryExample)
	f.Add("io.isol.x", "")
	f.Fuzz(func(t *testing.T, key, text string) {
		r := annotationReader{memoryLimit: 2 << 30, cpuCount: 1}
		if err := readAnnotations(&r, map[string]string{key: text}, nil); err != nil {
			checkFault(t, err)
			return
		}
		if kept := len(r.values) + len(r.notes); owned(key) && kept == 0 {
			t.Errorf("%q = %q went nowhere", key, text)
		}
		if !owned(key) && row(key) == nil && len(r.values) != 0 {
			t.Errorf("%q is not ours, and is kept", key)
		}
	})
}

const badRegistryExample = `[{"Key":{"Hive":"Sam","Name":"A"},"Name":"v","Type":"String"}]`

// BenchmarkParse reads the spec of a container in a Kubernetes pod from bytes
// to Request, as each create does.
func BenchmarkParse(b *testing.B) {
	data, err := os.ReadFile("testdata/kubernetes.json")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		spec, err := DecodeSpec("config.json", data)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Parse(spec, nil); err != nil {
			b.Fatal(err)
		}
	}
}
