package oci

import (
	"strings"
	"testing"

	"github.com/isolrun/isol/internal/fault"
)

// An update that asks for what cannot be changed must say so, not do half of it.
func TestUpdateCPUGroup(t *testing.T) {
	const key = string(KeyUVMCPUGroup)
	for _, tc := range []struct {
		name        string
		annotations map[string]string
		want        string
		kind        fault.Kind
		text        string
	}{
		{"none", nil, "", fault.Unknown, ""},
		{"group", map[string]string{key: "{" + strings.ToUpper(testGUID) + "}"}, testGUID, fault.Unknown, ""},
		{"no GUID", map[string]string{key: "fast"}, "", fault.InvalidArgument, `"fast" is not a GUID`},
		{"another", map[string]string{key: testGUID, "io.x": "1"}, "", fault.Unimplemented, `"io.x"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := UpdateCPUGroup(tc.annotations)
			if got != tc.want || fault.KindOf(err) != tc.kind || err != nil && !strings.Contains(err.Error(), tc.text) {
				t.Errorf("%q, %v; want %q, %v with %q", got, err, tc.want, tc.kind, tc.text)
			}
		})
	}
}
