package schema

// The types below are in none of the published schemas. Production sends them:
// each comment names where. Microsoft's reference describes some of them at
// https://learn.microsoft.com/virtualization/api/hcs/schemareference.

// DebugOptions names the files that a machine's state is saved to when its
// guest dies (runhcs: internal/uvm/create_wcow.go).
type DebugOptions struct {
	BugcheckSavedStateFileName            string `json:"BugcheckSavedStateFileName,omitempty" since:"17763"`
	BugcheckNoCrashdumpSavedStateFileName string `json:"BugcheckNoCrashdumpSavedStateFileName,omitempty" since:"17763"`
	TripleFaultSavedStateFileName         string `json:"TripleFaultSavedStateFileName,omitempty" since:"17763"`
	FirmwareDumpFileName                  string `json:"FirmwareDumpFileName,omitempty" since:"17763"`
}

// SecuritySettings are the machine's TPM and its isolation from the host (runhcs: internal/uvm/create_lcow.go, with schema 2.5).
type SecuritySettings struct {
	EnableTPM bool               `json:"EnableTpm,omitempty" since:"20348"`
	Isolation *IsolationSettings `json:"Isolation,omitempty" since:"20348"`
}

// IsolationSettings say how the machine is isolated from the host. HclEnabled
// is a pointer because false and not said differ.
type IsolationSettings struct {
	IsolationType GuestIsolation `json:"IsolationType,omitempty" since:"20348"`
	DebugHost     string         `json:"DebugHost,omitempty" since:"20348"`
	DebugPort     int64          `json:"DebugPort,omitempty" since:"20348"`
	LaunchData    string         `json:"LaunchData,omitempty" since:"20348"`
	HCLEnabled    *bool          `json:"HclEnabled,omitempty" since:"20348"`
}

// FirmwareFile is an IGVM file that the machine boots from (runhcs: internal/uvm/create_wcow.go, for confidential machines).
type FirmwareFile struct {
	Parameters []byte `json:"Parameters,omitempty" since:"20348"`
}

// NUMA is a machine's virtual NUMA topology (runhcs: internal/uvm/create_lcow.go, from Server 2025 on).
type NUMA struct {
	VirtualNodeCount       uint8         `json:"VirtualNodeCount,omitempty" since:"26100"`
	PreferredPhysicalNodes []int64       `json:"PreferredPhysicalNodes,omitempty" since:"26100"`
	Settings               []NUMASetting `json:"Settings,omitempty" since:"26100"`
	MaxSizePerNode         uint64        `json:"MaxSizePerNode,omitempty" since:"26100"`
}

// NUMASetting is one virtual node. Its numbers are always written: node 0 on
// node 0 is what most machines have.
type NUMASetting struct {
	VirtualNodeNumber   uint32            `json:"VirtualNodeNumber" since:"26100"`
	PhysicalNodeNumber  uint32            `json:"PhysicalNodeNumber" since:"26100"`
	VirtualSocketNumber uint32            `json:"VirtualSocketNumber" since:"26100"`
	CountOfProcessors   uint32            `json:"CountOfProcessors" since:"26100"`
	CountOfMemoryBlocks uint64            `json:"CountOfMemoryBlocks" since:"26100"`
	MemoryBackingType   MemoryBackingType `json:"MemoryBackingType,omitempty" since:"26100"`
}

// NUMAProcessors spreads processors over virtual nodes.
type NUMAProcessors struct {
	CountPerNode  Range  `json:"count_per_node,omitzero" since:"26100"`
	NodePerSocket uint32 `json:"node_per_socket,omitempty" since:"26100"`
}

// Range is an upper bound.
type Range struct {
	Max uint32 `json:"max,omitempty" since:"26100"`
}

// Plan9ShareFlags are the bits of a 9P share (runhcs: internal/uvm/plan9.go).
type Plan9ShareFlags uint32

// The bits of Plan9ShareFlags.
const (
	Plan9ReadOnly             Plan9ShareFlags = 0x001
	Plan9LinuxMetadata        Plan9ShareFlags = 0x004
	Plan9CaseSensitive        Plan9ShareFlags = 0x008
	Plan9UseShareRootIdentity Plan9ShareFlags = 0x010
	Plan9RestrictFileAccess   Plan9ShareFlags = 0x080
	Plan9UnlimitedConnections Plan9ShareFlags = 0x100
)

// ContainerIsolation is the kind of a container in a virtual machine (runhcs: internal/hcsoci/hcsdoc_wcow.go).
type ContainerIsolation string

// ContainerHostProcess is the one value of ContainerIsolation.
const ContainerHostProcess ContainerIsolation = "HostProcess"

func (ContainerIsolation) values() []value { return from(17763, ContainerHostProcess) }

// CrashDumpType says how much of a Windows guest is dumped (runhcs: internal/uvm/create_wcow.go).
type CrashDumpType string

// CrashDumpFull is the one value that production sends.
const CrashDumpFull CrashDumpType = "Full"

func (CrashDumpType) values() []value { return from(17763, CrashDumpFull) }

// GuestStateFileType says what the guest state file is (runhcs: internal/uvm/create_lcow.go and create_wcow.go).
type GuestStateFileType string

// The values of GuestStateFileType.
const (
	GuestStateFileMode     GuestStateFileType = "FileMode"
	GuestStateBlockStorage GuestStateFileType = "BlockStorage"
)

func (GuestStateFileType) values() []value {
	return from(20348, GuestStateFileMode, GuestStateBlockStorage)
}

// GuestIsolation is the technique that isolates a machine from its host (runhcs: internal/uvm).
type GuestIsolation string

// The values of GuestIsolation.
const (
	GuestIsolationSNP        GuestIsolation = "SecureNestedPaging"
	GuestIsolationVSM        GuestIsolation = "VirtualizationBasedSecurity"
	GuestIsolationGuestState GuestIsolation = "GuestStateOnly"
)

func (GuestIsolation) values() []value {
	return from(20348, GuestIsolationSNP, GuestIsolationVSM, GuestIsolationGuestState)
}

// MemoryBackingType is what stands behind a machine's memory (runhcs: internal/uvm/create_lcow.go, with a NUMA topology).
type MemoryBackingType string

// The values of MemoryBackingType.
const (
	MemoryPhysical MemoryBackingType = "Physical"
	MemoryVirtual  MemoryBackingType = "Virtual"
	MemoryHybrid   MemoryBackingType = "Hybrid"
)

func (MemoryBackingType) values() []value {
	return from(26100, MemoryPhysical, MemoryVirtual, MemoryHybrid)
}

// VirtualSLITType says where the guest's table of NUMA distances comes from (runhcs: internal/uvm/create_lcow.go, with a NUMA topology).
type VirtualSLITType string

// The values of VirtualSLITType.
const (
	SLITNone                     VirtualSLITType = "None"
	SLITFirmware                 VirtualSLITType = "Firmware"
	SLITMeasured                 VirtualSLITType = "Measured"
	SLITFirmwareFallbackMeasured VirtualSLITType = "FirmwareFallbackMeasured"
)

func (VirtualSLITType) values() []value {
	return from(26100, SLITNone, SLITFirmware, SLITMeasured, SLITFirmwareFallbackMeasured)
}
