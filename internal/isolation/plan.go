package isolation

import (
	"encoding/json"

	"github.com/isolrun/isol/internal/host"
)

// Mode is the degree of isolation of a container.
type Mode uint8

// The modes. The zero Mode is invalid: a Plan always has one.
const (
	ModeInvalid     Mode = iota
	ModeProcess          // shares the host's kernel
	ModeHyperV           // in a utility VM with a kernel of its own
	ModeHostProcess      // a job on the host (in a Hyper-V pod: in the guest)
)

// Guest is the operating system of the container.
type Guest uint8

// The guests.
const (
	GuestWindows Guest = iota
	GuestLinux
)

// Role is the container's place in a pod.
type Role uint8

// The roles.
const (
	RoleStandalone Role = iota // no pod: the shim serves this task alone
	RoleSandbox                // the pod itself
	RoleWorkload               // a container that joins a pod
)

// Plan is all that the rest of isol needs to know to run one container. It is
// a value: Decide makes it and nothing changes it. Its JSON is what
// `isolctl explain --format json` prints and `--pod` reads.
type Plan struct {
	ID        string   `json:"id"`
	Mode      Mode     `json:"mode"`
	Guest     Guest    `json:"guest"`
	Role      Role     `json:"role"`
	SandboxID string   `json:"sandboxID,omitempty"` // id of the pod; empty for RoleStandalone
	Bare      bool     `json:"bare,omitempty"`      // a sandbox without a container of its own, which the Sandbox API makes
	Versions  Versions `json:"versions"`

	Container Container `json:"container"`
	UVM       *UVM      `json:"uvm,omitempty"` // nil unless this plan boots a utility VM

	// BootMemoryMB is the memory of the pod's [UVM.Late] VM if this container is
	// the one that boots it; 0: as the pod's plan says.
	BootMemoryMB uint64 `json:"bootMemoryMB,omitempty"`

	Crossings []Crossing  `json:"crossings,omitempty"` // every opening of the boundary, in the order of the spec
	Reasons   []Reason    `json:"reasons"`             // what decided, in the order of the decisions
	Overruled []Overruled `json:"overruled,omitempty"` // weaker inputs that said otherwise
}

// InVM reports whether the container runs in a utility VM: its own or its pod's.
func (p *Plan) InVM() bool {
	return p.Mode == ModeHyperV || p.Container.HostProcess != nil && p.Container.HostProcess.InGuest
}

// Versions are the Windows versions that were compared; each may be unknown.
type Versions struct {
	Host  host.Version `json:"host"`
	Image host.Version `json:"image"`
	// UVM is the version of the utility VM that the container runs in, and
	// UVMSource the file that it was read from.
	UVM       host.Version `json:"uvm"`
	UVMSource string       `json:"uvmSource,omitempty"`
}

// Container holds the values of a container's document.
type Container struct {
	HostName string `json:"hostName,omitempty"`
	MemoryMB uint64 `json:"memoryMB,omitempty"` // 0: no limit
	Processor
	Affinity         []AffinityMask  `json:"affinity,omitempty"`
	Storage          StorageQoS      `json:"storage,omitzero"`
	ScratchMin       uint64          `json:"scratchMin,omitempty"` // least size of the system drive in bytes; 0: the host's default
	Mounts           []Mount         `json:"mounts,omitempty"`
	Pipes            []Pipe          `json:"pipes,omitempty"`
	Devices          []Device        `json:"devices,omitempty"`
	DeviceExtensions []string        `json:"deviceExtensions,omitempty"` // JSON files of additional device namespaces
	KernelDrivers    []string        `json:"kernelDrivers,omitempty"`    // folders of the host whose drivers the guest installs
	Network          Network         `json:"network,omitzero"`
	Registry         []RegistryValue `json:"registry,omitempty"`
	CredentialSpec   string          `json:"credentialSpec,omitempty"` // JSON, empty for none
	Dump             *Dump           `json:"dump,omitempty"`
	HostProcess      *HostProcess    `json:"hostProcess,omitempty"` // nil unless Mode is ModeHostProcess
}

// Processor limits CPU; at most one of the three is not 0 in a container's
// document (HCS refuses more).
type Processor struct {
	Count  uint32 `json:"count,omitempty"`  // processors
	Limit  uint32 `json:"limit,omitempty"`  // of 10 000: 5000 is half of all processors (a VM: of 100 000)
	Weight uint32 `json:"weight,omitempty"` // relative, 1 to 10 000
}

