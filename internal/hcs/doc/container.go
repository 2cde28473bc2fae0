package doc

import (
	"fmt"
	"strings"

	"github.com/Microsoft/go-winio/pkg/guid"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
)

// Facts is what a container's document needs beside the plan.
type Facts struct {
	Owner  string  // base name of the shim's exe: who the system belongs to
	Root   string  // the mounted root: \\?\Volume{GUID}\ on the host, a path of the guest in a VM
	Layers []Layer // read-only layers, top parent first, without the scratch

	Namespace       string                       // HCN namespace; wins over the plan's, which may name endpoints only
	CredentialGuard *schema.CredentialGuardState // the instance that was made for the credential spec
	Extensions      []schema.DeviceExtension     // read from the files that the plan names

	// Paths says where each mount of the plan is found by the system that runs
	// the container, in the plan's order; nil on the host, where it is the
	// mount's source. An empty path leaves the mount out: the guest makes it.
	Paths []string

	// Devices are given beside the plan's: those assigned to the VM, by the
	// location path that its guest reported.
	Devices []schema.ContainerDevice
}

// Layer is one read-only layer.
type Layer struct {
	ID   string // the GUID that the layer store makes of the folder's base name
	Path string
}

// defaultRootfsFolder is where a HostProcess container sees its files unless it
// asks for another place.
const defaultRootfsFolder = `C:\hpc`

// Container returns the document of a process container, as production sends
// it. The system ends with its last handle, so that a shim that dies leaves none.
func Container(p *isolation.Plan, f Facts) (*schema.ComputeSystem, error) {
	if p == nil || p.Mode != isolation.ModeProcess || p.Guest != isolation.GuestWindows {
		return nil, unfit("the plan is not of a process container")
	}
	root, err := volumeRoot(f.Root)
	if err != nil {
		return nil, err
	}
	f.Root = root
	c, err := section(p, f)
	if err != nil {
		return nil, err
	}
	return &schema.ComputeSystem{
		Owner:                             f.Owner,
		SchemaVersion:                     schema.V21(),
		Container:                         c,
		ShouldTerminateOnLastHandleClosed: true,
	}, nil
}

// Hosted returns the document of a container in a Windows utility VM, which
// goes to the guest and not to the host's service.
func Hosted(p *isolation.Plan, f Facts) (*schema.Container, error) {
	if p == nil || !p.InVM() || p.Guest != isolation.GuestWindows {
		return nil, unfit("the plan is not of a container in a Windows utility VM")
	}
	if len(f.Paths) != len(p.Container.Mounts) {
		return nil, unfit("%d mounts and %d paths for them", len(p.Container.Mounts), len(f.Paths))
	}
	c, err := section(p, f)
	if err != nil {
		return nil, err
	}
	if hp := p.Container.HostProcess; hp != nil {
		c.IsolationType = schema.ContainerHostProcess
		if hp.RootfsFolder != defaultRootfsFolder {
			c.Storage.PrivilegedContainerRootPath = hp.RootfsFolder
		}
	}
	return c, nil
}

// later refuses what a plan asks for and nobody has made yet: a container that
// runs without its identity or devices fails far from the cause.
func later(what string) error {
	return &fault.Error{Kind: fault.Unimplemented, Op: "build container document", Detail: "this isol does not set up " + what + " yet", Hint: "leave it out"}
}

// section is what both kinds have in common.
func section(p *isolation.Plan, f Facts) (*schema.Container, error) {
	switch c := &p.Container; {
	case c.CredentialSpec != "" && f.CredentialGuard == nil:
		return nil, later("group managed service accounts (spec.windows.credentialSpec)")
	case len(c.DeviceExtensions) != len(f.Extensions):
		return nil, later("device extensions (annotation io.microsoft.container.wcow.deviceextensions)")
	}
	processor, err := processor(p.Container.Processor)
	if err != nil {
		return nil, err
	}
	devices, err := devices(p, f)
	if err != nil {
		return nil, err
	}
	c := &schema.Container{
		Storage:                   storage(&p.Container, f),
		MappedDirectories:         directories(p.Container.Mounts, f.Paths),
		MappedPipes:               pipes(p.Container.Pipes),
		Processor:                 processor,
		Networking:                networking(p.Container.Network, f.Namespace),
		ContainerCredentialGuard:  f.CredentialGuard,
		RegistryChanges:           registry(&p.Container),
		AssignedDevices:           devices,
		AdditionalDeviceNamespace: extensions(f.Extensions),
	}
	if p.Container.HostName != "" {
		c.GuestOS = &schema.GuestOS{HostName: p.Container.HostName}
	}
	if p.Container.MemoryMB != 0 {
		c.Memory = &schema.ContainerMemory{SizeInMB: p.Container.MemoryMB}
	}
	return c, nil
}

