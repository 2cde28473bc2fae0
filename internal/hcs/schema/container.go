package schema

// Container is the part of a document that describes a container.
type Container struct {
	GuestOS                   *GuestOS              `json:"GuestOs,omitempty" since:"17763"`
	Storage                   *Storage              `json:"Storage,omitempty" since:"17763"`
	MappedDirectories         []MappedDirectory     `json:"MappedDirectories,omitempty" since:"17763"`
	MappedPipes               []MappedPipe          `json:"MappedPipes,omitempty" since:"17763"`
	Memory                    *ContainerMemory      `json:"Memory,omitempty" since:"17763"`
	Processor                 *ContainerProcessor   `json:"Processor,omitempty" since:"17763"`
	Networking                *Networking           `json:"Networking,omitempty" since:"17763"`
	HvSocket                  *ContainerHvSocket    `json:"HvSocket,omitempty" since:"17763"`
	ContainerCredentialGuard  *CredentialGuardState `json:"ContainerCredentialGuard,omitempty" since:"17763"`
	RegistryChanges           *RegistryChanges      `json:"RegistryChanges,omitempty" since:"17763"`
	AssignedDevices           []ContainerDevice     `json:"AssignedDevices,omitempty" since:"17763"`
	AdditionalDeviceNamespace *DeviceExtensions     `json:"AdditionalDeviceNamespace,omitempty" since:"20348"`
	IsolationType             ContainerIsolation    `json:"IsolationType,omitempty" since:"17763" source:"runhcs: internal/hcsoci/hcsdoc_wcow.go: HostProcess in a utility VM"`
}

// GuestOS names the container's operating system instance.
type GuestOS struct {
	HostName string `json:"HostName,omitempty" since:"17763"`
}

// Storage is the container's file system: the mounted root and the layers
// below it, top parent first, without the scratch.
type Storage struct {
	Layers                      []Layer     `json:"Layers,omitempty" since:"17763"`
	Path                        string      `json:"Path,omitempty" since:"17763"`
	QoS                         *StorageQoS `json:"QoS,omitempty" since:"17763"`
	PrivilegedContainerRootPath string      `json:"PrivilegedContainerRootPath,omitempty" since:"17763" source:"runhcs: internal/hcsoci/hcsdoc_wcow.go"`
}

// Layer is one read-only layer. Id is the GUID that the layer store derives
// from the layer's name.
type Layer struct {
	ID       string    `json:"Id,omitempty" since:"17763"`
	Path     string    `json:"Path,omitempty" since:"17763"`
	PathType PathType  `json:"PathType,omitempty" since:"17763"`
	Cache    CacheMode `json:"Cache,omitempty" since:"17763"`
}

// StorageQoS limits storage; 0 means no limit.
type StorageQoS struct {
	IopsMaximum      uint64 `json:"IopsMaximum,omitempty" since:"17763"`
	BandwidthMaximum uint64 `json:"BandwidthMaximum,omitempty" since:"17763"`
}

// MappedDirectory makes a host directory or file visible in the container.
type MappedDirectory struct {
	HostPath          string   `json:"HostPath,omitempty" since:"17763"`
	HostPathType      PathType `json:"HostPathType,omitempty" since:"17763"`
	ContainerPath     string   `json:"ContainerPath,omitempty" since:"17763"`
	ReadOnly          bool     `json:"ReadOnly,omitempty" since:"17763"`
	SupportCloudFiles bool     `json:"SupportCloudFiles,omitempty" since:"19041"`
}

// MappedPipe makes a named pipe of the host visible in the container under
// ContainerPipeName, a name without prefix.
type MappedPipe struct {
	ContainerPipeName string       `json:"ContainerPipeName,omitempty" since:"17763"`
	HostPath          string       `json:"HostPath,omitempty" since:"17763"`
	HostPathType      PipePathType `json:"HostPathType,omitempty" since:"17763"`
}

// ContainerMemory limits a container's memory.
type ContainerMemory struct {
	SizeInMB uint64 `json:"SizeInMB,omitempty" since:"17763"`
}

// ContainerProcessor limits a container's processors. At most one of the three
// may be set; Maximum is in ten-thousandths of all processors.
type ContainerProcessor struct {
	Count   uint32 `json:"Count,omitempty" since:"17763"`
	Weight  int64  `json:"Weight,omitempty" since:"17763"`
	Maximum int64  `json:"Maximum,omitempty" since:"17763"`
}

