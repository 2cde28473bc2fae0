package schema

import (
	"encoding/json"
	"time"
)

// PropertyQuery asks for properties of a system. The zero query asks for the
// basic ones.
type PropertyQuery struct {
	PropertyTypes []PropertyType `json:"PropertyTypes,omitempty" since:"17763"`
	Queries       map[string]any `json:"Queries,omitempty" since:"20348"`
}

// Properties are what a system answers to a query; what was not asked for is
// absent.
type Properties struct {
	ID                          string                      `json:"Id,omitempty" since:"17763"`
	SystemType                  SystemType                  `json:"SystemType,omitempty" since:"17763"`
	RuntimeOSType               OSType                      `json:"RuntimeOsType,omitempty" since:"17763"`
	Name                        string                      `json:"Name,omitempty" since:"17763"`
	Owner                       string                      `json:"Owner,omitempty" since:"17763"`
	RuntimeID                   string                      `json:"RuntimeId,omitempty" since:"17763"`
	RuntimeTemplateID           string                      `json:"RuntimeTemplateId,omitempty" since:"17763"`
	State                       State                       `json:"State,omitempty" since:"17763"`
	Stopped                     bool                        `json:"Stopped,omitempty" since:"17763"`
	ExitType                    ExitType                    `json:"ExitType,omitempty" since:"17763"`
	Memory                      *MemoryInformationForVM     `json:"Memory,omitempty" since:"17763"`
	Statistics                  *Statistics                 `json:"Statistics,omitempty" since:"17763"`
	ProcessList                 []ProcessDetails            `json:"ProcessList,omitempty" since:"17763"`
	TerminateOnLastHandleClosed bool                        `json:"TerminateOnLastHandleClosed,omitempty" since:"17763"`
	HostingSystemID             string                      `json:"HostingSystemId,omitempty" since:"17763"`
	GuestConnectionInfo         *GuestConnectionInfo        `json:"GuestConnectionInfo,omitempty" since:"17763"`
	PropertyResponses           map[string]PropertyResponse `json:"PropertyResponses,omitempty" since:"20348"`
	SystemGUID                  string                      `json:"SystemGUID,omitempty" since:"17763" source:"runhcs: internal/hcsoci/create.go: guests answer it"`
}

// Statistics are a container's counters.
type Statistics struct {
	Timestamp          time.Time       `json:"Timestamp,omitzero" since:"17763"`
	ContainerStartTime time.Time       `json:"ContainerStartTime,omitzero" since:"17763"`
	Uptime100ns        uint64          `json:"Uptime100ns,omitempty" since:"17763"`
	Processor          *ProcessorStats `json:"Processor,omitempty" since:"17763"`
	Memory             *MemoryStats    `json:"Memory,omitempty" since:"17763"`
	Storage            *StorageStats   `json:"Storage,omitempty" since:"17763"`
}

// ProcessorStats is processor time in units of 100 ns.
type ProcessorStats struct {
	TotalRuntime100ns  uint64 `json:"TotalRuntime100ns,omitempty" since:"17763"`
	RuntimeUser100ns   uint64 `json:"RuntimeUser100ns,omitempty" since:"17763"`
	RuntimeKernel100ns uint64 `json:"RuntimeKernel100ns,omitempty" since:"17763"`
}

// MemoryStats is memory in bytes.
type MemoryStats struct {
	MemoryUsageCommitBytes            uint64 `json:"MemoryUsageCommitBytes,omitempty" since:"17763"`
	MemoryUsageCommitPeakBytes        uint64 `json:"MemoryUsageCommitPeakBytes,omitempty" since:"17763"`
	MemoryUsagePrivateWorkingSetBytes uint64 `json:"MemoryUsagePrivateWorkingSetBytes,omitempty" since:"17763"`
}

// StorageStats is storage traffic; counts are normalised to 8 KiB.
type StorageStats struct {
	ReadCountNormalized  uint64 `json:"ReadCountNormalized,omitempty" since:"17763"`
	ReadSizeBytes        uint64 `json:"ReadSizeBytes,omitempty" since:"17763"`
	WriteCountNormalized uint64 `json:"WriteCountNormalized,omitempty" since:"17763"`
	WriteSizeBytes       uint64 `json:"WriteSizeBytes,omitempty" since:"17763"`
}

// ProcessDetails describes one process of a container.
type ProcessDetails struct {
	ProcessID                    uint32    `json:"ProcessId,omitempty" since:"17763"`
	ImageName                    string    `json:"ImageName,omitempty" since:"17763"`
	CreateTimestamp              time.Time `json:"CreateTimestamp,omitzero" since:"17763"`
	UserTime100ns                uint64    `json:"UserTime100ns,omitempty" since:"17763"`
	KernelTime100ns              uint64    `json:"KernelTime100ns,omitempty" since:"17763"`
	MemoryCommitBytes            uint64    `json:"MemoryCommitBytes,omitempty" since:"17763"`
	MemoryWorkingSetPrivateBytes uint64    `json:"MemoryWorkingSetPrivateBytes,omitempty" since:"17763"`
	MemoryWorkingSetSharedBytes  uint64    `json:"MemoryWorkingSetSharedBytes,omitempty" since:"17763"`
}

