package oci

import "slices"

// Field is one field of the OCI spec, or one form of it, and what isol does
// with it. The list is that of what Microsoft's shim reads or refuses: a spec
// that works there is answered here, one way or the other.
type Field struct {
	Path   string // "windows.resources.cpu.count"; a form after a space: "mounts[] sandbox://"
	Doc    string // what it says
	Modes  Modes  // where it is honoured, or where it is refused
	Feeds  string // the document field or the behaviour
	Status Status
	Why    string // of StatusRefused and StatusIgnored
}

// Fields returns a copy of the list.
func Fields() []Field { return slices.Clone(fields) }

const (
	modesHCS = ModeProcess | ModeHyperVWindows // containers that a document describes

	whyLinuxField = "a spec with a linux section is of a Linux container, and isol runs Windows guests"
)

var fields = []Field{
	{Path: "process.commandLine", Doc: "the whole command line; wins over args", Modes: ModeWindows, Feeds: "ProcessParameters.CommandLine"},
	{Path: "process.args", Doc: "joined by the rules of CommandLineToArgvW", Modes: ModeWindows, Feeds: "ProcessParameters.CommandLine"},
	{Path: "process.user.username", Doc: "account of the container: ContainerUser, ContainerAdministrator, one of the image's; HostProcess: of the host", Modes: ModeWindows, Feeds: "ProcessParameters.User"},
	{Path: "process.cwd", Doc: "working folder", Modes: ModeWindows, Feeds: "ProcessParameters.WorkingDirectory"},
	{Path: "process.env", Doc: "variables; an empty value is kept, runhcs drops it", Modes: ModeWindows, Feeds: "ProcessParameters.Environment"},
	{Path: "process.terminal", Doc: "a console; the client's word decides, as it holds the other end", Modes: ModeWindows, Feeds: "ProcessParameters.EmulateConsole"},
	{Path: "process.consoleSize", Doc: "first size of the console", Modes: ModeWindows, Feeds: "ProcessParameters.ConsoleSize"},
	{Path: "root.path", Doc: "isol mounts the root itself: a path that is there has no effect, and no root is needed", Modes: ModeWindows, Feeds: "nothing", Status: StatusIgnored, Why: "the rootfs mount or windows.layerFolders say what to mount"},
	{Path: "root.readonly", Doc: "read-only root file system", Modes: ModeAny, Feeds: "refusal", Status: StatusRefused, Why: "Windows containers have no read-only root file system"},
	{Path: "windows.layerFolders", Doc: "layers, topmost first, then the scratch; or a rootfs mount: exactly one of the two", Modes: ModeWindows, Feeds: "Container.Storage"},
	{Path: "rootfs windows-layer", Doc: "one mount with the option parentLayerPaths and no target", Modes: ModeWindows, Feeds: "Container.Storage"},
	{Path: "rootfs CimFS", Doc: "layers as composite images", Modes: modesHCS, Feeds: "refusal", Status: StatusRefused, Why: "isol mounts windows-layer snapshots: use containerd's snapshotter windows"},
	{Path: "rootfs BlockCIM", Doc: "layers as composite images on block devices", Modes: modesHCS, Feeds: "refusal", Status: StatusRefused, Why: "isol mounts windows-layer snapshots: use containerd's snapshotter windows"},
	{Path: "rootfs lcow-layer", Doc: "layers of a Linux image", Modes: ModeHyperVLinux, Feeds: "refusal", Status: StatusRefused, Why: whyLinuxField},
	{Path: "hostname", Doc: "the container's name of the computer", Modes: modesHCS, Feeds: "Container.GuestOs.HostName"},
	{Path: "mounts[].source", Doc: "absolute path of the host; links and junctions are resolved and the node's policy is asked about where they lead", Modes: modesHCS, Feeds: "Container.MappedDirectories"},
	{Path: "mounts[].destination", Doc: "absolute, not C: itself, each once", Modes: modesHCS, Feeds: "Container.MappedDirectories"},
	{Path: "mounts[].options ro", Doc: "read-only; rw, the default, contradicts it", Modes: modesHCS, Feeds: "MappedDirectories.ReadOnly"},
	{Path: "mounts[].type bind", Doc: "the same as no type, in both modes; runhcs refuses it in one", Modes: modesHCS, Feeds: "Container.MappedDirectories"},
	{Path: "mounts[].type virtual-disk", Doc: "a .vhd or .vhdx file, attached to the utility VM", Modes: ModeHyperVWindows, Feeds: "Devices.Scsi attachment VirtualDisk"},
	{Path: "mounts[].type physical-disk", Doc: `a disk of the host, \\.\PHYSICALDRIVE1`, Modes: ModeHyperVWindows, Feeds: "Devices.Scsi attachment PassThru"},
	{Path: "mounts[].type extensible-virtual-disk", Doc: "a disk of a storage provider, evd://TYPE/PATH", Modes: ModeHyperVWindows, Feeds: "Devices.Scsi attachment ExtensibleVirtualDisk"},
	{Path: "mounts[] sandbox://", Doc: "a directory of the utility VM that the pod's containers share", Modes: ModeHyperVWindows, Feeds: `Container.MappedDirectories from C:\SandboxMounts`},
	{Path: `mounts[] \\.\pipe\`, Doc: "a named pipe of the host, in both modes", Modes: modesHCS, Feeds: "Container.MappedPipes"},
	{Path: "mounts[] uvm://", Doc: `a named pipe of the utility VM, uvm://\\.\pipe\NAME`, Modes: ModeHyperVWindows, Feeds: "Container.MappedPipes"},
	{Path: "mounts[] hugepages://", Doc: "huge pages of a Linux guest", Modes: ModeAny, Feeds: "refusal", Status: StatusRefused, Why: "Windows containers have none, and isol runs Windows guests"},
	{Path: "mounts[] vsmb://", Doc: "a share of the utility VM by name", Modes: ModeAny, Feeds: "refusal", Status: StatusRefused, Why: "no runtime reads it: mount the host's directory"},
	{Path: "mounts[] ephemeral", Doc: "a temporary volume", Modes: ModeAny, Feeds: "refusal", Status: StatusRefused, Why: "no runtime makes one: mount a directory of the host, or sandbox:// in Hyper-V isolation"},
	{Path: "windows.resources.cpu.count", Doc: "processors, at most those of host or utility VM; excludes shares and maximum", Modes: ModeWindows, Feeds: "Container.Processor.Count"},
	{Path: "windows.resources.cpu.shares", Doc: "relative weight; excludes count and maximum", Modes: ModeWindows, Feeds: "Container.Processor.Weight"},
	{Path: "windows.resources.cpu.maximum", Doc: "of 10000 of all processors; excludes count and shares", Modes: ModeWindows, Feeds: "Container.Processor.Maximum"},
	{Path: "windows.resources.cpu.affinity", Doc: "pins to processors; groups beyond the first from build 20348 on", Modes: ModeProcess | ModeHostProcess, Feeds: "JobObjectGroupInformationEx of the container's job"},
	{Path: "windows.resources.memory.limit", Doc: "bytes, at least 1 MiB", Modes: ModeWindows, Feeds: "Container.Memory.SizeInMB"},
	{Path: "windows.resources.storage.iops", Doc: "operations a second on the system drive", Modes: ModeWindows, Feeds: "Container.Storage.QoS.IopsMaximum"},
	{Path: "windows.resources.storage.bps", Doc: "bytes a second on the system drive", Modes: ModeWindows, Feeds: "Container.Storage.QoS.BandwidthMaximum"},
	{Path: "windows.resources.storage.sandboxSize", Doc: "least size of the system drive in bytes, runhcs ignores it; containerd's snapshotters have a label of their own", Modes: ModeProcess, Feeds: "size of the scratch disk"},
	{Path: "windows.devices class", Doc: "device interface class GUID", Modes: ModeProcess, Feeds: "Container.AssignedDevices.InterfaceClassGuid"},
	{Path: "windows.devices vpci-class-guid", Doc: "the same as class", Modes: ModeProcess, Feeds: "Container.AssignedDevices.InterfaceClassGuid"},
	{Path: "windows.devices vpci-location-path", Doc: "PCI location path of one device", Modes: ModeProcess, Feeds: "Container.AssignedDevices.LocationPath"},
	{Path: "windows.devices vpci", Doc: "device instance path of the host, given to the utility VM; \\N at its end names a virtual function", Modes: ModeHyperVWindows, Feeds: "Devices.VirtualPci, Container.AssignedDevices"},
	{Path: "windows.devices vpci-instance-id", Doc: "the same as vpci", Modes: ModeHyperVWindows, Feeds: "Devices.VirtualPci, Container.AssignedDevices"},
	{Path: "windows.devices gpu", Doc: "the same as vpci", Modes: ModeHyperVWindows, Feeds: "Devices.VirtualPci, Container.AssignedDevices"},
	{Path: "windows.network.networkNamespace", Doc: "GUID of the HCN namespace", Modes: modesHCS, Feeds: "Container.Networking.Namespace"},
	{Path: "windows.network.endpointList", Doc: "HCN endpoints, in a namespace that isol makes; without a namespace only", Modes: modesHCS, Feeds: "HCN namespace"},
	{Path: "windows.network.allowUnqualifiedDNSQuery", Doc: "resolves names without a domain", Modes: modesHCS, Feeds: "Container.Networking.AllowUnqualifiedDnsQuery"},
	{Path: "windows.network.DNSSearchList", Doc: "domains to search", Modes: modesHCS, Feeds: "Container.Networking.DnsSearchList"},
	{Path: "windows.network.networkSharedContainerName", Doc: "container whose network is shared", Modes: ModeProcess, Feeds: "Container.Networking.NetworkSharedContainerName"},
	{Path: "windows.credentialSpec", Doc: "JSON of a group managed service account, as one string", Modes: modesHCS, Feeds: "Container.ContainerCredentialGuard"},
	{Path: "windows.hyperv", Doc: "asks for Hyper-V isolation", Modes: ModeHyperVWindows, Feeds: "isolation mode"},
	{Path: "windows.hyperv.utilityVMPath", Doc: "folder UtilityVM that the VM boots from", Modes: ModeHyperVWindows, Feeds: "boot files of the VM"},
	{Path: "windows.ignoreFlushesDuringBoot", Doc: "faster first start on schema version 1", Modes: ModeAny, Feeds: "nothing", Status: StatusIgnored, Why: "documents of schema version 2 have no such field"},
	{Path: "windows.servicing", Doc: "starts the container to service its image", Modes: ModeAny, Feeds: "refusal", Status: StatusRefused, Why: "isol does not start containers to service their image"},
	{Path: "hooks", Doc: "programs to run at events", Modes: ModeAny, Feeds: "nothing", Status: StatusIgnored, Why: "a Windows shim runs no hooks"},
	{Path: "linux", Doc: "a Linux container", Modes: ModeHyperVLinux, Feeds: "refusal", Status: StatusRefused, Why: whyLinuxField},
	{Path: "linux.cgroupsPath", Doc: "control group of a Linux container", Modes: ModeHyperVLinux, Feeds: "refusal", Status: StatusRefused, Why: whyLinuxField},
	{Path: "linux.resources", Doc: "limits of a Linux container", Modes: ModeHyperVLinux, Feeds: "refusal", Status: StatusRefused, Why: whyLinuxField},
	{Path: "windows", Doc: "the windows section; a spec without it and without a linux section is refused", Modes: ModeWindows, Feeds: "everything"},
}
