package hcsemu

import (
	"strings"

	"github.com/isolrun/isol/internal/hcs/schema"
)

// checkSystem holds a document against what it says itself and against the
// machine. What it names elsewhere is checked when the system is admitted.
func (e *Emulator) checkSystem(doc *schema.ComputeSystem) error {
	// Source: ComputeSystem of the published schema: exactly one kind.
	kinds := 0
	for _, is := range []bool{doc.Container != nil, doc.VirtualMachine != nil, doc.HostedSystem != nil} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		return fail(EInvalidJSON, "a document has one of Container, VirtualMachine and HostedSystem, not %d", kinds)
	}
	if v := doc.SchemaVersion; v == nil || v.Major != 2 || v.Minor > e.newestSchema() {
		return fail(EInvalidJSON, "SchemaVersion must be 2.0 to 2.%d on build %d", e.newestSchema(), e.config.Build)
	}
	if doc.HostedSystem != nil {
		return fail(ENotSupported, "systems hosted in a machine by the service are not emulated: the guest bridge makes them")
	}
	if doc.VirtualMachine != nil {
		return e.checkMachine(doc.VirtualMachine)
	}
	return e.checkContainer(doc.Container)
}

// newestSchema is the minor version of schema 2 that the build takes. Source:
// https://learn.microsoft.com/virtualization/api/hcs/schemareference, Schema-Version-Map.
func (e *Emulator) newestSchema() uint32 {
	newest := uint32(0)
	for _, v := range []struct{ build, minor uint32 }{
		{17763, 1}, {18362, 2}, {19041, 3}, {20348, 4}, {22000, 5}, {22621, 6}, {26100, 7},
	} {
		if e.config.Build >= v.build {
			newest = v.minor
		}
	}
	return newest
}

