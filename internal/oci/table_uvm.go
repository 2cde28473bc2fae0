package oci

import "math"

var uvmMemoryRows = []Annotation{
	{
		Key: string(KeyUVMMemoryMB), Type: TypeUint, Unit: "MB", Min: 1, Max: maxMB, ZeroOff: true, Default: "see docs/isolation.md",
		Modes: ModeUVM, Scope: ScopePod, Feeds: "VirtualMachine.ComputeTopology.Memory.SizeInMB", Origin: OriginHcsshim,
		Doc: "Memory of the utility VM. A value that equals the spec's memory limit in bytes is read as bytes, with a note; else more than the maximum is refused.",
	},
	{
		Key: string(KeyUVMOvercommit), Type: TypeBool, Default: "true", Modes: ModeUVM, Scope: ScopePod,
		Feeds: "Memory.AllowOvercommit", Origin: OriginHcsshim,
		Doc: "false backs the VM's memory with physical memory from the start.",
	},
	{
		Key: string(KeyUVMDeferredCommit), Type: TypeBool, Default: "false", Modes: ModeUVM, Scope: ScopePod,
		Feeds: "Memory.EnableDeferredCommit", Origin: OriginHcsshim,
		Doc: "Commits the VM's memory when it is first used. Contradicts allowovercommit=false.",
	},
	{
		Key: string(KeyUVMColdDiscardHint), Type: TypeBool, Default: "false", Modes: ModeUVM, Scope: ScopePod, Since: 18967,
		Feeds: "Memory.EnableColdDiscardHint", Origin: OriginHcsshim,
		Doc: "Lets the VM trim pages it does not need.",
	},
	{
		Key: string(KeyUVMPhysical), Type: TypeBool, Default: "false", Modes: ModeUVM, Scope: ScopePod,
		Feeds: "Memory.AllowOvercommit=false, devices physically backed", Origin: OriginHcsshim,
		Doc: "Only physical memory for the VM and its devices. Contradicts allowovercommit=true.",
	},
	{
		Key: string(KeyUVMLowMMIOGapMB), Type: TypeUint, Unit: "MB", Max: maxMB, ZeroOff: true, Default: "the platform's", Modes: ModeUVM, Scope: ScopePod,
		Feeds: "Memory.LowMMIOGapInMB", Origin: OriginHcsshim, Doc: "Size of the low MMIO gap.",
	},
	{
		Key: string(KeyUVMHighMMIOBaseMB), Type: TypeUint, Unit: "MB", Max: math.MaxInt64, ZeroOff: true, Default: "the platform's", Modes: ModeUVM, Scope: ScopePod,
		Feeds: "Memory.HighMMIOBaseInMB", Origin: OriginHcsshim, Doc: "Start of the high MMIO gap.",
	},
	{
		Key: string(KeyUVMHighMMIOGapMB), Type: TypeUint, Unit: "MB", Max: math.MaxInt64, ZeroOff: true, Default: "the platform's", Modes: ModeUVM, Scope: ScopePod,
		Feeds: "Memory.HighMMIOGapInMB", Origin: OriginHcsshim, Doc: "Size of the high MMIO gap.",
	},
}

// Why a group of annotations is refused.
const (
	whyLCOW      = "isol runs Windows guests: a Linux guest has a kernel, an agent and disks of its own that isol does not bring; use a handler of runhcs for Linux containers"
	whyConf      = "a confidential pod needs a signed guest and hardware that attests it, and isol has been tested on neither"
	whyProxy     = "isol has the pod's network from containerd's CNI plugins and asks no proxy"
	whyMigration = "only Linux guests of hcsshim's version 2 shim migrate"
)

