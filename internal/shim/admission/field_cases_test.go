package admission

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/isolrun/isol/internal/layers"
)

// fieldCase shows what a field does: change sets it on a plain container, which
// makes another task of it; or it is refused with what says says.
type fieldCase struct {
	change    func(*request)
	prepare   func(*request)
	says      string
	elsewhere string // what a mode that does not carry it answers; empty: it has no effect there
}

func set[T any](v T) *T { return &v }

func process(change func(*specs.Process)) fieldCase {
	return fieldCase{change: func(r *request) { change(r.spec.Process) }}
}

func windows(change func(*specs.Windows)) fieldCase {
	return fieldCase{change: func(r *request) { change(r.spec.Windows) }}
}

func cpu(c specs.WindowsCPUResources) fieldCase {
	return windows(func(w *specs.Windows) { w.Resources = &specs.WindowsResources{CPU: &c} })
}

func network(n specs.WindowsNetwork) fieldCase {
	return windows(func(w *specs.Windows) { w.Network = &n })
}

func storage(s specs.WindowsStorageResources) fieldCase {
	return windows(func(w *specs.Windows) { w.Resources = &specs.WindowsResources{Storage: &s} })
}

func mounted(source, destination, typ string, options ...string) fieldCase {
	return fieldCase{change: func(r *request) { r.mount(source, destination, typ, options...) }}
}

func device(idType, id string) fieldCase {
	return windows(func(w *specs.Windows) { w.Devices = []specs.WindowsDevice{{ID: id, IDType: idType}} })
}

func rootfs(typ string) fieldCase {
	return fieldCase{change: func(r *request) { r.rootfs[0].Type = typ }}
}

// refusedWith makes a case of a field that is refused.
func (c fieldCase) refusedWith(says string) fieldCase {
	c.says = says
	return c
}

// elsewhereSays is what the mode answers that does not carry it.
func (c fieldCase) elsewhereSays(says string) fieldCase {
	c.elsewhere = says
	return c
}

const (
	gpuClass = "5B45201D-F2F2-4F3B-85BB-30FF1F953599"
	nicPath  = `PCI\VEN_8086&DEV_1520\3&11583659&0&A0`
	someGUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
)

