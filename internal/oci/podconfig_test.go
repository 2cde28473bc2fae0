package oci

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/isolrun/isol/internal/fault"
)

// fullPodConfig has a value in every field that isol reads, and in some beside.
func fullPodConfig() *cri.PodSandboxConfig {
	return &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: "web", Uid: "3a9a7b6c", Namespace: "shop", Attempt: 2},
		Hostname:     "web-0",
		LogDirectory: `C:\var\log\pods\shop_web_3a9a7b6c`,
		DnsConfig:    &cri.DNSConfig{Servers: []string{"10.0.0.10"}, Searches: []string{"shop.svc"}},
		PortMappings: []*cri.PortMapping{
			{ContainerPort: 80, HostPort: 8080, HostIp: "10.1.2.3"},
			{Protocol: cri.Protocol_UDP, ContainerPort: 53},
		},
		Labels: map[string]string{"app": "web"},
		Annotations: map[string]string{
			"io.isol.isolation": "hyperv", "kubernetes.io/config.source": "api",
			"io.microsoft.container.processdumplocation": `C:\dumps`, "microsoft.com/hostprocess-container": "true",
		},
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent: "x", SecurityContext: &cri.LinuxSandboxSecurityContext{Privileged: true},
			Overhead:  &cri.LinuxContainerResources{MemoryLimitInBytes: 7},
			Resources: &cri.LinuxContainerResources{CpuPeriod: 100_000, CpuQuota: 250_000, CpuShares: 3, MemoryLimitInBytes: 3 << 30},
		},
		Windows: &cri.WindowsPodSandboxConfig{SecurityContext: &cri.WindowsSandboxSecurityContext{
			RunAsUsername: "ContainerUser", CredentialSpec: "{}", HostProcess: true,
		}},
	}
}

// podConfigOf is what PodConfigFromAny should make of c, said with the real
// type's fields.
func podConfigOf(c *cri.PodSandboxConfig) *PodConfig {
	out := &PodConfig{
		Name: c.GetMetadata().GetName(), UID: c.GetMetadata().GetUid(), Namespace: c.GetMetadata().GetNamespace(),
		Hostname: c.GetHostname(), LogDirectory: c.GetLogDirectory(), Annotations: maps.Clone(c.GetAnnotations()),
		HostProcess: c.GetWindows().GetSecurityContext().GetHostProcess(),
	}
	for _, p := range c.GetPortMappings() {
		out.Ports = append(out.Ports, PodPort{p.GetProtocol().String(), p.GetContainerPort(), p.GetHostPort(), p.GetHostIp()})
	}
	if r := c.GetLinux().GetResources(); r != nil {
		out.Resources = PodResources{r.GetCpuPeriod(), r.GetCpuQuota(), r.GetMemoryLimitInBytes()}
	}
	return out
}

// The reader must see what the kubelet has written with the real type: another
// number of a field would lose a pod's isolation in silence.
func TestPodConfigReadsWhatCRIWrites(t *testing.T) {
	for name, c := range map[string]*cri.PodSandboxConfig{
		"everything":     fullPodConfig(),
		"nothing":        {},
		"metadata alone": {Metadata: &cri.PodSandboxMetadata{Name: "x"}},
		"negative numbers": {
			PortMappings: []*cri.PortMapping{{HostPort: -1}},
			Linux:        &cri.LinuxPodSandboxConfig{Resources: &cri.LinuxContainerResources{CpuQuota: -1, MemoryLimitInBytes: -1}},
		},
		"an empty annotation": {Annotations: map[string]string{"": "x", "io.isol.isolation": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			value, err := proto.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			got, err := PodConfigFromAny(string(c.ProtoReflect().Descriptor().FullName()), value)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(podConfigOf(c), got, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("(-CRI +isol): %s", d)
			}
		})
	}
}

