package schema

import (
	"fmt"
	"reflect"
	"strings"
)

// The resource paths of a container that can be changed while it exists. As
// the reference lists them (runhcs: package resourcepaths).
const (
	PathContainerMemory      = "Container/Memory/SizeInMB"   // Settings: a number of MB
	PathContainerProcessor   = "Container/Processor"         // Settings: ContainerProcessor
	PathContainerDirectories = "Container/MappedDirectories" // Settings: MappedDirectory
	PathContainerPipes       = "Container/MappedPipes"       // Settings: MappedPipe
)

// The resource paths of a virtual machine that name one resource.
const (
	PathVMMemory          = "VirtualMachine/ComputeTopology/Memory/SizeInMB"    // Settings: a number of MB
	PathVMProcessorLimits = "VirtualMachine/ComputeTopology/Processor/Limits"   // Settings: ProcessorLimits
	PathVMCPUGroup        = "VirtualMachine/ComputeTopology/Processor/CpuGroup" // Settings: CPUGroup
	PathVMSMBShares       = "VirtualMachine/Devices/VirtualSmb/Shares"          // Settings: VirtualSMBShare
	PathVMPlan9Shares     = "VirtualMachine/Devices/Plan9/Shares"               // Settings: Plan9Share
)

const (
	prefixSCSI     = "VirtualMachine/Devices/Scsi/"
	prefixPMem     = "VirtualMachine/Devices/VirtualPMem/Devices/"
	prefixPCI      = "VirtualMachine/Devices/VirtualPci/"
	prefixAdapters = "VirtualMachine/Devices/NetworkAdapters/"
	prefixPipes    = "VirtualMachine/Devices/MappedPipes/"
	prefixServices = "VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/"
)

// PathSCSI names the disk at a LUN of a controller. Settings: Attachment.
func PathSCSI(controller string, lun uint8) string {
	return fmt.Sprintf("%s%s/Attachments/%d", prefixSCSI, controller, lun)
}

// PathPCI names an assigned device by its VMBus GUID. Settings: VirtualPCIDevice.
func PathPCI(vmbusGUID string) string { return prefixPCI + vmbusGUID }

// PathNetworkAdapter names a network adapter by GUID. Settings: NetworkAdapter.
func PathNetworkAdapter(id string) string { return prefixAdapters + id }

// PathPipe names a pipe of the host that is shared with the machine. It takes
// no Settings: the path says all.
func PathPipe(hostPath string) string { return prefixPipes + hostPath }

// PathHvSocketService names an hvsocket service by GUID. Settings:
// HvSocketServiceConfig.
func PathHvSocketService(service string) string { return prefixServices + service }

// resource is what a path may be changed to and the build that brought it.
type resource struct {
	settings reflect.Type // nil: takes none
	since    uint32
}

// resources by exact path. The builds of processor changes are those below
// which the reference does not ask for them (runhcs: uvm.UpdateCPULimits,
// hcsTask.updateWCOWResources): 20H2 is 19042.
func resources() map[string]resource {
	return map[string]resource{
		PathContainerMemory:      {reflect.TypeFor[uint64](), 17763},
		PathContainerProcessor:   {reflect.TypeFor[ContainerProcessor](), 19042},
		PathContainerDirectories: {reflect.TypeFor[MappedDirectory](), 17763},
		PathContainerPipes:       {reflect.TypeFor[MappedPipe](), 17763},
		PathVMMemory:             {reflect.TypeFor[uint64](), 17763},
		PathVMProcessorLimits:    {reflect.TypeFor[ProcessorLimits](), 19042},
		PathVMCPUGroup:           {reflect.TypeFor[CPUGroup](), 17763},
		PathVMSMBShares:          {reflect.TypeFor[VirtualSMBShare](), 17763},
		PathVMPlan9Shares:        {reflect.TypeFor[Plan9Share](), 17763},
	}
}

// resourceAt finds what path names.
func resourceAt(path string) (resource, bool) {
	if r, ok := resources()[path]; ok {
		return r, true
	}
	for _, p := range []struct {
		prefix, middle string
		resource
	}{
		{prefixSCSI, "/Attachments/", resource{reflect.TypeFor[Attachment](), 17763}},
		{prefixPMem, "/Mappings/", resource{reflect.TypeFor[VirtualPMemMapping](), 18362}},
		{prefixPMem, "", resource{reflect.TypeFor[VirtualPMemDevice](), 17763}},
		{prefixPCI, "", resource{reflect.TypeFor[VirtualPCIDevice](), 19041}},
		{prefixAdapters, "", resource{reflect.TypeFor[NetworkAdapter](), 17763}},
		{prefixServices, "", resource{reflect.TypeFor[HvSocketServiceConfig](), 17763}},
		{prefixPipes, "", resource{nil, 17763}},
	} {
		name, ok := strings.CutPrefix(path, p.prefix)
		if ok && name != "" && strings.Contains(name, p.middle) {
			return p.resource, true
		}
	}
	return resource{}, false
}
