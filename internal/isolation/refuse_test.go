package isolation

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/node"
	"github.com/isolrun/isol/internal/oci"
	"github.com/isolrun/isol/internal/options"
)

type refusal struct {
	name  string
	host  string // default server2022
	mods  []func(*specs.Spec)
	pod   *[]func(*specs.Spec) // joins a pod of such a sandbox
	tweak func(*Input)
	kind  fault.Kind
}

func mods(m ...func(*specs.Spec)) []func(*specs.Spec) { return m }

func inPod(m ...func(*specs.Spec)) *[]func(*specs.Spec) { return &m }

func image(build uint32) func(*Input) {
	return func(in *Input) {
		in.Image = Image{OS: host.Build(build), UVM: host.Build(build), UVMSource: `C:\layers\base\UtilityVM`}
	}
}

func policy(p node.Policy) func(*Input) {
	return func(in *Input) { in.Node = node.Config{Path: `C:\ProgramData\isol\config.toml`, Policy: p} }
}

func build(v string) func(*Input) {
	return func(in *Input) {
		in.Host.Version, _ = host.ParseVersion(v)
		in.Image = Image{OS: in.Host.Version, UVM: in.Host.Version}
	}
}

func device(idType string) func(*specs.Spec) {
	return func(s *specs.Spec) {
		s.Windows.Devices = append(s.Windows.Devices, specs.WindowsDevice{ID: "5B45201D-F2F2-4F3B-85BB-30FF1F953599", IDType: idType})
	}
}

func affinity(group uint32) func(*specs.Spec) {
	return func(s *specs.Spec) {
		resources(s).CPU = &specs.WindowsCPUResources{Affinity: []specs.WindowsCPUGroupAffinity{{Mask: 1, Group: group}}}
	}
}