// Whatever bytes arrive: no panic, and never another reading than CRI's own.
func FuzzPodConfig(f *testing.F) {
	full, err := proto.Marshal(fullPodConfig())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	f.Add(full[:len(full)-3])
	f.Add([]byte{0x3a, 0x02, 0x0a, 0x01})
	f.Add([]byte{0x38, 0x01})
	f.Fuzz(func(t *testing.T, value []byte) {
		got, err := PodConfigFromAny(podConfigType, value)
		var want cri.PodSandboxConfig
		if perr := proto.Unmarshal(value, &want); perr != nil || err != nil {
			return // what one refuses the other need not read
		}
		if d := cmp.Diff(podConfigOf(&want), got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("(-CRI +isol): %s", d)
		}
	})
}

func TestPodConfigRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		kind  string
		value []byte
		says  string
	}{
		"another type":        {"types.containerd.io/Spec", nil, `"types.containerd.io/Spec"`},
		"cut off":             {podConfigType, []byte{0x3a, 0x05, 0x0a}, "PodSandboxConfig"},
		"cut off inside":      {podConfigType, []byte{0x3a, 0x02, 0x0a, 0x05}, "annotations"},
		"not text":            {podConfigType, []byte{0x12, 0x01, 0xff}, "field 2 is not UTF-8"},
		"protocol of nothing": {podConfigType, []byte{0x2a, 0x02, 0x08, 0x09}, "protocol 9 is none of TCP, UDP, SCTP"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := PodConfigFromAny(tc.kind, tc.value)
			if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v, want one with %q", err, tc.says)
			}
		})
	}
}

// The pod's author says what the node's administrator lets through, as with
// containerd's own way of making pods; who may use the host's processes is
// said by the security context, never by an annotation.
func TestPodConfigSpec(t *testing.T) {
	c := podConfigOf(fullPodConfig())
	c.HostProcess = false
	spec, left := c.Spec(DefaultPodAnnotations())
	spec = SandboxSpec(spec, "p1", "5b45201d-f2f2-4f3b-85bb-30ff1f953599", map[string]string{"example.com/a": "b"})
	limit, count := uint64(3<<30), uint64(3)
	want := &specs.Spec{
		Version: specs.Version, Hostname: "web-0",
		Annotations: map[string]string{
			"io.isol.isolation": "hyperv", "io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri.sandbox-id": "p1",
			"microsoft.com/hostprocess-container": "false", "example.com/a": "b",
		},
		Windows: &specs.Windows{
			Network: &specs.WindowsNetwork{NetworkNamespace: "5b45201d-f2f2-4f3b-85bb-30ff1f953599"},
			Resources: &specs.WindowsResources{
				Memory: &specs.WindowsMemoryResources{Limit: &limit}, CPU: &specs.WindowsCPUResources{Count: &count},
			},
		},
	}
	if d := cmp.Diff(want, spec); d != "" {
		t.Errorf("(-want +got): %s", d)
	}
	if d := cmp.Diff([]string{"io.microsoft.container.processdumplocation", "microsoft.com/hostprocess-container"}, left); d != "" {
		t.Errorf("left out: %s", d)
	}
	r, err := Parse(spec, nil)
	if err != nil || r.Role != RoleSandbox || r.SandboxID != "p1" || r.HostProcess.Requested.V || r.Process != nil {
		t.Errorf("request %+v, error %v", r, err)
	}
	c.HostProcess = true
	spec, _ = c.Spec(nil)
	if r, err := Parse(SandboxSpec(spec, "p1", "", nil), nil); err != nil || !r.HostProcess.Requested.V || r.Network.NamespaceID != "" {
		t.Errorf("HostProcess: request %+v, error %v", r, err)
	}
}

func TestPodProcessors(t *testing.T) {
	for name, tc := range map[string]struct {
		in   PodResources
		want uint64
	}{
		"no limit":       {PodResources{}, 0},
		"negative":       {PodResources{CPUPeriod: 100_000, CPUQuota: -1}, 0},
		"less than one":  {PodResources{CPUPeriod: 100_000, CPUQuota: 1}, 1},
		"one":            {PodResources{CPUPeriod: 100_000, CPUQuota: 100_000}, 1},
		"one and a bit":  {PodResources{CPUPeriod: 100_000, CPUQuota: 100_001}, 2},
		"default period": {PodResources{CPUQuota: 400_000}, 4},
	} {
		if got := tc.in.Processors(); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}