func (e *Emulator) checkContainer(c *schema.Container) error {
	if c.Storage == nil || c.Storage.Path == "" || len(c.Storage.Layers) == 0 {
		return fail(EInvalidJSON, "Container.Storage needs Path and at least one of Layers")
	}
	if err := checkProcessor(c.Processor); err != nil {
		return err
	}
	for _, d := range c.MappedDirectories {
		// As runhcs does: hcsoci resolves both to absolute paths before it maps.
		if !absolute(d.HostPath) || !absolute(d.ContainerPath) {
			return fail(EInvalidArg, "mapped directory %q to %q: both must be absolute", d.HostPath, d.ContainerPath)
		}
		if disk := e.config.Disk; disk != nil && !disk.Exists(drivePath(d.HostPath)) {
			return fail(EPathNotFound, "mapped directory: the host has no %s", d.HostPath)
		}
	}
	for _, p := range c.MappedPipes {
		// As runhcs does: the container's name is without \\.\pipe\, the host's path with it.
		if p.ContainerPipeName == "" || strings.Contains(p.ContainerPipeName, `\\.\pipe`) ||
			!strings.HasPrefix(strings.ToLower(p.HostPath), `\\.\pipe\`) {
			return fail(EInvalidArg, `mapped pipe %q to %q: a host path below \\.\pipe\ and a bare name are needed`, p.HostPath, p.ContainerPipeName)
		}
	}
	return e.checkImage(c.Storage.Layers)
}

func checkProcessor(p *schema.ContainerProcessor) error {
	if p == nil {
		return nil
	}
	// As runhcs does: hcsoci refuses more than one of the three, since HCS does.
	set := 0
	for _, n := range []int64{int64(p.Count), p.Maximum, p.Weight} {
		if n != 0 {
			set++
		}
	}
	if set > 1 {
		return fail(EInvalidArg, "Processor takes one of Count, Maximum and Weight, not %d", set)
	}
	// Source: Container Processor of the published schema: both are of 10000.
	if p.Maximum < 0 || p.Maximum > 10000 || p.Weight < 0 || p.Weight > 10000 {
		return fail(EInvalidArg, "Processor.Maximum %d and Weight %d must be 1 to 10000", p.Maximum, p.Weight)
	}
	return nil
}

// absolute says whether path is absolute on Windows.
func absolute(path string) bool {
	return strings.HasPrefix(path, `\\`) ||
		len(path) >= 3 && path[1] == ':' && (path[2] == '\\' || path[2] == '/')
}

// checkImage holds the base layer's build against the host's. Source:
// https://learn.microsoft.com/virtualization/windowscontainers/deploy-containers/version-compatibility:
// below build 20348 only the same build runs in process isolation; from there on
// images from 20348 up to the host's own build.
func (e *Emulator) checkImage(layers []schema.Layer) error {
	if e.config.ImageBuild == nil {
		return nil
	}
	base := layers[len(layers)-1]
	image, host := e.config.ImageBuild(base.Path), e.config.Build
	switch {
	case image == 0, image == host:
		return nil
	case host < 20348, image < 20348, image > host:
		return fail(EImageMismatch, "the image in %s is of build %d, the host of build %d", base.Path, image, host)
	}
	return nil
}

func (e *Emulator) checkMachine(vm *schema.VirtualMachine) error {
	if !e.config.Hypervisor {
		return fail(EHypervNotInstalled, "this computer has no hypervisor")
	}
	if vm.Chipset == nil || (vm.Chipset.UEFI == nil) == (vm.Chipset.LinuxKernelDirect == nil) {
		return fail(EInvalidJSON, "VirtualMachine.Chipset needs one of Uefi and LinuxKernelDirect")
	}
	top := vm.ComputeTopology
	if top == nil || top.Memory == nil || top.Processor == nil {
		return fail(EInvalidJSON, "VirtualMachine.ComputeTopology needs Memory and Processor")
	}
	// As runhcs does: uvm normalises memory to an even number of MB and
	// processors to the host's, since HCS refuses the rest.
	if size := top.Memory.SizeInMB; size == 0 || size%2 != 0 {
		return fail(EInvalidArg, "Memory.SizeInMB is %d: an even number greater than 0 is needed", size)
	}
	if n := top.Processor.Count; n == 0 || int64(n) > int64(e.config.CPUs) {
		return fail(EInvalidArg, "Processor.Count is %d: 1 to %d are there", n, e.config.CPUs)
	}
	return nil
}

// checkNamesLocked holds what a document names against what was handed out.
func (e *Emulator) checkNamesLocked(sys *system) error {
	c := sys.doc.Container
	if c == nil || e.config.TrustNames {
		return nil
	}
	if err := e.checkStorageLocked(c.Storage); err != nil {
		return err
	}
	if g := c.ContainerCredentialGuard; g != nil && !e.knownCredentialGuardLocked(g.Cookie) {
		return fail(EElementNotFound, "there is no credential guard instance with the cookie %s", g.Cookie)
	}
	if c.Networking != nil && c.Networking.Namespace != "" {
		if e.networks[Namespace][canonical(c.Networking.Namespace)] == nil {
			return fail(EElementNotFound, "there is no network namespace %s", c.Networking.Namespace)
		}
	}
	return nil
}

func (e *Emulator) knownCredentialGuardLocked(cookie string) bool {
	for _, g := range e.credGuards {
		if g.instance.CredentialGuard.Cookie == cookie {
			return true
		}
	}
	return false
}

// checkStorageLocked: the root is the volume of a prepared layer, which no
// other container uses, and the layers are those that it was prepared with.
// As runhcs relies on it: its rootfs path comes from GetLayerMountPath after
// PrepareLayer, its layer ids from NameToGuid, its order from the same list.
func (e *Emulator) checkStorageLocked(s *schema.Storage) error {
	root := e.layerOfVolumeLocked(s.Path)
	if root == nil || root.state != layerPrepared {
		return fail(EPathNotFound, "Storage.Path %s is not the volume of a prepared layer", s.Path)
	}
	if user := e.userOfVolumeLocked(s.Path); user != nil {
		return fail(ESharingViolation, "the volume %s is in use by compute system %q", s.Path, user.id)
	}
	if len(s.Layers) != len(root.parents) {
		return fail(EInvalidLayer, "the root was prepared with %d layers, the document has %d", len(root.parents), len(s.Layers))
	}
	for i, l := range s.Layers {
		if want := nameToGUID(baseName(l.Path)); canonical(l.ID) != want {
			return fail(EInvalidLayer, "layer %s has the id %s, not %s", l.Path, want, l.ID)
		}
		if normalPath(l.Path) != normalPath(root.parents[i].Path) {
			return fail(EInvalidLayer, "layer %d is %s, the root was prepared with %s there", i, l.Path, root.parents[i].Path)
		}
	}
	return nil
}

// userOfVolumeLocked returns the system whose root the volume is.
func (e *Emulator) userOfVolumeLocked(volume string) *system {
	for _, sys := range e.systems {
		if c := sys.doc.Container; c != nil && c.Storage != nil && strings.EqualFold(c.Storage.Path, volume) {
			return sys
		}
	}
	return nil
}

// siloSpecLocked is what a container's processes see.
func (e *Emulator) siloSpecLocked(sys *system) SiloSpec {
	c := sys.doc.Container
	if c == nil {
		return SiloSpec{}
	}
	spec := SiloSpec{ID: sys.id, Volume: c.Storage.Path}
	if root := e.layerOfVolumeLocked(c.Storage.Path); root != nil {
		spec.RootDirs = append(spec.RootDirs, root.path)
	}
	for _, l := range c.Storage.Layers {
		spec.RootDirs = append(spec.RootDirs, l.Path)
	}
	if c.GuestOS != nil {
		spec.Hostname = c.GuestOS.HostName
	}
	for _, d := range c.MappedDirectories {
		spec.Directories = append(spec.Directories, MappedDirectory{HostPath: drivePath(d.HostPath), ContainerPath: d.ContainerPath, ReadOnly: d.ReadOnly})
	}
	for _, p := range c.MappedPipes {
		spec.Pipes = append(spec.Pipes, MappedPipe{HostPath: p.HostPath, ContainerName: p.ContainerPipeName})
	}
	return spec
}

// checkProcess: a process needs a command. Source: ProcessParameters of the
// published schema; as runhcs does, CommandArgs are for Linux guests.
func checkProcess(p *schema.ProcessParameters) error {
	if p.CommandLine == "" && p.ApplicationName == "" {
		return fail(EInvalidArg, "CommandLine is empty")
	}
	if len(p.CommandArgs) > 0 {
		return fail(EInvalidArg, "CommandArgs are for Linux guests")
	}
	if n := len(p.ConsoleSize); n != 0 && n != 2 {
		return fail(EInvalidArg, "ConsoleSize needs rows and columns, not %d numbers", n)
	}
	return nil
}
