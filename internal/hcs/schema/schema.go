// Package schema holds the JSON documents of the Host Compute Service, schema
// version 2, as Go types: what is sent (documents, process parameters, queries,
// modifications) and what comes back (properties, exit statuses).
//
// Each field carries a since tag: the first Windows build whose published
// schema has the field (17763, 18362, 19041, 20348 or 22000). Microsoft
// publishes the schemas per SDK, and at
// https://learn.microsoft.com/virtualization/api/hcs/schemareference; a test
// compares every type here with them. A field that no published schema has, but
// that production sends, carries a source tag that says who sends it; its since
// is then the build below which that source does not send it, or 17763 where it
// sends it whatever the build.
//
// Types keep their published names except where Microsoft has used one name for
// several things, or numbered them: "Processor_2" is [VirtualMachineProcessor].
//
// Optional numbers whose zero means something else than "not said" are
// pointers or are always written: an omitted LUN, DWordValue or Count would
// silently mean another.
//
// [Validate] checks a document against these types as a closed world.
package schema

// Version is a schema version.
type Version struct {
	Major uint32 `json:"Major" since:"17763"`
	Minor uint32 `json:"Minor" since:"17763"`
}

// V21 is the version of the documents of isol: every build from 17763 on takes
// it. It is a function so that no caller can change another's.
func V21() *Version { return &Version{Major: 2, Minor: 1} }

// ComputeSystem is the document of HcsCreateComputeSystem.
type ComputeSystem struct {
	Owner                             string          `json:"Owner,omitempty" since:"17763"`
	SchemaVersion                     *Version        `json:"SchemaVersion,omitempty" since:"17763"`
	HostingSystemID                   string          `json:"HostingSystemId,omitempty" since:"17763"`
	HostedSystem                      *HostedSystem   `json:"HostedSystem,omitempty" since:"17763"`
	Container                         *Container      `json:"Container,omitempty" since:"17763"`
	VirtualMachine                    *VirtualMachine `json:"VirtualMachine,omitempty" since:"17763"`
	ShouldTerminateOnLastHandleClosed bool            `json:"ShouldTerminateOnLastHandleClosed,omitempty" since:"17763"`
}

// HostedSystem is a container as the service or the guest of a virtual machine
// is asked to create it.
type HostedSystem struct {
	SchemaVersion *Version   `json:"SchemaVersion,omitempty" since:"17763"`
	Container     *Container `json:"Container,omitempty" since:"17763"`
}