var uvmProcessorRows = []Annotation{
	{
		Key: string(KeyUVMProcessorCount), Type: TypeUint, Unit: "processors", Min: 1, Max: math.MaxInt32, ZeroOff: true, Default: "2, or 1 on a host with one",
		Modes: ModeUVM, Scope: ScopePod, Feeds: "ComputeTopology.Processor.Count", Origin: OriginHcsshim,
		Doc: "Processors of the VM, at most those of the host. A fraction is refused, unless its whole part is the spec's cpu.count.",
	},
	{
		Key: string(KeyUVMProcessorLimit), Type: TypeUint, Unit: "of 100 000", Min: 1, Max: 100000, ZeroOff: true, Default: "100000",
		Modes: ModeUVM, Scope: ScopePod, Feeds: "ComputeTopology.Processor.Limit", Origin: OriginHcsshim,
		Doc: "Share of the time of the VM's processors.",
	},
	{
		Key: string(KeyUVMProcessorWeight), Type: TypeUint, Unit: "relative", Min: 1, Max: 10000, ZeroOff: true, Default: "100",
		Modes: ModeUVM, Scope: ScopePod, Feeds: "ComputeTopology.Processor.Weight", Origin: OriginHcsshim,
		Doc: "Weight against other VMs. May stand together with count and limit.",
	},
	{
		Key: string(KeyUVMCPUGroup), Type: TypeGUID, Modes: ModeUVM, Scope: ScopePod, Since: 19043, Feeds: "Processor.CpuGroup.Id", Origin: OriginHcsshim,
		Doc: "CPU group of the VM. Excludes resource-partition-id.",
	},
	{
		Key: string(KeyUVMPartition), Type: TypeGUID, Modes: ModeUVM, Scope: ScopePod, Feeds: "VirtualMachine.ResourcePartitionId", Origin: OriginHcsshim,
		Doc: "Resource partition of the VM. Excludes cpugroup.id.",
	},
	{
		Key: string(KeyUVMNodeProcessors), Type: TypeUint, Unit: "processors", Max: math.MaxUint32, ZeroOff: true, Default: "0",
		Modes: ModeUVM, Scope: ScopePod, Since: 26100, Feeds: "ComputeTopology.Numa", Origin: OriginHcsshim,
		Doc: "Most processors per virtual NUMA node.",
	},
	{
		Key: string(KeyUVMNodeMemoryMB), Type: TypeUint, Unit: "MB", Max: math.MaxInt64, ZeroOff: true, Default: "0",
		Modes: ModeUVM, Scope: ScopePod, Since: 26100, Feeds: "ComputeTopology.Numa", Origin: OriginHcsshim,
		Doc: "Most memory per virtual NUMA node.",
	},
	{
		Key: string(KeyUVMPreferredNodes), Type: TypeUintCSV, Max: math.MaxUint32,
		Modes: ModeUVM, Scope: ScopePod, Since: 26100, Feeds: "ComputeTopology.Numa", Origin: OriginHcsshim,
		Doc: "Physical nodes to prefer.",
	},
	{
		Key: string(KeyUVMMappedNodes), Type: TypeUintCSV, Max: math.MaxUint32,
		Modes: ModeUVM, Scope: ScopePod, Since: 26100, Feeds: "ComputeTopology.Numa", Origin: OriginHcsshim,
		Doc: "Physical node of each virtual node.",
	},
	{
		Key: string(KeyUVMNodeProcessorCounts), Type: TypeUintCSV, Unit: "processors", Max: math.MaxUint32,
		Modes: ModeUVM, Scope: ScopePod, Since: 26100, Feeds: "ComputeTopology.Numa", Origin: OriginHcsshim,
		Doc: "Processors of each virtual node.",
	},
	{
		Key: string(KeyUVMNodeMemoryBlocks), Type: TypeUintCSV, Unit: "blocks", Max: math.MaxInt64,
		Modes: ModeUVM, Scope: ScopePod, Since: 26100, Feeds: "ComputeTopology.Numa", Origin: OriginHcsshim,
		Doc: "Memory blocks of each virtual node.",
	},
}

