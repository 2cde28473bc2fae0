package main

import "github.com/isolrun/isol/test/parity/compare"

// vmRules are about utility VMs and the containers in them.
var vmRules = []compare.Rule{
	{
		Name: "processors of the host", Path: "call/HcsGetServiceProperties ProcessorTopology%call/HcsGetServiceProperties", Isol: none,
		What: "`HcsGetServiceProperties` for the number of processors, before each VM",
		Why:  "isol reads the machine once, when the shim starts.",
		Link: "performance.md",
	},
	{
		Name: "where a disk is mounted in the guest", Path: "call/*/ContainerPath%call/*/ContainerRootPath%call/*/Storage/Path%call/*/MappedDirectories/*/HostPath", Isol: `"c:\\mounts\\scsi\\m*"`, Runhcs: `"c:\\mounts\\scsi\\m*"`,
		What: "a disk's folder in the guest is named by its LUN; runhcs counts mounts",
		Why:  "Two disks never have one folder, and a dump of the guest says which disk it is.",
		Link: "architecture.md#where-to-find-the-line-that",
	},
	{
		Name: "no address of a container in a VM", Path: "call/GcsGetProperties SystemGUID", Isol: none,
		What: "`GetProperties` of the guest for the container's `SystemGUID`",
		Why:  "runhcs opens the container's entry in the hvsocket address table with it, for programs that speak hvsocket with the host. isol opens none.",
		Link: "isolation.md#what-crosses-the-boundary",
	},
	{
		Name: "access to a disk is taken back", Path: "call/HcsRevokeVmAccess", Runhcs: none,
		What: "`HcsRevokeVmAccess` for each disk that a VM had",
		Why:  "What was granted is taken back: else the disk's access list grows with each VM that ever had it.",
		Link: "operations.md",
	},
	{
		Name: "shares of mounts go with their container", Path: "call/HcsModifyComputeSystem Remove VirtualMachine/Devices/VirtualSmb/Shares%call/HcsModifyComputeSystem Add VirtualMachine/Devices/VirtualSmb/Shares/request/Settings/Options/NoDirectmap",
		What: "a mounted folder's share is not mapped directly, and is removed with its last container; runhcs maps it directly and keeps it. The reverse for layers: isol keeps their shares in any case, runhcs where they are not mapped directly",
		Why:  "A volume is free for others as soon as its last container has ended.",
		Link: "adr/0005-shares-of-layers-stay.md",
	},
	{
		Name: "the size of a VM", Path: "call/HcsCreateComputeSystem/document/VirtualMachine/ComputeTopology/Memory/SizeInMB%call/HcsCreateComputeSystem/document/VirtualMachine/ComputeTopology/Processor/*%call/HcsCreateComputeSystem/document/VirtualMachine/StorageQoS",
		What: "limits of a container alone in its VM: runhcs gives them to the VM as they are, isol makes the VM large enough for the container and its guest, and limits the container",
		Why:  "A VM of 512 MB for a limit of 512 MB leaves the container what Windows does not take; a limit of 10000ths is not one of 100000ths.",
		Link: "isolation.md#the-size-of-the-utility-vm",
	},
	{
		Name: "hints for the VM's memory", Path: "call/HcsCreateComputeSystem/document/VirtualMachine/ComputeTopology/Memory/EnableColdDiscardHint", Runhcs: none,
		What: "the annotation for the cold discard hint",
		Why:  "runhcs reads it for Linux guests only, and the document of a Windows guest has the field too.",
		Link: "annotations.md#utility-vm-memory",
	},
	{
		Name: "a console of the VM", Path: "call/HcsCreateComputeSystem/document/VirtualMachine/Devices/ComPorts", Runhcs: none,
		What: "the annotation for a console pipe",
		Why:  "runhcs gives it to Linux guests only; a Windows guest's debugger uses one too.",
		Link: "annotations.md#utility-vm-storage-files-devices",
	},
	{
		Name: "a share for the next container", Path: "call/HcsModifyComputeSystem Add VirtualMachine/Devices/VirtualSmb/Shares", Runhcs: none, Runs: "pods/mounts/hyperv",
		What: "a folder that one container of a pod mounted and has given back is shared anew for the next",
		Why:  "As above: its share went with its last container.",
		Link: "adr/0005-shares-of-layers-stay.md",
	},
	{
		Name: "numbers of shares", Path: "call/GcsCreate/message/ContainerConfig/Container/MappedDirectories/*/HostPath%call/HcsModifyComputeSystem Add VirtualMachine/Devices/VirtualSmb/Shares/request/Settings/Name", Isol: `*\\s*`, Runs: "pods/*",
		What: "the name of a share that is made after another one went",
		Why:  "Names of shares are never used twice in a VM, so that a late guest can't open another's folder by an old name.",
		Link: "adr/0005-shares-of-layers-stay.md",
	},
	{
		Name: "containers end before their VM", Runs: "pods/kill-all/hyperv%pods/sandbox-first/hyperv", Path: "call/Gcs*%call/Hcs*%order/*",
		What: "when a pod ends with containers in it, isol shuts each down in the guest and takes its disks out before the VM is terminated; runhcs terminates the VM",
		Why:  "Each container has its grace, and its disk is whole.",
		Link: "adr/0004-terminate-the-vm.md",
	},
	{
		Name: "an update changes the container", Runs: "resources/update-*/hyperv", Path: "call/GcsModifySettings Update Container/*%call/HcsModifyComputeSystem <nil> VirtualMachine/ComputeTopology/*",
		What: "Update of a container alone in its VM: isol changes the container's limits in the guest, runhcs those of the VM",
		Why:  "The limits at create were the container's. A VM that is shrunk to them leaves its guest nothing.",
		Link: "isolation.md#the-size-of-the-utility-vm",
	},
	{
		Name: "an update of the VM", Runs: "pods/update-of-the-sandbox/hyperv", Path: "call/HcsModifyComputeSystem * VirtualMachine/ComputeTopology/*",
		What: "Update of a pod's sandbox: isol's request names its type, Update, and scales a limit of 10000ths to the VM's 100000ths; runhcs's has no type, and hands the limit on as it is",
		Why:  "The published schema has a type in each request. 5000 is half of the processors for a container, and a twentieth for a VM.",
		Link: "isolation.md#the-size-of-the-utility-vm",
	},
	{
		Name: "a service goes with its container", Runs: "credentials/spec/hyperv", Path: "call/HcsModifyComputeSystem Remove VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/*", Runhcs: none,
		What: "the entry of a credential's service in the VM's table is removed with its container",
		Why:  "The guest must not reach credentials that no container of it has any more.",
		Link: "isolation.md#what-crosses-the-boundary",
	},
	{
		Name: "a program for the guest", Runs: "mounts/sandbox-folder/hyperv", Path: "call/Gcs*%call/Hcs*%order/*",
		What: "a folder of the pod's sandbox: runhcs makes it with `cmd /c mkdir`, with the folder's name in the command line; isol with a program of its own, which it shares with the guest",
		Why:  "A name with `&` or a quote in it is a name, and no command.",
		Link: "isolation.md#what-crosses-the-boundary",
	},
}