// MemoryInformationForVM is a machine's memory as the host sees it.
type MemoryInformationForVM struct {
	VirtualNodeCount     uint8             `json:"VirtualNodeCount,omitempty" since:"17763"`
	VirtualMachineMemory *VMMemory         `json:"VirtualMachineMemory,omitempty" since:"17763"`
	VirtualNodes         []VirtualNodeInfo `json:"VirtualNodes,omitempty" since:"17763"`
}

// VMMemory is a machine's memory as assigned and demanded. The buffer and
// available values are percentages or MB as the host reports them.
type VMMemory struct {
	AvailableMemory       int32  `json:"AvailableMemory,omitempty" since:"17763"`
	AvailableMemoryBuffer int32  `json:"AvailableMemoryBuffer,omitempty" since:"17763"`
	ReservedMemory        uint64 `json:"ReservedMemory,omitempty" since:"17763"`
	AssignedMemory        uint64 `json:"AssignedMemory,omitempty" since:"17763"`
	SlpActive             bool   `json:"SlpActive,omitempty" since:"17763"`
	BalancingEnabled      bool   `json:"BalancingEnabled,omitempty" since:"17763"`
	DmOperationInProgress bool   `json:"DmOperationInProgress,omitempty" since:"17763"`
}

// VirtualNodeInfo is the memory of one virtual NUMA node.
type VirtualNodeInfo struct {
	VirtualNodeIndex      uint8  `json:"VirtualNodeIndex" since:"17763"`
	PhysicalNodeNumber    uint8  `json:"PhysicalNodeNumber" since:"17763"`
	VirtualProcessorCount uint32 `json:"VirtualProcessorCount,omitempty" since:"17763"`
	MemoryUsageInPages    uint64 `json:"MemoryUsageInPages,omitempty" since:"17763"`
}

// GuestConnectionInfo is what the guest agent negotiated.
type GuestConnectionInfo struct {
	SupportedSchemaVersions  []Version       `json:"SupportedSchemaVersions,omitempty" since:"17763"`
	ProtocolVersion          uint32          `json:"ProtocolVersion,omitempty" since:"17763"`
	GuestDefinedCapabilities json.RawMessage `json:"GuestDefinedCapabilities,omitempty" since:"17763"`
}

// PropertyResponse is the answer to one query, or its error.
type PropertyResponse struct {
	Error    *ResultError    `json:"Error,omitempty" since:"20348"`
	Response json.RawMessage `json:"Response,omitempty" since:"20348"`
}

// SystemQuery selects systems. A list left empty selects all.
type SystemQuery struct {
	IDs    []string     `json:"Ids,omitempty" since:"17763"`
	Names  []string     `json:"Names,omitempty" since:"17763"`
	Types  []SystemType `json:"Types,omitempty" since:"17763"`
	Owners []string     `json:"Owners,omitempty" since:"17763"`
}

// SystemSummary is one system of HcsEnumerateComputeSystems' answer.
type SystemSummary struct {
	ID                string     `json:"Id,omitempty" since:"17763"`
	SystemType        SystemType `json:"SystemType,omitempty" since:"17763"`
	RuntimeOSType     OSType     `json:"RuntimeOsType,omitempty" since:"17763"`
	Name              string     `json:"Name,omitempty" since:"17763"`
	Owner             string     `json:"Owner,omitempty" since:"17763"`
	RuntimeID         string     `json:"RuntimeId,omitempty" since:"17763"`
	RuntimeTemplateID string     `json:"RuntimeTemplateId,omitempty" since:"17763"`
	State             State      `json:"State,omitempty" since:"17763"`
	HostingSystemID   string     `json:"HostingSystemId,omitempty" since:"17763"`
	IsDummy           bool       `json:"IsDummy,omitempty" since:"20348"`
	ObRoot            string     `json:"ObRoot,omitempty" since:"20348"`
}

// ResultError is the result document of a failed operation.
type ResultError struct {
	Error        int32             `json:"Error" since:"17763"`
	ErrorMessage string            `json:"ErrorMessage,omitempty" since:"17763"`
	ErrorEvents  []ErrorEvent      `json:"ErrorEvents,omitempty" since:"17763"`
	Attribution  []json.RawMessage `json:"Attribution,omitempty" since:"20348"`
}

// ErrorEvent is one event that the service recorded about a failure.
type ErrorEvent struct {
	Message    string            `json:"Message,omitempty" since:"17763"`
	StackTrace string            `json:"StackTrace,omitempty" since:"17763"`
	Provider   string            `json:"Provider,omitempty" since:"17763"`
	EventID    uint16            `json:"EventId,omitempty" since:"17763"`
	Flags      uint32            `json:"Flags,omitempty" since:"17763"`
	Source     string            `json:"Source,omitempty" since:"17763"`
	Data       []json.RawMessage `json:"Data,omitempty" since:"17763"`
}
