package oci

// The keys that the rest of isol asks for. Their strings are those of
// hcsshim's pkg/annotations (the io.microsoft. and microsoft.com/ ones) and
// isol's own (io.isol.).
const (
	// Ours.
	KeyIsolation       StringKey = "io.isol.isolation"
	KeyAllowNewerImage BoolKey   = "io.isol.allow-newer-image"
	KeyUnmount         BoolKey   = "io.isol.unmount"

	// The container.
	KeyDumpLocation     StringKey   = "io.microsoft.container.processdumplocation"
	KeyDumpType         StringKey   = "io.microsoft.wcow.processdumptype" // mini, full
	KeyDumpCount        UintKey     = "io.microsoft.wcow.processdumpcount"
	KeyDeviceExtensions ListKey     = "io.microsoft.container.wcow.deviceextensions"
	KeyGMSADisable      BoolKey     = "io.microsoft.container.wcow.gmsa.disable"
	KeyTestRegistry     RegistryKey = "io.microsoft.container.wcow.test-registry-annotation"

	// The utility VM: memory.
	KeyUVMMemoryMB        UintKey = "io.microsoft.virtualmachine.computetopology.memory.sizeinmb"
	KeyUVMOvercommit      BoolKey = "io.microsoft.virtualmachine.computetopology.memory.allowovercommit"
	KeyUVMDeferredCommit  BoolKey = "io.microsoft.virtualmachine.computetopology.memory.enabledeferredcommit"
	KeyUVMColdDiscardHint BoolKey = "io.microsoft.virtualmachine.computetopology.memory.enablecolddiscardhint"
	KeyUVMPhysical        BoolKey = "io.microsoft.virtualmachine.fullyphysicallybacked"
	KeyUVMLowMMIOGapMB    UintKey = "io.microsoft.virtualmachine.computetopology.memory.lowmmiogapinmb"
	KeyUVMHighMMIOBaseMB  UintKey = "io.microsoft.virtualmachine.computetopology.memory.highmmiobaseinmb"
	KeyUVMHighMMIOGapMB   UintKey = "io.microsoft.virtualmachine.computetopology.memory.highmmiogapinmb"

	// The utility VM: processors and storage.
	KeyUVMProcessorCount      UintKey     = "io.microsoft.virtualmachine.computetopology.processor.count"
	KeyUVMProcessorLimit      UintKey     = "io.microsoft.virtualmachine.computetopology.processor.limit"
	KeyUVMProcessorWeight     UintKey     = "io.microsoft.virtualmachine.computetopology.processor.weight"
	KeyUVMCPUGroup            StringKey   = "io.microsoft.virtualmachine.cpugroup.id"
	KeyUVMPartition           StringKey   = "io.microsoft.virtualmachine.resource-partition-id"
	KeyUVMNodeProcessors      UintKey     = "io.microsoft.virtualmachine.computetopology.processor.numa.max-processors-per-node"
	KeyUVMNodeMemoryMB        UintKey     = "io.microsoft.virtualmachine.computetopology.processor.numa.max-size-per-node"
	KeyUVMPreferredNodes      UintListKey = "io.microsoft.virtualmachine.computetopology.numa.preferred-physical-nodes"
	KeyUVMMappedNodes         UintListKey = "io.microsoft.virtualmachine.computetopology.numa.mapped-physical-nodes"
	KeyUVMNodeProcessorCounts UintListKey = "io.microsoft.virtualmachine.computetopology.numa.count-of-processors"
	KeyUVMNodeMemoryBlocks    UintListKey = "io.microsoft.virtualmachine.computetopology.numa.count-of-memory-blocks"
	KeyUVMBandwidth           UintKey     = "io.microsoft.virtualmachine.storageqos.bandwidthmaximum"
	KeyUVMIOPS                UintKey     = "io.microsoft.virtualmachine.storageqos.iopsmaximum"

	// The utility VM: the rest.
	KeyUVMNoWritableShares  BoolKey     = "io.microsoft.virtualmachine.fileshares.disablewritable"
	KeyUVMNoDirectMap       BoolKey     = "io.microsoft.virtualmachine.wcow.virtualSMB.nodirectmap"
	KeyUVMNoCompartments    BoolKey     = "io.microsoft.virtualmachine.disablecompartmentnamespace"
	KeyUVMNoInheritTimeZone BoolKey     = "io.microsoft.virtualmachine.wcow.timezone.noinherit"
	KeyUVMDumpDirectory     StringKey   = "io.microsoft.virtualmachine.dump-directory-path"
	KeyUVMConsolePipe       StringKey   = "io.microsoft.virtualmachine.console.pipe"
	KeyUVMRegistry          RegistryKey = "io.microsoft.virtualmachine.wcow.additional-reg-keys"
	KeyUVMKernelDrivers     ListKey     = "io.microsoft.virtualmachine.kerneldrivers"
	KeyUVMForwardLogs       BoolKey     = "io.microsoft.virtualmachine.forwardlogs.enable"
	KeyUVMLogDefaults       BoolKey     = "io.microsoft.virtualmachine.forwardlogs.defaultsources.enable"
	KeyUVMLogSources        StringKey   = "io.microsoft.virtualmachine.forwardlogs.sources"
	KeyUVMBootFiles         StringKey   = "io.microsoft.virtualmachine.bootfilesrootpath"
)

// The keys that only this package asks for: their values are fields of
// [Request].
const (
	keyContainerType      = "io.kubernetes.cri.container-type"
	keySandboxID          = "io.kubernetes.cri.sandbox-id"
	keyDisableUnsafe      = "io.microsoft.disable-unsafe-operations"
	keyMemoryMB           = "io.microsoft.container.memory.sizeinmb"
	keyProcessorCount     = "io.microsoft.container.processor.count"
	keyProcessorLimit     = "io.microsoft.container.processor.limit"
	keyProcessorWeight    = "io.microsoft.container.processor.weight"
	keyBandwidth          = "io.microsoft.container.storage.qos.bandwidthmaximum"
	keyIOPS               = "io.microsoft.container.storage.qos.iopsmaximum"
	keyHostProcess        = "microsoft.com/hostprocess-container"
	keyInheritUser        = "microsoft.com/hostprocess-inherit-user"
	keyRootfsLocation     = "microsoft.com/hostprocess-rootfs-location"
	keyDisableHostProcess = "microsoft.com/disable-hostprocess-container"
	keyServiceTable       = "io.microsoft.virtualmachine.hv-socket.service-table."
)