// volumeRoot checks a root on the host and ends it with a backslash. The form of
// a mounted root that the service takes is the one that runhcs checks; layer
// calls answer it so.
func volumeRoot(root string) (string, error) {
	name, ended := strings.CutSuffix(strings.TrimSuffix(root, `\`), "}")
	id, isVolume := strings.CutPrefix(name, `\\?\Volume{`)
	if _, err := guid.FromString(id); err != nil || !isVolume || !ended {
		return "", unfit(`the root %q is not a volume: want \\?\Volume{GUID}\`, root)
	}
	return strings.TrimSuffix(root, `\`) + `\`, nil
}

func storage(c *isolation.Container, f Facts) *schema.Storage {
	s := &schema.Storage{Path: f.Root}
	for _, l := range f.Layers {
		s.Layers = append(s.Layers, schema.Layer{ID: l.ID, Path: l.Path})
	}
	if c.Storage != (isolation.StorageQoS{}) {
		s.QoS = &schema.StorageQoS{IopsMaximum: c.Storage.IOPS, BandwidthMaximum: c.Storage.Bandwidth}
	}
	return s
}

// processor is always present, even empty, as runhcs sends it.
func processor(p isolation.Processor) (*schema.ContainerProcessor, error) {
	set := 0
	for _, v := range []uint32{p.Count, p.Limit, p.Weight} {
		if v != 0 {
			set++
		}
	}
	if set > 1 {
		return nil, unfit("processor count %d, limit %d and weight %d exclude each other", p.Count, p.Limit, p.Weight)
	}
	return &schema.ContainerProcessor{Count: p.Count, Maximum: int64(p.Limit), Weight: int64(p.Weight)}, nil
}

func directories(mounts []isolation.Mount, paths []string) []schema.MappedDirectory {
	var out []schema.MappedDirectory
	for i, m := range mounts {
		path := m.Source
		if paths != nil {
			path = paths[i]
		}
		if path == "" {
			continue
		}
		out = append(out, schema.MappedDirectory{HostPath: path, ContainerPath: m.Destination, ReadOnly: m.ReadOnly})
	}
	return out
}

func pipes(in []isolation.Pipe) []schema.MappedPipe {
	var out []schema.MappedPipe
	for _, p := range in {
		out = append(out, schema.MappedPipe{ContainerPipeName: p.ContainerName, HostPath: p.HostPath})
	}
	return out
}

func networking(n isolation.Network, namespace string) *schema.Networking {
	if namespace == "" {
		namespace = n.NamespaceID
	}
	out := schema.Networking{
		AllowUnqualifiedDNSQuery:   n.UnqualifiedDNSQuery,
		DNSSearchList:              strings.Join(n.DNSSearch, ","),
		NetworkSharedContainerName: n.SharedContainer,
		Namespace:                  namespace,
	}
	if !out.AllowUnqualifiedDNSQuery && out.DNSSearchList == "" && out.NetworkSharedContainerName == "" && namespace == "" {
		return nil
	}
	return &out
}

// devices names the plan's devices as the service knows them. In a VM a device
// is first assigned to the machine: those come as facts.
func devices(p *isolation.Plan, f Facts) ([]schema.ContainerDevice, error) {
	var out []schema.ContainerDevice
	for _, d := range p.Container.Devices {
		switch d.IDType {
		case "class", "vpci-class-guid":
			out = append(out, schema.ContainerDevice{InterfaceClassGUID: d.ID})
		case "vpci-location-path":
			out = append(out, schema.ContainerDevice{Type: schema.DeviceTypeInstance, LocationPath: d.ID})
		default:
			if !p.InVM() {
				return nil, unfit("device %q has id type %q, which only a utility VM takes", d.ID, d.IDType)
			}
		}
	}
	return append(out, f.Devices...), nil
}

func extensions(in []schema.DeviceExtension) *schema.DeviceExtensions {
	if len(in) == 0 {
		return nil
	}
	return &schema.DeviceExtensions{DeviceExtensions: in}
}

// unfit is the error for a plan or facts that the document cannot be made of.
func unfit(format string, args ...any) error {
	return &fault.Error{Kind: fault.Internal, Op: "build container document", Detail: fmt.Sprintf(format, args...)}
}
