package isolation

import (
	"strings"
	"testing"

	"github.com/isolrun/isol/internal/fault"
)

// What is planned and not built must be refused by name: a container that runs
// without its identity or its device is worse than one that does not run.
func TestRunnable(t *testing.T) {
	for _, tc := range []struct {
		name string
		plan Plan
		want string // empty: it runs
	}{
		{"process", Plan{Mode: ModeProcess}, ""},
		{"process with a device", Plan{Mode: ModeProcess, Container: Container{Devices: []Device{{}}}}, ""},
		{"hyperv", Plan{Mode: ModeHyperV, Container: Container{Mounts: []Mount{{Mechanism: MechanismVSMB}, {Mechanism: MechanismSCSI}}}}, ""},
		{"linux", Plan{Mode: ModeHyperV, Guest: GuestLinux}, "Linux containers"},
		{"hostprocess", Plan{Mode: ModeHostProcess}, ""},
		{"hostprocess with affinity", Plan{Mode: ModeHostProcess, Container: Container{Affinity: []AffinityMask{{Mask: 1}}}}, ""},
		{"hostprocess in a guest", Plan{Mode: ModeHostProcess, Container: Container{HostProcess: &HostProcess{InGuest: true}}}, ""},
		{"affinity", Plan{Mode: ModeProcess, Container: Container{Affinity: []AffinityMask{{Mask: 1}}}}, ""},
		{"device in a VM", Plan{Mode: ModeHyperV, Container: Container{Devices: []Device{{}}}}, ""},
		{"directory of the guest", Plan{Mode: ModeHyperV, Container: Container{Mounts: []Mount{{Source: "a", Mechanism: MechanismSandbox}}}}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := Runnable(&tc.plan)
			if tc.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if !fault.Is(err, fault.Unimplemented) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want Unimplemented with %q", err, tc.want)
			}
		})
	}
}
