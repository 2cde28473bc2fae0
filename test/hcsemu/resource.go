package hcsemu

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/isolrun/isol/internal/hcs/schema"
)

// resource is something of a system that its document or a modification added:
// an attachment, a share, an adapter. It goes with the system.
type resource struct {
	kind  string // for the ledger: "scsi attachment", "vsmb share", …
	name  string // for the ledger: the host's path or the id
	since time.Time
}

// resourceKind is a family of resource paths below a system.
type resourceKind struct {
	prefix  string
	kind    string
	system  schema.SystemType
	update  bool // takes Update
	hotPlug bool // takes Add and Remove
	running bool // only once the system runs
	named   bool // the settings' Name, not the path, tells resources apart
}

// resourceKinds are the paths that can be modified. Source: as runhcs does:
// internal/hcs/resourcepaths and the calls that use them.
var resourceKinds = []resourceKind{
	{prefix: schema.PathContainerMemory, kind: "memory", system: schema.SystemContainer, update: true},
	{prefix: schema.PathContainerProcessor, kind: "processor", system: schema.SystemContainer, update: true},
	{prefix: schema.PathContainerDirectories, kind: "mapped directory", system: schema.SystemContainer, hotPlug: true, named: true, running: true},
	{prefix: schema.PathContainerPipes, kind: "mapped pipe", system: schema.SystemContainer, hotPlug: true, named: true, running: true},
	{prefix: schema.PathVMMemory, kind: "memory", system: schema.SystemVirtualMachine, update: true},
	{prefix: schema.PathVMProcessorLimits, kind: "processor", system: schema.SystemVirtualMachine, update: true},
	{prefix: schema.PathVMCPUGroup, kind: "cpu group", system: schema.SystemVirtualMachine, update: true, hotPlug: true},
	{prefix: schema.PathVMSMBShares, kind: vsmbShare, system: schema.SystemVirtualMachine, hotPlug: true, update: true, named: true},
	{prefix: schema.PathVMPlan9Shares, kind: "plan9 share", system: schema.SystemVirtualMachine, hotPlug: true, named: true},
	{prefix: "VirtualMachine/Devices/Scsi/", kind: "scsi attachment", system: schema.SystemVirtualMachine, hotPlug: true, update: true},
	{prefix: "VirtualMachine/Devices/VirtualPMem/Devices/", kind: "pmem device", system: schema.SystemVirtualMachine, hotPlug: true},
	{prefix: "VirtualMachine/Devices/VirtualPci/", kind: pciDevice, system: schema.SystemVirtualMachine, hotPlug: true},
	{prefix: "VirtualMachine/Devices/NetworkAdapters/", kind: "network adapter", system: schema.SystemVirtualMachine, hotPlug: true, update: true},
	{prefix: "VirtualMachine/Devices/MappedPipes/", kind: "mapped pipe", system: schema.SystemVirtualMachine, hotPlug: true},
	{prefix: "VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/", kind: hvSocketService, system: schema.SystemVirtualMachine, hotPlug: true, update: true},
}

const (
	hvSocketService = "hvsocket service"
	pciDevice       = "pci device"
	vsmbShare       = "vsmb share"
)

func (e *Emulator) ownerOfDeviceLocked(name string) *system {
	for _, sys := range e.systems {
		for _, r := range sys.resources {
			if r.kind == pciDevice && r.name == name {
				return sys
			}
		}
	}
	return nil
}

// kindOfResource finds the family of a path.
func kindOfResource(path string) (resourceKind, bool) {
	for _, k := range resourceKinds {
		if path == k.prefix || strings.HasSuffix(k.prefix, "/") && strings.HasPrefix(path, k.prefix) {
			return k, true
		}
	}
	return resourceKind{}, false
}

// ModifySystem changes a resource of a system.
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsmodifycomputesystem
func (c *Client) ModifySystem(ctx context.Context, h Handle, text string) error {
	e := c.e
	req := request{function: "HcsModifyComputeSystem", about: h, args: Args{"request": document(text)}}
	return c.simple(ctx, req, func(ctx context.Context) error {
		change, err := decode[schema.ModificationRequest](e, text, ENotSupported)
		if err != nil {
			return err
		}
		kind, ok := kindOfResource(change.ResourcePath)
		if !ok {
			return fail(ENotSupported, "no resource at %q can be modified", change.ResourcePath)
		}
		var raw struct{ Settings json.RawMessage }
		if err := json.Unmarshal([]byte(text), &raw); err != nil {
			return fail(EInvalidJSON, "%v", err)
		}
		e.mu.Lock()
		sys, err := c.systemLocked(h)
		if err == nil {
			err = e.modifyLocked(sys, kind, *change, raw.Settings)
		}
		var machine Machine
		if sys != nil {
			machine = sys.machine
		}
		e.mu.Unlock()
		if err != nil || machine == nil {
			return err
		}
		return machine.Modify(ctx, *change)
	})
}

