package hcsemu

import "context"

// CreateSystem is not there yet.
func (c *Client) CreateSystem(ctx context.Context, req CreateSystem) (Handle, error) {
	return 0, ENotImpl
}

// OpenSystem is not there yet.
func (c *Client) OpenSystem(ctx context.Context, id string) (Handle, error) { return 0, ENotImpl }

// CloseSystem is not there yet.
func (c *Client) CloseSystem(h Handle) error { return ENotImpl }

// StartSystem is not there yet.
func (c *Client) StartSystem(ctx context.Context, h Handle, options string) error { return ENotImpl }

// ShutDownSystem is not there yet.
func (c *Client) ShutDownSystem(ctx context.Context, h Handle, options string) error { return ENotImpl }

// TerminateSystem is not there yet.
func (c *Client) TerminateSystem(ctx context.Context, h Handle, options string) error {
	return ENotImpl
}

// CrashSystem is not there yet.
func (c *Client) CrashSystem(ctx context.Context, h Handle, options string) error { return ENotImpl }

// PauseSystem is not there yet.
func (c *Client) PauseSystem(ctx context.Context, h Handle, options string) error { return ENotImpl }

// ResumeSystem is not there yet.
func (c *Client) ResumeSystem(ctx context.Context, h Handle, options string) error { return ENotImpl }

// SaveSystem is not there yet.
func (c *Client) SaveSystem(ctx context.Context, h Handle, options string) error { return ENotImpl }

// SystemProperties is not there yet.
func (c *Client) SystemProperties(ctx context.Context, h Handle, query string) (string, error) {
	return "", ENotImpl
}

// ModifySystem is not there yet.
func (c *Client) ModifySystem(ctx context.Context, h Handle, request string) error { return ENotImpl }

// EnumerateSystems is not there yet.
func (c *Client) EnumerateSystems(ctx context.Context, query string) (string, error) {
	return "", ENotImpl
}

// CreateProcess is not there yet.
func (c *Client) CreateProcess(ctx context.Context, req CreateProcess) (ProcessInformation, error) {
	return ProcessInformation{}, ENotImpl
}

// OpenProcess is not there yet.
func (c *Client) OpenProcess(ctx context.Context, system Handle, pid uint32) (Handle, error) {
	return 0, ENotImpl
}

// CloseProcess is not there yet.
func (c *Client) CloseProcess(h Handle) error { return ENotImpl }

// ProcessInfo is not there yet.
func (c *Client) ProcessInfo(ctx context.Context, h Handle) (ProcessInformation, error) {
	return ProcessInformation{}, ENotImpl
}

// ProcessProperties is not there yet.
func (c *Client) ProcessProperties(ctx context.Context, h Handle, query string) (string, error) {
	return "", ENotImpl
}

// TerminateProcess is not there yet.
func (c *Client) TerminateProcess(ctx context.Context, h Handle, options string) error {
	return ENotImpl
}

// SignalProcess is not there yet.
func (c *Client) SignalProcess(ctx context.Context, h Handle, options string) error { return ENotImpl }

// ModifyProcess is not there yet.
func (c *Client) ModifyProcess(ctx context.Context, h Handle, settings string) error { return ENotImpl }

// ServiceProperties is not there yet.
func (c *Client) ServiceProperties(ctx context.Context, query string) (string, error) {
	return "", ENotImpl
}

// ModifyService is not there yet.
func (c *Client) ModifyService(ctx context.Context, settings string) (string, error) {
	return "", ENotImpl
}

// GrantVMAccess is not there yet.
func (c *Client) GrantVMAccess(ctx context.Context, vmID, path string) error { return ENotImpl }

// RevokeVMAccess is not there yet.
func (c *Client) RevokeVMAccess(ctx context.Context, vmID, path string) error { return ENotImpl }

// ActivateLayer is not there yet.
func (c *Client) ActivateLayer(ctx context.Context, path string) error { return ENotImpl }

// DeactivateLayer is not there yet.
func (c *Client) DeactivateLayer(ctx context.Context, path string) error { return ENotImpl }

// PrepareLayer is not there yet.
func (c *Client) PrepareLayer(ctx context.Context, path string, parents []LayerDescriptor) error {
	return ENotImpl
}

// UnprepareLayer is not there yet.
func (c *Client) UnprepareLayer(ctx context.Context, path string) error { return ENotImpl }

// LayerMountPath is not there yet.
func (c *Client) LayerMountPath(ctx context.Context, path string) (string, error) {
	return "", ENotImpl
}

// CreateLayer is not there yet.
func (c *Client) CreateLayer(ctx context.Context, path, parent string) error { return ENotImpl }

// CreateSandboxLayer is not there yet.
func (c *Client) CreateSandboxLayer(ctx context.Context, path string, parents []LayerDescriptor) error {
	return ENotImpl
}

// ExpandSandboxSize is not there yet.
func (c *Client) ExpandSandboxSize(ctx context.Context, path string, size uint64) error {
	return ENotImpl
}

// DestroyLayer is not there yet.
func (c *Client) DestroyLayer(ctx context.Context, path string) error { return ENotImpl }

