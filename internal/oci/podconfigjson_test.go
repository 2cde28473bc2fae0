package oci

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/isolrun/isol/internal/fault"
)

// crictl reads its files into CRI's own type: what that type writes must be read
// as what goes over the wire is, or explain tells of another pod than isol runs.
func TestPodConfigFromJSON(t *testing.T) {
	text, err := json.Marshal(fullPodConfig())
	if err != nil {
		t.Fatal(err)
	}
	got, err := PodConfigFromJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(podConfigOf(fullPodConfig()), got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("(-CRI +isol): %s\n%s", d, text)
	}
	named, err := PodConfigFromJSON([]byte(`{"port_mappings":[{"protocol":"SCTP","host_port":1,"container_port":2}]}`))
	if err != nil || named.Ports[0] != (PodPort{Protocol: "SCTP", HostPort: 1, ContainerPort: 2}) {
		t.Errorf("a protocol by its name: %+v, %v", named, err)
	}
	for text, says := range map[string]string{
		`{"port_mappings":[{"protocol":3}]}`:      "protocol 3",
		`{"port_mappings":[{"protocol":-1}]}`:     "protocol -1",
		`{"port_mappings":[{"protocol":"ICMP"}]}`: `protocol "ICMP"`,
		`{"hostname":1}`:                          "hostname",
		``:                                        "JSON",
	} {
		if _, err := PodConfigFromJSON([]byte(text)); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
