package hcsemu

// Handle is what a client holds. Handles are per client; 0 is none.
type Handle uint64

// Client is the session of one process. All methods may be called from any
// goroutine; those that take a context end when it does, and then have done nothing.
type Client struct{}

// As returns a view of the same session, with the same handles, whose errors
// look as the given family of functions returns them and whose calls are recorded under it.
func (c *Client) As(api API) *Client { return c }

// Reserve returns a handle before the call that fills it, for fronts whose
// functions return the handle at once and the outcome later.
func (c *Client) Reserve() Handle { return 0 }

// Disconnect ends the session as the end of a process does: pending calls
// fail, subscriptions go, every handle is closed. It is idempotent.
func (c *Client) Disconnect() {}

// EventType is a HCS_EVENT_TYPE.
type EventType uint32

// Event types that the emulator sends.
const (
	EventSystemExited         EventType = 0x00000001 // HcsEventSystemExited
	EventSystemCrashInitiated EventType = 0x00000002 // HcsEventSystemCrashInitiated
	EventSystemCrashReport    EventType = 0x00000003 // HcsEventSystemCrashReport
	EventProcessExited        EventType = 0x00010000 // HcsEventProcessExited
	EventServiceDisconnect    EventType = 0x02000000 // HcsEventServiceDisconnect
)

// Event is what a subscription gets.
type Event struct {
	Type   EventType
	Data   string  // JSON, as computecore.dll's HcsEvent has it
	Status HRESULT // as vmcompute.dll's callback has it: 0 for an orderly end
}

// Subscribe calls f, in order and one at a time, for each event of the system
// or process that h names. cancel returns once no call of f runs, unless f itself calls it.
func (c *Client) Subscribe(h Handle, f func(Event)) (cancel func(), err error) { return nil, ENotImpl }

// CreateSystem is the request of [Client.CreateSystem].
type CreateSystem struct {
	Handle   Handle // reserved, or 0
	ID       string
	Document string
}

// CreateProcess is the request of [Client.CreateProcess].
type CreateProcess struct {
	Handle     Handle // reserved, or 0
	System     Handle
	Parameters string
}

// ProcessInformation is what HcsCreateProcess and HcsGetProcessInfo return.
type ProcessInformation struct {
	Handle Handle
	PID    uint32
	Stdio  Stdio // of the first caller only: a pipe has one taker
}

// LayerDescriptor names a parent layer, as WC_LAYER_DESCRIPTOR does.
type LayerDescriptor struct {
	ID    GUID   `json:"id"`
	Flags uint32 `json:"flags,omitempty"`
	Path  string `json:"path"`
}

// GUID is an id in lower-case text form.
type GUID string

// NetworkKind is a kind of object of computenetwork.dll.
type NetworkKind string

// The kinds.
const (
	Network      NetworkKind = "Network"
	Endpoint     NetworkKind = "Endpoint"
	Namespace    NetworkKind = "Namespace"
	LoadBalancer NetworkKind = "LoadBalancer"
	Route        NetworkKind = "SdnRoute"
)
