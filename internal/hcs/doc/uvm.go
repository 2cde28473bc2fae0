package doc

import (
	"encoding/json"
	"fmt"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
)

// UVMFacts is what the document of a utility VM needs beside the plan.
type UVMFacts struct {
	Owner   string // base name of the shim's exe
	OSFiles string // UtilityVM\Files of the layer that the VM boots from
	Scratch string // the VM's own scratch disk
}

// SCSIController is the GUID of a utility VM's first SCSI controller. Windows
// guests mount disks of this one only (runhcs: guestrequest.ScsiControllerGuids).
const SCSIController = "df6d0690-79e5-55b6-a5ec-c1e2f77f580a"

// ScratchLUN is where the VM's own scratch is attached: Windows guests find it
// there (runhcs: uvm.CreateWCOW).
const ScratchLUN = 0

const (
	// socketDescriptor lets SYSTEM and administrators bind and connect: the
	// guest bridge is theirs alone (runhcs: uvm.prepareCommonConfigDoc).
	socketDescriptor = "D:P(A;;FA;;;SY)(A;;FA;;;BA)"

	// logService is the hvsocket service of the guest's log forwarding
	// (runhcs: gcs/prot WindowsLoggingHvsockServiceID).
	logService = "172dad59-976d-45f2-8b6c-6d1b13f2ac4d"

	// bootPath is where a Windows image keeps its boot manager, seen from the
	// share that the firmware reads.
	bootPath = `\EFI\Microsoft\Boot\bootmgfw.efi`
)

// UVM returns the document of a utility VM with a Windows guest, as production
// sends it (runhcs: uvm.prepareConfigDoc).
func UVM(u *isolation.UVM, f UVMFacts) (*schema.ComputeSystem, error) {
	if u == nil {
		return nil, fault.New(fault.Internal, "a plan without a utility VM has no document of one")
	}
	sockets, err := uvmSockets(u)
	if err != nil {
		return nil, err
	}
	vm := &schema.VirtualMachine{
		StopOnReset: true,
		Chipset: &schema.Chipset{UEFI: &schema.UEFI{
			BootThis: &schema.UEFIBootEntry{DeviceType: schema.BootVmbFs, DevicePath: bootPath},
		}},
		ComputeTopology: uvmTopology(u),
		Devices:         uvmDevices(u, f, sockets),
		RegistryChanges: uvmRegistry(u),
	}
	if u.Storage != (isolation.StorageQoS{}) {
		vm.StorageQoS = &schema.StorageQoS{IopsMaximum: u.Storage.IOPS, BandwidthMaximum: u.Storage.Bandwidth}
	}
	vm.ResourcePartitionID = u.Partition
	vm.DebugOptions, vm.Devices.GuestCrashReporting = uvmCrash(u)
	return &schema.ComputeSystem{
		Owner:                             f.Owner,
		SchemaVersion:                     schema.V21(),
		VirtualMachine:                    vm,
		ShouldTerminateOnLastHandleClosed: true,
	}, nil
}

func uvmTopology(u *isolation.UVM) *schema.Topology {
	processor := &schema.VirtualMachineProcessor{
		Count:  u.Processor.Count,
		Limit:  uint64(u.Processor.Limit),
		Weight: uint64(u.Processor.Weight),
	}
	if u.CPUGroup != "" {
		processor.CPUGroup = &schema.CPUGroup{ID: u.CPUGroup}
	}
	t := &schema.Topology{
		Memory: &schema.VirtualMachineMemory{
			SizeInMB:              u.MemoryMB,
			AllowOvercommit:       u.AllowOvercommit,
			EnableHotHint:         u.AllowOvercommit, // as runhcs does: only overcommitted memory has hot pages to hint
			EnableDeferredCommit:  u.DeferredCommit,
			EnableColdDiscardHint: u.ColdDiscardHint,
			LowMMIOGapInMB:        u.LowMMIOGapMB,
			HighMMIOBaseInMB:      u.HighMMIOBaseMB,
			HighMMIOGapInMB:       u.HighMMIOGapMB,
		},
		Processor: processor,
	}
	if u.NUMA != nil {
		uvmNUMA(t, u.NUMA)
	}
	return t
}

// uvmNUMA adds a virtual NUMA topology, which the guest learns of through its
// firmware (runhcs: uvm.prepareCommonConfigDoc, vmutils.PrepareVNumaTopology).
func uvmNUMA(t *schema.Topology, n *isolation.NUMA) {
	t.Memory.SlitType = schema.SLITFirmwareFallbackMeasured
	t.NUMA = &schema.NUMA{MaxSizePerNode: n.NodeMemoryMB, VirtualNodeCount: uint8(len(n.Nodes))} // at most 64
	for _, p := range n.Preferred {
		t.NUMA.PreferredPhysicalNodes = append(t.NUMA.PreferredPhysicalNodes, int64(p))
	}
	if n.NodeProcessors != 0 {
		t.Processor.NUMAProcessorsSettings = &schema.NUMAProcessors{CountPerNode: schema.Range{Max: n.NodeProcessors}}
	}
	for i, node := range n.Nodes {
		t.NUMA.Settings = append(t.NUMA.Settings, schema.NUMASetting{
			VirtualNodeNumber: uint32(i), PhysicalNodeNumber: node.Physical, VirtualSocketNumber: uint32(i),
			CountOfProcessors: node.Processors, CountOfMemoryBlocks: node.MemoryMB, MemoryBackingType: schema.MemoryPhysical,
		})
	}
}