// AffinityMask pins to processors of one group.
type AffinityMask struct {
	Mask  uint64 `json:"mask,omitempty"`
	Group uint32 `json:"group,omitempty"`
}

// StorageQoS limits storage; 0 means no limit.
type StorageQoS struct {
	IOPS      uint64 `json:"iops,omitempty"`
	Bandwidth uint64 `json:"bandwidth,omitempty"` // bytes per second
}

// Mechanism is how a mount crosses the boundary.
type Mechanism uint8

// The mechanisms.
const (
	MechanismBind      Mechanism = iota // host path mapped by HCS into a process container
	MechanismVSMB                       // share of the utility VM
	MechanismSCSI                       // virtual or physical disk attached to the utility VM
	MechanismSandbox                    // directory of the utility VM (sandbox://)
	MechanismGuest                      // path of the guest (uvm://), or left to the guest to make
	MechanismPlan9                      // share of a Linux utility VM
	MechanismHugePages                  // huge pages of a Linux guest (hugepages://)
)

// Mount is a directory, file or disk that the container sees.
type Mount struct {
	Source      string    `json:"source,omitempty"` // as HCS wants it: absolute, without prefix
	Destination string    `json:"destination,omitempty"`
	ReadOnly    bool      `json:"readOnly,omitempty"`
	Mechanism   Mechanism `json:"mechanism"`
	Type        string    `json:"type,omitempty"` // OCI type as given: "", bind, virtual-disk, physical-disk, extensible-virtual-disk
}

// Pipe is a named pipe of the host that the container sees.
type Pipe struct {
	HostPath      string `json:"hostPath,omitempty"`      // \\.\pipe\name
	ContainerName string `json:"containerName,omitempty"` // name without prefix
	Guest         bool   `json:"guest,omitempty"`         // the pipe is the utility VM's (uvm://)
}

// Device is a device given to the container.
type Device struct {
	IDType string `json:"idType,omitempty"` // class, vpci-class-guid, vpci-location-path, vpci, vpci-instance-id, gpu
	ID     string `json:"id,omitempty"`
}

// Network says which network namespace the container is in.
type Network struct {
	NamespaceID         string   `json:"namespaceID,omitempty"` // HCN namespace GUID, empty for none
	EndpointIDs         []string `json:"endpointIDs,omitempty"`
	DNSSearch           []string `json:"dnsSearch,omitempty"`
	UnqualifiedDNSQuery bool     `json:"unqualifiedDNSQuery,omitempty"`
	SharedContainer     string   `json:"sharedContainer,omitempty"` // id of the container whose namespace is shared
	Ports               []Port   `json:"ports,omitempty"`           // that the pod's config asks for; the CNI plugins open them
}

// RegistryValue is one registry value set in the container or the VM.
type RegistryValue struct {
	Hive  string `json:"hive,omitempty"` // System, Software, Security, Sam
	Key   string `json:"key,omitempty"`
	Name  string `json:"name,omitempty"`
	Type  string `json:"type,omitempty"` // String, ExpandedString, MultiString, Binary, DWord, QWord
	Str   string `json:"str,omitempty"`
	DWord uint32 `json:"dWord,omitempty"`
	QWord uint64 `json:"qWord,omitempty"`
	Bin   []byte `json:"bin,omitempty"`
}

// Dump says where Windows Error Reporting writes process dumps.
type Dump struct {
	Folder string `json:"folder,omitempty"`
	Type   uint32 `json:"type,omitempty"` // 1 mini, 2 full
	Count  uint32 `json:"count,omitempty"`
}

// HostProcess holds what only HostProcess containers have.
type HostProcess struct {
	InheritUser  bool   `json:"inheritUser,omitempty"`
	RootfsFolder string `json:"rootfsFolder,omitempty"` // default C:\hpc
	InGuest      bool   `json:"inGuest,omitempty"`      // a job in the pod's utility VM, not on the host
}

