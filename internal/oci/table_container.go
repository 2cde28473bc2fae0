package oci

import "math"

// The facts of these tables (keys, types, defaults, what they feed) are those
// of hcsshim's pkg/annotations and of the code that reads them; where isol is
// stricter the row says so in Min, Max and Allowed.

const (
	mib = 1 << 20
	// maxMB is the first number that can only be bytes: 2^24 MB are 16 TiB,
	// more than any Windows host has for one container.
	maxMB = 1<<24 - 1
)

var isolRows = []Annotation{
	{
		Key: string(KeyIsolation), Type: TypeEnum, Allowed: []string{string(IsolationProcess), string(IsolationHyperV), string(IsolationAuto)},
		Default: "the runtime's options, the node's config, the host's edition", Modes: ModeAny, Scope: ScopePod,
		Feeds: "isolation mode", Origin: OriginIsol,
		Doc: "The degree of isolation. auto takes process if image and host fit, else hyperv.",
	},
	{
		Key: string(KeyAllowNewerImage), Type: TypeBool, Default: "false", Modes: ModeProcess | ModeHyperVWindows, Scope: ScopePod,
		Feeds: "version rule", Origin: OriginIsol,
		Doc: "Starts an image that is newer than the host, with a warning, instead of refusing it. HCS may still refuse.",
	},
	{
		Key: string(KeyUnmount), Type: TypeBool, Default: "false", Modes: ModeProcess | ModeHyperVWindows,
		Feeds: "update of a running container", Origin: OriginIsol,
		Doc: "Of an update with a ContainerMount: takes the mount away instead of adding it. At create it has no effect.",
	},
}

var podRows = []Annotation{
	{
		Key: keyContainerType, Type: TypeEnum, Allowed: []string{"sandbox", "container"}, Default: "a container outside of a pod",
		Modes: ModeAny, Feeds: "grouping into pods", Origin: OriginKubernetes,
		Doc: "Whether this is the pod's sandbox or a container in the pod.",
	},
	{
		Key: keySandboxID, Type: TypeString, Modes: ModeAny, Feeds: "grouping into pods", Origin: OriginKubernetes,
		Doc: "The id of the pod's sandbox; goes with the container type, both or none.",
	},
	{
		Key: keyDisableUnsafe, Type: TypeBool, Modes: ModeAny, Feeds: "other annotations", Origin: OriginHcsshim,
		Doc: "Gives its value to gmsa.disable, fileshares.disablewritable, virtualSMB.nodirectmap and disable-hostprocess-container; one of them that says otherwise is an error.",
	},
	{
		Key: "io.microsoft.cri.skip-pod-networking", Type: TypeBool, Default: "false", Modes: ModeHyperVLinux, Scope: ScopePod,
		Feeds: "guest network set-up", Status: StatusRefused, Why: whyLCOW, Origin: OriginHcsshim,
		Doc: "The guest does not set up the pod's network namespace.",
	},
	{
		Key: "io.microsoft.cri.tenant-sandbox-id", Type: TypeString, Modes: ModeHyperVLinux, Scope: ScopePod,
		Feeds: "nothing", Status: StatusIgnored, Why: "no shim reads it", Origin: OriginHcsshim,
		Doc: "The tenant's sandbox that a pod should join.",
	},
	{
		Key: "io.microsoft.cri.virtual-pod-id", Type: TypeString, Modes: ModeHyperVLinux, Scope: ScopePod,
		Feeds: "grouping into pods", Status: StatusRefused, Why: "isol gives each pod a utility VM of its own", Origin: OriginHcsshim,
		Doc: "The pod inside a utility VM that a container belongs to.",
	},
}