var fieldCases = map[string]fieldCase{
	"process.commandLine":   process(func(p *specs.Process) { p.CommandLine = "cmd /c ver" }),
	"process.args":          process(func(p *specs.Process) { p.Args = []string{"cmd", "/c", "ver"} }),
	"process.user.username": process(func(p *specs.Process) { p.User.Username = "ContainerAdministrator" }),
	"process.cwd":           process(func(p *specs.Process) { p.Cwd = `C:\app` }),
	"process.env":           process(func(p *specs.Process) { p.Env = []string{"A="} }),
	"process.terminal":      {change: func(r *request) { r.stdio.Terminal, r.spec.Process.Terminal = true, true }},
	"process.consoleSize": {
		prepare: func(r *request) { r.stdio.Terminal, r.spec.Process.Terminal = true, true },
		change:  func(r *request) { r.spec.Process.ConsoleSize = &specs.Box{Height: 30, Width: 100} },
	},
	"root.path":     {change: func(r *request) { r.spec.Root.Path = `\\?\Volume{` + someGUID + `}\` }},
	"root.readonly": fieldCase{change: func(r *request) { r.spec.Root.Readonly = true }}.refusedWith("root.readonly"),
	"windows.layerFolders": {change: func(r *request) {
		r.rootfs, r.spec.Windows.LayerFolders = nil, []string{`C:\s\2`, `C:\s\1`, `C:\s\8`}
	}},
	"rootfs windows-layer": {change: func(r *request) {
		r.rootfs = []layers.Mount{{Type: "windows-layer", Source: `C:\s\8`, Options: []string{`parentLayerPaths=["C:\\s\\1"]`}}}
	}},
	"rootfs CimFS":      rootfs("CimFS").refusedWith("windows-layer"),
	"rootfs BlockCIM":   rootfs("BlockCIM").refusedWith("windows-layer"),
	"rootfs lcow-layer": rootfs("lcow-layer").refusedWith("lcow-layer"),
	"hostname":          {change: func(r *request) { r.spec.Hostname = "web" }},

	"mounts[].source":                       mounted(`C:\data`, `C:\data`, ""),
	"mounts[].destination":                  mounted(`C:\data`, `D:\elsewhere`, ""),
	"mounts[].options ro":                   {prepare: func(r *request) {}, change: func(r *request) { r.mount(`C:\data`, `C:\data`, "", "ro") }},
	"mounts[].type bind":                    mounted(`C:\data`, `C:\data`, "bind"),
	"mounts[].type virtual-disk":            mounted(`C:\d.vhdx`, `C:\disk`, "virtual-disk").elsewhereSays("use Hyper-V isolation"),
	"mounts[].type physical-disk":           mounted(`\\.\PHYSICALDRIVE1`, `C:\disk`, "physical-disk").elsewhereSays("use Hyper-V isolation"),
	"mounts[].type extensible-virtual-disk": mounted(`evd://space/volume1`, `C:\disk`, "extensible-virtual-disk").elsewhereSays("use Hyper-V isolation"),
	"mounts[] sandbox://":                   mounted(`sandbox://shared`, `C:\shared`, "").elsewhereSays("mount a directory of the host"),
	`mounts[] \\.\pipe\`:                    mounted(`\\.\pipe\docker_engine`, `\\.\pipe\docker_engine`, ""),
	"mounts[] uvm://":                       mounted(`uvm://\\.\pipe\inner`, `\\.\pipe\inner`, "").elsewhereSays("utility VM"),
	"mounts[] hugepages://":                 mounted(`hugepages://2M/x`, `C:\x`, "").refusedWith("huge pages"),
	"mounts[] vsmb://":                      mounted(`vsmb://x`, `C:\x`, "").refusedWith("not an absolute path"),
	"mounts[] ephemeral":                    mounted(`C:\x`, `C:\x`, "ephemeral").refusedWith("ephemeral"),

	"windows.resources.cpu.count":    cpu(specs.WindowsCPUResources{Count: set[uint64](1)}),
	"windows.resources.cpu.shares":   cpu(specs.WindowsCPUResources{Shares: set[uint16](100)}),
	"windows.resources.cpu.maximum":  cpu(specs.WindowsCPUResources{Maximum: set[uint16](100)}),
	"windows.resources.cpu.affinity": cpu(specs.WindowsCPUResources{Affinity: []specs.WindowsCPUGroupAffinity{{Mask: 3}}}).elsewhereSays("use process isolation"),
	"windows.resources.memory.limit": windows(func(w *specs.Windows) {
		w.Resources = &specs.WindowsResources{Memory: &specs.WindowsMemoryResources{Limit: set[uint64](512 << 20)}}
	}),
	"windows.resources.storage.iops":        storage(specs.WindowsStorageResources{Iops: set[uint64](100)}),
	"windows.resources.storage.bps":         storage(specs.WindowsStorageResources{Bps: set[uint64](100)}),
	"windows.resources.storage.sandboxSize": storage(specs.WindowsStorageResources{SandboxSize: set[uint64](50 << 30)}).elsewhereSays("use process isolation"),

	"windows.devices class":              device("class", gpuClass).elsewhereSays("use process isolation for them"),
	"windows.devices vpci-class-guid":    device("vpci-class-guid", gpuClass).elsewhereSays("use process isolation for them"),
	"windows.devices vpci-location-path": device("vpci-location-path", "PCIROOT(0)#PCI(0100)").elsewhereSays("use process isolation for them"),
	"windows.devices vpci":               device("vpci", nicPath).elsewhereSays("use Hyper-V isolation"),
	"windows.devices vpci-instance-id":   device("vpci-instance-id", nicPath).elsewhereSays("use Hyper-V isolation"),
	"windows.devices gpu":                device("gpu", nicPath).elsewhereSays("use Hyper-V isolation"),

	"windows.network.networkNamespace":           network(specs.WindowsNetwork{NetworkNamespace: someGUID}),
	"windows.network.endpointList":               network(specs.WindowsNetwork{EndpointList: []string{someGUID}}),
	"windows.network.allowUnqualifiedDNSQuery":   network(specs.WindowsNetwork{AllowUnqualifiedDNSQuery: true}),
	"windows.network.DNSSearchList":              network(specs.WindowsNetwork{DNSSearchList: []string{"example.com"}}),
	"windows.network.networkSharedContainerName": network(specs.WindowsNetwork{NetworkSharedContainerName: "other"}).elsewhereSays("process isolation"),

	"windows.credentialSpec":          {change: gmsa},
	"windows.hyperv":                  {prepare: func(r *request) { r.spec.Windows.HyperV = nil }, change: func(r *request) { r.spec.Windows.HyperV = &specs.WindowsHyperV{} }},
	"windows.hyperv.utilityVMPath":    {change: func(r *request) { r.spec.Windows.HyperV = &specs.WindowsHyperV{UtilityVMPath: `C:\vm\UtilityVM`} }},
	"windows.ignoreFlushesDuringBoot": windows(func(w *specs.Windows) { w.IgnoreFlushesDuringBoot = true }),
	"windows.servicing":               windows(func(w *specs.Windows) { w.Servicing = true }).refusedWith("windows.servicing"),
	"hooks":                           {change: func(r *request) { r.spec.Hooks = &specs.Hooks{Poststart: []specs.Hook{{Path: "x"}}} }},
	"linux":                           fieldCase{change: func(r *request) { r.spec.Linux = &specs.Linux{} }}.refusedWith("Linux containers"),
	"linux.cgroupsPath":               fieldCase{change: func(r *request) { r.spec.Linux = &specs.Linux{CgroupsPath: "/x"} }}.refusedWith("Linux containers"),
	"linux.resources":                 fieldCase{change: func(r *request) { r.spec.Linux = &specs.Linux{Resources: &specs.LinuxResources{}} }}.refusedWith("Linux containers"),
	"windows":                         fieldCase{change: func(r *request) { r.spec.Windows = nil }}.refusedWith("neither a windows nor a linux section"),
}