func uvmDevices(u *isolation.UVM, f UVMFacts, sockets *schema.HvSocketSystemConfig) *schema.Devices {
	d := &schema.Devices{
		SCSI: map[string]schema.SCSI{SCSIController: {Attachments: map[string]schema.Attachment{
			fmt.Sprint(ScratchLUN): {Type: schema.AttachmentVirtualDisk, Path: f.Scratch},
		}}},
		HvSocket: &schema.VirtualMachineHvSocket{HvSocketConfig: sockets},
		VirtualSMB: &schema.VirtualSMB{
			Shares: []schema.VirtualSMBShare{{
				Name: "os", // the firmware looks for this name
				Path: f.OSFiles, Options: LayerShareOptions(u.NoDirectMap),
			}},
			DirectFileMappingInMB: 1024, // production's value (runhcs: uvm.prepareCommonConfigDoc)
		},
	}
	if u.ConsolePipe != "" {
		d.ComPorts = map[string]schema.ComPort{"0": {NamedPipe: u.ConsolePipe}}
	}
	return d
}

// LayerShareOptions are the options of a share that holds system files: the
// VM's own or a layer's. They are read only, cached, and opened with backup
// privilege because files of an image may deny their reader.
func LayerShareOptions(noDirectMap bool) *schema.VirtualSMBShareOptions {
	o := ShareOptions(true, noDirectMap)
	o.TakeBackupPrivilege = true
	return o
}

// ShareOptions are the options of a share (runhcs: uvm.DefaultVSMBOptions).
func ShareOptions(readOnly, noDirectMap bool) *schema.VirtualSMBShareOptions {
	return &schema.VirtualSMBShareOptions{
		ReadOnly: readOnly, ShareRead: readOnly, CacheIO: readOnly, PseudoOplocks: readOnly,
		NoDirectmap: noDirectMap,
	}
}

func uvmSockets(u *isolation.UVM) (*schema.HvSocketSystemConfig, error) {
	c := &schema.HvSocketSystemConfig{
		DefaultBindSecurityDescriptor: socketDescriptor,
		ServiceTable:                  map[string]schema.HvSocketServiceConfig{},
	}
	for service, config := range u.ServiceTable {
		var s schema.HvSocketServiceConfig
		if err := json.Unmarshal(config, &s); err != nil {
			return nil, fault.New(fault.InvalidArgument, "hvsocket service %s: its configuration cannot be decoded: %w", service, err)
		}
		c.ServiceTable[service] = s
	}
	if u.ForwardLogs {
		c.ServiceTable[logService] = schema.HvSocketServiceConfig{
			BindSecurityDescriptor: socketDescriptor, ConnectSecurityDescriptor: socketDescriptor, AllowWildcardBinds: true,
		}
	}
	return c, nil
}

func uvmRegistry(u *isolation.UVM) *schema.RegistryChanges {
	one, two := uint32(1), uint32(2)
	changes := &schema.RegistryChanges{}
	if u.Dump != nil {
		// Error reporting keeps a local dump only if it is not turned off, and
		// its service must run from boot for some exceptions to be caught
		// (runhcs: uvm.prepareCommonConfigDoc; Windows-Containers issue 60).
		changes.AddValues = append(changes.AddValues,
			schema.RegistryValue{Key: &schema.RegistryKey{Hive: schema.HiveSystem, Name: `ControlSet001\Services\WerSvc`}, Name: "Start", Type: schema.RegistryDWord, DWordValue: &two},
			schema.RegistryValue{Key: &schema.RegistryKey{Hive: schema.HiveSoftware, Name: `Microsoft\Windows\Windows Error Reporting`}, Name: "Disabled", Type: schema.RegistryDWord, DWordValue: &one})
	}
	if !u.NoCompartments {
		// Without it SMB shares of the guest are not reachable from its
		// containers' network compartments (runhcs: uvm.prepareCommonConfigDoc).
		changes.AddValues = append(changes.AddValues,
			schema.RegistryValue{Key: &schema.RegistryKey{Hive: schema.HiveSystem, Name: `CurrentControlSet\Services\gns`}, Name: "EnableCompartmentNamespace", Type: schema.RegistryDWord, DWordValue: &one})
	}
	for _, v := range u.Registry {
		changes.AddValues = append(changes.AddValues, registryValue(v))
	}
	return changes
}

// uvmCrash says where the state and dump of a guest that crashes are kept.
func uvmCrash(u *isolation.UVM) (*schema.DebugOptions, *schema.GuestCrashReporting) {
	if u.DumpDirectory == "" {
		return nil, nil
	}
	file := func(suffix string) string { return u.DumpDirectory + `\` + u.ID + suffix }
	return &schema.DebugOptions{
			BugcheckSavedStateFileName:            file("-savedstate.vmrs"),
			BugcheckNoCrashdumpSavedStateFileName: file("-savedstate_nocrashdump.vmrs"),
		}, &schema.GuestCrashReporting{WindowsCrashSettings: &schema.WindowsCrashReporting{
			DumpFileName: file("-windows-crash"), DumpType: schema.CrashDumpFull,
		}}
}
