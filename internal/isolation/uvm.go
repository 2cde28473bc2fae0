package isolation

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/oci"
	"github.com/isolrun/isol/internal/options"
)

// The size of a utility VM for which nobody asked: runhcs's, whose 1024 MB
// are what Windows needs to boot and run a small server.
const (
	defaultVMMemoryMB   = 1024
	defaultVMProcessors = 2
	defaultVMOverheadMB = 256 // of the guest's own, beyond the containers' limits
)

// vmSuffix makes the id of a pod's utility VM from the pod's.
const vmSuffix = "@vm"

// vm is the utility VM that the container runs in: its own or its pod's.
func (d *decision) vm() *UVM {
	if d.plan.UVM != nil || d.in.Pod == nil {
		return d.plan.UVM
	}
	return d.in.Pod.UVM
}

// utilityVM plans the VM of a pod or of a container outside of a pod.
func (d *decision) utilityVM() error {
	if d.plan.Mode != ModeHyperV || d.in.Pod != nil {
		return nil
	}
	id := d.in.ID
	if d.plan.SandboxID != "" {
		id = d.plan.SandboxID
	}
	u := &UVM{ID: id + vmSuffix}
	d.plan.UVM = u
	d.vmPlacement(u)
	d.vmImage(u)
	for _, step := range []func(*UVM) error{d.vmMemory, d.vmProcessors, d.vmNUMA, d.vmGuest, d.vmOpenings} {
		if err := step(u); err != nil {
			return err
		}
	}
	return nil
}

// vmMemory sizes the VM's memory, in order: the annotation as it is; else the
// larger of the default (option, node config, 1024 MB) and the memory limit of
// the spec plus the guest's own share; the latter is at most what the host has.
// An odd number is rounded up: HCS takes even ones only.
func (d *decision) vmMemory(u *UVM) error {
	a := d.req.Annotations
	have := d.in.Host.MemoryMB
	size, input, why := d.defaultMemory()
	limit := d.req.Resources.MemoryMB
	if asked := a.Uint(oci.KeyUVMMemoryMB); asked.V != 0 {
		size, input, why = asked.V, string(asked.Source), "as asked for"
		if have != 0 && size > have {
			return d.invalid(fmt.Sprintf("give MB, not bytes, and at most %d", have),
				"%s is %d MB and the host has %d MB", asked.Source, size, have)
		}
	} else if over := d.overheadMB(); limit.V != 0 {
		sum := fmt.Sprintf("the limit %d MB and %d MB for the guest itself", limit.V, over)
		if need := min(limit.V, math.MaxUint64-1-over) + over; need <= size {
			why += ", which holds " + sum
		} else {
			size, input, why = need, string(limit.Source), sum
		}
		if have != 0 && size > have {
			size, why = have, why+fmt.Sprintf(", but no more than the host's %d MB", have)
			size -= size % 2
		}
	}
	if size%2 != 0 {
		size, why = size+1, why+", rounded up to an even number"
	}
	u.MemoryMB, u.OverheadMB, u.MemoryAsked = size, d.overheadMB(), a.Uint(oci.KeyUVMMemoryMB).V != 0
	d.reason(fmt.Sprintf("utility VM memory = %d MB", size), input, why)
	d.vmBacking(u)
	return nil
}

// bootMemory is the memory of the VM that the container will run in. One that
// boots with the pod's first container is sized by that container's limit as it
// would be by one of the pod, where neither the pod nor an annotation has said
// how large it is to be: CRI tells nothing else of a Windows pod.
func (d *decision) bootMemory(vm *UVM) uint64 {
	pod, limit := d.in.Pod, d.req.Resources.MemoryMB
	if pod == nil || !vm.Late || vm.MemoryAsked || pod.Container.MemoryMB != 0 || limit.V == 0 {
		return vm.MemoryMB
	}
	need := min(limit.V, math.MaxUint64-2-vm.OverheadMB) + vm.OverheadMB
	need += need % 2
	if have := d.in.Host.MemoryMB; have != 0 {
		need = min(need, have-have%2)
	}
	if need <= vm.MemoryMB {
		return vm.MemoryMB
	}
	d.plan.BootMemoryMB = need
	d.reason(fmt.Sprintf("utility VM memory = %d MB", need), string(limit.Source),
		fmt.Sprintf("if this container boots it: the limit %d MB and %d MB for the guest itself, no more than the host has", limit.V, vm.OverheadMB))
	return need
}

func (d *decision) defaultMemory() (mb uint64, input, why string) {
	o, n := d.in.Options.VM.MemoryMB, d.in.Node
	if n.HyperV.MemoryMB != 0 {
		mb, input, why = n.HyperV.MemoryMB, "node config "+n.Path, "the node's default"
	}
	if o.V == 0 {
		if mb == 0 {
			return defaultVMMemoryMB, "default", "isol's default"
		}
		return mb, input, why
	}
	if mb != 0 && mb != o.V {
		d.overrule(input, fmt.Sprintf("utility VM memory %d MB", mb), string(o.Source))
	}
	return o.V, string(o.Source), "the runtime handler's default"
}

