package isolation

import (
	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/node"
	"github.com/isolrun/isol/internal/oci"
	"github.com/isolrun/isol/internal/options"
)

// Image is what the layers of the container's image say of themselves.
type Image = host.Image

// Input is all that a decision depends on. Decide changes nothing in it.
type Input struct {
	ID        string // the container's id
	Namespace string // containerd's namespace, for the node's policy; may be empty
	Request   *oci.Request
	Options   options.Options
	Node      node.Config
	Host      host.Facts
	Image     Image
	// Sources says where the host's paths lead that the request names, by
	// [HostPaths]; a path that is not in it was not looked at.
	Sources map[string]host.Source
	// Pod is the plan of the pod that a container joins: Request.Role is
	// RoleWorkload exactly when it is not nil.
	Pod *Plan
	// Ports are those of the pod's config, which only the Sandbox API hands over.
	Ports []oci.PodPort
	// Bare says that the pod has no container of its own: containerd makes it
	// through the Sandbox API, which needs no pause image.
	Bare bool
}
