package schema

import "encoding/json"

// VirtualMachine is the part of a document that describes a virtual machine.
type VirtualMachine struct {
	StopOnReset         bool              `json:"StopOnReset,omitempty" since:"17763"`
	Chipset             *Chipset          `json:"Chipset,omitempty" since:"17763"`
	ComputeTopology     *Topology         `json:"ComputeTopology,omitempty" since:"17763"`
	Devices             *Devices          `json:"Devices,omitempty" since:"17763"`
	GuestState          *GuestState       `json:"GuestState,omitempty" since:"17763"`
	RegistryChanges     *RegistryChanges  `json:"RegistryChanges,omitempty" since:"17763"`
	StorageQoS          *StorageQoS       `json:"StorageQoS,omitempty" since:"17763"`
	GuestConnection     *GuestConnection  `json:"GuestConnection,omitempty" since:"17763"`
	Version             *Version          `json:"Version,omitempty" since:"20348"`
	DebugOptions        *DebugOptions     `json:"DebugOptions,omitempty" since:"17763" source:"runhcs: internal/uvm/create_wcow.go"`
	SecuritySettings    *SecuritySettings `json:"SecuritySettings,omitempty" since:"20348" source:"runhcs: internal/uvm/create_lcow.go: with schema 2.5"`
	ResourcePartitionID string            `json:"ResourcePartitionId,omitempty" since:"20348" source:"runhcs: internal/uvm/create_wcow.go"`
}

// MarshalJSON keeps the types of machines apart from those of containers:
// encoding/json builds a table for every type that a document could hold and
// keeps it for good, which the shim of a container on the host has no use for.
func (v *VirtualMachine) MarshalJSON() ([]byte, error) {
	type document VirtualMachine
	return json.Marshal((*document)(v))
}

// Chipset says how the machine boots.
type Chipset struct {
	UEFI                  *UEFI              `json:"Uefi,omitempty" since:"17763"`
	IsNumLockDisabled     bool               `json:"IsNumLockDisabled,omitempty" since:"17763"`
	BaseBoardSerialNumber string             `json:"BaseBoardSerialNumber,omitempty" since:"17763"`
	ChassisSerialNumber   string             `json:"ChassisSerialNumber,omitempty" since:"17763"`
	ChassisAssetTag       string             `json:"ChassisAssetTag,omitempty" since:"17763"`
	UseUTC                bool               `json:"UseUtc,omitempty" since:"17763"`
	LinuxKernelDirect     *LinuxKernelDirect `json:"LinuxKernelDirect,omitempty" since:"18362"`
	EnableHibernation     bool               `json:"EnableHibernation,omitempty" since:"20348"`
	FirmwareFile          *FirmwareFile      `json:"FirmwareFile,omitempty" since:"20348" source:"runhcs: internal/uvm/create_wcow.go: confidential only"`
}

// UEFI boots the machine through UEFI.
type UEFI struct {
	EnableDebugger          bool                        `json:"EnableDebugger,omitempty" since:"17763"`
	SecureBootTemplateID    string                      `json:"SecureBootTemplateId,omitempty" since:"17763"`
	BootThis                *UEFIBootEntry              `json:"BootThis,omitempty" since:"17763"`
	Console                 SerialConsole               `json:"Console,omitempty" since:"17763"`
	StopOnBootFailure       bool                        `json:"StopOnBootFailure,omitempty" since:"18362"`
	ApplySecureBootTemplate ApplySecureBootTemplateType `json:"ApplySecureBootTemplate,omitempty" since:"19041"`
}

// UEFIBootEntry is what UEFI boots. DiskNumber is a pointer because disk 0 is
// a disk.
type UEFIBootEntry struct {
	DeviceType    UEFIBootDevice `json:"DeviceType,omitempty" since:"17763"`
	DevicePath    string         `json:"DevicePath,omitempty" since:"17763"`
	DiskNumber    *uint16        `json:"DiskNumber,omitempty" since:"17763"`
	OptionalData  string         `json:"OptionalData,omitempty" since:"17763"`
	VmbFsRootPath string         `json:"VmbFsRootPath,omitempty" since:"17763"`
}

// LinuxKernelDirect boots a Linux kernel without firmware.
type LinuxKernelDirect struct {
	KernelFilePath string `json:"KernelFilePath,omitempty" since:"18362"`
	InitRdPath     string `json:"InitRdPath,omitempty" since:"18362"`
	KernelCmdLine  string `json:"KernelCmdLine,omitempty" since:"18362"`
}

// Topology is the machine's memory and processors.
type Topology struct {
	Memory    *VirtualMachineMemory    `json:"Memory,omitempty" since:"17763"`
	Processor *VirtualMachineProcessor `json:"Processor,omitempty" since:"17763"`
	NUMA      *NUMA                    `json:"Numa,omitempty" since:"26100" source:"runhcs: internal/uvm/create_lcow.go: from Server 2025"`
}

// VirtualMachineMemory is the machine's memory.
type VirtualMachineMemory struct {
	SizeInMB                       uint64                `json:"SizeInMB,omitempty" since:"17763"`
	AllowOvercommit                bool                  `json:"AllowOvercommit,omitempty" since:"17763"`
	EnableHotHint                  bool                  `json:"EnableHotHint,omitempty" since:"17763"`
	EnableColdHint                 bool                  `json:"EnableColdHint,omitempty" since:"17763"`
	EnableDeferredCommit           bool                  `json:"EnableDeferredCommit,omitempty" since:"17763"`
	BackingPageSize                MemoryBackingPageSize `json:"BackingPageSize,omitempty" since:"18362"`
	PinBackingPages                bool                  `json:"PinBackingPages,omitempty" since:"18362"`
	ForbidSmallBackingPages        bool                  `json:"ForbidSmallBackingPages,omitempty" since:"18362"`
	EnableColdDiscardHint          bool                  `json:"EnableColdDiscardHint,omitempty" since:"18362"`
	FaultClusterSizeShift          uint32                `json:"FaultClusterSizeShift,omitempty" since:"19041"`
	DirectMapFaultClusterSizeShift uint32                `json:"DirectMapFaultClusterSizeShift,omitempty" since:"19041"`
	LowMMIOGapInMB                 uint64                `json:"LowMmioGapInMB,omitempty" since:"19041"`
	HighMMIOBaseInMB               uint64                `json:"HighMmioBaseInMB,omitempty" since:"19041"`
	HighMMIOGapInMB                uint64                `json:"HighMmioGapInMB,omitempty" since:"19041"`
	Backing                        MemoryBackingType     `json:"Backing,omitempty" since:"26100" source:"runhcs: internal/uvm/create_lcow.go: with NUMA"`
	SlitType                       VirtualSLITType       `json:"SlitType,omitempty" since:"26100" source:"runhcs: internal/uvm/create_lcow.go: with NUMA"`
}

// VirtualMachineProcessor is the machine's processors. Limit is in hundred-
// thousandths, Weight from 1 to 10 000.
type VirtualMachineProcessor struct {
	Count                          uint32          `json:"Count,omitempty" since:"17763"`
	Limit                          uint64          `json:"Limit,omitempty" since:"17763"`
	Weight                         uint64          `json:"Weight,omitempty" since:"17763"`
	ExposeVirtualizationExtensions bool            `json:"ExposeVirtualizationExtensions,omitempty" since:"17763"`
	EnablePerfmonPmu               bool            `json:"EnablePerfmonPmu,omitempty" since:"18362"`
	EnablePerfmonPebs              bool            `json:"EnablePerfmonPebs,omitempty" since:"18362"`
	EnablePerfmonLbr               bool            `json:"EnablePerfmonLbr,omitempty" since:"18362"`
	EnablePerfmonIpt               bool            `json:"EnablePerfmonIpt,omitempty" since:"18362"`
	Reservation                    uint64          `json:"Reservation,omitempty" since:"20348"`
	MaximumFrequencyMHz            uint32          `json:"MaximumFrequencyMHz,omitempty" since:"20348"`
	EnablePerfmonArchPmu           bool            `json:"EnablePerfmonArchPmu,omitempty" since:"20348"`
	CPUGroup                       *CPUGroup       `json:"CpuGroup,omitempty" since:"20348"`
	NUMAProcessorsSettings         *NUMAProcessors `json:"NumaProcessorsSettings,omitempty" since:"26100" source:"runhcs: internal/uvm/create_lcow.go: with NUMA"`
}

// CPUGroup names a CPU group of the host.
type CPUGroup struct {
	ID string `json:"Id,omitempty" since:"17763"`
}

// ProcessorLimits is what a running machine's processors can be changed to.
type ProcessorLimits struct {
	Limit               uint64 `json:"Limit,omitempty" since:"20348"`
	Weight              uint64 `json:"Weight,omitempty" since:"20348"`
	Reservation         uint64 `json:"Reservation,omitempty" since:"20348"`
	MaximumFrequencyMHz uint32 `json:"MaximumFrequencyMHz,omitempty" since:"20348"`
}

// GuestState names the files that hold the machine's state.
type GuestState struct {
	GuestStateFilePath   string             `json:"GuestStateFilePath,omitempty" since:"17763"`
	RuntimeStateFilePath string             `json:"RuntimeStateFilePath,omitempty" since:"17763"`
	ForceTransientState  bool               `json:"ForceTransientState,omitempty" since:"17763"`
	GuestStateFileType   GuestStateFileType `json:"GuestStateFileType,omitempty" since:"20348" source:"runhcs: internal/uvm/create_lcow.go: with schema 2.5"`
}

// GuestConnection makes the service itself talk to the guest. isol never sets
// it: the bridge is its own.
type GuestConnection struct {
	UseVsock            bool `json:"UseVsock,omitempty" since:"17763"`
	UseConnectedSuspend bool `json:"UseConnectedSuspend,omitempty" since:"17763"`
	UseHostTimeZone     bool `json:"UseHostTimeZone,omitempty" since:"20348"`
}