func (d *decision) overheadMB() uint64 {
	if o := d.in.Node.HyperV.OverheadMB; o != 0 {
		return o
	}
	return defaultVMOverheadMB
}

// vmBacking says how the host backs the VM's memory. The annotations that
// contradict each other here were refused by oci.Parse.
func (d *decision) vmBacking(u *UVM) {
	a := d.req.Annotations
	over := a.Bool(oci.KeyUVMOvercommit)
	u.AllowOvercommit = (!over.Set() || over.V) && !a.Bool(oci.KeyUVMPhysical).V
	u.DeferredCommit = a.Bool(oci.KeyUVMDeferredCommit).V
	u.ColdDiscardHint = a.Bool(oci.KeyUVMColdDiscardHint).V
	u.LowMMIOGapMB = a.Uint(oci.KeyUVMLowMMIOGapMB).V
	u.HighMMIOBaseMB = a.Uint(oci.KeyUVMHighMMIOBaseMB).V
	u.HighMMIOGapMB = a.Uint(oci.KeyUVMHighMMIOGapMB).V
}

// vmProcessors sizes the VM's processors like its memory: the annotation; else
// the larger of the default and what the spec's count or limit needs; at most
// what the host has.
func (d *decision) vmProcessors(u *UVM) error {
	a := d.req.Annotations
	have := uint64(d.in.Host.CPUs)
	n, input, why := d.defaultProcessors()
	if asked := a.Uint(oci.KeyUVMProcessorCount); asked.V != 0 {
		n, input, why = asked.V, string(asked.Source), "as asked for"
	} else if need, src := d.neededProcessors(have); need > n {
		n, input, why = need, src, "what the limit needs"
	}
	if have != 0 && n > have {
		n, why = have, why+fmt.Sprintf(", but no more than the host's %d", have)
	}
	if n > math.MaxUint32 {
		return d.invalid("", "%s: %d processors are more than any machine has", input, n)
	}
	u.Processor = Processor{
		Count:  uint32(n),
		Limit:  uint32(a.Uint(oci.KeyUVMProcessorLimit).V),  // the table's maximum is 100 000
		Weight: uint32(a.Uint(oci.KeyUVMProcessorWeight).V), // and 10 000
	}
	d.reason(fmt.Sprintf("utility VM processors = %d", n), input, why)
	return nil
}

func (d *decision) defaultProcessors() (n uint64, input, why string) {
	o, c := d.in.Options.VM.ProcessorCount, d.in.Node
	switch {
	case o.V != 0:
		if c.HyperV.Processors != 0 && c.HyperV.Processors != o.V {
			d.overrule("node config "+c.Path, fmt.Sprintf("utility VM processors %d", c.HyperV.Processors), string(o.Source))
		}
		return uint64(o.V), string(o.Source), "the runtime handler's default"
	case c.HyperV.Processors != 0:
		return uint64(c.HyperV.Processors), "node config " + c.Path, "the node's default"
	}
	return defaultVMProcessors, "default", "isol's default"
}

// neededProcessors is the count that was asked for, or as many as a share of
// the host's processors is worth.
func (d *decision) neededProcessors(have uint64) (uint64, string) {
	r := d.req.Resources
	if r.CPUCount.V != 0 {
		return r.CPUCount.V, string(r.CPUCount.Source)
	}
	return (min(r.CPULimit.V, 10000)*have + 9999) / 10000, string(r.CPULimit.Source)
}

// vmPlacement says where the VM runs and what storage it gets.
func (d *decision) vmPlacement(u *UVM) {
	a := d.req.Annotations
	u.CPUGroup, u.Partition = a.String(oci.KeyUVMCPUGroup).V, a.String(oci.KeyUVMPartition).V
	u.Storage = StorageQoS{IOPS: a.Uint(oci.KeyUVMIOPS).V, Bandwidth: a.Uint(oci.KeyUVMBandwidth).V}
}

// UVMImage returns the folder that a VM boots from if one is named, empty if
// it is found in the image's layers. The spec names the UtilityVM folder itself
// (https://github.com/opencontainers/runtime-spec config-windows: utilityVMPath),
// the option the folder that holds it.
func UVMImage(req *oci.Request, o options.Options) string {
	if req.HyperV == nil || req.HyperV.UtilityVMPath == "" {
		return o.VM.Image.V
	}
	path := strings.TrimRight(req.HyperV.UtilityVMPath, `\/`)
	const folder = "utilityvm"
	if cut := len(path) - len(folder); cut > 1 && strings.EqualFold(path[cut:], folder) && strings.ContainsAny(path[cut-1:cut], `\/`) {
		return path[:cut-1]
	}
	return path
}

