package schema

// DeviceExtensions are the extra device and object namespaces of a container.
type DeviceExtensions struct {
	DeviceExtensions []DeviceExtension `json:"device_extension,omitempty" since:"20348"`
}

// DeviceExtension is one extension: which devices, and what of the namespaces
// they need.
type DeviceExtension struct {
	DeviceCategory *DeviceCategory           `json:"device_category,omitempty" since:"20348"`
	Namespace      *DeviceExtensionNamespace `json:"namespace,omitempty" since:"20348"`
}

// DeviceExtensionNamespace holds the object and device parts of an extension.
// The published type has more parts that no extension uses.
type DeviceExtensionNamespace struct {
	Objects *ObjectNamespace `json:"ob,omitempty" since:"20348"`
	Device  *DeviceNamespace `json:"device,omitempty" since:"20348"`
}

// DeviceCategory groups device interface classes.
type DeviceCategory struct {
	Name           string           `json:"name,omitempty" since:"20348"`
	InterfaceClass []InterfaceClass `json:"interface_class,omitempty" since:"20348"`
}

// InterfaceClass is one device interface class.
type InterfaceClass struct {
	Type       InterfaceClassType `json:"type,omitempty" since:"20348"`
	Identifier string             `json:"identifier,omitempty" since:"20348"`
	Recurse    bool               `json:"recurse,omitempty" since:"20348"`
}

// DeviceNamespace lists devices of a namespace.
type DeviceNamespace struct {
	RequiresDriverstore bool             `json:"requires_driverstore,omitempty" since:"20348"`
	DeviceCategory      []DeviceCategory `json:"device_category,omitempty" since:"20348"`
	DeviceInstance      []DeviceInstance `json:"device_instance,omitempty" since:"20348"`
}

// DeviceInstance is one device of a namespace.
type DeviceInstance struct {
	ID             string           `json:"id,omitempty" since:"20348"`
	LocationPath   string           `json:"location_path,omitempty" since:"20348"`
	PortName       string           `json:"port_name,omitempty" since:"20348"`
	InterfaceClass []InterfaceClass `json:"interface_class,omitempty" since:"20348"`
}

// ObjectNamespace is a part of the object manager's namespace.
type ObjectNamespace struct {
	Shadow      ObjectDirectoryShadow `json:"shadow,omitempty" since:"20348"`
	Symlinks    []ObjectSymlink       `json:"symlink,omitempty" since:"20348"`
	Directories []ObjectDirectory     `json:"objdir,omitempty" since:"20348"`
}

// ObjectDirectory is a directory of the object manager.
type ObjectDirectory struct {
	Name        string                `json:"name,omitempty" since:"20348"`
	CloneSD     string                `json:"clonesd,omitempty" since:"20348"`
	Shadow      ObjectDirectoryShadow `json:"shadow,omitempty" since:"20348"`
	Symlinks    []ObjectSymlink       `json:"symlink,omitempty" since:"20348"`
	Directories []ObjectDirectory     `json:"objdir,omitempty" since:"20348"`
}

// ObjectSymlink is a symbolic link of the object manager.
type ObjectSymlink struct {
	Name        string             `json:"name,omitempty" since:"20348"`
	Path        string             `json:"path,omitempty" since:"20348"`
	Scope       ObjectSymlinkScope `json:"scope,omitempty" since:"20348"`
	PathToClone string             `json:"pathtoclone,omitempty" since:"20348"`
	AccessMask  uint32             `json:"access_mask,omitempty" since:"20348"`
}