func refusals() []refusal {
	iso, bad, state, denied, later := annIsolation, fault.InvalidArgument, fault.FailedPrecondition, fault.PermissionDenied, fault.Unimplemented
	return []refusal{
		// Contradictions name both.
		{name: "spec.hyperv and annotation process", mods: mods(hyperv, annotate(iso, "process")), kind: bad},
		{name: "HostProcess and spec.hyperv", mods: mods(hostProcess, hyperv), kind: bad},
		{name: "Linux and annotation process", mods: mods(linux, annotate(iso, "process")), kind: bad},
		{name: "Linux and HostProcess", mods: mods(linux, hostProcess), kind: bad},
		{name: "platform says Linux", tweak: func(in *Input) {
			in.Options.Platform = options.Value[string]{V: "linux/amd64", Source: "runhcs option sandbox_platform"}
		}, kind: bad},
		{name: "platform says Windows", mods: mods(linux), tweak: func(in *Input) {
			in.Options.Platform = options.Value[string]{V: "windows/amd64", Source: "runhcs option sandbox_platform"}
		}, kind: bad},
		{name: "HostProcess that is also forbidden", mods: mods(hostProcess), tweak: func(in *Input) {
			in.Request.HostProcess.Disabled = oci.Value[bool]{V: true, Source: "annotation microsoft.com/disable-hostprocess-container"}
		}, kind: bad},

		// Pods.
		{name: "pod that is not there", mods: mods(workload), kind: state},
		{name: "not a workload in a pod", tweak: func(in *Input) { in.Pod = &Plan{SandboxID: podID, Mode: ModeProcess} }, kind: bad},
		{name: "another pod", mods: mods(workload), tweak: func(in *Input) { in.Pod = &Plan{SandboxID: "pod2", Mode: ModeProcess} }, kind: state},
		{name: "Hyper-V in a process pod", pod: inPod(), mods: mods(hyperv), kind: state},
		{name: "process in a Hyper-V pod", pod: inPod(hyperv), mods: mods(annotate(iso, "process")), kind: state},
		{name: "HostProcess in a process pod", pod: inPod(), mods: mods(hostProcess), kind: state},
		{name: "normal in a HostProcess pod", pod: inPod(hostProcess), kind: state},
		{name: "HostProcess in an old utility VM", pod: inPod(hyperv), mods: mods(hostProcess), kind: state},
		{name: "Linux in a Windows pod", pod: inPod(hyperv), mods: mods(linux), kind: state},
		{name: "Windows in a Linux pod", pod: inPod(linux), kind: state},
		{name: "image does not fit the pod's VM", host: "server2025", pod: inPod(hyperv), tweak: image(17763), kind: state},

		// Versions.
		{name: "older image in process mode", tweak: image(17763), kind: state},
		{name: "newer image in process mode", tweak: image(26100), kind: state},
		{name: "older image, no hypervisor", tweak: func(in *Input) { image(17763)(in); in.Host.Hypervisor = host.No }, kind: state},
		{name: "newer image in Hyper-V", mods: mods(hyperv), tweak: image(26100), kind: state},
		{name: "VM older than image", mods: mods(hyperv), tweak: func(in *Input) {
			in.Image.UVM, in.Image.UVMSource = host.Build(17763), `D:\uvm`
		}, kind: state},
		{name: "client of no long-term build", host: "win10", mods: mods(annotate(iso, "process")), tweak: image(17763), kind: state},
		{name: "auto fits in no mode", mods: mods(annotate(iso, "auto")), tweak: func(in *Input) {
			image(17763)(in)
			in.Host.Hypervisor, in.Host.HypervisorSource = host.No, "no Hyper-V role"
		}, kind: state},
		{name: "no hypervisor", mods: mods(hyperv), tweak: func(in *Input) {
			in.Host.Hypervisor, in.Host.HypervisorSource = host.No, "no Hyper-V role"
		}, kind: state},
		{name: "old client", host: "win10", mods: mods(annotate(iso, "process")), tweak: build("16299"), kind: state},
		{name: "2016 has no pods", host: "server2016", mods: mods(sandbox), kind: state},
		{name: "2016, another revision", host: "server2016", tweak: func(in *Input) {
			in.Host.Version, in.Image.OS = host.Version{Major: 10, Build: 14393, Revision: 7}, host.Version{Major: 10, Build: 14393, Revision: 8}
		}, kind: state},
		{name: "2016", host: "server2016", kind: later},
		{name: "annotation newer than host", host: "server2019", mods: mods(hyperv, annotate(annVM+"computetopology.memory.enablecolddiscardhint", "true")), kind: state},

		// What Windows containers do not have.
		{name: "shm mount", mods: mods(mount("shm", "/dev/shm", "tmpfs")), kind: bad},
		{name: "shm from the host", mods: mods(mount(`C:\shm`, "/dev/shm", "")), kind: bad},
		{name: "tmpfs", mods: mods(mount("tmpfs", `C:\tmp`, "tmpfs")), kind: bad},
		{name: "mqueue", mods: mods(mount("mqueue", "/dev/mqueue", "mqueue")), kind: bad},
		{name: "object namespace", mods: mods(mount(`\\?\GLOBALROOT\BaseNamedObjects`, `C:\objects`, "")), kind: bad},
		{name: "shared pid namespace", mods: mods(linux, func(s *specs.Spec) {
			s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.PIDNamespace, Path: "/proc/1/ns/pid"}}
		}), kind: bad},
		{name: "shared ipc namespace", mods: mods(linux, func(s *specs.Spec) {
			s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.IPCNamespace, Path: "/proc/1/ns/ipc"}}
		}), kind: bad},

		// Mounts.
		{name: "no source", tweak: rawMount("", `C:\a`, ""), kind: bad},
		{name: "relative source", tweak: rawMount(`data`, `C:\a`, ""), kind: bad},
		{name: "drive-relative source", tweak: rawMount(`C:data`, `C:\a`, ""), kind: bad},
		{name: "relative destination", tweak: rawMount(`C:\data`, `a`, ""), kind: bad},
		{name: "destination is drive C", mods: mods(mount(`C:\data`, `C:\`, "")), kind: bad},
		{name: "same destination twice", mods: mods(mount(`C:\data`, `C:\a`, ""), mount(`D:\data`, `/A/`, "")), kind: bad},
		{name: "same pipe twice", mods: mods(mount(`\\.\pipe\a`, `\\.\pipe\x`, ""), mount(`\\.\pipe\b`, `\\.\pipe\X`, "")), kind: bad},
		{name: "pipe to a path", mods: mods(mount(`\\.\pipe\a`, `C:\a`, "")), kind: bad},
		{name: "path to a pipe", mods: mods(mount(`C:\a`, `\\.\pipe\a`, "")), kind: bad},
		{name: "pipe without a name", mods: mods(mount(`\\.\pipe\`, `\\.\pipe\a`, "")), kind: bad},
		{name: "unknown type", mods: mods(mount(`C:\a`, `C:\b`, "nfs")), kind: bad},
		{name: "disk in process mode", mods: mods(mount(`C:\a.vhdx`, `C:\b`, "virtual-disk")), kind: bad},
		{name: "relative disk", mods: mods(hyperv), tweak: rawMount("a.vhdx", `C:\b`, "virtual-disk"), kind: bad},
		{name: "physical disk by path", mods: mods(hyperv, mount(`C:\a`, `C:\b`, "physical-disk")), kind: bad},
		{name: "evd without a type", mods: mods(hyperv, mount("evd://disk", `C:\b`, "extensible-virtual-disk")), kind: bad},
		{name: "sandbox:// in process mode", mods: mods(mount("sandbox://shared", `C:\b`, "")), kind: bad},
		{name: "sandbox:// upwards", mods: mods(hyperv, mount("sandbox://../x", `C:\b`, "")), kind: bad},
		{name: "uvm:// in process mode", mods: mods(mount(`uvm://\\.\pipe\a`, `\\.\pipe\a`, "")), kind: bad},
		{name: "uvm:// path", mods: mods(hyperv, mount(`uvm://C:\a`, `C:\a`, "")), kind: bad},
		{name: "huge pages", mods: mods(hyperv, mount("hugepages://2M/x", `C:\a`, "")), kind: bad},
		{name: "pipe in HostProcess", mods: mods(hostProcess, mount(`\\.\pipe\a`, `\\.\pipe\a`, "")), kind: bad},
		{name: "Linux: relative destination", mods: mods(linux, mount(`C:\a`, "data", "bind")), kind: bad},
		{name: "Linux: relative source", mods: mods(linux, mount("data", "/data", "bind")), kind: bad},

		// Resources and devices.
		{name: "affinity in a VM", mods: mods(hyperv, affinity(0)), kind: later},
		{name: "affinity group on 2019", host: "server2019", mods: mods(affinity(1)), kind: state},
		{name: "GPU class in a VM", mods: mods(hyperv, device("class")), kind: bad},
		{name: "vpci in process mode", mods: mods(device("vpci")), kind: bad},
		{name: "less than 1 MB", tweak: func(in *Input) {
			in.Request.Resources.MemoryMB = oci.Value[uint64]{Source: "spec.windows.resources.memory.limit"}
		}, kind: bad},
		{name: "network of a container outside", mods: mods(hyperv, func(s *specs.Spec) {
			s.Windows.Network = &specs.WindowsNetwork{NetworkSharedContainerName: "other"}
		}), kind: bad},
		{name: "two domains in one entry", mods: mods(func(s *specs.Spec) {
			s.Windows.Network = &specs.WindowsNetwork{DNSSearchList: []string{"svc.cluster.local", "a.example,b.example"}}
		}), kind: bad},
		{name: "empty domain", mods: mods(hyperv, func(s *specs.Spec) { s.Windows.Network = &specs.WindowsNetwork{DNSSearchList: []string{""}} }), kind: bad},
		{name: "gMSA switched off", mods: mods(annotate("io.microsoft.container.wcow.gmsa.disable", "true"), credential), kind: denied},

		// The utility VM.
		{name: "VM beyond the host's memory", mods: mods(hyperv, annotate(annVM+"computetopology.memory.sizeinmb", "99999")), kind: bad},
		{name: "writable share in a pod that forbids them", pod: inPod(hyperv, annotate(annVM+"fileshares.disablewritable", "true")),
			mods: mods(mount(`C:\a`, `C:\b`, "")), kind: denied},

		// The node's policy.
		{name: "policy: process asked for", mods: mods(annotate(iso, "process")), tweak: policy(node.Policy{RequireHyperV: true}), kind: denied},
		{name: "policy: process pod", pod: inPod(), tweak: policy(node.Policy{RequireHyperV: true}), kind: denied},
		{name: "policy: HostProcess needs the host", mods: mods(hostProcess), tweak: policy(node.Policy{RequireHyperV: true}), kind: denied},
		{name: "policy: HostProcess", mods: mods(hostProcess), tweak: policy(node.Policy{ForbidHostProcess: true}), kind: denied},
		{name: "policy: pipes", mods: mods(mount(`\\.\pipe\a`, `\\.\pipe\a`, "")), tweak: policy(node.Policy{ForbidPipes: true}), kind: denied},
		{name: "policy: console pipe", mods: mods(hyperv, annotate(annVM+"console.pipe", `\\.\pipe\console`)), tweak: policy(node.Policy{ForbidPipes: true}), kind: denied},
		{name: "policy: writable mount", mods: mods(mount(`C:\a`, `C:\b`, "")), tweak: policy(node.Policy{ForbidWritableMounts: true}), kind: denied},
		{name: "policy: devices", mods: mods(device("class")), tweak: policy(node.Policy{ForbidDevices: true}), kind: denied},
		{name: "policy: path outside", mods: mods(mount(`C:\data\..\Windows`, `C:\b`, "", "ro")), tweak: policy(node.Policy{AllowHostPaths: []string{`C:\data`}}), kind: denied},
		{name: "policy: disk outside", mods: mods(hyperv, mount(`D:\a.vhdx`, `C:\b`, "virtual-disk")), tweak: policy(node.Policy{AllowHostPaths: []string{`C:\data`}}), kind: denied},
		{name: "policy: dump folder outside", mods: mods(hyperv, annotate(annVM+"dump-directory-path", `D:\dumps`)), tweak: policy(node.Policy{AllowHostPaths: []string{`C:\data`}}), kind: denied},
	}
}

func credential(s *specs.Spec) { s.Windows.CredentialSpec = `{"CmsPlugins":["ActiveDirectory"]}` }

// rawMount puts a mount into the request that oci.Parse would refuse: Decide
// must not rely on that.
func rawMount(src, dst, typ string) func(*Input) {
	return func(in *Input) {
		in.Request.Mounts = append(in.Request.Mounts, oci.Mount{Source: src, Destination: dst, Type: typ})
	}
}

// Each refusal with its text: what a user reads when a container does not start.
func TestRefusals(t *testing.T) {
	var texts strings.Builder
	seen := map[string]bool{}
	for _, tc := range refusals() {
		t.Run(tc.name, func(t *testing.T) {
			if seen[tc.name] {
				t.Fatal("two cases of this name")
			}
			seen[tc.name] = true
			preset := tc.host
			if preset == "" {
				preset = "server2022"
			}
			m := tc.mods
			if tc.pod != nil {
				m = append(mods(workload), m...)
			}
			in := inputOf(t, preset, m...)
			if tc.pod != nil {
				in.Pod = podOf(t, preset, *tc.pod...)
			}
			if tc.tweak != nil {
				tc.tweak(&in)
			}
			p, err := Decide(in)
			if err == nil {
				t.Fatalf("no error, but %v by %v", p.Mode, p.Reasons)
			}
			if p != nil {
				t.Error("a plan with the error")
			}
			if k := fault.KindOf(err); k != tc.kind {
				t.Errorf("kind %v, want %v: %v", k, tc.kind, err)
			}
			fmt.Fprintf(&texts, "## %s\n%s: %s\n\n", tc.name, fault.KindOf(err), err)
		})
	}
	golden(t, "refusals.txt", texts.String())
}

// The forbidden path must not be reached by another spelling of it.
func TestPolicyPathSpellings(t *testing.T) {
	for _, src := range []string{
		`C:\data\sub`, `c:/DATA/sub`, `\\?\C:\data\sub`, `C:\data\.\sub\x\..`,
	} {
		in := inputOf(t, "server2022", mount(src, `C:\b`, ""))
		policy(node.Policy{AllowHostPaths: []string{`C:\data`}})(&in)
		decideOK(t, in)
	}
	for _, src := range []string{
		`C:\database`, `C:\data\..\x`, `C:\`, `D:\data`, `\\server\data`, `C:\data\x:stream`, `C:\data.\x`, `\\?\C:\data..\x`,
	} {
		in := inputOf(t, "server2022", mount(src, `C:\b`, ""))
		policy(node.Policy{AllowHostPaths: []string{`C:\data`}})(&in)
		if _, err := Decide(in); !fault.Is(err, fault.PermissionDenied) {
			t.Errorf("%s: %v, want PermissionDenied", src, err)
		}
	}
}

// A topology that is given in part, twice, or that does not add up is refused:
// HCS would say only that the document is wrong, runhcs drops it.
func TestNUMARefusals(t *testing.T) {
	const numa, sizes = annVM + "computetopology.numa.", annVM + "computetopology.processor.numa."
	whole := []string{
		annVM + "computetopology.memory.allowovercommit", "false", annVM + "computetopology.memory.sizeinmb", "2048", annVM + "computetopology.processor.count", "4",
		numa + "mapped-physical-nodes", "0,1", numa + "count-of-processors", "2,2", numa + "count-of-memory-blocks", "1024,1024",
	}
	for _, tc := range []struct {
		name   string
		change []string
		says   string
	}{
		{"whole", nil, ""},
		{"any physical node", []string{numa + "mapped-physical-nodes", "255,255"}, ""},
		{"sizes beside nodes", []string{sizes + "max-processors-per-node", "4"}, "two virtual NUMA topologies"},
		{"overcommitted", []string{annVM + "computetopology.memory.allowovercommit", "true"}, "needs physical memory"},
		{"one count short", []string{numa + "count-of-processors", "4"}, "2 physical nodes, 1 counts of processors"},
		{"node beyond the last", []string{numa + "mapped-physical-nodes", "0,64"}, "physical node 64"},
		{"one node anywhere", []string{numa + "mapped-physical-nodes", "0,255"}, "node 0 on 0"},
		{"no memory", []string{numa + "count-of-memory-blocks", "2048,0"}, "node 1 has 0 MB"},
		{"more processors than the VM", []string{numa + "count-of-processors", "2,3"}, "5 processors"},
		{"less memory than the VM", []string{numa + "count-of-memory-blocks", "1024,512"}, "1536 MB"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := inputOf(t, "server2025", hyperv, annotate(whole...), annotate(tc.change...))
			p, err := Decide(in)
			if tc.says == "" {
				if err != nil || len(p.UVM.NUMA.Nodes) != 2 {
					t.Errorf("%v", err)
				}
			} else if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v, want InvalidArgument with %q", err, tc.says)
			}
		})
	}
	for _, half := range []string{"max-processors-per-node", "max-size-per-node"} {
		in := inputOf(t, "server2025", hyperv, annotate(annVM+"computetopology.memory.allowovercommit", "false", sizes+half, "4"))
		if _, err := Decide(in); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), sizes+half) {
			t.Errorf("%s alone: %v", half, err)
		}
	}
	if _, err := Decide(inputOf(t, "server2022", hyperv, annotate(whole...))); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "26100") {
		t.Errorf("on a host of 2022: %v", err)
	}
}

// Device ids are checked before a VM boots in vain.
func TestDeviceRefusals(t *testing.T) {
	dev := func(idType, id string) func(*specs.Spec) {
		return func(s *specs.Spec) {
			s.Windows.Devices = append(s.Windows.Devices, specs.WindowsDevice{IDType: idType, ID: id})
		}
	}
	const gpu = "5B45201D-F2F2-4F3B-85BB-30FF1F953599"
	for _, tc := range []struct {
		name string
		mods []func(*specs.Spec)
		says string
	}{
		{"class that is no GUID", mods(dev("class", "gpu")), `"gpu" of a device class is not a GUID`},
		{"the same twice", mods(dev("class", gpu), dev("CLASS", strings.ToLower(gpu))), "spec.windows.devices[0]"},
		{"GPU class in a VM", mods(hyperv, dev("class", gpu)), "use process isolation"},
		{"unknown id type", mods(dev("usb", "x")), "class, vpci-class-guid, vpci-location-path"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Decide(inputOf(t, "server2022", tc.mods...))
			if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v, want InvalidArgument with %q", err, tc.says)
			}
		})
	}
}