// countLocked returns how many resources of a kind a system has.
func (s *system) countLocked(kind string) int {
	n := 0
	for _, r := range s.resources {
		if r.kind == kind {
			n++
		}
	}
	return n
}

func (e *Emulator) modifyLocked(sys *system, kind resourceKind, change schema.ModificationRequest, settings json.RawMessage) error {
	if sys.state == stateStopped || sys.ending != nil || kind.running {
		if err := sys.requireLocked(stateRunning); err != nil {
			return err
		}
	}
	if kind.system != sys.kind {
		return fail(EInvalidArg, "%s is not a resource of a %s", change.ResourcePath, sys.kind)
	}
	key, name := resourceName(kind, change.ResourcePath, settings)
	there := sys.resources[key] != nil
	if change.RequestType == "" && kind.update && !kind.hotPlug {
		change.RequestType = schema.RequestUpdate // as runhcs relies on it (uvm.UpdateMemory): it is all that can be done
	}
	switch {
	case change.RequestType == schema.RequestUpdate && kind.update:
		if kind.kind == hvSocketService && !there {
			// as runhcs relies on it (uvm.UpdateHvSocketService): an update makes the entry
			sys.resources[key] = &resource{kind: kind.kind, name: name, since: e.config.Now()}
		}
		return e.checkUpdate(kind, settings)
	case change.RequestType == schema.RequestAdd && kind.hotPlug:
		if there {
			return fail(EAlreadyExists, "%s %s is there", kind.kind, name)
		}
		if err := e.checkResource(kind, change.ResourcePath, settings); err != nil {
			return err
		}
		if kind.kind == vsmbShare && e.config.Shares > 0 && sys.countLocked(vsmbShare) >= e.config.Shares {
			return fail(ENoSystemResources, "the machine takes %d shares", e.config.Shares)
		}
		if kind.kind == pciDevice {
			// A device has one owner at a time:
			// https://learn.microsoft.com/windows-server/virtualization/hyper-v/plan/plan-for-deploying-devices-using-discrete-device-assignment
			if owner := e.ownerOfDeviceLocked(name); owner != nil {
				return fail(ESharingViolation, "the device %s is assigned to %s", name, owner.id)
			}
		}
		sys.resources[key] = &resource{kind: kind.kind, name: name, since: e.config.Now()}
		return nil
	case change.RequestType == schema.RequestRemove && kind.hotPlug:
		if !there {
			return fail(EElementNotFound, "%s %s is not there", kind.kind, name)
		}
		delete(sys.resources, key)
		return nil
	}
	return fail(ENotSupported, "%s cannot be used on %s", change.RequestType, change.ResourcePath)
}

