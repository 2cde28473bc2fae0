// Package schema holds the JSON documents of the Host Compute Service, schema
// version 2, as Go types: what is sent (documents, process parameters, queries,
// modifications) and what comes back (properties, exit statuses).
//
// Each field carries a since tag: the first Windows build whose published
// schema has the field. Microsoft publishes the schemas per SDK at
// https://learn.microsoft.com/virtualization/api/hcs/schemareference; a test
// compares every type here with them. Fields that only production's own use
// shows, because no published schema has them, say so in their comment.
//
// Optional numbers whose zero means something else than "not said" are
// pointers: an omitted LUN, DWordValue or Count would silently mean another.
package schema

import "encoding/json"

// Version is a schema version.
type Version struct {
	Major uint32 `json:"Major" since:"17763"`
	Minor uint32 `json:"Minor" since:"17763"`
}

// V21 is the version of all documents of isol: every build from 17763 on takes it.
var V21 = &Version{Major: 2, Minor: 1}

// ComputeSystem is the document of HcsCreateComputeSystem.
type ComputeSystem struct {
	Owner                             string          `json:"Owner,omitempty" since:"17763"`
	SchemaVersion                     *Version        `json:"SchemaVersion,omitempty" since:"17763"`
	HostingSystemID                   string          `json:"HostingSystemId,omitempty" since:"17763"`
	HostedSystem                      json.RawMessage `json:"HostedSystem,omitempty" since:"17763"`
	Container                         *Container      `json:"Container,omitempty" since:"17763"`
	VirtualMachine                    *VirtualMachine `json:"VirtualMachine,omitempty" since:"17763"`
	ShouldTerminateOnLastHandleClosed bool            `json:"ShouldTerminateOnLastHandleClosed,omitempty" since:"17763"`
}
