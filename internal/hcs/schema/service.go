package schema

import (
	"encoding/json"
)

// ServicePropertyQuery is the query of HcsGetServiceProperties.
type ServicePropertyQuery struct {
	PropertyTypes   []ServicePropertyType `json:"PropertyTypes,omitempty" since:"17763"`
	PropertyQueries map[string]any        `json:"PropertyQueries,omitempty" since:"20348"`
}

// ServiceProperties are what the service answers: one element per property
// type asked for, in order.
type ServiceProperties struct {
	Properties        []json.RawMessage           `json:"Properties,omitempty" since:"17763"`
	PropertyResponses map[string]PropertyResponse `json:"PropertyResponses,omitempty" since:"20348"`
}

// BasicInformation lists the schema versions that the service takes.
type BasicInformation struct {
	SupportedSchemaVersions []Version `json:"SupportedSchemaVersions,omitempty" since:"17763"`
}

// QoSCapabilities says which limits the host can enforce.
type QoSCapabilities struct {
	ProcessorQoSSupported bool `json:"ProcessorQoSSupported,omitempty" since:"17763"`
}

// ProcessorTopology is the host's logical processors.
type ProcessorTopology struct {
	LogicalProcessorCount uint32             `json:"LogicalProcessorCount" since:"20348"`
	LogicalProcessors     []LogicalProcessor `json:"LogicalProcessors,omitempty" since:"20348"`
}

// LogicalProcessor is one logical processor of the host.
type LogicalProcessor struct {
	LpIndex     uint32    `json:"LpIndex" since:"20348"`
	NodeNumber  uint8     `json:"NodeNumber" since:"20348"`
	PackageID   uint32    `json:"PackageId" since:"20348"`
	CoreID      uint32    `json:"CoreId" since:"20348"`
	RootVpIndex int32     `json:"RootVpIndex,omitempty" since:"20348"`
	Subnodes    []Subnode `json:"Subnodes,omitempty" since:"20348"`
}

// Subnode is a part of a NUMA node that a processor belongs to.
type Subnode struct {
	Type SubnodeType `json:"Type,omitempty" since:"20348"`
	ID   uint64      `json:"Id,omitempty" since:"20348"`
}

// ServiceModification is the document of HcsModifyServiceSettings. Settings
// holds the type that PropertyType calls for, for example a
// CredentialGuardRequest.
type ServiceModification struct {
	PropertyType ServicePropertyType `json:"PropertyType,omitempty" since:"17763"`
	Settings     any                 `json:"Settings,omitempty" since:"17763"`
}

// CredentialGuardRequest adds or removes a credential guard instance;
// OperationDetails is a CredentialGuardAddInstance or
// CredentialGuardRemoveInstance.
type CredentialGuardRequest struct {
	Operation        CredentialGuardOperation `json:"Operation,omitempty" since:"17763"`
	OperationDetails any                      `json:"OperationDetails,omitempty" since:"17763"`
}

// CredentialGuardAddInstance starts a credential guard instance for a
// container.
type CredentialGuardAddInstance struct {
	ID             string                   `json:"Id,omitempty" since:"17763"`
	CredentialSpec string                   `json:"CredentialSpec,omitempty" since:"17763"`
	Transport      CredentialGuardTransport `json:"Transport,omitempty" since:"17763"`
}

// CredentialGuardRemoveInstance ends a credential guard instance.
type CredentialGuardRemoveInstance struct {
	ID string `json:"Id,omitempty" since:"17763"`
}

// CredentialGuardSystemInfo lists the credential guard instances of the host.
type CredentialGuardSystemInfo struct {
	Instances []CredentialGuardInstance `json:"Instances,omitempty" since:"17763"`
}

// CredentialGuardInstance is one credential guard instance.
type CredentialGuardInstance struct {
	ID              string                         `json:"Id,omitempty" since:"17763"`
	CredentialGuard *CredentialGuardState          `json:"CredentialGuard,omitempty" since:"17763"`
	HvSocketConfig  *CredentialGuardHvSocketConfig `json:"HvSocketConfig,omitempty" since:"17763"`
}

// CredentialGuardHvSocketConfig is the hvsocket service through which a guest
// reaches an instance.
type CredentialGuardHvSocketConfig struct {
	ServiceID     string                 `json:"ServiceId,omitempty" since:"17763"`
	ServiceConfig *HvSocketServiceConfig `json:"ServiceConfig,omitempty" since:"17763"`
}