// resourceName returns what tells a resource from others of its system, and
// its name for a reader.
func resourceName(kind resourceKind, path string, settings json.RawMessage) (key, name string) {
	var s struct {
		Name, Path, HostPath, ContainerPath, ContainerPipeName, EndpointID string
		Functions                                                          []schema.VirtualPCIFunction
	}
	_ = json.Unmarshal(settings, &s) // a number or nothing names nothing
	device := ""
	for _, f := range s.Functions {
		device = fmt.Sprintf(`%s\%d`, strings.ToUpper(f.DeviceInstancePath), f.VirtualFunction)
	}
	for _, n := range []string{s.Path, s.HostPath, s.EndpointID, s.Name, device} {
		if n != "" {
			name = n
			break
		}
	}
	if name == "" {
		name = baseName(strings.ReplaceAll(path, "/", `\`))
	}
	if kind.named {
		return path + "|" + s.Name + normalPath(s.ContainerPath) + strings.ToLower(s.ContainerPipeName), name
	}
	return strings.ToLower(path), name
}

// checkUpdate holds new sizes against the rules of the document.
func (e *Emulator) checkUpdate(kind resourceKind, settings json.RawMessage) error {
	switch {
	case kind.kind == "memory":
		mb, err := strconv.ParseUint(strings.TrimSpace(string(settings)), 10, 64)
		if err != nil || mb == 0 {
			return fail(EInvalidArg, "memory needs a number of MB greater than 0, not %s", settings)
		}
		if kind.system == schema.SystemVirtualMachine && mb%2 != 0 {
			return fail(EInvalidArg, "a machine's memory must be even, not %d MB", mb)
		}
	case kind.kind == "processor" && kind.system == schema.SystemContainer:
		var p schema.ContainerProcessor
		if err := json.Unmarshal(settings, &p); err != nil {
			return fail(EInvalidJSON, "%v", err)
		}
		return checkProcessor(&p)
	}
	return nil
}

// scsiLUNs is how many disks a controller takes. Source:
// https://learn.microsoft.com/windows-server/virtualization/hyper-v/plan/plan-hyper-v-scalability-in-windows-server
const scsiLUNs = 64

func (e *Emulator) checkResource(kind resourceKind, path string, settings json.RawMessage) error {
	switch kind.kind {
	case "scsi attachment":
		_, lun, _ := strings.Cut(path, "/Attachments/")
		if n, err := strconv.ParseUint(lun, 10, 8); err != nil || n >= scsiLUNs {
			return fail(EInvalidArg, "LUN %q is not 0 to %d", lun, scsiLUNs-1)
		}
	case "network adapter":
		var a schema.NetworkAdapter
		if err := json.Unmarshal(settings, &a); err != nil {
			return fail(EInvalidJSON, "%v", err)
		}
		if !e.config.TrustNames && e.networks[Endpoint][canonical(a.EndpointID)] == nil {
			return fail(EEndpointNotFound, "there is no endpoint %s", a.EndpointID)
		}
	}
	return nil
}

// addDocumentResourcesLocked counts what a document brings along.
func (e *Emulator) addDocumentResourcesLocked(sys *system) error {
	add := func(kind, path, name string) {
		sys.resources[strings.ToLower(path)] = &resource{kind: kind, name: name, since: sys.since}
	}
	if c := sys.doc.Container; c != nil {
		for _, d := range c.MappedDirectories {
			sys.resources[schema.PathContainerDirectories+"|"+normalPath(d.ContainerPath)] = &resource{kind: "mapped directory", name: d.HostPath, since: sys.since}
		}
		for _, p := range c.MappedPipes {
			sys.resources[schema.PathContainerPipes+"|"+strings.ToLower(p.ContainerPipeName)] = &resource{kind: "mapped pipe", name: p.HostPath, since: sys.since}
		}
		if len(sys.resources) != len(c.MappedDirectories)+len(c.MappedPipes) {
			return fail(EAlreadyExists, "two mapped directories or pipes have one destination")
		}
		return nil
	}
	d := sys.doc.VirtualMachine.Devices
	if d == nil {
		return nil
	}
	for controller, scsi := range d.SCSI {
		for lun, a := range scsi.Attachments {
			add("scsi attachment", fmt.Sprintf("VirtualMachine/Devices/Scsi/%s/Attachments/%s", controller, lun), a.Path)
		}
	}
	if d.VirtualSMB != nil {
		for _, s := range d.VirtualSMB.Shares {
			sys.resources[schema.PathVMSMBShares+"|"+s.Name] = &resource{kind: vsmbShare, name: s.Path, since: sys.since}
		}
	}
	if d.Plan9 != nil {
		for _, s := range d.Plan9.Shares {
			sys.resources[schema.PathVMPlan9Shares+"|"+s.Name] = &resource{kind: "plan9 share", name: s.Path, since: sys.since}
		}
	}
	for id, a := range d.NetworkAdapters {
		add("network adapter", "VirtualMachine/Devices/NetworkAdapters/"+id, a.EndpointID)
	}
	for id := range d.VirtualPCI {
		add("pci device", "VirtualMachine/Devices/VirtualPci/"+id, id)
	}
	if d.VirtualPMem != nil {
		for n, dev := range d.VirtualPMem.Devices {
			add("pmem device", "VirtualMachine/Devices/VirtualPMem/Devices/"+n, dev.HostPath)
		}
	}
	return nil
}
