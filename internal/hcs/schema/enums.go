package schema

import "slices"

// SystemType is the kind of a compute system.
type SystemType string

// The values of SystemType.
const (
	SystemContainer      SystemType = "Container"
	SystemVirtualMachine SystemType = "VirtualMachine"
	SystemHost           SystemType = "Host"
)

func (SystemType) values() []value {
	return from(17763, SystemContainer, SystemVirtualMachine, SystemHost)
}

// State is the state of a compute system.
type State string

// The values of State.
const (
	StateCreated         State = "Created"
	StateRunning         State = "Running"
	StatePaused          State = "Paused"
	StateStopped         State = "Stopped"
	StateSavedAsTemplate State = "SavedAsTemplate"
	StateUnknown         State = "Unknown"
)

func (State) values() []value {
	return from(17763, StateCreated, StateRunning, StatePaused, StateStopped, StateSavedAsTemplate, StateUnknown)
}

// OSType is the operating system of a compute system.
type OSType string

// The values of OSType.
const (
	OSWindows OSType = "Windows"
	OSLinux   OSType = "Linux"
)

func (OSType) values() []value {
	return from(17763, OSType(""), OSWindows, OSLinux)
}

// ExitType says how a system ended.
type ExitType string

// The values of ExitType.
const (
	ExitNone           ExitType = "None"
	ExitGracefulExit   ExitType = "GracefulExit"
	ExitForcedExit     ExitType = "ForcedExit"
	ExitUnexpectedExit ExitType = "UnexpectedExit"
	ExitUnknown        ExitType = "Unknown"
)

func (ExitType) values() []value {
	return from(17763, ExitNone, ExitGracefulExit, ExitForcedExit, ExitUnexpectedExit, ExitUnknown)
}

// PropertyType is a property of a system.
type PropertyType string

// The values of PropertyType.
const (
	PropertyMemory                      PropertyType = "Memory"
	PropertyGuestMemory                 PropertyType = "GuestMemory"
	PropertyStatistics                  PropertyType = "Statistics"
	PropertyProcessList                 PropertyType = "ProcessList"
	PropertyTerminateOnLastHandleClosed PropertyType = "TerminateOnLastHandleClosed"
	PropertySharedMemoryRegion          PropertyType = "SharedMemoryRegion"
	PropertyGuestConnection             PropertyType = "GuestConnection"
	PropertyICHeartbeatStatus           PropertyType = "ICHeartbeatStatus"
)

func (PropertyType) values() []value {
	return slices.Concat(
		from(
			17763, PropertyMemory, PropertyGuestMemory, PropertyStatistics, PropertyProcessList,
			PropertyTerminateOnLastHandleClosed, PropertySharedMemoryRegion, PropertyGuestConnection,
		),
		from(19041, PropertyICHeartbeatStatus),
	)
}

// ServicePropertyType is a property of the service.
type ServicePropertyType string

// The values of ServicePropertyType.
const (
	ServicePropertyBasic                    ServicePropertyType = "Basic"
	ServicePropertyMemory                   ServicePropertyType = "Memory"
	ServicePropertyCPUGroup                 ServicePropertyType = "CpuGroup"
	ServicePropertyProcessorTopology        ServicePropertyType = "ProcessorTopology"
	ServicePropertyCacheAllocation          ServicePropertyType = "CacheAllocation"
	ServicePropertyCacheMonitoring          ServicePropertyType = "CacheMonitoring"
	ServicePropertyContainerCredentialGuard ServicePropertyType = "ContainerCredentialGuard"
	ServicePropertyQoSCapabilities          ServicePropertyType = "QoSCapabilities"
	ServicePropertyMemoryBwAllocation       ServicePropertyType = "MemoryBwAllocation"
	ServicePropertyUndefined                ServicePropertyType = "Undefined"
)

func (ServicePropertyType) values() []value {
	return from(
		17763, ServicePropertyBasic, ServicePropertyMemory, ServicePropertyCPUGroup,
		ServicePropertyProcessorTopology, ServicePropertyCacheAllocation, ServicePropertyCacheMonitoring,
		ServicePropertyContainerCredentialGuard, ServicePropertyQoSCapabilities, ServicePropertyMemoryBwAllocation,
		ServicePropertyUndefined,
	)
}

// RequestType says what to do with a resource.
type RequestType string

// The values of RequestType.
const (
	RequestAdd    RequestType = "Add"
	RequestRemove RequestType = "Remove"
	RequestUpdate RequestType = "Update"
)

