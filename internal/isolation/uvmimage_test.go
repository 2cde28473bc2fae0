package isolation

import (
	"testing"

	"github.com/isolrun/isol/internal/oci"
	"github.com/isolrun/isol/internal/options"
)

// A VM that boots from a folder of its own must be judged by what lies there,
// in whichever way the folder is named.
func TestUVMImage(t *testing.T) {
	option := options.Options{}
	option.VM.Image = options.Value[string]{V: `C:\uvm`, Source: "option uvm_image"}
	for _, tc := range []struct {
		name string
		path string // spec.windows.hyperv.utilityVMPath
		o    options.Options
		want string
	}{
		{"nowhere named", "", options.Options{}, ""},
		{"option", "", option, `C:\uvm`},
		{"spec beats option", `C:\layer\UtilityVM`, option, `C:\layer`},
		{"any case, any end", `C:\layer\utilityvm\`, options.Options{}, `C:\layer`},
		{"folder above", `C:\layer`, options.Options{}, `C:\layer`},
		{"name that only ends so", `C:\layer\MyUtilityVM`, options.Options{}, `C:\layer\MyUtilityVM`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req := &oci.Request{HyperV: &oci.HyperV{UtilityVMPath: tc.path}}
			if got := UVMImage(req, tc.o); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// A VM on physical memory shares no page with the host's cache: direct maps would.
func TestPhysicalMemoryIsNotMappedDirectly(t *testing.T) {
	for value, want := range map[string]bool{"true": true, "false": false} {
		in := inputOf(t, "server2022", mods(sandbox, hyperv, annotate("io.microsoft.virtualmachine.fullyphysicallybacked", value))...)
		if u := decideOK(t, in).UVM; u.NoDirectMap != want {
			t.Errorf("physically backed %s: NoDirectMap is %v", value, u.NoDirectMap)
		}
	}
}
