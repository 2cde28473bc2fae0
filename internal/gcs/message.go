package gcs

import (
	"encoding/json"

	"github.com/isolrun/isol/internal/hcs/schema"
)

// NullContainer is the container id by which the utility VM itself is addressed.
const NullContainer = "00000000-0000-0000-0000-000000000000"

// protocolVersion is the only version that utility VMs from 17763 on speak.
const protocolVersion = 4

// waitForever is the timeout of WaitForProcess that never ends.
const waitForever = 0xffffffff

// Embedded is a JSON value that travels as a JSON string.
type Embedded struct{ Value any }

// MarshalText encodes the value: encoding/json makes the text a string.
func (e Embedded) MarshalText() ([]byte, error) { return json.Marshal(e.Value) }

// UnmarshalText decodes the string's content into Value, which may be a pointer.
func (e *Embedded) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	return json.Unmarshal(b, &e.Value)
}

// RequestBase begins every request and notification.
type RequestBase struct {
	ContainerID string `json:"ContainerId"`
	ActivityID  string `json:"ActivityId,omitempty"` // GUID
}

// ResponseBase begins every response.
type ResponseBase struct {
	Result       int32         `json:"Result"` // HRESULT
	ErrorMessage string        `json:"ErrorMessage,omitempty"`
	ActivityID   string        `json:"ActivityId,omitempty"`
	ErrorRecords []ErrorRecord `json:"ErrorRecords,omitempty"`
}

func (r *ResponseBase) base() *ResponseBase { return r }

// response is any response type: all embed ResponseBase.
type response interface{ base() *ResponseBase }

// ErrorRecord is one step of the guest's own account of a failure.
type ErrorRecord struct {
	Result       int32  `json:"Result"`
	Message      string `json:"Message"`
	StackTrace   string `json:"StackTrace,omitempty"`
	ModuleName   string `json:"ModuleName"`
	FileName     string `json:"FileName"`
	Line         uint32 `json:"Line"`
	FunctionName string `json:"FunctionName,omitempty"`
}

// NegotiateRequest opens the conversation.
type NegotiateRequest struct {
	RequestBase
	MinimumVersion uint32
	MaximumVersion uint32
}

// NegotiateResponse tells what the guest can do.
type NegotiateResponse struct {
	ResponseBase
	Version      uint32
	Capabilities Capabilities
}

// Capabilities is what the guest can do.
type Capabilities struct {
	SendHostCreateMessage          bool
	SendHostStartMessage           bool
	HvSocketConfigOnStartup        bool
	SendLifecycleNotifications     bool
	ModifyServiceSettingsSupported bool
	SupportedSchemaVersions        []schema.Version
	RuntimeOsType                  string
	GuestDefinedCapabilities       GuestCapabilities
}

// GuestCapabilities is the part of Capabilities that the guest's own agent adds.
type GuestCapabilities struct {
	NamespaceAddRequestSupported  bool `json:",omitempty"`
	SignalProcessSupported        bool `json:",omitempty"`
	DumpStacksSupported           bool `json:",omitempty"`
	DeleteContainerStateSupported bool `json:",omitempty"`
	UpdateContainerSupported      bool `json:",omitempty"`
	LogForwardingSupported        bool `json:",omitempty"`
	HostProcessContainerSupported bool `json:",omitempty"`
}

// CreateRequest creates a container; for the null container, the VM's own state.
type CreateRequest struct {
	RequestBase
	ContainerConfig Embedded
}

// UVMConfig is the ContainerConfig of the null container.
type UVMConfig struct {
	SystemType          string               // always "Container", as the reference sends it
	TimeZoneInformation *TimeZoneInformation `json:",omitempty"`
}

// TimeZoneInformation is the guest's time zone. It has the fields of Windows's
// TIME_ZONE_INFORMATION: https://learn.microsoft.com/windows/win32/api/timezoneapi/ns-timezoneapi-time_zone_information
type TimeZoneInformation struct {
	Bias         int32
	StandardName string
	StandardDate SystemTime
	StandardBias int32
	DaylightName string
	DaylightDate SystemTime
	DaylightBias int32
}

// SystemTime is a date rule of a time zone, as in Windows's SYSTEMTIME.
type SystemTime struct {
	Year, Month, DayOfWeek, Day, Hour, Minute, Second, Milliseconds int32
}

// ExecuteRequest starts a process.
type ExecuteRequest struct {
	RequestBase
	Settings ExecuteSettings
}

// ExecuteSettings holds the process and where its stdio goes. A Windows guest
// takes hvsocket service GUIDs, a Linux guest the vsock ports they stand for.
type ExecuteSettings struct {
	ProcessParameters       Embedded
	StdioRelaySettings      *RelayServices `json:",omitempty"`
	VsockStdioRelaySettings *RelayPorts    `json:",omitempty"`
}

// RelayServices names the host's listeners by hvsocket service GUID.
type RelayServices struct {
	StdIn  string `json:",omitempty"`
	StdOut string `json:",omitempty"`
	StdErr string `json:",omitempty"`
}

// RelayPorts names the host's listeners by vsock port.
type RelayPorts struct {
	StdIn  uint32 `json:",omitempty"`
	StdOut uint32 `json:",omitempty"`
	StdErr uint32 `json:",omitempty"`
}

// ExecuteResponse names the process that was started.
type ExecuteResponse struct {
	ResponseBase
	ProcessID uint32 `json:"ProcessId"`
}

// WaitRequest asks for a process's exit; the response comes when it has ended.
type WaitRequest struct {
	RequestBase
	ProcessID   uint32 `json:"ProcessId"`
	TimeoutInMs uint32
}

// WaitResponse tells how the process ended.
type WaitResponse struct {
	ResponseBase
	ExitCode uint32
}

// SignalRequest delivers a signal; without options it kills.
type SignalRequest struct {
	RequestBase
	ProcessID uint32                       `json:"ProcessId"`
	Options   *schema.SignalProcessOptions `json:",omitempty"`
}

// ResizeRequest sets the console's size.
type ResizeRequest struct {
	RequestBase
	ProcessID uint32 `json:"ProcessId"`
	Height    uint16
	Width     uint16
}

// PropertiesRequest asks for properties; Query holds a schema.PropertyQuery.
type PropertiesRequest struct {
	RequestBase
	Query Embedded
}

// PropertiesResponse carries the schema.Properties as a string.
type PropertiesResponse struct {
	ResponseBase
	Properties string
}

// ModifyRequest changes a container or, for the null container, the VM.
type ModifyRequest struct {
	RequestBase
	Request any
}

// ModifyServiceRequest changes a service of the guest, log forwarding for example.
type ModifyServiceRequest struct {
	RequestBase
	PropertyType string
	Settings     any `json:",omitempty"`
}

// DumpStacksResponse holds the guest agent's stacks.
type DumpStacksResponse struct {
	ResponseBase
	GuestStacks string
}

// ContainerNotification is what the guest sends when a container has ended.
type ContainerNotification struct {
	RequestBase
	Type       string
	Operation  string
	Result     int32
	ResultInfo Embedded
}