// LayerExists is not there yet.
func (c *Client) LayerExists(ctx context.Context, path string) (bool, error) { return false, ENotImpl }

// ImportLayer is not there yet.
func (c *Client) ImportLayer(ctx context.Context, path, source string, parents []LayerDescriptor) error {
	return ENotImpl
}

// ExportLayer is not there yet.
func (c *Client) ExportLayer(ctx context.Context, path, target string, parents []LayerDescriptor) error {
	return ENotImpl
}

// CopyLayer is not there yet.
func (c *Client) CopyLayer(ctx context.Context, source, target string, parents []LayerDescriptor) error {
	return ENotImpl
}

// ProcessBaseImage is not there yet.
func (c *Client) ProcessBaseImage(ctx context.Context, path string) error { return ENotImpl }

// ProcessUtilityImage is not there yet.
func (c *Client) ProcessUtilityImage(ctx context.Context, path string) error { return ENotImpl }

// BaseImages is not there yet.
func (c *Client) BaseImages(ctx context.Context) (string, error) { return "", ENotImpl }

// NameToGUID is not there yet.
func (c *Client) NameToGUID(ctx context.Context, name string) (GUID, error) { return "", ENotImpl }

// AttachLayerStorageFilter is not there yet.
func (c *Client) AttachLayerStorageFilter(ctx context.Context, path, layerData string) error {
	return ENotImpl
}

// DetachLayerStorageFilter is not there yet.
func (c *Client) DetachLayerStorageFilter(ctx context.Context, path string) error { return ENotImpl }

// AttachOverlayFilter is not there yet.
func (c *Client) AttachOverlayFilter(ctx context.Context, volume, layerData string) error {
	return ENotImpl
}

// DetachOverlayFilter is not there yet.
func (c *Client) DetachOverlayFilter(ctx context.Context, volume, layerData string) error {
	return ENotImpl
}

// InitializeWritableLayer is not there yet.
func (c *Client) InitializeWritableLayer(ctx context.Context, path, layerData, options string) error {
	return ENotImpl
}

// DestroyStorageLayer is not there yet.
func (c *Client) DestroyStorageLayer(ctx context.Context, path string) error { return ENotImpl }

// ImportStorageLayer is not there yet.
func (c *Client) ImportStorageLayer(ctx context.Context, path, source, layerData string) error {
	return ENotImpl
}

// ExportStorageLayer is not there yet.
func (c *Client) ExportStorageLayer(ctx context.Context, path, target, layerData, options string) error {
	return ENotImpl
}

// SetupBaseOSLayer is not there yet.
func (c *Client) SetupBaseOSLayer(ctx context.Context, path, vhd, options string) error {
	return ENotImpl
}

// SetupBaseOSVolume is not there yet.
func (c *Client) SetupBaseOSVolume(ctx context.Context, path, volume, options string) error {
	return ENotImpl
}

// FormatWritableLayerVHD is not there yet.
func (c *Client) FormatWritableLayerVHD(ctx context.Context, vhd string) error { return ENotImpl }

// LayerVHDMountPath is not there yet.
func (c *Client) LayerVHDMountPath(ctx context.Context, vhd string) (string, error) {
	return "", ENotImpl
}

// EnumerateNetworkObjects is not there yet.
func (c *Client) EnumerateNetworkObjects(ctx context.Context, kind NetworkKind, query string) (string, error) {
	return "", ENotImpl
}

// CreateNetworkObject is not there yet.
func (c *Client) CreateNetworkObject(ctx context.Context, kind NetworkKind, parent Handle, id GUID, settings string) (Handle, error) {
	return 0, ENotImpl
}

// OpenNetworkObject is not there yet.
func (c *Client) OpenNetworkObject(ctx context.Context, kind NetworkKind, id GUID) (Handle, error) {
	return 0, ENotImpl
}

// QueryNetworkObject is not there yet.
func (c *Client) QueryNetworkObject(ctx context.Context, h Handle, query string) (string, error) {
	return "", ENotImpl
}

// ModifyNetworkObject is not there yet.
func (c *Client) ModifyNetworkObject(ctx context.Context, h Handle, settings string) error {
	return ENotImpl
}

// DeleteNetworkObject is not there yet.
func (c *Client) DeleteNetworkObject(ctx context.Context, kind NetworkKind, id GUID) error {
	return ENotImpl
}

// CloseNetworkObject is not there yet.
func (c *Client) CloseNetworkObject(h Handle) error { return ENotImpl }

// HNSCall is not there yet.
func (c *Client) HNSCall(ctx context.Context, method, path, body string) (string, error) {
	return "", ENotImpl
}

// SetupFilter is not there yet.
func (c *Client) SetupFilter(ctx context.Context, job string, flags uint32, root, target string, exceptions []string) error {
	return ENotImpl
}

// RemoveMapping is not there yet.
func (c *Client) RemoveMapping(ctx context.Context, job, root string) error { return ENotImpl }

// Mappings is not there yet.
func (c *Client) Mappings(ctx context.Context, job string) (string, error) { return "", ENotImpl }
