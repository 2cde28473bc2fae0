package isolation

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/node"
	"github.com/isolrun/isol/internal/oci"
	"github.com/isolrun/isol/internal/options"
)

// Input and plan of typical containers, whole: the review of a change sees what
// it does to them.
func TestPlans(t *testing.T) {
	everything := mods(
		mount(`C:\data`, `/data`, "bind", "ro"), mount(`\\server\share\x`, `C:\share`, ""),
		mount(`\\?\Volume{9F5C6D2E-0000-0000-0000-100000000000}\logs`, `D:\logs`, ""), mount(`//./pipe/docker_engine`, `\\.\pipe\docker_engine`, ""),
		func(s *specs.Spec) {
			s.Hostname = "web"
			s.Windows.Network = &specs.WindowsNetwork{NetworkNamespace: "{5B45201D-F2F2-4F3B-85BB-30FF1F953599}", DNSSearchList: []string{"example.com"}, AllowUnqualifiedDNSQuery: true}
		}, credential)
	for _, tc := range []struct {
		name  string
		host  string
		mods  []func(*specs.Spec)
		pod   *[]func(*specs.Spec)
		tweak func(*Input)
	}{
		{name: "process", host: "server2022", mods: append(mods(memoryLimit(512<<20), cpuCount(2), device("class"), affinity2), everything...)},
		{name: "hyperv", host: "server2022", mods: append(mods(hyperv, memoryLimit(2<<30), cpuLimit(5000), device("vpci"),
			mount(`C:\disk.vhdx`, `E:\`, "virtual-disk"), mount(`\\.\PHYSICALDRIVE1`, `F:\`, "physical-disk"), mount("sandbox://shared", `C:\shared`, ""),
			mount(`uvm://\\.\pipe\guest`, `\\.\pipe\guest`, "")), everything...)},
		{name: "hyperv-tuned", host: "server2025", mods: mods(hyperv, annotate(
			annVM+"computetopology.memory.sizeinmb", "2049", annVM+"computetopology.processor.count", "64", annVM+"computetopology.processor.limit", "50000",
			annVM+"console.pipe", `\\.\pipe\console`, annVM+"dump-directory-path", `C:\dumps`,
			annVM+"hv-socket.service-table.00000001-facb-11e6-bd58-64006a7986d3", `{"AllowWildcardBinds":true}`,
			annVM+"wcow.additional-reg-keys", `[{"Key":{"Hive":"Software","Name":"isol"},"Name":"a","Type":"DWord","DWordValue":1}]`,
			annVM+"forwardlogs.enable", "false", "io.microsoft.container.processdumplocation", `C:\d\{container_id}`, "io.microsoft.wcow.processdumptype", "mini"))},
		{name: "pod-workload", host: "server2022", pod: inPod(hyperv), mods: append(mods(memoryLimit(4<<30), cpuLimit(2500)), everything...),
			tweak: func(in *Input) {
				in.Options.ScaleCPULimits = options.Value[bool]{V: true, Source: "runhcs option scale_cpu_limits_to_sandbox"}
			}},
		{name: "hostprocess", host: "server2019", mods: mods(hostProcess, device("class"), mount(`C:\k`, `C:\etc`, "")), tweak: image(20348)},
		{name: "linux", host: "server2022", mods: mods(linux, mount("proc", "/proc", "proc"), mount(`C:\data`, "/data", "bind", "rbind"),
			mount(`C:\d.vhdx`, "/disk", "virtual-disk"), mount("hugepages://2M/x", "/huge", "bind"), mount("sandbox:///tmp/x", "/x", "bind"))},
		{name: "client-newer-image", host: "win10", mods: mods(hyperv, annotate("io.isol.allow-newer-image", "true")), tweak: image(20348)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := tc.mods
			if tc.pod != nil {
				m = append(mods(workload), m...)
			}
			in := inputOf(t, tc.host, m...)
			if tc.pod != nil {
				in.Pod = podOf(t, tc.host, *tc.pod...)
			}
			if tc.tweak != nil {
				tc.tweak(&in)
			}
			p := decideOK(t, in)
			out, err := json.MarshalIndent(struct {
				Spec  *specs.Spec `json:"spec"`
				Host  host.Facts  `json:"host"`
				Image Image       `json:"image"`
				Pod   *Plan       `json:"pod,omitempty"`
				Plan  *Plan       `json:"plan"`
			}{specOf(m...), in.Host, in.Image, in.Pod, p}, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "plans/"+tc.name+".json", string(out)+"\n")
			if again := decideOK(t, in); !reflect.DeepEqual(p, again) {
				t.Errorf("the same input gives another plan:\n%s", cmp.Diff(p, again))
			}
			roundTrip(t, p)
		})
	}
}

func affinity2(s *specs.Spec) {
	resources(s).CPU.Affinity = []specs.WindowsCPUGroupAffinity{{Mask: 3}, {Mask: 1, Group: 1}}
}

// A pod's plan that explain printed can be given back with --pod.
func roundTrip(t *testing.T, p *Plan) {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back Plan
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, &back); diff != "" {
		t.Errorf("JSON changes the plan (-before +after):\n%s", diff)
	}
}

func TestNamesRefuseOthers(t *testing.T) {
	var m Mode
	if err := m.UnmarshalText([]byte("xenon")); err == nil || !strings.Contains(err.Error(), "hyperv") {
		t.Errorf("mode xenon: %v, want an error that lists the modes", err)
	}
	if s := Mode(99).String(); s != "unknown(99)" {
		t.Errorf("Mode(99) = %q", s)
	}
}

// The size of the utility VM: the formula of docs/isolation.md.
func TestVMSize(t *testing.T) {
	memAnn := func(mb string) func(*specs.Spec) { return annotate(annVM+"computetopology.memory.sizeinmb", mb) }
	cpuAnn := func(n string) func(*specs.Spec) { return annotate(annVM+"computetopology.processor.count", n) }
	for _, tc := range []struct {
		name   string
		mods   []func(*specs.Spec)
		tweak  func(*Input)
		memory uint64
		cpus   uint32
	}{
		{name: "default", memory: 1024, cpus: 2},
		{name: "annotation", mods: mods(memAnn("600"), cpuAnn("3")), memory: 600, cpus: 3},
		{name: "odd memory", mods: mods(memAnn("1025")), memory: 1026, cpus: 2},
		{name: "zero means not said", mods: mods(memAnn("0"), cpuAnn("0")), memory: 1024, cpus: 2},
		{name: "limit below the default", mods: mods(memoryLimit(256<<20), cpuCount(1)), memory: 1024, cpus: 2},
		{name: "limit that just fits", mods: mods(memoryLimit(768 << 20)), memory: 1024, cpus: 2},
		{name: "limit plus overhead", mods: mods(memoryLimit(2<<30), cpuCount(4)), memory: 2048 + 256, cpus: 4},
		{name: "limit beyond the host", mods: mods(memoryLimit(64<<30), cpuCount(99)), memory: 32 << 10, cpus: 8},
		{name: "share of the host's processors", mods: mods(cpuLimit(5001)), memory: 1024, cpus: 5},
		{name: "annotation over limit", mods: mods(memAnn("512"), memoryLimit(2<<30)), memory: 512, cpus: 2},
		{name: "annotation beyond the host's processors", mods: mods(cpuAnn("64")), memory: 1024, cpus: 8},
		{name: "option", tweak: func(in *Input) {
			in.Options.VM.MemoryMB = options.Value[uint64]{V: 2048, Source: "option vm_memory"}
			in.Options.VM.ProcessorCount = options.Value[uint32]{V: 4, Source: "option vm_cpus"}
			in.Node.HyperV = node.HyperV{MemoryMB: 4096, Processors: 8}
		}, memory: 2048, cpus: 4},
		{name: "node", tweak: func(in *Input) { in.Node.HyperV = node.HyperV{MemoryMB: 4096, Processors: 6} }, memory: 4096, cpus: 6},
		{name: "node's overhead", mods: mods(memoryLimit(1 << 30)), tweak: func(in *Input) { in.Node.HyperV.OverheadMB = 500 }, memory: 1524, cpus: 2},
		{name: "one processor on the host", tweak: func(in *Input) { in.Host.CPUs = 1 }, memory: 1024, cpus: 1},
		{name: "unknown host", mods: mods(memoryLimit(64 << 30)), tweak: func(in *Input) { in.Host.CPUs, in.Host.MemoryMB = 0, 0 }, memory: 64<<10 + 256, cpus: 2},
		{name: "limit near the end of numbers", tweak: func(in *Input) {
			in.Request.Resources.MemoryMB = oci.Value[uint64]{V: 1<<64 - 2, Source: "x"}
		}, memory: 32 << 10, cpus: 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := inputOf(t, "server2022", append(mods(sandbox, hyperv), tc.mods...)...)
			if tc.tweak != nil {
				tc.tweak(&in)
			}
			u := decideOK(t, in).UVM
			if u.MemoryMB != tc.memory || u.Processor.Count != tc.cpus || u.ID != podID+"@vm" {
				t.Errorf("%s: %d MB, %d processors; want %d MB, %d", u.ID, u.MemoryMB, u.Processor.Count, tc.memory, tc.cpus)
			}
		})
	}
}

// Each opening is listed once, with what asked for it.
func TestCrossings(t *testing.T) {
	in := inputOf(t, "server2022",
		mount(`C:\data`, `C:\data`, "", "ro"), mount(`C:\w`, `C:\w`, ""), mount(`\\.\pipe\p`, `\\.\pipe\q`, ""), device("class"), credential,
		func(s *specs.Spec) {
			s.Windows.Network = &specs.WindowsNetwork{EndpointList: []string{"e1", "e2"}, NetworkSharedContainerName: "other"}
		})
	want := []Crossing{
		{Kind: CrossHostPath, Host: `C:\data`, Inside: `C:\data`, Source: "mounts[0]"},
		{Kind: CrossHostPath, Host: `C:\w`, Inside: `C:\w`, Write: true, Source: "mounts[1]"},
		{Kind: CrossPipe, Host: `\\.\pipe\p`, Inside: `\\.\pipe\q`, Write: true, Source: "mounts[2]"},
		{Kind: CrossDevice, Host: "class/5B45201D-F2F2-4F3B-85BB-30FF1F953599", Write: true, Source: "spec.windows.devices[0]"},
		{Kind: CrossEndpoint, Host: "e1", Write: true, Source: "spec.windows.network.endpointList[0]"},
		{Kind: CrossEndpoint, Host: "e2", Write: true, Source: "spec.windows.network.endpointList[1]"},
		{Kind: CrossContainer, Host: "other", Write: true, Source: "spec.windows.network.networkSharedContainerName"},
		{Kind: CrossCredential, Host: "group managed service account", Source: "spec.windows.credentialSpec"},
	}
	if diff := cmp.Diff(want, decideOK(t, in).Crossings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := decideOK(t, inputOf(t, "server2022")).Crossings; len(got) != 0 {
		t.Errorf("a container that asks for nothing has %v", got)
	}
}

// What an annotation can't do here is told, not dropped.
func TestNoEffectIsTold(t *testing.T) {
	for _, tc := range []struct {
		name string
		mods []func(*specs.Spec)
		pod  *[]func(*specs.Spec)
		want string
	}{
		{"VM size in process mode", mods(annotate(annVM+"computetopology.memory.sizeinmb", "2048")), nil, "annotation " + annVM + "computetopology.memory.sizeinmb"},
		{"pod's annotation on a container", mods(annotate(annVM+"computetopology.memory.sizeinmb", "2048")), inPod(hyperv), "annotation " + annVM + "computetopology.memory.sizeinmb"},
		{"device of HostProcess", mods(hostProcess, device("class")), nil, "spec.windows.devices[0]"},
		{"endpoints beside a namespace", mods(func(s *specs.Spec) {
			s.Windows.Network = &specs.WindowsNetwork{NetworkNamespace: "5B45201D-F2F2-4F3B-85BB-30FF1F953599", EndpointList: []string{"e"}}
		}), nil, "spec.windows.network.endpointList"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := tc.mods
			if tc.pod != nil {
				m = append(mods(workload), m...)
			}
			in := inputOf(t, "server2022", m...)
			if tc.pod != nil {
				in.Pod = podOf(t, "server2022", *tc.pod...)
			}
			p := decideOK(t, in)
			if !slices.ContainsFunc(p.Reasons, func(r Reason) bool { return r.Decision == "no effect" && r.Input == tc.want && r.Why != "" }) {
				t.Errorf("no word about %s in %+v", tc.want, p.Reasons)
			}
		})
	}
}

// Unknown facts must not refuse: HCS knows them.
func TestUnknownFactsPass(t *testing.T) {
	for _, m := range [][]func(*specs.Spec){nil, {hyperv}} {
		in := inputOf(t, "server2022", m...)
		in.Image = Image{}
		in.Host.Hypervisor = host.Unknown
		p := decideOK(t, in)
		if p.Versions.Image.Known() {
			t.Errorf("image %v, want unknown", p.Versions.Image)
		}
		in.Host.Version = host.Version{}
		decideOK(t, in)
	}
}

// The edition is what the default hangs on: where it is not known the stronger
// isolation is taken.
func TestUnknownEdition(t *testing.T) {
	in := inputOf(t, "server2022")
	in.Host.Edition = host.EditionUnknown
	if p := decideOK(t, in); p.Mode != ModeHyperV {
		t.Errorf("mode %v, want hyperv", p.Mode)
	}
}

func TestNewerImage(t *testing.T) {
	in := inputOf(t, "server2022")
	image(26100)(&in)
	in.Node.HyperV.AllowNewerImage = true
	p := decideOK(t, in)
	if p.Mode != ModeProcess || !slices.ContainsFunc(p.Reasons, func(r Reason) bool { return strings.Contains(r.Why, "does not test") }) {
		t.Errorf("mode %v by %v, want process with a warning", p.Mode, p.Reasons)
	}
	in = inputOf(t, "server2022", annotate("io.isol.allow-newer-image", "false"))
	image(26100)(&in)
	in.Node.HyperV.AllowNewerImage = true
	if _, err := Decide(in); err == nil {
		t.Error("the annotation's no does not overrule the node's yes")
	}
}
