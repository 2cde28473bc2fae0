package oci

import (
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestDefaultsAreWeakest: a limit in the runtime's options must not overrule
// the limit that a pod's author wrote, in whatever form.
func TestDefaultsAreWeakest(t *testing.T) {
	count := uint64(2)
	for _, tc := range []struct {
		name      string
		spec      *specs.Spec
		defaults  map[string]string
		want      Resources
		overruled []Overruled
	}{
		{
			name: "alone", spec: windows(), defaults: map[string]string{keyMemoryMB: "512", keyProcessorWeight: "10"},
			want: Resources{MemoryMB: Value[uint64]{512, defaultSource(keyMemoryMB)}, CPUWeight: Value[uint64]{10, defaultSource(keyProcessorWeight)}},
		},
		{
			name: "against the spec", spec: windows(memoryLimit(1 << 30)), defaults: map[string]string{keyMemoryMB: "512"},
			want:      Resources{MemoryMB: Value[uint64]{1024, "spec.windows.resources.memory.limit"}},
			overruled: []Overruled{{defaultSource(keyMemoryMB), "512", "spec.windows.resources.memory.limit"}},
		},
		{
			name: "against an annotation", spec: windows(annotated(keyMemoryMB, "600")), defaults: map[string]string{keyMemoryMB: "512"},
			want:      Resources{MemoryMB: Value[uint64]{600, annotationSource(keyMemoryMB)}},
			overruled: []Overruled{{defaultSource(keyMemoryMB), "512", annotationSource(keyMemoryMB)}},
		},
		{
			name: "processor limit of another kind", spec: windows(cpu(specs.WindowsCPUResources{Count: &count})), defaults: map[string]string{keyProcessorWeight: "10"},
			want:      Resources{CPUCount: Value[uint64]{2, "spec.windows.resources.cpu.count"}},
			overruled: []Overruled{{defaultSource(keyProcessorWeight), "10", "spec.windows.resources.cpu.count"}},
		},
		{
			name: "processor annotation of another kind", spec: windows(annotated(keyProcessorLimit, "100")), defaults: map[string]string{keyProcessorCount: "1"},
			want:      Resources{CPULimit: Value[uint64]{100, annotationSource(keyProcessorLimit)}},
			overruled: []Overruled{{defaultSource(keyProcessorCount), "1", annotationSource(keyProcessorLimit)}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := parse(t, tc.spec, tc.defaults)
			if diff := cmp.Diff(tc.want, r.Resources); diff != "" {
				t.Errorf("resources (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.overruled, r.Overruled); diff != "" {
				t.Errorf("overruled (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWeakerNeverWins is the property behind it, over random annotations: a
// default for a key that the spec has changes nothing but the list of what
// was overruled.
func TestWeakerNeverWins(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		spec := windows()
		for _, a := range honouredRows() {
			if random.IntN(4) == 0 && a.Key != keyContainerType && a.Key != keySandboxID && !a.Prefix {
				if v := pick(random, good(&a)); v != "0" { // 0 says nothing, so a default may
					spec.Annotations[a.Key] = v
				}
			}
		}
		without, err := Parse(spec, nil)
		if err != nil {
			continue // contradicting annotations are not this test's
		}
		defaults := maps.Clone(spec.Annotations)
		for k := range defaults {
			a, _ := Lookup(k)
			defaults[k] = pick(random, good(&a))
		}
		with := parse(t, spec, defaults)
		if diff := cmp.Diff(without, with, cmpopts.IgnoreFields(Request{}, "Overruled", "Notes"), cmp.AllowUnexported(Values{}, given{})); diff != "" {
			t.Fatalf("%v with defaults %v (-without +with):\n%s", spec.Annotations, defaults, diff)
		}
	}
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }
