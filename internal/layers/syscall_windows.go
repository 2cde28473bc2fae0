package layers

// The layer functions of vmcompute.dll. Microsoft documents them nowhere but in
// the code that calls them, hcsshim's internal/wclayer, whose declarations
// these follow. They answer an HRESULT; the generator's name for "the return
// value is the code" is regerrno. They are not called through hcsshim's
// root package because that brings OpenTelemetry and an HTTP client with it:
// see docs/performance.md.

//sys activateLayer(info *driverInfo, path *uint16) (regerrno error) = vmcompute.ActivateLayer?
//sys createSandboxLayer(info *driverInfo, path *uint16, parent uintptr, descriptors *layerDescriptor, count uint32) (regerrno error) = vmcompute.CreateSandboxLayer?
//sys deactivateLayer(info *driverInfo, path *uint16) (regerrno error) = vmcompute.DeactivateLayer?
//sys expandSandboxSize(info *driverInfo, path *uint16, size uint64) (regerrno error) = vmcompute.ExpandSandboxSize?
//sys getLayerMountPath(info *driverInfo, path *uint16, length *uintptr, buffer *uint16) (regerrno error) = vmcompute.GetLayerMountPath?
//sys nameToGUID(name *uint16, id *[16]byte) (regerrno error) = vmcompute.NameToGuid?
//sys prepareLayer(info *driverInfo, path *uint16, descriptors *layerDescriptor, count uint32) (regerrno error) = vmcompute.PrepareLayer?
//sys unprepareLayer(info *driverInfo, path *uint16) (regerrno error) = vmcompute.UnprepareLayer?
