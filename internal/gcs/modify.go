package gcs

import "github.com/isolrun/isol/internal/hcs/schema"

// ResourceType names what a Modification changes in the guest.
type ResourceType string

// The resource types that Windows guests know (runhcs: protocol/guestresource).
const (
	ResourceCombinedLayers    ResourceType = "CombinedLayers"
	ResourceMappedVirtualDisk ResourceType = "MappedVirtualDisk"
	ResourceMappedDirectory   ResourceType = "MappedDirectory"
	ResourceNetwork           ResourceType = "Network"
	ResourceNetworkNamespace  ResourceType = "NetworkNamespace"
	ResourceHvSocket          ResourceType = "HvSocket"
)

// RequestType is what a Modification does.
type RequestType string

// The request types. PreAdd stands only within a NetworkModification.
const (
	RequestAdd    RequestType = "Add"
	RequestRemove RequestType = "Remove"
	RequestUpdate RequestType = "Update"
	RequestPreAdd RequestType = "PreAdd"
)

// Modification is the request of Guest.Modify.
type Modification struct {
	ResourceType ResourceType `json:"ResourceType,omitempty"`
	RequestType  RequestType  `json:"RequestType,omitempty"`
	Settings     any          `json:"Settings,omitempty"`
}

// CombinedLayers lays the layers over the scratch mounted at ContainerRootPath.
type CombinedLayers struct {
	ContainerRootPath string         `json:"ContainerRootPath,omitempty"`
	Layers            []schema.Layer `json:"Layers,omitempty"`
	ScratchPath       string         `json:"ScratchPath,omitempty"`
	FilterType        string         `json:"FilterType,omitempty"`
}

// MappedVirtualDisk mounts an attached disk in the guest. A missing Lun is 0.
type MappedVirtualDisk struct {
	ContainerPath string `json:"ContainerPath,omitempty"`
	Lun           int32  `json:"Lun,omitempty"`
}

// NetworkModification adds or removes an adapter; Settings holds the endpoint for a PreAdd.
type NetworkModification struct {
	AdapterID   string      `json:"AdapterId,omitempty"`
	RequestType RequestType `json:"RequestType,omitempty"`
	Settings    any         `json:"Settings,omitempty"`
}

// HvSocketAddress tells the guest the hvsocket addresses of both ends.
type HvSocketAddress struct {
	LocalAddress  string `json:"LocalAddress,omitempty"`
	ParentAddress string `json:"ParentAddress,omitempty"`
}
