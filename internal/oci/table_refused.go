package oci

import "math"

const lcow = "io.microsoft.virtualmachine.lcow."

var uvmLinuxRows = []Annotation{
	{Key: lcow + "kerneldirectboot", Type: TypeBool, Default: "true", Since: 18286, Feeds: "Chipset.LinuxKernelDirect", Doc: "Boots the kernel without UEFI."},
	{Key: lcow + "preferredrootfstype", Type: TypeEnum, Allowed: []string{"initrd", "vhd"}, Default: "vhd if rootfs.vhd is there, else initrd", Feeds: "root file system of the guest", Doc: "Kind of root file system that the guest boots from."},
	{Key: lcow + "kernelbootoptions", Type: TypeString, Feeds: "kernel command line", Doc: "Added to the kernel's command line."},
	{Key: lcow + "vpcienabled", Type: TypeBool, Default: "false", Feeds: "kernel command line", Doc: "Leaves PCI on in the guest."},
	{Key: "io.microsoft.virtualmachine.devices.virtualpmem.maximumcount", Type: TypeUint, Unit: "devices", Max: 128, Default: "64", Feeds: "Devices.VirtualPMem.MaximumCount", Doc: "Most persistent memory devices."},
	{Key: "io.microsoft.virtualmachine.devices.virtualpmem.maximumsizebytes", Type: TypeUint, Unit: "bytes", Max: math.MaxInt64, Step: 4096, Default: "4294967296", Feeds: "Devices.VirtualPMem.MaximumSizeBytes", Doc: "Size of a persistent memory device."},
	{Key: lcow + "vpmem.nomultimapping", Type: TypeBool, Default: "false", Since: 18362, Feeds: "layers of the guest", Doc: "One layer per persistent memory device."},
	{Key: lcow + "timesync.disable", Type: TypeBool, Default: "false", Feeds: "arguments of the guest agent", Doc: "No time service in the guest."},
	{Key: lcow + "extra-vsock-ports", Type: TypeUintCSV, Max: math.MaxUint32, Origin: OriginInternal, Feeds: "HvSocketConfig.ServiceTable", Doc: "More vsock ports that the guest may use."},
	{Key: lcow + "writable-overlay-directories", Type: TypeBool, Default: "false", Origin: OriginInternal, Feeds: "arguments of the guest agent", Doc: "Writable overlays over /var and /etc of the guest."},
	{Key: lcow + "network.policybasedrouting", Type: TypeBool, Default: "false", Origin: OriginInternal, Feeds: "guest network set-up", Doc: "Policy based routing in the guest."},
	{Key: lcow + "extra-exec-command-args", Type: TypeString, Origin: OriginInternal, Feeds: "arguments of the guest agent", Doc: "More arguments of the guest agent."},
}

var linuxContainerRows = []Annotation{
	{Key: lcow + "privileged", Type: TypeBool, Default: "false", Feeds: "guest: seccomp, devices", Doc: "Runs the container with all rights in the guest."},
	{Key: lcow + "hostnetwork", Type: TypeBool, Default: "false", Feeds: "guest network", Doc: "The container shares the VM's network namespace."},
	{Key: "io.microsoft.lcow.rlimitcore", Type: TypeString, Feeds: "guest: core limit", Doc: "Core dump limit of the container: soft;hard."},
	{Key: "io.microsoft.lcow.shm.size-kb", Type: TypeUint, Unit: "KB", Min: 1, Max: math.MaxInt64, Feeds: "guest: /dev/shm", Doc: "Size of /dev/shm."},
	{Key: "io.microsoft.container.lcow.tee-log-path", Type: TypeString, Feeds: "guest: output", Doc: "File in the guest that the container's output goes to as well."},
	{Key: "io.microsoft.container.lcow.tee-log-dir-mount", Type: TypeString, Feeds: "guest: mounts", Doc: "Where the container sees the folder of those files."},
	{
		Key: "io.microsoft.container.gpu.capabilities", Type: TypeCSV, Allowed: []string{"all", "compat32", "compute", "display", "graphics", "ngx", "utility", "video"},
		Feeds: "guest: GPU hook", Doc: "What a container may use of an NVIDIA GPU.",
	},
	{Key: "io.microsoft.lcow.gpuvhdpath", Type: TypeString, Status: StatusIgnored, Why: "GPU disks are no longer supported by anyone; hcsshim deprecated it", Feeds: "nothing", Doc: "Disk with GPU drivers."},
}

