package layers

import "unsafe"

// driverInfo says which of the system's two ways to keep layers is meant. As
// runhcs does: the filter driver, and no home folder, so that layers are named
// by whole paths.
type driverInfo struct {
	flavour int32
	home    unsafe.Pointer // PCWSTR, never nil
}

// filterDriver is the flavour in use since Windows Server 2016.
const filterDriver = 1

// layerDescriptor is WC_LAYER_DESCRIPTOR: one read-only layer.
type layerDescriptor struct {
	id    [16]byte // GUID
	flags uint32
	path  unsafe.Pointer // PCWSTR
}