func (RequestType) values() []value {
	return from(17763, RequestAdd, RequestRemove, RequestUpdate)
}

// Signal is a console control event for a process of a Windows container. For
// a process in a Linux guest it is the signal's number in decimal, which the
// guest bridge writes as a number.
type Signal string

// The values of Signal.
const (
	CtrlC        Signal = "CtrlC"
	CtrlBreak    Signal = "CtrlBreak"
	CtrlClose    Signal = "CtrlClose"
	CtrlLogOff   Signal = "CtrlLogOff"
	CtrlShutdown Signal = "CtrlShutdown"
)

func (Signal) values() []value {
	return from(17763, CtrlC, CtrlBreak, CtrlClose, CtrlLogOff, CtrlShutdown)
}

// ProcessOperation says what of a process to change.
type ProcessOperation string

// The values of ProcessOperation.
const (
	ProcessConsoleSize ProcessOperation = "ConsoleSize"
	ProcessCloseHandle ProcessOperation = "CloseHandle"
)

func (ProcessOperation) values() []value {
	return from(17763, ProcessConsoleSize, ProcessCloseHandle)
}

// StdHandle names a standard stream.
type StdHandle string

// The values of StdHandle.
const (
	HandleStdIn  StdHandle = "StdIn"
	HandleStdOut StdHandle = "StdOut"
	HandleStdErr StdHandle = "StdErr"
	HandleAll    StdHandle = "All"
)

func (StdHandle) values() []value {
	return from(17763, HandleStdIn, HandleStdOut, HandleStdErr, HandleAll)
}

// PathType says how to read a path of the host.
type PathType string

// The values of PathType.
const (
	AbsolutePath        PathType = "AbsolutePath"
	VirtualSMBShareName PathType = "VirtualSmbShareName"
)

func (PathType) values() []value {
	return from(17763, AbsolutePath, VirtualSMBShareName)
}

// PipePathType says how to read a pipe's path.
type PipePathType string

// The values of PipePathType.
const (
	PipePathAbsolutePath       PipePathType = "AbsolutePath"
	PipePathVirtualSMBPipeName PipePathType = "VirtualSmbPipeName"
)

func (PipePathType) values() []value {
	return from(17763, PipePathAbsolutePath, PipePathVirtualSMBPipeName)
}

// CacheMode says how a layer is cached; empty means the host's default.
type CacheMode string

// The values of CacheMode.
const (
	CacheDisabled            CacheMode = "Disabled"
	CacheEnabled             CacheMode = "Enabled"
	CachePrivate             CacheMode = "Private"
	CachePrivateAllowSharing CacheMode = "PrivateAllowSharing"
)

func (CacheMode) values() []value {
	return from(17763, CacheMode(""), CacheDisabled, CacheEnabled, CachePrivate, CachePrivateAllowSharing)
}

// RegistryHive is a hive of the registry.
type RegistryHive string

// The values of RegistryHive.
const (
	HiveSystem   RegistryHive = "System"
	HiveSoftware RegistryHive = "Software"
	HiveSecurity RegistryHive = "Security"
	HiveSAM      RegistryHive = "Sam"
)

func (RegistryHive) values() []value {
	return from(17763, HiveSystem, HiveSoftware, HiveSecurity, HiveSAM)
}

// RegistryValueType is the type of a registry value.
type RegistryValueType string

// The values of RegistryValueType.
const (
	RegistryNone           RegistryValueType = "None"
	RegistryString         RegistryValueType = "String"
	RegistryExpandedString RegistryValueType = "ExpandedString"
	RegistryMultiString    RegistryValueType = "MultiString"
	RegistryBinary         RegistryValueType = "Binary"
	RegistryDWord          RegistryValueType = "DWord"
	RegistryQWord          RegistryValueType = "QWord"
	RegistryCustomType     RegistryValueType = "CustomType"
)

func (RegistryValueType) values() []value {
	return from(
		17763, RegistryNone, RegistryString, RegistryExpandedString, RegistryMultiString, RegistryBinary,
		RegistryDWord, RegistryQWord, RegistryCustomType,
	)
}

// DeviceType says how a device is named.
type DeviceType string

// The values of DeviceType.
const (
	DeviceTypeClassGUID DeviceType = "ClassGuid"
	DeviceTypeInstance  DeviceType = "DeviceInstance"
	DeviceTypeGPUMirror DeviceType = "GpuMirror"
)

func (DeviceType) values() []value {
	return from(18362, DeviceTypeClassGUID, DeviceTypeInstance, DeviceTypeGPUMirror)
}

