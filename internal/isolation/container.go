package isolation

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/Microsoft/go-winio/pkg/guid"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/oci"
)

// hostProcess applies the rules of HostProcess containers: pods are all or
// nothing on the host; in a Hyper-V pod they need a guest that has them.
// https://kubernetes.io/docs/tasks/configure-pod-container/create-hostprocess-pod/
func (d *decision) hostProcess() error {
	hp, pod := d.req.HostProcess, d.in.Pod
	asked := hp.Requested.Set() && hp.Requested.V
	if pod != nil && pod.Mode == ModeHostProcess && !asked {
		return d.refuse(fault.FailedPrecondition, "set hostProcess on every container of the pod, or on none",
			"pod %s is a HostProcess pod and this container is not a HostProcess container", pod.SandboxID)
	}
	if d.plan.Mode != ModeHostProcess {
		return nil
	}
	if hp.Disabled.V {
		return d.invalid("remove one of the two", "%s asks for a HostProcess container and %s forbids them", hp.Requested.Source, hp.Disabled.Source)
	}
	if d.in.Node.Policy.ForbidHostProcess {
		return d.in.Node.Deny(fmt.Sprintf("a HostProcess container, which %s asks for", hp.Requested.Source), "forbid_host_process")
	}
	c := d.plan.Container.HostProcess
	if uvm := d.plan.Versions.UVM; c.InGuest && uvm.Known() && uvm.Build < host.BuildServer2025 {
		return d.mismatch(fmt.Sprintf("pod %s has a utility VM of build %s; HostProcess containers in a utility VM came with build %d", pod.SandboxID, uvm, host.BuildServer2025),
			"use a pod in process isolation, or a utility VM of Windows Server 2025")
	}
	c.RootfsFolder, c.InheritUser = hp.Rootfs.V, hp.InheritUser.V
	if pod != nil && pod.Container.HostProcess != nil { // what the container leaves out it takes from its pod, as runhcs does
		from := pod.Container.HostProcess
		if !hp.Rootfs.Set() {
			c.RootfsFolder = from.RootfsFolder
		}
		if !hp.InheritUser.Set() {
			c.InheritUser = from.InheritUser
		}
	}
	if c.RootfsFolder == "" {
		c.RootfsFolder = defaultRootfs
	}
	if err := d.rootfs(c, hp.Rootfs); err != nil {
		return err
	}
	if !c.InGuest {
		d.cross(Crossing{
			Kind: CrossHostProcess, Host: "processes, files, registry, devices and network of the host",
			Inside: "everywhere", Write: true, Source: string(hp.Requested.Source),
		})
	}
	return nil
}

// defaultRootfs is where HostProcess containers see their files.
const defaultRootfs = `C:\hpc`