var uvmDeviceRows = []Annotation{
	{
		Key: string(KeyUVMBandwidth), Type: TypeUint, Unit: "bytes/s", Min: 1, Max: math.MaxInt64, ZeroOff: true, Default: "the platform's",
		Modes: ModeUVM, Scope: ScopePod, Feeds: "VirtualMachine.StorageQoS.BandwidthMaximum", Origin: OriginHcsshim,
		Doc: "Storage bandwidth limit of the VM.",
	},
	{
		Key: string(KeyUVMIOPS), Type: TypeUint, Unit: "operations/s", Min: 1, Max: math.MaxInt64, ZeroOff: true, Default: "the platform's",
		Modes: ModeUVM, Scope: ScopePod, Feeds: "VirtualMachine.StorageQoS.IopsMaximum", Origin: OriginHcsshim,
		Doc: "Limit of storage operations of the VM.",
	},
	{
		Key: string(KeyUVMNoWritableShares), Type: TypeBool, Default: "false", Modes: ModeUVM, Scope: ScopePod,
		Feeds: "refusal of writable VSMB and Plan 9 shares", Origin: OriginHcsshim,
		Doc: "Refuses writable shares of the host's files.",
	},
	{
		Key: string(KeyUVMDumpDirectory), Type: TypePath, Modes: ModeUVM, Scope: ScopePod,
		Feeds: "DebugOptions.BugcheckSavedStateFileName, GuestCrashReporting", Origin: OriginHcsshim,
		Doc: "Folder of the host that dumps of a crashed VM go to.",
	},
	{
		Key: string(KeyUVMConsolePipe), Type: TypeString, Modes: ModeUVM, Scope: ScopePod, Feeds: `Devices.ComPorts["0"].NamedPipe`, Origin: OriginInternal,
		Doc: `Named pipe of the VM's console: \\.\pipe\name.`,
	},
	{
		Key: string(KeyUVMKernelDrivers), Type: TypeCSV, Modes: ModeUVM, Scope: ScopeContainer,
		Feeds: "drivers installed in the guest", Origin: OriginHcsshim,
		Doc: "Folders of the host with drivers to install in the guest.",
	},
	{
		Key: string(KeyUVMBootFiles), Type: TypePath, Modes: ModeUVM, Scope: ScopePod, Feeds: "boot files of the VM", Origin: OriginHcsshim,
		Status: StatusIgnored, Why: "isol boots Windows guests only, and those from their image's layers",
		Doc: "Folder of the host with the boot files of a Linux or confidential guest. A Windows guest boots from its image's layers.",
	},
	{
		Key: keyServiceTable, Prefix: true, Type: TypeServiceEntry, Modes: ModeUVM, Scope: ScopePod,
		Feeds: "Devices.HvSocket.HvSocketConfig.ServiceTable", Origin: OriginInternal,
		Doc: "Configuration of one hvsocket service; the service's GUID ends the key.",
	},
	{
		Key: "io.microsoft.virtualmachine.no_security_hardware", Type: TypeBool, Default: "false", Modes: ModeUVM, Scope: ScopePod,
		Feeds: "confidential pods without the hardware", Status: StatusRefused, Why: whyConf, Origin: OriginHcsshim,
		Doc: "Tests confidential pods on a host without the hardware.",
	},
	{
		Key: "io.microsoft.virtualmachine.uvm-hash-envelope-reference-info-file", Type: TypeString, Modes: ModeUVM, Scope: ScopePod,
		Feeds: "security policy of the guest", Status: StatusRefused, Why: whyConf, Origin: OriginHcsshim,
		Doc: "File with the signed reference of the VM's hash envelope.",
	},
}

var uvmWindowsRows = []Annotation{
	{
		Key: string(KeyUVMNoCompartments), Type: TypeBool, Default: "false", Modes: ModeHyperVWindows, Scope: ScopePod,
		Feeds: `RegistryChanges: leaves out …\Services\gns, EnableCompartmentNamespace`, Origin: OriginHcsshim,
		Doc: "No network compartments in the VM.",
	},
	{
		Key: string(KeyUVMNoDirectMap), Type: TypeBool, Default: "false", Modes: ModeHyperVWindows, Scope: ScopePod,
		Feeds: "VirtualSmb.Shares[].Options.NoDirectmap", Origin: OriginHcsshim,
		Doc: "No direct mapping of shared files into the VM's memory.",
	},
	{
		Key: string(KeyUVMNoInheritTimeZone), Type: TypeBool, Default: "false", Modes: ModeHyperVWindows, Scope: ScopePod,
		Feeds: "time zone of the guest", Origin: OriginHcsshim,
		Doc: "The VM's clock is in UTC instead of in the host's time zone.",
	},
	{
		Key: string(KeyUVMRegistry), Type: TypeRegistry, Modes: ModeHyperVWindows, Scope: ScopePod,
		Feeds: "VirtualMachine.RegistryChanges", Origin: OriginInternal,
		Doc: "Registry values to set in the VM. Keys: Software, and of System CurrentControlSet\\Services, CurrentControlSet\\Policies, Software.",
	},
	{
		Key: string(KeyUVMForwardLogs), Type: TypeBool, Default: "false", Modes: ModeHyperVWindows, Scope: ScopePod,
		Feeds: "log forwarding service of the guest", Status: StatusRefused, Why: "forwarding of the guest's logs", Origin: OriginHcsshim,
		Doc: "Forwards the guest's logs to the shim's.",
	},
	{
		Key: string(KeyUVMLogDefaults), Type: TypeBool, Default: "true", Modes: ModeHyperVWindows, Scope: ScopePod,
		Feeds: "log forwarding service of the guest", Status: StatusRefused, Why: "choice of log providers", Origin: OriginHcsshim,
		Doc: "Forwards the default event providers.",
	},
	{
		Key: string(KeyUVMLogSources), Type: TypeBase64, Modes: ModeHyperVWindows, Scope: ScopePod,
		Feeds: "log forwarding service of the guest", Status: StatusRefused, Why: "choice of log providers", Origin: OriginHcsshim,
		Doc: "Event providers to forward: base64 of JSON.",
	},
}