// CredentialGuardTransport says how a container reaches its credential guard
// instance.
type CredentialGuardTransport string

// The values of CredentialGuardTransport.
const (
	TransportLRPC     CredentialGuardTransport = "LRPC"
	TransportHvSocket CredentialGuardTransport = "HvSocket"
)

func (CredentialGuardTransport) values() []value {
	return from(17763, TransportLRPC, TransportHvSocket)
}

// CredentialGuardOperation says what to do with a credential guard instance.
type CredentialGuardOperation string

// The values of CredentialGuardOperation.
const (
	CredentialGuardOpAddInstance    CredentialGuardOperation = "AddInstance"
	CredentialGuardOpRemoveInstance CredentialGuardOperation = "RemoveInstance"
)

func (CredentialGuardOperation) values() []value {
	return from(17763, CredentialGuardOpAddInstance, CredentialGuardOpRemoveInstance)
}

// InterfaceClassType says how an interface class is named.
type InterfaceClassType string

// The values of InterfaceClassType.
const (
	InterfaceClassInherited      InterfaceClassType = "Inherit"
	InterfaceClassDeviceInstance InterfaceClassType = "DeviceInstance"
	InterfaceClassGUIDType       InterfaceClassType = "ClassGuid"
)

func (InterfaceClassType) values() []value {
	return from(20348, InterfaceClassInherited, InterfaceClassDeviceInstance, InterfaceClassGUIDType)
}

// ObjectDirectoryShadow says whether a directory shadows the host's.
type ObjectDirectoryShadow string

// The values of ObjectDirectoryShadow.
const (
	ShadowFalse    ObjectDirectoryShadow = "false"
	ShadowTrue     ObjectDirectoryShadow = "true"
	ShadowIfExists ObjectDirectoryShadow = "ifexists"
)

func (ObjectDirectoryShadow) values() []value {
	return from(20348, ShadowFalse, ShadowTrue, ShadowIfExists)
}

// ObjectSymlinkScope says where a symbolic link holds.
type ObjectSymlinkScope string

// The values of ObjectSymlinkScope.
const (
	SymlinkScopeLocal          ObjectSymlinkScope = "Local"
	SymlinkScopeGlobal         ObjectSymlinkScope = "Global"
	SymlinkScopeGlobalDropSilo ObjectSymlinkScope = "GlobalDropSilo"
)

func (ObjectSymlinkScope) values() []value {
	return from(20348, SymlinkScopeLocal, SymlinkScopeGlobal, SymlinkScopeGlobalDropSilo)
}

// UEFIBootDevice is the kind of device that UEFI boots from.
type UEFIBootDevice string

// The values of UEFIBootDevice.
const (
	BootScsiDrive UEFIBootDevice = "ScsiDrive"
	BootVmbFs     UEFIBootDevice = "VmbFs"
	BootNetwork   UEFIBootDevice = "Network"
	BootFile      UEFIBootDevice = "File"
)

func (UEFIBootDevice) values() []value {
	return from(17763, BootScsiDrive, BootVmbFs, BootNetwork, BootFile)
}

// SerialConsole is the serial port that UEFI writes to.
type SerialConsole string

// The values of SerialConsole.
const (
	SerialConsoleDefault  SerialConsole = "Default"
	SerialConsoleDisabled SerialConsole = "Disabled"
	SerialConsoleComPort1 SerialConsole = "ComPort1"
	SerialConsoleComPort2 SerialConsole = "ComPort2"
)

func (SerialConsole) values() []value {
	return from(17763, SerialConsoleDefault, SerialConsoleDisabled, SerialConsoleComPort1, SerialConsoleComPort2)
}

// ApplySecureBootTemplateType says whether the secure boot template is
// applied.
type ApplySecureBootTemplateType string

// The values of ApplySecureBootTemplateType.
const (
	SecureBootTemplateSkip  ApplySecureBootTemplateType = "Skip"
	SecureBootTemplateApply ApplySecureBootTemplateType = "Apply"
)

func (ApplySecureBootTemplateType) values() []value {
	return from(19041, SecureBootTemplateSkip, SecureBootTemplateApply)
}

// MemoryBackingPageSize is the page size behind a machine's memory.
type MemoryBackingPageSize string

// The values of MemoryBackingPageSize.
const (
	PageSmall MemoryBackingPageSize = "Small"
	PageLarge MemoryBackingPageSize = "Large"
)

