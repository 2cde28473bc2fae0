package oci

// Source names the input that gave a value, in the words a user would look for:
// "annotation io.microsoft.container.memory.sizeinmb",
// "spec.windows.resources.cpu.count",
// "option default_container_annotations[…]". The empty Source means that
// nobody gave the value.
type Source string

// Value is a value together with the input that gave it.
type Value[T any] struct {
	V      T
	Source Source
}

// Set reports whether an input gave the value.
func (v Value[T]) Set() bool { return v.Source != "" }

// Role is the container's place in a pod, from the annotations
// io.kubernetes.cri.container-type and io.kubernetes.cri.sandbox-id.
type Role uint8

// The roles.
const (
	RoleStandalone Role = iota // neither annotation: a container of its own
	RoleSandbox                // the pod itself
	RoleWorkload               // a container that joins the pod SandboxID
)

// String returns the role's name as the CRI annotation spells it.
func (r Role) String() string {
	switch r {
	case RoleSandbox:
		return "sandbox"
	case RoleWorkload:
		return "container"
	}
	return "standalone"
}

// Request is what an OCI spec asks for, typed and checked for itself: nothing
// in it was compared with a host, an image, an option or a pod, which is the
// work of internal/isolation. A Request shares no memory with the spec it came
// from and nobody changes it after Parse.
type Request struct {
	Role      Role
	SandboxID string // id of the pod; empty for RoleStandalone
	Linux     bool   // spec.linux is there: a Linux guest
	HyperV    *HyperV
	Isolation Value[Isolation] // annotation io.isol.isolation

	HostProcess HostProcess
	System      System
	Resources   Resources
	Mounts      []Mount
	Devices     []Device
	Network     Network
	Process     *Process // nil: the spec has no process section

	// Annotations holds every annotation of the table that was given, parsed.
	Annotations Values
	// Written holds every annotation as it is written, those of others too. It
	// is for the node's policy, which may name any of them.
	Written map[string]string
	// Asks lists what Windows containers do not have and the spec asks for.
	Asks []Ask
	// Notes tells what was read in another way than it was written.
	Notes []Note
	// Overruled lists weaker inputs that said otherwise than a stronger one.
	Overruled []Overruled
}

// HyperV is spec.windows.hyperv: its presence asks for Hyper-V isolation.
type HyperV struct {
	UtilityVMPath string
}

// Isolation is the value of the annotation io.isol.isolation.
type Isolation string

// The values of io.isol.isolation.
const (
	IsolationProcess Isolation = "process"
	IsolationHyperV  Isolation = "hyperv"
	IsolationAuto    Isolation = "auto"
)

// HostProcess is what the annotations under microsoft.com/ ask for.
type HostProcess struct {
	Requested   Value[bool]   // hostprocess-container
	InheritUser Value[bool]   // hostprocess-inherit-user
	Rootfs      Value[string] // hostprocess-rootfs-location
	Disabled    Value[bool]   // disable-hostprocess-container, also by io.microsoft.disable-unsafe-operations
}

// System is what the spec says of the container's file system and identity.
type System struct {
	Hostname       string
	RootPath       string   // spec.root.path
	LayerFolders   []string // spec.windows.layerFolders, in the spec's order
	CredentialSpec string   // JSON of a group managed service account; empty for none
}

// Resources are the limits of the container itself, annotation before spec. A
// utility VM's sizes are in [Request.Annotations] under their own keys.
type Resources struct {
	CPUCount   Value[uint64] // processors
	CPUWeight  Value[uint64] // 1 to 10 000
	CPULimit   Value[uint64] // of 10 000
	Affinity   []Affinity
	MemoryMB   Value[uint64]
	IOPS       Value[uint64]
	Bandwidth  Value[uint64] // bytes per second
	ScratchMin Value[uint64] // spec.windows.resources.storage.sandboxSize, bytes
}

// Affinity pins to processors of one group.
type Affinity struct {
	Mask  uint64
	Group uint32
}

// Mount is one entry of spec.mounts as it was written.
type Mount struct {
	Index       int // its place in spec.mounts
	Source      string
	Destination string
	Type        string
	ReadOnly    bool
	Options     []string // all of them, as given
}

// Device is one entry of spec.windows.devices as it was written.
type Device struct {
	IDType string
	ID     string
}

// Network is spec.windows.network.
type Network struct {
	NamespaceID         string // GUID in lower case without braces; empty for none
	EndpointIDs         []string
	DNSSearch           []string
	UnqualifiedDNSQuery bool
	SharedContainer     string
}

// Feature is something that Windows containers do not have.
type Feature string

// The features that a spec can ask for in vain.
const (
	FeatureSharedMemory  Feature = "shared memory"
	FeatureIPCNamespace  Feature = "shared IPC namespace"
	FeaturePIDNamespace  Feature = "shared process namespace"
	FeatureUserNamespace Feature = "user namespace"
	FeatureKernelMount   Feature = "kernel file system"
	FeatureSysctl        Feature = "kernel parameter"
)

// Ask is one place of the spec that asks for a Feature.
type Ask struct {
	Feature Feature
	Where   Source // "mounts[2]", "linux.namespaces[1]"
	Said    string // what stands there
}

// Note is something that was read in another way than it was written, or has
// no effect: the user should be told.
type Note struct {
	Input Source
	Text  string
}

// Overruled is an input that said something else and lost.
type Overruled struct {
	Input Source
	Said  string
	By    Source
}