// vmImage says which folder the VM boots from.
func (d *decision) vmImage(u *UVM) {
	o := d.in.Options.VM
	u.Image = UVMImage(d.req, d.in.Options)
	if u.Late = d.in.Bare && u.Image == "" && d.in.Image.UVMFolder == ""; u.Late {
		d.reason("utility VM boots with the first container", "Sandbox API",
			"the pod has no image of its own and no VM image is named (option uvm_image): the VM boots from the image of the first container")
	}
	if d.req.HyperV != nil && d.req.HyperV.UtilityVMPath != "" && o.Image.Set() {
		d.overrule(string(o.Image.Source), o.Image.V, "spec.windows.hyperv.utilityVMPath")
	}
	u.BootFilesRoot = o.BootFilesRoot.V
	if b := d.req.Annotations.String(oci.KeyUVMBootFiles); b.Set() {
		if o.BootFilesRoot.Set() && o.BootFilesRoot.V != b.V {
			d.overrule(string(o.BootFilesRoot.Source), o.BootFilesRoot.V, string(b.Source))
		}
		u.BootFilesRoot = b.V
	}
}

// vmGuest carries what the guest is told.
func (d *decision) vmGuest(u *UVM) error {
	a := d.req.Annotations
	u.NoWritableShare = a.Bool(oci.KeyUVMNoWritableShares).V
	// A direct map shares the host's page cache, which is not the VM's own memory: as runhcs does.
	u.NoDirectMap = a.Bool(oci.KeyUVMNoDirectMap).V || a.Bool(oci.KeyUVMPhysical).V
	u.NoCompartments = a.Bool(oci.KeyUVMNoCompartments).V
	u.NoTimeZone = a.Bool(oci.KeyUVMNoInheritTimeZone).V || d.in.Options.VM.NoInheritTimeZone.V
	defaults := a.Bool(oci.KeyUVMLogDefaults)
	u.ForwardLogs = a.Bool(oci.KeyUVMForwardLogs).V
	u.NoLogDefaults = defaults.Set() && !defaults.V
	u.LogSources = a.String(oci.KeyUVMLogSources).V
	u.Registry = registry(a.Registry(oci.KeyUVMRegistry).V)
	dump, err := d.dump()
	u.Dump = dump
	return err
}

// vmOpenings lists what of the host the VM itself sees.
func (d *decision) vmOpenings(u *UVM) error {
	a := d.req.Annotations
	for id, v := range a.ServiceTable() {
		if u.ServiceTable == nil {
			u.ServiceTable = make(map[string]json.RawMessage)
		}
		u.ServiceTable[id] = v.V
	}
	for _, id := range sortedKeys(u.ServiceTable) {
		d.cross(Crossing{Kind: CrossSocket, Host: id, Inside: "utility VM", Write: true, Source: string(a.ServiceTable()[id].Source)})
	}
	if pipe := a.String(oci.KeyUVMConsolePipe); pipe.Set() {
		if d.in.Node.Policy.ForbidPipes {
			return d.in.Node.Deny(fmt.Sprintf("pipe %s (%s)", pipe.V, pipe.Source), "forbid_pipes")
		}
		u.ConsolePipe = pipe.V
		d.cross(Crossing{Kind: CrossPipe, Host: pipe.V, Inside: "console of the utility VM", Write: true, Source: string(pipe.Source)})
	}
	if dir := a.String(oci.KeyUVMDumpDirectory); dir.Set() {
		if err := d.hostPathAllowed(string(dir.Source), dir.V, true); err != nil {
			return err
		}
		u.DumpDirectory = dir.V
		d.cross(Crossing{Kind: CrossDump, Host: dir.V, Inside: "crash dumps of the utility VM", Write: true, Source: string(dir.Source)})
	}
	return nil
}

// hostPathAllowed asks the node's policy about a path of the host.
func (d *decision) hostPathAllowed(where, path string, write bool) error {
	p := d.in.Node.Policy
	if !p.AllowsHostPath(path) {
		return d.in.Node.Deny(fmt.Sprintf("host path %s (%s): it is below none of the allowed directories", path, where), "allow_host_paths")
	}
	if write && p.ForbidWritableMounts {
		return d.in.Node.Deny(fmt.Sprintf("writable host path %s (%s)", path, where), "forbid_writable_mounts")
	}
	if vm := d.vm(); write && vm != nil && vm.NoWritableShare {
		return d.refuse(fault.PermissionDenied, "mount it read-only, or remove the annotation",
			"annotation %s of the pod forbids writable shares, and %s mounts %s writable", oci.KeyUVMNoWritableShares, where, path)
	}
	return nil
}