func (MemoryBackingPageSize) values() []value {
	return from(18362, PageSmall, PageLarge)
}

// AttachmentType is the kind of disk of an attachment.
type AttachmentType string

// The values of AttachmentType.
const (
	AttachmentVirtualDisk AttachmentType = "VirtualDisk"
	AttachmentIso         AttachmentType = "Iso"
	AttachmentPassThru    AttachmentType = "PassThru"

	// AttachmentExtensible is in no published schema: as hcsshim's
	// internal/uvm/scsi sends it, with Attachment.ExtensibleVirtualDiskType.
	AttachmentExtensible AttachmentType = "ExtensibleVirtualDisk"
)

func (AttachmentType) values() []value {
	return from(17763, AttachmentVirtualDisk, AttachmentIso, AttachmentPassThru, AttachmentExtensible)
}

// CachingMode says how an attachment is cached.
type CachingMode string

// The values of CachingMode.
const (
	CachingUncached       CachingMode = "Uncached"
	CachingCached         CachingMode = "Cached"
	CachingReadOnlyCached CachingMode = "ReadOnlyCached"
)

func (CachingMode) values() []value {
	return from(17763, CachingUncached, CachingCached, CachingReadOnlyCached)
}

// PMemImageFormat is the format of a persistent-memory image.
type PMemImageFormat string

// The values of PMemImageFormat.
const (
	PMemVhdx PMemImageFormat = "Vhdx"
	PMemVhd1 PMemImageFormat = "Vhd1"
)

func (PMemImageFormat) values() []value {
	return from(17763, PMemVhdx, PMemVhd1)
}

// PMemBackingType is what stands behind persistent memory.
type PMemBackingType string

// The values of PMemBackingType.
const (
	PMemBackingVirtual  PMemBackingType = "Virtual"
	PMemBackingPhysical PMemBackingType = "Physical"
)

func (PMemBackingType) values() []value {
	return from(17763, PMemBackingVirtual, PMemBackingPhysical)
}

// StateOverride switches a feature on or off.
type StateOverride string

// The values of StateOverride.
const (
	OverrideDefault  StateOverride = "Default"
	OverrideDisabled StateOverride = "Disabled"
	OverrideEnabled  StateOverride = "Enabled"
)

func (StateOverride) values() []value {
	return from(20348, OverrideDefault, OverrideDisabled, OverrideEnabled)
}

// SubnodeType is the kind of a subnode.
type SubnodeType string

// The values of SubnodeType.
const (
	SubnodeAny     SubnodeType = "Any"
	SubnodeSocket  SubnodeType = "Socket"
	SubnodeCluster SubnodeType = "Cluster"
	SubnodeL3      SubnodeType = "L3"
)

func (SubnodeType) values() []value {
	return from(20348, SubnodeAny, SubnodeSocket, SubnodeCluster, SubnodeL3)
}

// ShutdownMechanism says who asks the guest to shut down.
type ShutdownMechanism string

// The values of ShutdownMechanism.
const (
	ShutdownByGuestConnection    ShutdownMechanism = "GuestConnection"
	ShutdownByIntegrationService ShutdownMechanism = "IntegrationService"
)

func (ShutdownMechanism) values() []value {
	return from(20348, ShutdownByGuestConnection, ShutdownByIntegrationService)
}

// ShutdownType says what the guest is asked to do.
type ShutdownType string

// The values of ShutdownType.
const (
	ShutdownTypeShutdown  ShutdownType = "Shutdown"
	ShutdownTypeHibernate ShutdownType = "Hibernate"
	ShutdownTypeReboot    ShutdownType = "Reboot"
)

func (ShutdownType) values() []value {
	return from(20348, ShutdownTypeShutdown, ShutdownTypeHibernate, ShutdownTypeReboot)
}

// InterruptModerationMode says how a network adapter's interrupts are delayed.
type InterruptModerationMode string

// The values of InterruptModerationMode.
const (
	InterruptsDefault  InterruptModerationMode = "Default"
	InterruptsAdaptive InterruptModerationMode = "Adaptive"
	InterruptsOff      InterruptModerationMode = "Off"
	InterruptsLow      InterruptModerationMode = "Low"
	InterruptsMedium   InterruptModerationMode = "Medium"
	InterruptsHigh     InterruptModerationMode = "High"
)

func (InterruptModerationMode) values() []value {
	return from(20348, InterruptsDefault, InterruptsAdaptive, InterruptsOff, InterruptsLow, InterruptsMedium, InterruptsHigh)
}