// Networking puts the container into a network namespace.
type Networking struct {
	AllowUnqualifiedDNSQuery   bool     `json:"AllowUnqualifiedDnsQuery,omitempty" since:"17763"`
	DNSSearchList              string   `json:"DnsSearchList,omitempty" since:"17763"`
	NetworkSharedContainerName string   `json:"NetworkSharedContainerName,omitempty" since:"17763"`
	Namespace                  string   `json:"Namespace,omitempty" since:"17763"`
	NetworkAdapters            []string `json:"NetworkAdapters,omitempty" since:"17763"`
}

// ContainerHvSocket configures hvsockets of a container.
type ContainerHvSocket struct {
	Config                 *HvSocketSystemConfig `json:"Config,omitempty" since:"17763"`
	EnablePowerShellDirect bool                  `json:"EnablePowerShellDirect,omitempty" since:"17763"`
}

// HvSocketSystemConfig says who may bind and connect hvsockets, in SDDL.
type HvSocketSystemConfig struct {
	DefaultBindSecurityDescriptor    string                           `json:"DefaultBindSecurityDescriptor,omitempty" since:"17763"`
	DefaultConnectSecurityDescriptor string                           `json:"DefaultConnectSecurityDescriptor,omitempty" since:"17763"`
	ServiceTable                     map[string]HvSocketServiceConfig `json:"ServiceTable,omitempty" since:"17763"`
}

// HvSocketServiceConfig overrides the security descriptors of one hvsocket
// service.
type HvSocketServiceConfig struct {
	BindSecurityDescriptor    string `json:"BindSecurityDescriptor,omitempty" since:"17763"`
	ConnectSecurityDescriptor string `json:"ConnectSecurityDescriptor,omitempty" since:"17763"`
	AllowWildcardBinds        bool   `json:"AllowWildcardBinds,omitempty" since:"17763"`
	Disabled                  bool   `json:"Disabled,omitempty" since:"17763" source:"runhcs: internal/hcs/schema2/hv_socket_service_config.go"`
}

// RegistryChanges are values and keys changed before the system starts.
type RegistryChanges struct {
	AddValues  []RegistryValue `json:"AddValues,omitempty" since:"17763"`
	DeleteKeys []RegistryKey   `json:"DeleteKeys,omitempty" since:"17763"`
}

// RegistryKey names a key below one of the hives.
type RegistryKey struct {
	Hive     RegistryHive `json:"Hive,omitempty" since:"17763"`
	Name     string       `json:"Name,omitempty" since:"17763"`
	Volatile bool         `json:"Volatile,omitempty" since:"17763"`
}

// RegistryValue sets one value. The numbers are pointers because an omitted
// number would set another type's empty value.
type RegistryValue struct {
	Key         *RegistryKey      `json:"Key,omitempty" since:"17763"`
	Name        string            `json:"Name,omitempty" since:"17763"`
	Type        RegistryValueType `json:"Type,omitempty" since:"17763"`
	StringValue string            `json:"StringValue,omitempty" since:"17763"`
	BinaryValue []byte            `json:"BinaryValue,omitempty" since:"17763"`
	DWordValue  *uint32           `json:"DWordValue,omitempty" since:"17763"`
	QWordValue  *uint64           `json:"QWordValue,omitempty" since:"17763"`
	CustomType  uint32            `json:"CustomType,omitempty" since:"17763"`
}

// ContainerDevice gives a device to the container, by class GUID or by
// location path.
type ContainerDevice struct {
	InterfaceClassGUID string     `json:"InterfaceClassGuid,omitempty" since:"17763"`
	Type               DeviceType `json:"Type,omitempty" since:"18362"`
	LocationPath       string     `json:"LocationPath,omitempty" since:"18362"`
}

// CredentialGuardState connects the container to a credential guard instance
// (gMSA).
type CredentialGuardState struct {
	Cookie         string                   `json:"Cookie,omitempty" since:"17763"`
	RPCEndpoint    string                   `json:"RpcEndpoint,omitempty" since:"17763"`
	Transport      CredentialGuardTransport `json:"Transport,omitempty" since:"17763"`
	CredentialSpec string                   `json:"CredentialSpec,omitempty" since:"17763"`
}