var confidentialWindowsRows = []Annotation{
	{Key: "io.microsoft.virtualmachine.wcow.securitypolicy", Type: TypeBase64, Feeds: "security policy of the guest", Doc: "Policy that the guest enforces; makes the pod confidential."},
	{Key: "io.microsoft.virtualmachine.wcow.enforcer", Type: TypeString, Feeds: "security policy of the guest", Doc: "Who enforces the policy: open-door, standard, rego."},
	{
		Key: "io.microsoft.virtualmachine.wcow.isolation_type", Type: TypeEnum, Allowed: []string{"SecureNestedPaging", "SNP", "VirtualizationBasedSecurity", "VBS", "GuestStateOnly"},
		Default: "SecureNestedPaging", Feeds: "SecuritySettings.Isolation.IsolationType", Doc: "Hardware that protects the VM.",
	},
	{Key: "io.microsoft.virtualmachine.wcow.gueststatefile", Type: TypeString, Feeds: "VirtualMachine.GuestState", Doc: "File with the guest's state."},
	{Key: "io.microsoft.virtualmachine.wcow.uvm-reference-info-file", Type: TypeString, Feeds: "security policy of the guest", Doc: "File with the signed reference of the VM."},
	{Key: "io.microsoft.virtualmachine.wcow.no_secure_boot", Type: TypeBool, Default: "false", Feeds: "Chipset.Uefi", Doc: "No secure boot."},
	{Key: "io.microsoft.virtualmachine.wcow.writable_efi", Type: TypeBool, Default: "false", Feeds: "boot disk of the VM", Doc: "Attaches the boot disk for writing."},
	{Key: "io.microsoft.wcow.debug", Type: TypeBool, Default: "false", Feeds: "end of the VM", Doc: "Keeps the VM's disks for inspection."},
	{Key: "io.microsoft.wcow.debug_data_path", Type: TypePath, Feeds: "end of the VM", Doc: "Where the disks are kept."},
	{Key: "io.microsoft.virtualmachine.wcow.amd-certificate", Type: TypeString, Feeds: "guest", Doc: "File with AMD's certificates."},
	{Key: "io.microsoft.virtualmachine.wcow.securitypolicy.env", Type: TypeBool, Default: "false", Feeds: "guest", Doc: "Writes the policy's files into the container."},
}

var confidentialLinuxRows = []Annotation{
	{Key: "io.microsoft.virtualmachine.storage.scratch.encrypted", Type: TypeBool, Default: "false", Feeds: "scratch disks", Doc: "Encrypts the containers' scratch disks."},
	{Key: lcow + "securitypolicy", Type: TypeBase64, Feeds: "security policy of the guest", Doc: "Policy that the guest enforces; makes the pod confidential."},
	{Key: lcow + "enforcer", Type: TypeString, Feeds: "security policy of the guest", Doc: "Who enforces the policy: open-door, standard, rego."},
	{Key: lcow + "securitypolicy.env", Type: TypeBool, Default: "false", Feeds: "guest", Doc: "Writes the policy's files into the container."},
	{Key: lcow + "uvm-reference-info-file", Type: TypeString, Feeds: "security policy of the guest", Doc: "File with the signed reference of the VM."},
	{Key: lcow + "gueststatefile", Type: TypeString, Default: "kernel.vmgs", Feeds: "VirtualMachine.GuestState", Doc: "File with the guest's state."},
	{Key: lcow + "hcl-enabled", Type: TypeBool, Feeds: "SecuritySettings.Isolation.HclEnabled", Doc: "Uses the host compatibility layer."},
	{Key: lcow + "dmverity-rootfs-vhd", Type: TypeString, Default: "rootfs-verity.vhd", Feeds: "root file system of the guest", Doc: "Disk with the verified root file system."},
	{Key: lcow + "dmverity-mode", Type: TypeBool, Default: "false", Feeds: "root file system of the guest", Doc: "Verifies the guest's root file system."},
	{Key: lcow + "dmverity-create-args", Type: TypeString, Feeds: "kernel command line", Doc: "Arguments of dm-mod.create."},
	{Key: lcow + "amd-certificate", Type: TypeString, Feeds: "guest", Doc: "File with AMD's certificates."},
}

var otherRows = []Annotation{
	{
		Key: "io.microsoft.network.ncproxy", Type: TypeString, Modes: ModeUVM, Scope: ScopePod, Feeds: "network set-up",
		Status: StatusRefused, Why: whyProxy, Doc: "Address of the service that sets up the pod's network.",
	},
	{
		Key: "io.microsoft.network.ncproxy.containerid", Type: TypeString, Modes: ModeUVM, Scope: ScopePod, Feeds: "network set-up",
		Status: StatusRefused, Why: whyProxy, Doc: "Id of the pod for that service.",
	},
	{
		Key: "io.microsoft.migration.support-enabled", Type: TypeBool, Default: "false", Modes: ModeHyperVLinux, Scope: ScopePod, Since: 26100,
		Feeds: "features of the VM", Status: StatusRefused, Why: whyMigration, Doc: "Keeps the pod to what can be migrated.",
	},
	{
		Key: "io.microsoft.migration.source-container-id", Type: TypeString, Modes: ModeHyperVLinux, Scope: ScopeContainer, Since: 26100,
		Feeds: "migration", Status: StatusRefused, Why: whyMigration, Doc: "Id of the container on the node it comes from.",
	},
}

// refused marks the rows of a whole group that isol does not do: why, where
// they apply, and whose they are. A row that says otherwise keeps what it says.
func refused(rows []Annotation, why string, modes Modes, scope Scope) []Annotation {
	for i := range rows {
		a := &rows[i]
		a.Modes, a.Scope = modes, scope
		if a.Status == StatusHonoured {
			a.Status, a.Why = StatusRefused, why
		}
	}
	return rows
}
