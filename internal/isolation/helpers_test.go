package isolation

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/oci"
	"github.com/isolrun/isol/internal/options"
)

const (
	annContainerType = "io.kubernetes.cri.container-type"
	annSandboxID     = "io.kubernetes.cri.sandbox-id"
	annHostProcess   = "microsoft.com/hostprocess-container"
	annIsolation     = "io.isol.isolation"
	annVM            = "io.microsoft.virtualmachine."
	podID            = "pod1"
)

// specOf is a small Windows spec, changed by mods.
func specOf(mods ...func(*specs.Spec)) *specs.Spec {
	s := &specs.Spec{
		Version:     "1.1.0",
		Process:     &specs.Process{Args: []string{"cmd", "/c", "ver"}, Cwd: `C:\`},
		Windows:     &specs.Windows{LayerFolders: []string{`C:\layers\base`, `C:\layers\scratch`}},
		Annotations: map[string]string{},
	}
	for _, m := range mods {
		m(s)
	}
	return s
}

func annotate(kv ...string) func(*specs.Spec) {
	return func(s *specs.Spec) {
		for i := 0; i < len(kv); i += 2 {
			s.Annotations[kv[i]] = kv[i+1]
		}
	}
}

func hyperv(s *specs.Spec)  { s.Windows.HyperV = &specs.WindowsHyperV{} }
func linux(s *specs.Spec)   { s.Linux = &specs.Linux{} }
func sandbox(s *specs.Spec) { annotate(annContainerType, "sandbox", annSandboxID, podID)(s) }
func workload(s *specs.Spec) {
	annotate(annContainerType, "container", annSandboxID, podID)(s)
}
func hostProcess(s *specs.Spec) { annotate(annHostProcess, "true")(s) }

func mount(src, dst, typ string, opts ...string) func(*specs.Spec) {
	return func(s *specs.Spec) {
		s.Mounts = append(s.Mounts, specs.Mount{Source: src, Destination: dst, Type: typ, Options: opts})
	}
}

func memoryLimit(bytes uint64) func(*specs.Spec) {
	return func(s *specs.Spec) {
		resources(s).Memory = &specs.WindowsMemoryResources{Limit: &bytes}
	}
}

func cpuCount(n uint64) func(*specs.Spec) {
	return func(s *specs.Spec) { resources(s).CPU = &specs.WindowsCPUResources{Count: &n} }
}

func cpuLimit(n uint16) func(*specs.Spec) {
	return func(s *specs.Spec) { resources(s).CPU = &specs.WindowsCPUResources{Maximum: &n} }
}

func resources(s *specs.Spec) *specs.WindowsResources {
	if s.Windows.Resources == nil {
		s.Windows.Resources = &specs.WindowsResources{}
	}
	return s.Windows.Resources
}

// inputOf parses a spec for a preset host, with an image of the host's build.
func inputOf(t testing.TB, preset string, mods ...func(*specs.Spec)) Input {
	t.Helper()
	h, ok := host.Preset(preset)
	if !ok {
		t.Fatalf("no preset %q", preset)
	}
	spec := specOf(mods...)
	req, err := oci.Parse(spec, nil)
	if err != nil {
		t.Fatalf("parse spec: %v", err)
	}
	return Input{
		ID: "c1", Request: req, Host: h,
		Image: Image{OS: h.Version, UVM: h.Version, UVMSource: "the image"},
	}
}

func decideOK(t testing.TB, in Input) *Plan {
	t.Helper()
	p, err := Decide(in)
	if err != nil {
		t.Fatalf("Decide: %v", err)
	}
	return p
}

func optIsolation(mode options.Isolation) options.Value[options.Isolation] {
	return options.Value[options.Isolation]{V: mode, Source: "option isolation"}
}

// podOf decides the sandbox of a pod on the preset host.
func podOf(t testing.TB, preset string, mods ...func(*specs.Spec)) *Plan {
	t.Helper()
	in := inputOf(t, preset, append([]func(*specs.Spec){sandbox}, mods...)...)
	in.ID = podID
	return decideOK(t, in)
}
