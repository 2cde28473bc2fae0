package schema

// Devices are the machine's devices. The published type has more that a
// utility VM has no use for.
type Devices struct {
	ComPorts            map[string]ComPort          `json:"ComPorts,omitempty" since:"17763"`
	SCSI                map[string]SCSI             `json:"Scsi,omitempty" since:"17763"`
	VirtualPMem         *VirtualPMemController      `json:"VirtualPMem,omitempty" since:"17763"`
	NetworkAdapters     map[string]NetworkAdapter   `json:"NetworkAdapters,omitempty" since:"17763"`
	HvSocket            *VirtualMachineHvSocket     `json:"HvSocket,omitempty" since:"17763"`
	GuestCrashReporting *GuestCrashReporting        `json:"GuestCrashReporting,omitempty" since:"17763"`
	VirtualSMB          *VirtualSMB                 `json:"VirtualSmb,omitempty" since:"17763"`
	Plan9               *Plan9                      `json:"Plan9,omitempty" since:"17763"`
	VirtualPCI          map[string]VirtualPCIDevice `json:"VirtualPci,omitempty" since:"19041"`
}

// ComPort connects a serial port to a named pipe.
type ComPort struct {
	NamedPipe           string `json:"NamedPipe,omitempty" since:"17763"`
	OptimizeForDebugger bool   `json:"OptimizeForDebugger,omitempty" since:"17763"`
}

// SCSI is a SCSI controller; the key of an attachment is its LUN.
type SCSI struct {
	Attachments              map[string]Attachment `json:"Attachments,omitempty" since:"17763"`
	DisableInterruptBatching bool                  `json:"DisableInterruptBatching,omitempty" since:"20348"`
}

// Attachment is a disk on a SCSI controller.
type Attachment struct {
	Type                      AttachmentType `json:"Type,omitempty" since:"17763"`
	Path                      string         `json:"Path,omitempty" since:"17763"`
	CachingMode               CachingMode    `json:"CachingMode,omitempty" since:"17763"`
	ReadOnly                  bool           `json:"ReadOnly,omitempty" since:"17763"`
	SupportCompressedVolumes  bool           `json:"SupportCompressedVolumes,omitempty" since:"19041"`
	AlwaysAllowSparseFiles    bool           `json:"AlwaysAllowSparseFiles,omitempty" since:"22000"`
	SupportEncryptedFiles     bool           `json:"SupportEncryptedFiles,omitempty" since:"22000"`
	ExtensibleVirtualDiskType string         `json:"ExtensibleVirtualDiskType,omitempty" since:"17763" source:"runhcs: internal/uvm/scsi: extensible virtual disks"`
}

// VirtualPMemController holds persistent-memory devices, keyed by number.
type VirtualPMemController struct {
	Devices          map[string]VirtualPMemDevice `json:"Devices,omitempty" since:"17763"`
	MaximumCount     uint8                        `json:"MaximumCount,omitempty" since:"17763"`
	MaximumSizeBytes uint64                       `json:"MaximumSizeBytes,omitempty" since:"17763"`
	Backing          PMemBackingType              `json:"Backing,omitempty" since:"17763"`
}

// VirtualPMemDevice is a disk image shown as persistent memory.
type VirtualPMemDevice struct {
	HostPath    string                        `json:"HostPath,omitempty" since:"17763"`
	ReadOnly    bool                          `json:"ReadOnly,omitempty" since:"17763"`
	ImageFormat PMemImageFormat               `json:"ImageFormat,omitempty" since:"17763"`
	SizeBytes   uint64                        `json:"SizeBytes,omitempty" since:"18362"`
	Mappings    map[string]VirtualPMemMapping `json:"Mappings,omitempty" since:"18362"`
}

// VirtualPMemMapping is one image of a packed device, keyed by its offset.
type VirtualPMemMapping struct {
	HostPath    string          `json:"HostPath,omitempty" since:"18362"`
	ImageFormat PMemImageFormat `json:"ImageFormat,omitempty" since:"18362"`
}

// NetworkAdapter connects an HCN endpoint.
type NetworkAdapter struct {
	EndpointID               string        `json:"EndpointId,omitempty" since:"17763"`
	MACAddress               string        `json:"MacAddress,omitempty" since:"17763"`
	InstanceID               string        `json:"InstanceId,omitempty" since:"20348"`
	DisableInterruptBatching bool          `json:"DisableInterruptBatching,omitempty" since:"20348"`
	IOVSettings              *IOVSettings  `json:"IovSettings,omitempty" since:"20348"`
	ConnectionState          StateOverride `json:"ConnectionState,omitempty" since:"20348"`
}

// IOVSettings tunes SR-IOV.
type IOVSettings struct {
	OffloadWeight       *uint32                 `json:"OffloadWeight,omitempty" since:"20348"`
	QueuePairsRequested *uint32                 `json:"QueuePairsRequested,omitempty" since:"20348"`
	InterruptModeration InterruptModerationMode `json:"InterruptModeration,omitempty" since:"20348"`
}

// VirtualMachineHvSocket configures hvsockets of a machine.
type VirtualMachineHvSocket struct {
	HvSocketConfig *HvSocketSystemConfig `json:"HvSocketConfig,omitempty" since:"17763"`
}

// GuestCrashReporting says what to keep of a guest crash.
type GuestCrashReporting struct {
	WindowsCrashSettings *WindowsCrashReporting `json:"WindowsCrashSettings,omitempty" since:"17763"`
}

// WindowsCrashReporting says where a Windows guest's dump goes.
type WindowsCrashReporting struct {
	DumpFileName string        `json:"DumpFileName,omitempty" since:"17763"`
	MaxDumpSize  int64         `json:"MaxDumpSize,omitempty" since:"17763"`
	DumpType     CrashDumpType `json:"DumpType,omitempty" since:"17763" source:"runhcs: internal/uvm/create_wcow.go"`
}

// VirtualSMB is the machine's SMB server over VMBus.
type VirtualSMB struct {
	Shares                []VirtualSMBShare `json:"Shares,omitempty" since:"17763"`
	DirectFileMappingInMB int64             `json:"DirectFileMappingInMB,omitempty" since:"17763"`
}

// VirtualSMBShare is a host directory shared with the guest.
type VirtualSMBShare struct {
	Name         string                  `json:"Name,omitempty" since:"17763"`
	Path         string                  `json:"Path,omitempty" since:"17763"`
	AllowedFiles []string                `json:"AllowedFiles,omitempty" since:"17763"`
	Options      *VirtualSMBShareOptions `json:"Options,omitempty" since:"17763"`
}

// VirtualSMBShareOptions are the flags of a share.
type VirtualSMBShareOptions struct {
	ReadOnly                   bool `json:"ReadOnly,omitempty" since:"17763"`
	ShareRead                  bool `json:"ShareRead,omitempty" since:"17763"`
	CacheIO                    bool `json:"CacheIo,omitempty" since:"17763"`
	NoOplocks                  bool `json:"NoOplocks,omitempty" since:"17763"`
	TakeBackupPrivilege        bool `json:"TakeBackupPrivilege,omitempty" since:"17763"`
	UseShareRootIdentity       bool `json:"UseShareRootIdentity,omitempty" since:"17763"`
	NoDirectmap                bool `json:"NoDirectmap,omitempty" since:"17763"`
	NoLocks                    bool `json:"NoLocks,omitempty" since:"17763"`
	NoDirnotify                bool `json:"NoDirnotify,omitempty" since:"17763"`
	VmSharedMemory             bool `json:"VmSharedMemory,omitempty" since:"17763"`
	RestrictFileAccess         bool `json:"RestrictFileAccess,omitempty" since:"17763"`
	ForceLevelIIOplocks        bool `json:"ForceLevelIIOplocks,omitempty" since:"17763"`
	ReparseBaseLayer           bool `json:"ReparseBaseLayer,omitempty" since:"17763"`
	PseudoOplocks              bool `json:"PseudoOplocks,omitempty" since:"17763"`
	NonCacheIo                 bool `json:"NonCacheIo,omitempty" since:"17763"`
	PseudoDirnotify            bool `json:"PseudoDirnotify,omitempty" since:"17763"`
	SingleFileMapping          bool `json:"SingleFileMapping,omitempty" since:"17763"`
	SupportCloudFiles          bool `json:"SupportCloudFiles,omitempty" since:"19041"`
	FilterEncryptionAttributes bool `json:"FilterEncryptionAttributes,omitempty" since:"20348"`
}

// Plan9 is the machine's 9P server over hvsocket.
type Plan9 struct {
	Shares []Plan9Share `json:"Shares,omitempty" since:"17763"`
}

// Plan9Share is a host directory shared with a Linux guest.
type Plan9Share struct {
	Name         string          `json:"Name,omitempty" since:"17763"`
	AccessName   string          `json:"AccessName,omitempty" since:"17763"`
	Path         string          `json:"Path,omitempty" since:"17763"`
	Port         uint32          `json:"Port,omitempty" since:"17763"`
	AllowedFiles []string        `json:"AllowedFiles,omitempty" since:"18362"`
	Flags        Plan9ShareFlags `json:"Flags,omitempty" since:"17763" source:"runhcs: internal/uvm/plan9.go"`
}

// VirtualPCIDevice is a host device assigned to the machine.
type VirtualPCIDevice struct {
	Functions             []VirtualPCIFunction `json:"Functions,omitempty" since:"19041"`
	PropagateNUMAAffinity *bool                `json:"PropagateNumaAffinity,omitempty" since:"26100" source:"runhcs: internal/uvm/virtual_device.go: from Server 2025"`
}

// VirtualPCIFunction is one function of an assigned device.
type VirtualPCIFunction struct {
	DeviceInstancePath       string `json:"DeviceInstancePath,omitempty" since:"19041"`
	VirtualFunction          uint16 `json:"VirtualFunction" since:"19041"`
	AllowDirectTranslatedP2P bool   `json:"AllowDirectTranslatedP2P,omitempty" since:"20348"`
}