// reservedFolders are those of the system: files shown there would hide it from
// the container. As runhcs has it for folders in a utility VM (it takes any on the host).
var reservedFolders = []string{`C:\`, `C:\Windows`, `C:\Windows\System32`, `C:\Program Files`, `C:\mounts`, `C:\EFI`, `C:\SandboxMounts`}

// rootfs brings the folder into the form that the rest takes.
func (d *decision) rootfs(c *HostProcess, v oci.Value[string]) error {
	clean, ok := cleanWindows(c.RootfsFolder)
	switch {
	case !ok || pathKind(clean) != CrossHostPath:
		return d.invalid(`give a folder of a drive, as in C:\hpc`, "%s = %q is not the absolute path of a folder", v.Source, c.RootfsFolder)
	case len(clean) <= len(`C:\`) || containsFold(reservedFolders, clean):
		return d.invalid(`give a folder of its own, as in C:\hpc`, "%s = %q is a folder of the system", v.Source, c.RootfsFolder)
	}
	c.RootfsFolder = clean
	return nil
}

// resources narrows the limits to what documents take.
func (d *decision) resources() error {
	r, c := d.req.Resources, &d.plan.Container
	c.HostName = d.req.System.Hostname
	if m := r.MemoryMB; m.Set() {
		if m.V == 0 {
			return d.invalid("give at least 1 MB (1048576 bytes), or leave the limit out",
				"%s is less than 1 MB, which Windows would take for no limit", m.Source)
		}
		c.MemoryMB = m.V
	}
	if vm := d.vm(); vm != nil {
		if have := d.bootMemory(vm); c.MemoryMB > have {
			d.reason("memory limit cannot be reached", string(r.MemoryMB.Source),
				fmt.Sprintf("the container may use %d MB and its utility VM has %d MB", c.MemoryMB, have))
		}
	}
	c.Storage = StorageQoS{IOPS: r.IOPS.V, Bandwidth: r.Bandwidth.V}
	if r.ScratchMin.Set() && d.plan.InVM() {
		return d.refuse(fault.Unimplemented, "have the disk made larger with the snapshot's label containerd.io/snapshot/windows/rootfs.sizebytes, or use process isolation",
			"%s: the guest of a utility VM does not grow the file system on a larger disk", r.ScratchMin.Source)
	}
	if c.Storage != (StorageQoS{}) && d.onHost() {
		// https://learn.microsoft.com/windows/win32/api/jobapi2/nf-jobapi2-setioratecontrolinformationjobobject
		return d.refuse(fault.Unimplemented, "remove it", "%s limits storage, and Windows limits no job object's since version 1607", firstSource(r.IOPS, r.Bandwidth))
	}
	c.ScratchMin = r.ScratchMin.V
	if d.plan.Bare && d.plan.Mode != ModeHyperV {
		if c.MemoryMB != 0 || r.CPUCount.V != 0 {
			d.reason("limits of the pod have no effect", "Sandbox API", "its containers have limits of their own, and there is no job around them")
		}
		c.MemoryMB = 0
		return nil
	}
	if d.plan.Role == RoleSandbox && d.plan.Mode == ModeHyperV {
		return nil // no process of the sandbox runs in the VM: its limits sized the VM
	}
	if err := d.processors(); err != nil {
		return err
	}
	return d.affinity()
}

// processors takes at most one of count, limit and weight: HCS refuses more.
func (d *decision) processors() error {
	r := d.req.Resources
	var set []string
	for _, v := range []oci.Value[uint64]{r.CPUCount, r.CPULimit, r.CPUWeight} {
		if v.Set() && v.V != 0 {
			set = append(set, string(v.Source))
		}
		if v.V > math.MaxUint32 {
			return d.invalid("", "%s is %d: more than any machine has", v.Source, v.V)
		}
	}
	if len(set) > 1 { // of a sandbox, which oci leaves to us; all else it has refused
		return d.invalid("keep one of them", "processor count, limit and weight exclude each other, and there are %s", strings.Join(set, " and "))
	}
	p := Processor{Count: uint32(r.CPUCount.V), Limit: uint32(r.CPULimit.V), Weight: uint32(r.CPUWeight.V)}
	have, whose := d.in.Host.CPUs, "host"
	if vm := d.vm(); vm != nil {
		if scale := d.in.Options.ScaleCPULimits; (!scale.Set() || scale.V) && p.Limit != 0 && have != 0 && vm.Processor.Count != 0 {
			p.Limit = d.scaleLimit(p.Limit, have, vm.Processor.Count)
		}
		have, whose = vm.Processor.Count, "utility VM"
	}
	if p.Count > have && have != 0 {
		d.reason(fmt.Sprintf("processors = %d", have), string(r.CPUCount.Source),
			fmt.Sprintf("%d were asked for and the %s has %d", p.Count, whose, have))
		p.Count = have
	}
	d.plan.Container.Processor = p
	return nil
}

// scaleLimit turns a share of the host's processors into the share of the
// utility VM's that is the same time, at most all of it: a limit means the same
// in both modes. Option scale_cpu_limits_to_sandbox = false leaves it as it is,
// which is what runhcs does unless told otherwise.
func (d *decision) scaleLimit(limit, hostCPUs, vmCPUs uint32) uint32 {
	scaled := min(uint64(limit)*uint64(hostCPUs)/uint64(vmCPUs), 10000)
	d.reason(fmt.Sprintf("processor limit = %d of 10000", scaled), string(d.req.Resources.CPULimit.Source),
		fmt.Sprintf("%d of 10000 of the host's %d processors, as a share of the utility VM's %d", limit, hostCPUs, vmCPUs))
	return uint32(max(scaled, 1))
}

// affinity: a container in a VM has none (runhcs drops it silently); groups
// came with build 20348, as runhcs checks.
func (d *decision) affinity() error {
	for i, a := range d.req.Resources.Affinity {
		where := fmt.Sprintf("spec.windows.resources.cpu.affinity[%d]", i)
		build := d.in.Host.Version
		switch {
		case a.Mask == 0:
			return d.invalid("set a bit for each processor", "%s has an empty mask", where)
		case d.plan.InVM():
			return d.refuse(fault.Unimplemented, "remove it, or use process isolation",
				"%s pins to processors of the host, which a container in a utility VM does not have", where)
		case (a.Group != 0 || i > 0) && build.Known() && build.Build < host.BuildServer2022:
			return d.mismatch(fmt.Sprintf("%s: host %s pins to processors of group 0 only", where, build),
				"use a host of Windows Server 2022 or later")
		}
		d.plan.Container.Affinity = append(d.plan.Container.Affinity, AffinityMask{Mask: a.Mask, Group: a.Group})
	}
	return nil
}

// Device id types by mode, as runhcs takes them.
var (
	processDevices = []string{"class", "vpci-class-guid", "vpci-location-path"}
	vmDevices      = []string{"vpci", "vpci-instance-id", "gpu"}
)

func (d *decision) devices() error {
	seen := make(map[string]int, len(d.req.Devices))
	for i, dev := range d.req.Devices {
		where := fmt.Sprintf("spec.windows.devices[%d]", i)
		if d.plan.Mode == ModeHostProcess {
			d.reason("no effect", where, "a HostProcess container sees the devices without being given them")
			continue
		}
		allowed, hint := processDevices, "use Hyper-V isolation for a device of its own"
		if d.plan.InVM() {
			allowed, hint = vmDevices, "device classes such as GPUs are shared with the host's kernel: use process isolation for them"
		}
		if !containsFold(allowed, dev.IDType) {
			return d.invalid(hint, "%s has the id type %q; in %s isolation it is one of %s", where, dev.IDType, d.plan.Mode, strings.Join(allowed, ", "))
		}
		if dev.ID == "" {
			return d.invalid("name the device", "%s has no id", where)
		}
		kind := strings.ToLower(dev.IDType)
		if strings.Contains(kind, "class") && !isGUID(dev.ID) {
			return d.invalid("the class of GPUs is 5B45201D-F2F2-4F3B-85BB-30FF1F953599", "%s: the id %q of a device class is not a GUID", where, dev.ID)
		}
		if first, twice := seen[kind+strings.ToLower(dev.ID)]; twice {
			return d.invalid("remove one of the two", "%s is the device of spec.windows.devices[%d]", where, first)
		}
		seen[kind+strings.ToLower(dev.ID)] = i
		if d.in.Node.Policy.ForbidDevices {
			return d.in.Node.Deny(fmt.Sprintf("device %s/%s (%s)", dev.IDType, dev.ID, where), "forbid_devices")
		}
		d.plan.Container.Devices = append(d.plan.Container.Devices, Device{IDType: kind, ID: dev.ID})
		d.cross(Crossing{Kind: CrossDevice, Host: dev.IDType + "/" + dev.ID, Write: true, Source: where})
	}
	return nil
}

// isGUID takes the form with braces, too.
func isGUID(s string) bool {
	_, err := guid.FromString(strings.TrimSuffix(strings.TrimPrefix(s, "{"), "}"))
	return err == nil
}

func containsFold(list []string, s string) bool {
	for _, l := range list {
		if strings.EqualFold(l, s) {
			return true
		}
	}
	return false
}

func (d *decision) network() error {
	n := d.req.Network
	const at = "spec.windows.network."
	if d.onHost() {
		return d.hostNetwork()
	}
	if err := d.names(); err != nil {
		return err
	}
	if n.SharedContainer != "" && d.plan.InVM() {
		return d.invalid("use process isolation, or put both containers in one pod",
			"%snetworkSharedContainerName: a container in a utility VM can't share the network of container %s outside of it", at, n.SharedContainer)
	}
	d.plan.Container.Network = Network{
		NamespaceID: n.NamespaceID, EndpointIDs: n.EndpointIDs, DNSSearch: n.DNSSearch,
		UnqualifiedDNSQuery: n.UnqualifiedDNSQuery, SharedContainer: n.SharedContainer,
	}
	if n.NamespaceID != "" {
		d.cross(Crossing{Kind: CrossNamespace, Host: n.NamespaceID, Write: true, Source: at + "networkNamespace"})
	}
	for i, e := range n.EndpointIDs {
		if n.NamespaceID != "" {
			d.reason("no effect", at+"endpointList", "the namespace has its own endpoints")
			d.plan.Container.Network.EndpointIDs = nil
			break
		}
		d.cross(Crossing{Kind: CrossEndpoint, Host: e, Write: true, Source: fmt.Sprintf("%sendpointList[%d]", at, i)})
	}
	if n.SharedContainer != "" {
		d.cross(Crossing{Kind: CrossContainer, Host: n.SharedContainer, Write: true, Source: at + "networkSharedContainerName"})
	}
	return nil
}

// names checks how names are resolved. The document has the list as one text
// with commas between the domains (as runhcs joins it), so an entry that is
// empty or has one would be another list than the spec's.
func (d *decision) names() error {
	n := d.req.Network
	const at = "spec.windows.network."
	for i, domain := range n.DNSSearch {
		if domain == "" || strings.ContainsAny(domain, ", \t\r\n") {
			return d.invalid("give one domain per entry, as in svc.cluster.local", "%sDNSSearchList[%d] = %q is not one domain", at, i, domain)
		}
	}
	if d.plan.Role == RoleSandbox && d.plan.Mode == ModeHyperV {
		const why = "no process of the sandbox runs in the utility VM: each container has its own"
		if len(n.DNSSearch) > 0 {
			d.reason("no effect", at+"DNSSearchList", why)
		}
		if n.UnqualifiedDNSQuery {
			d.reason("no effect", at+"allowUnqualifiedDNSQuery", why)
		}
	}
	return nil
}

// onHost reports whether the container is a job on the host.
func (d *decision) onHost() bool {
	hp := d.plan.Container.HostProcess
	return hp != nil && !hp.InGuest
}

// hostNetwork: a job on the host is on the host's network. Kubernetes asks for
// that in so many words (hostNetwork: true), and containerd then names no
// namespace: a pod that has one was meant to be apart. nerdctl makes a network
// for every container, whatever its isolation; there it is of no use.
func (d *decision) hostNetwork() error {
	n := d.req.Network
	const at = "spec.windows.network."
	for _, v := range []struct {
		set  bool
		name string
	}{{n.NamespaceID != "", "networkNamespace"}, {len(n.EndpointIDs) > 0, "endpointList"}, {n.SharedContainer != "", "networkSharedContainerName"}} {
		switch {
		case !v.set:
		case d.plan.Role != RoleStandalone:
			return d.invalid("set hostNetwork: true on the pod", "%s gives the container a network of its own, and a HostProcess container is on the host's", at+v.name)
		default:
			d.reason("no effect", at+v.name, "a HostProcess container is on the host's network")
		}
	}
	if len(n.DNSSearch) > 0 {
		d.reason("no effect", at+"DNSSearchList", "a HostProcess container resolves names as the host does")
	}
	if n.UnqualifiedDNSQuery {
		d.reason("no effect", at+"allowUnqualifiedDNSQuery", "a HostProcess container resolves names as the host does")
	}
	return nil
}

func firstSource(values ...oci.Value[uint64]) oci.Source {
	for _, v := range values {
		if v.V != 0 {
			return v.Source
		}
	}
	return ""
}

func (d *decision) credentials() error {
	spec := d.req.System.CredentialSpec
	if spec == "" {
		return nil
	}
	const where = "spec.windows.credentialSpec"
	if d.onHost() {
		return d.invalid("leave it out", "%s gives an identity of a domain, and a HostProcess container runs as an account of the host", where)
	}
	if !json.Valid([]byte(spec)) {
		return d.invalid("give the text of the file that New-CredentialSpec writes", "%s is not JSON", where)
	}
	if off := d.req.Annotations.Bool(oci.KeyGMSADisable); off.V {
		return d.refuse(fault.PermissionDenied, "remove one of the two", "%s forbids group managed service accounts and %s gives one", off.Source, where)
	}
	if d.plan.Role == RoleSandbox && d.plan.Mode == ModeHyperV {
		d.reason("no effect", where, "no process of the sandbox runs in the utility VM: each container has its own")
		return nil
	}
	d.plan.Container.CredentialSpec = spec
	d.cross(Crossing{Kind: CrossCredential, Host: "group managed service account", Source: where})
	return nil
}

// extras carries the values that only annotations give, and tells of
// annotations that have no effect on this plan.
func (d *decision) extras() error {
	a, c := d.req.Annotations, &d.plan.Container
	for _, key := range a.Keys() {
		if err := d.annotationFits(key); err != nil {
			return err
		}
	}
	if err := d.files(); err != nil {
		return err
	}
	c.Registry = registry(a.Registry(oci.KeyTestRegistry).V)
	dump, err := d.dump()
	if err != nil {
		return err
	}
	c.Dump = dump
	return nil
}

// files are the host's files that annotations name: device extensions, which
// the shim reads, and folders of drivers, which the guest reads.
func (d *decision) files() error {
	a, c := d.req.Annotations, &d.plan.Container
	extensions, drivers := a.List(oci.KeyDeviceExtensions), a.List(oci.KeyUVMKernelDrivers)
	for _, list := range []oci.Value[[]string]{extensions, drivers} {
		for _, path := range list.V {
			if _, ok := cleanWindows(path); !ok {
				return d.invalid(`write it with its drive: C:\folder`, "%s: %q is not an absolute path", list.Source, path)
			}
			if err := d.hostPathAllowed(string(list.Source), path, false); err != nil {
				return err
			}
		}
	}
	if d.plan.Mode != ModeHostProcess {
		c.DeviceExtensions = extensions.V
	}
	if d.plan.Mode == ModeHyperV {
		c.KernelDrivers = drivers.V
		for _, folder := range drivers.V {
			d.cross(Crossing{Kind: CrossHostPath, Host: folder, Inside: "utility VM", Source: string(drivers.Source)})
		}
	}
	return nil
}

// annotationFits refuses an annotation that this host is too old for, and notes
// one that does nothing here.
func (d *decision) annotationFits(key string) error {
	row, ok := oci.Lookup(key)
	if !ok {
		return nil
	}
	input := "annotation " + key
	switch {
	case row.Modes&d.modes() == 0:
		d.reason("no effect", input, fmt.Sprintf("it is for %s, and this container is %s", row.Modes, d.modes()))
	case row.Scope == oci.ScopePod && d.plan.Role == RoleWorkload && key != string(oci.KeyIsolation) && key != string(oci.KeyAllowNewerImage):
		d.reason("no effect", input, "it is for the pod, and this container joins one")
	case row.Since > d.in.Host.Version.Build && d.in.Host.Version.Known():
		if row.Type == oci.TypeBool && !d.req.Annotations.Bool(oci.BoolKey(key)).V {
			return nil // off asks for nothing
		}
		return d.mismatch(fmt.Sprintf("%s needs Windows build %d, the host is %s", input, row.Since, d.in.Host.Version), "remove it, or use a newer host")
	}
	return nil
}

// modes is the plan's mode as the annotation table has it.
func (d *decision) modes() oci.Modes {
	switch {
	case d.plan.Guest == GuestLinux:
		return oci.ModeHyperVLinux
	case d.plan.Mode == ModeHostProcess:
		return oci.ModeHostProcess
	case d.plan.Mode == ModeHyperV:
		return oci.ModeHyperVWindows
	}
	return oci.ModeProcess
}

// dump returns where process dumps go, nil if nobody asked.
func (d *decision) dump() (*Dump, error) {
	a := d.req.Annotations
	loc := a.String(oci.KeyDumpLocation)
	if !loc.Set() {
		return nil, nil
	}
	out := &Dump{Folder: strings.ReplaceAll(loc.V, "{container_id}", d.in.ID), Type: 2, Count: 10}
	if strings.EqualFold(a.String(oci.KeyDumpType).V, "mini") {
		out.Type = 1
	}
	if n := a.Uint(oci.KeyDumpCount); n.V != 0 {
		if n.V > math.MaxInt32 {
			return nil, d.invalid("", "%s is %d: at most %d", n.Source, n.V, math.MaxInt32)
		}
		out.Count = uint32(n.V)
	}
	return out, nil
}

func registry(in []oci.RegistryValue) []RegistryValue {
	var out []RegistryValue
	for _, v := range in {
		out = append(out, RegistryValue(v))
	}
	return out
}
