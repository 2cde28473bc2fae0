package isolation_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/oci"
)

// Any spec gives a plan or an error of the documented kinds, on any host: a
// panic would take down the shim with all containers of its pod.
func FuzzDecide(f *testing.F) {
	examples, err := filepath.Glob(filepath.Join("..", "..", "docs", "examples", "*.json"))
	if err != nil || len(examples) == 0 {
		f.Fatalf("no examples: %v", err)
	}
	for _, e := range append(examples, filepath.Join("testdata", "kubernetes.json")) {
		text, err := os.ReadFile(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "server2022", uint32(17763), true)
		f.Add(text, "win11", uint32(26100), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, preset string, image uint32, inPod bool) {
		spec, err := oci.DecodeSpec("fuzz", text)
		if err != nil {
			return
		}
		req, err := oci.Parse(spec, nil)
		if err != nil {
			return
		}
		h, _ := host.Preset(preset)
		in := isolation.Input{ID: "c", Request: req, Host: h, Image: isolation.Image{OS: host.Build(image)}}
		if req.Role == oci.RoleWorkload && inPod {
			in.Pod = &isolation.Plan{SandboxID: req.SandboxID, Mode: isolation.ModeHyperV, UVM: &isolation.UVM{ID: "p@vm", MemoryMB: 1024}}
		}
		p, err := isolation.Decide(in)
		if err == nil {
			if p.Mode == isolation.ModeInvalid || len(p.Reasons) == 0 {
				t.Errorf("a plan of mode %v with reasons %v", p.Mode, p.Reasons)
			}
			return
		}
		switch fault.KindOf(err) {
		case fault.InvalidArgument, fault.FailedPrecondition, fault.PermissionDenied, fault.Unimplemented:
		default:
			t.Errorf("kind %v: %v", fault.KindOf(err), err)
		}
	})
}