var containerLimitRows = []Annotation{
	{
		Key: keyMemoryMB, Type: TypeUint, Unit: "MB", Min: 1, Max: maxMB, ZeroOff: true, Default: "spec.windows.resources.memory.limit",
		Modes: ModeWindows, Feeds: "Container.Memory.SizeInMB", Origin: OriginHcsshim,
		Doc: "Memory limit. A value that equals the spec's limit in bytes is read as bytes, with a note; else more than the maximum is refused.",
	},
	{
		Key: keyProcessorCount, Type: TypeUint, Unit: "processors", Min: 1, Max: math.MaxInt32, ZeroOff: true, Default: "spec.windows.resources.cpu.count",
		Modes: ModeWindows, Feeds: "Container.Processor.Count", Origin: OriginHcsshim,
		Doc: "Number of processors, at most those of the host or the utility VM. Excludes limit and weight.",
	},
	{
		Key: keyProcessorLimit, Type: TypeUint, Unit: "of 10 000", Min: 1, Max: 10000, ZeroOff: true, Default: "spec.windows.resources.cpu.maximum",
		Modes: ModeWindows, Feeds: "Container.Processor.Maximum", Origin: OriginHcsshim,
		Doc: "Share of all processors' time. Excludes count and weight.",
	},
	{
		Key: keyProcessorWeight, Type: TypeUint, Unit: "relative", Min: 1, Max: 10000, ZeroOff: true, Default: "spec.windows.resources.cpu.shares",
		Modes: ModeWindows, Feeds: "Container.Processor.Weight", Origin: OriginHcsshim,
		Doc: "Weight against other containers. Excludes count and limit.",
	},
	{
		Key: keyBandwidth, Type: TypeUint, Unit: "bytes/s", Min: 1, Max: math.MaxInt64, ZeroOff: true, Default: "spec.windows.resources.storage.bps",
		Modes: ModeWindows, Feeds: "Container.Storage.QoS.BandwidthMaximum", Origin: OriginHcsshim,
		Doc: "Bandwidth limit of the container's system drive.",
	},
	{
		Key: keyIOPS, Type: TypeUint, Unit: "operations/s", Min: 1, Max: math.MaxInt64, ZeroOff: true, Default: "spec.windows.resources.storage.iops",
		Modes: ModeWindows, Feeds: "Container.Storage.QoS.IopsMaximum", Origin: OriginHcsshim,
		Doc: "Limit of operations on the container's system drive.",
	},
}

var containerRows = []Annotation{
	{
		Key: string(KeyDumpLocation), Type: TypeString, Modes: ModeAny,
		Feeds: `Container.RegistryChanges: …\Windows Error Reporting\LocalDumps, DumpFolder`, Origin: OriginHcsshim,
		Doc: "Folder in the container that process dumps go to; {container_id} at its end becomes the container's id.",
	},
	{
		Key: string(KeyDumpType), Type: TypeEnum, Allowed: []string{"mini", "full"}, Default: "full", Modes: ModeProcess | ModeHyperVWindows,
		Feeds: "LocalDumps, DumpType", Origin: OriginHcsshim,
		Doc: "Kind of process dumps; has an effect together with the location.",
	},
	{
		Key: string(KeyDumpCount), Type: TypeUint, Unit: "dumps", Min: 1, Max: math.MaxInt32, Default: "10", Modes: ModeProcess | ModeHyperVWindows,
		Feeds: "LocalDumps, DumpCount", Origin: OriginHcsshim,
		Doc: "Most dumps to keep; has an effect together with the location.",
	},
	{
		Key: string(KeyGMSADisable), Type: TypeBool, Default: "false", Modes: ModeWindows,
		Feeds: "refusal of spec.windows.credentialSpec", Origin: OriginHcsshim,
		Doc: "Refuses containers with a group managed service account.",
	},
	{
		Key: string(KeyTestRegistry), Type: TypeRegistry, Modes: ModeProcess | ModeHyperVWindows,
		Feeds: "Container.RegistryChanges", Origin: OriginInternal,
		Doc: "Registry values to set in the container. Keys: Software, and of System CurrentControlSet\\Services, CurrentControlSet\\Policies, Software.",
	},
	{
		Key: string(KeyDeviceExtensions), Type: TypeCSV, Modes: ModeProcess | ModeHyperVWindows, Since: 20348,
		Feeds: "Container.AdditionalDeviceNamespace", Origin: OriginHcsshim,
		Doc: "Paths of device extension files (JSON).",
	},
}

var hostProcessRows = []Annotation{
	{
		Key: keyHostProcess, Type: TypeExactBool, Default: "false", Modes: ModeHostProcess,
		Feeds: "HostProcess container", Origin: OriginHcsshim,
		Doc: "Runs the container as a job on the host. Only the exact text true asks for it.",
	},
	{
		Key: keyInheritUser, Type: TypeExactBool, Default: "false", Modes: ModeHostProcess,
		Feeds: "token of the container's processes", Origin: OriginHcsshim,
		Doc: "Runs the processes as the shim's own user. Only the exact text true asks for it.",
	},
	{
		Key: keyRootfsLocation, Type: TypePath, Default: `C:\hpc`, Modes: ModeHostProcess,
		Feeds: "where the root file system appears on the host", Origin: OriginHcsshim,
		Doc: "Folder of the host on which the container's root file system appears.",
	},
	{
		Key: keyDisableHostProcess, Type: TypeBool, Default: "false", Modes: ModeAny,
		Feeds: "refusal of HostProcess containers", Origin: OriginHcsshim,
		Doc: "Refuses to run a HostProcess container.",
	},
}
