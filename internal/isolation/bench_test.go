package isolation_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/oci"
)

// BenchmarkDecide reads, parses and decides the container of a Kubernetes pod,
// as each create does. The goal is under 1 ms and 500 allocations.
func BenchmarkDecide(b *testing.B) {
	bundle := kubernetesBundle(b)
	h, _ := host.Preset("server2022")
	pod := &isolation.Plan{
		SandboxID: "6ec5fd0c", Mode: isolation.ModeProcess, Role: isolation.RoleSandbox,
	}
	b.ReportAllocs()
	for b.Loop() {
		spec, err := oci.Read(bundle)
		if err != nil {
			b.Fatal(err)
		}
		req, err := oci.Parse(spec, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := isolation.Decide(isolation.Input{
			ID: "web", Namespace: "k8s.io", Request: req, Host: h, Pod: pod, Image: isolation.Image{OS: h.Version},
		}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestAllocations holds the goal of BenchmarkDecide that does not depend on the
// machine.
func TestAllocations(t *testing.T) {
	bundle := kubernetesBundle(t)
	h, _ := host.Preset("server2022")
	pod := &isolation.Plan{SandboxID: "6ec5fd0c", Mode: isolation.ModeProcess, Role: isolation.RoleSandbox}
	n := testing.AllocsPerRun(20, func() {
		spec, err := oci.Read(bundle)
		if err != nil {
			t.Fatal(err)
		}
		req, err := oci.Parse(spec, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := isolation.Decide(isolation.Input{ID: "web", Request: req, Host: h, Pod: pod, Image: isolation.Image{OS: h.Version}}); err != nil {
			t.Fatal(err)
		}
	})
	if n > 500 {
		t.Errorf("%.0f allocations, the goal is 500", n)
	}
}

// kubernetesBundle writes the bundle of a container as containerd's CRI makes it.
func kubernetesBundle(t testing.TB) string {
	t.Helper()
	spec, err := os.ReadFile(filepath.Join("testdata", "kubernetes.json"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), spec, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