// UVM holds the values of the utility VM's document.
type UVM struct {
	ID              string                     `json:"id,omitempty"`    // <pod id>@vm: others match on it
	Image           string                     `json:"image,omitempty"` // folder that holds the utility VM; empty: found in the image's layers
	Late            bool                       `json:"late,omitempty"`  // boots with the pod's first container, from its image: the pod has none of its own
	MemoryMB        uint64                     `json:"memoryMB,omitempty"`
	OverheadMB      uint64                     `json:"overheadMB,omitempty"`  // of the guest's own, beyond the containers' limits
	MemoryAsked     bool                       `json:"memoryAsked,omitempty"` // by annotation: no limit changes it
	Processor       Processor                  `json:"processor,omitzero"`
	AllowOvercommit bool                       `json:"allowOvercommit,omitempty"`
	DeferredCommit  bool                       `json:"deferredCommit,omitempty"`
	ColdDiscardHint bool                       `json:"coldDiscardHint,omitempty"`
	LowMMIOGapMB    uint64                     `json:"lowMMIOGapMB,omitempty"`
	HighMMIOBaseMB  uint64                     `json:"highMMIOBaseMB,omitempty"`
	HighMMIOGapMB   uint64                     `json:"highMMIOGapMB,omitempty"`
	NUMA            *NUMA                      `json:"numa,omitempty"` // nil: the platform's choice
	CPUGroup        string                     `json:"cpuGroup,omitempty"`
	Partition       string                     `json:"partition,omitempty"` // resource partition GUID
	Storage         StorageQoS                 `json:"storage,omitzero"`
	ConsolePipe     string                     `json:"consolePipe,omitempty"`
	DumpDirectory   string                     `json:"dumpDirectory,omitempty"`
	Registry        []RegistryValue            `json:"registry,omitempty"`
	NoDirectMap     bool                       `json:"noDirectMap,omitempty"`
	NoCompartments  bool                       `json:"noCompartments,omitempty"` // leaves out EnableCompartmentNamespace
	NoWritableShare bool                       `json:"noWritableShare,omitempty"`
	NoTimeZone      bool                       `json:"noTimeZone,omitempty"`
	ForwardLogs     bool                       `json:"forwardLogs,omitempty"`
	BootFilesRoot   string                     `json:"bootFilesRoot,omitempty"`
	ServiceTable    map[string]json.RawMessage `json:"serviceTable,omitempty"`  // hvsocket service GUID to HvSocketServiceConfig JSON
	Dump            *Dump                      `json:"dump,omitempty"`          // where the guest writes process dumps
	LogSources      string                     `json:"logSources,omitempty"`    // base64 JSON of ETW providers to forward
	NoLogDefaults   bool                       `json:"noLogDefaults,omitempty"` // leaves out the default ETW providers
}

// Crossing is one opening of the boundary between container and host.
type Crossing struct {
	Kind   CrossingKind `json:"kind"`
	Host   string       `json:"host"`             // what of the host
	Inside string       `json:"inside,omitempty"` // where the container sees it
	Write  bool         `json:"write,omitempty"`  // the container can change it
	Source string       `json:"source"`           // what asked for it: "mounts[2]", "annotation …"
}

// CrossingKind is what of the host a crossing opens.
type CrossingKind string

// The kinds of crossings.
const (
	CrossHostPath    CrossingKind = "host path" // a directory or file: which one only the disk knows
	CrossShare       CrossingKind = "network share"
	CrossVolume      CrossingKind = "volume"
	CrossDisk        CrossingKind = "disk"
	CrossPipe        CrossingKind = "named pipe"
	CrossNamespace   CrossingKind = "network namespace"
	CrossEndpoint    CrossingKind = "network endpoint"
	CrossPort        CrossingKind = "published port"
	CrossContainer   CrossingKind = "network of another container"
	CrossDevice      CrossingKind = "device"
	CrossCredential  CrossingKind = "credential"
	CrossHostProcess CrossingKind = "host process"
	CrossSocket      CrossingKind = "hvsocket service"
	CrossDump        CrossingKind = "dump folder"
)

// Reason is one decision and the input that made it.
type Reason struct {
	Decision string `json:"decision"` // "isolation = hyperv"
	Input    string `json:"input"`    // "spec.windows.hyperv"
	Why      string `json:"why"`      // a sentence
}

// Overruled is an input that said something else and lost.
type Overruled struct {
	Input string `json:"input"` // the input that lost
	Said  string `json:"said"`  // what it said
	By    string `json:"by"`    // the input that won
}
