package schema

// ModificationRequest is the document of HcsModifyComputeSystem. ResourcePath
// is built by the functions of this package; Settings holds the type that the
// path calls for.
type ModificationRequest struct {
	ResourcePath string      `json:"ResourcePath,omitempty" since:"17763"`
	RequestType  RequestType `json:"RequestType,omitempty" since:"17763"`
	Settings     any         `json:"Settings,omitempty" since:"17763"`
}

// ShutdownOptions is the document of HcsShutDownComputeSystem.
type ShutdownOptions struct {
	Mechanism ShutdownMechanism `json:"Mechanism,omitempty" since:"20348"`
	Type      ShutdownType      `json:"Type,omitempty" since:"20348"`
	Force     bool              `json:"Force,omitempty" since:"20348"`
	Reason    string            `json:"Reason,omitempty" since:"20348"`
}
