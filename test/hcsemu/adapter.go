package hcsemu

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// NewHost returns the hcs port as a process of the emulated machine has it. It
// connects a session; [HostOn] takes one that is there.
func NewHost(e *Emulator, caller Caller) hcs.Host { return HostOn(e.Connect(caller)) }

// HostOn returns the hcs port of a session, which it leaves connected.
func HostOn(c *Client) hcs.Host { return &host{c} }

// host implements hcs.Host.
type host struct{ c *Client }

var _ hcs.Host = (*host)(nil)

// portErrors maps codes to the port's errors. It is written down apart from
// that of internal/hcs: see hresult.go.
var portErrors = map[HRESULT]error{
	ESystemNotFound: hcs.ErrNotFound, ESystemAlreadyExists: hcs.ErrAlreadyExists, EInvalidState: hcs.ErrInvalidState,
	ESystemAlreadyStopped: hcs.ErrAlreadyStopped, EProcessAlreadyStopped: hcs.ErrProcessEnded, EElementNotFound: hcs.ErrProcessEnded,
	EOperationTimeout: hcs.ErrTimeout, EConnectionTimeout: hcs.ErrTimeout,
	EServiceDisconnect: hcs.ErrDisconnected, EConnectionClosed: hcs.ErrDisconnected, EConnectFailed: hcs.ErrDisconnected,
	EProtocolError: hcs.ErrDisconnected, EServiceNotAvailable: hcs.ErrUnavailable,
	ENotSupported: hcs.ErrNotSupported, ENotImpl: hcs.ErrNotSupported, EUnknownMessage: hcs.ErrNotSupported,
	EUnsupportedProtocol: hcs.ErrNotSupported, ESystemNotConfigured: hcs.ErrNotSupported,
	EInvalidJSON: hcs.ErrInvalidDocument, EInvalidArg: hcs.ErrInvalidDocument, EInvalidData: hcs.ErrInvalidDocument,
	EImageMismatch: hcs.ErrImageMismatch, EInvalidLayer: hcs.ErrImageFormat, EHypervNotInstalled: hcs.ErrNoHypervisor,
	EUnexpectedExit: hcs.ErrUnexpectedExit, ETerminated: hcs.ErrUnexpectedExit, ETerminatedDuringStart: hcs.ErrUnexpectedExit,
	EGuestCriticalError: hcs.ErrGuestCrash, EFileNotFound: hcs.ErrFileNotFound, EPathNotFound: hcs.ErrFileNotFound,
	EDirectory: hcs.ErrFileNotFound, EAccessDenied: hcs.ErrAccessDenied, EHCSAccessDenied: hcs.ErrAccessDenied,
	ENoSuchUser: hcs.ErrLogon, ELogonFailure: hcs.ErrLogon, EHandle: hcs.ErrClosed, EDiskFull: hcs.ErrDiskFull, ENoSystemResources: hcs.ErrNoResources, EAlreadyExists: hcs.ErrAlreadyExists,
}

// portError is err as the port tells it.
func portError(ctx context.Context, op, id string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && errors.Is(err, EAbort) {
		cause := context.Cause(ctx)
		if errors.Is(cause, context.DeadlineExceeded) {
			cause = hcs.ErrTimeout
		}
		return &hcs.Error{Op: op, ID: id, Err: cause}
	}
	code := CodeOf(err)
	known, ok := portErrors[code]
	if !ok {
		known = hcs.ErrUnknown
	}
	return &hcs.Error{Op: op, ID: id, Code: uint32(code), Result: ResultDocument(err), Err: known}
}

// Create implements [hcs.Host].
func (h *host) Create(ctx context.Context, id string, doc *schema.ComputeSystem) (hcs.System, error) {
	const op = "HcsCreateComputeSystem"
	handle, err := h.c.CreateSystem(ctx, CreateSystem{ID: id, Document: encode(doc)})
	if err != nil {
		if errors.Is(err, EElementNotFound) { // something that the document names
			return nil, &hcs.Error{Op: op, ID: id, Code: uint32(EElementNotFound), Result: ResultDocument(err), Err: hcs.ErrInvalidDocument}
		}
		return nil, portError(ctx, op, id, err)
	}
	return h.take(ctx, op, id, handle)
}

// Open implements [hcs.Host].
func (h *host) Open(ctx context.Context, id string) (hcs.System, error) {
	const op = "HcsOpenComputeSystem"
	handle, err := h.c.OpenSystem(ctx, id)
	if err != nil {
		return nil, portError(ctx, op, id, err)
	}
	return h.take(ctx, op, id, handle)
}

// take watches a new handle and reads what never changes.
func (h *host) take(ctx context.Context, op, id string, handle Handle) (hcs.System, error) {
	s := &hostSystem{c: h.c, id: id, handle: handle, crashed: make(chan struct{}), done: make(chan struct{})}
	_, err := h.c.Subscribe(handle, s.event)
	if err == nil {
		var props string
		if props, err = h.c.SystemProperties(ctx, handle, ""); err == nil {
			var p schema.Properties
			err = json.Unmarshal([]byte(props), &p)
			s.runtimeID = p.RuntimeID
		}
	}
	if err != nil {
		_ = s.Close() // the first failure is the one to tell
		return nil, portError(ctx, op, id, err)
	}
	return s, nil
}

// List implements [hcs.Host].
func (h *host) List(ctx context.Context, query schema.SystemQuery) ([]schema.SystemSummary, error) {
	var list []schema.SystemSummary
	answer, err := h.c.EnumerateSystems(ctx, encode(query))
	if err == nil {
		err = json.Unmarshal([]byte(answer), &list)
	}
	return list, portError(ctx, "HcsEnumerateComputeSystems", "", err)
}

// ServiceProperties implements [hcs.Host].
func (h *host) ServiceProperties(ctx context.Context, query schema.ServicePropertyQuery) (*schema.ServiceProperties, error) {
	answer, err := h.c.ServiceProperties(ctx, encode(query))
	props := new(schema.ServiceProperties)
	if err == nil {
		err = json.Unmarshal([]byte(answer), props)
	}
	if err != nil {
		return nil, portError(ctx, "HcsGetServiceProperties", "", err)
	}
	return props, nil
}

// ModifyService implements [hcs.Host].
func (h *host) ModifyService(ctx context.Context, req *schema.ServiceModification) ([]byte, error) {
	answer, err := h.c.ModifyService(ctx, encode(req))
	if err != nil {
		return nil, portError(ctx, "HcsModifyServiceSettings", "", err)
	}
	return []byte(answer), nil
}

// GrantVMAccess implements [hcs.Host].
func (h *host) GrantVMAccess(ctx context.Context, systemID, path string) error {
	return portError(ctx, "HcsGrantVmAccess", systemID, h.c.GrantVMAccess(ctx, systemID, path))
}

// RevokeVMAccess implements [hcs.Host].
func (h *host) RevokeVMAccess(ctx context.Context, systemID, path string) error {
	return portError(ctx, "HcsRevokeVmAccess", systemID, h.c.RevokeVMAccess(ctx, systemID, path))
}

// end is the end of a system or process, which comes once.
type end struct {
	once sync.Once
	done chan struct{}
	code uint32 // valid once done is closed, like err
	err  error
}

func newEnd() *end { return &end{done: make(chan struct{})} }

func (x *end) reach(code uint32, err error) {
	x.once.Do(func() {
		x.code, x.err = code, err
		close(x.done)
	})
}

// hostSystem implements hcs.System.
type hostSystem struct {
	c         *Client
	id        string
	handle    Handle
	runtimeID string
	crashed   chan struct{} // closed when the guest's kernel has crashed
	done      chan struct{} // closed when ending is set

	mu       sync.Mutex
	bugcheck *hcs.Bugcheck // guarded by mu
	ending   *hcs.Ending   // nil until the end; guarded by mu
}

var _ hcs.System = (*hostSystem)(nil)

func (s *hostSystem) event(ev Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch ev.Type {
	case EventServiceDisconnect:
		s.endLocked(hcs.Ending{Err: &hcs.Error{Op: "HcsEventSystemExited", ID: s.id, Code: uint32(EServiceDisconnect), Err: hcs.ErrDisconnected}})
	case EventSystemCrashInitiated, EventSystemCrashReport:
		if s.bugcheck == nil {
			close(s.crashed)
		}
		s.bugcheck = hcs.ReadCrash(s.bugcheck, ev.Data)
	case EventSystemExited:
		s.endLocked(hcs.ReadEnding(s.id, ev.Data, s.bugcheck))
	}
}

// endLocked takes the first end that it is told.
func (s *hostSystem) endLocked(e hcs.Ending) {
	if s.ending == nil {
		s.ending = &e
		close(s.done)
	}
}

func (s *hostSystem) ID() string            { return s.id }
func (s *hostSystem) RuntimeID() string     { return s.runtimeID }
func (s *hostSystem) Done() <-chan struct{} { return s.done }

func (s *hostSystem) Crashed() <-chan struct{} { return s.crashed }

func (s *hostSystem) Exit() error { return s.Ending().Err }

func (s *hostSystem) Ending() hcs.Ending {
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.ending
}

func (s *hostSystem) Start(ctx context.Context) error {
	return portError(ctx, "HcsStartComputeSystem", s.id, s.c.StartSystem(ctx, s.handle, ""))
}

func (s *hostSystem) Shutdown(ctx context.Context) error {
	return portError(ctx, "HcsShutDownComputeSystem", s.id, s.c.ShutDownSystem(ctx, s.handle, ""))
}

func (s *hostSystem) Terminate(ctx context.Context) error {
	return portError(ctx, "HcsTerminateComputeSystem", s.id, s.c.TerminateSystem(ctx, s.handle, ""))
}

func (s *hostSystem) Properties(ctx context.Context, query schema.PropertyQuery) (*schema.Properties, error) {
	answer, err := s.c.SystemProperties(ctx, s.handle, encode(query))
	props := new(schema.Properties)
	if err == nil {
		err = json.Unmarshal([]byte(answer), props)
	}
	if err != nil {
		return nil, portError(ctx, "HcsGetComputeSystemProperties", s.id, err)
	}
	return props, nil
}

func (s *hostSystem) Modify(ctx context.Context, req *schema.ModificationRequest) error {
	return portError(ctx, "HcsModifyComputeSystem", s.id, s.c.ModifySystem(ctx, s.handle, encode(req)))
}

func (s *hostSystem) CreateProcess(ctx context.Context, params *schema.ProcessParameters) (hcs.Process, error) {
	info, err := s.c.CreateProcess(ctx, CreateProcess{System: s.handle, Parameters: encode(params)})
	if err != nil {
		return nil, portError(ctx, "HcsCreateProcess", s.id, err)
	}
	p := &hostProcess{c: s.c, system: s.id, info: info, end: newEnd()}
	if _, err := s.c.Subscribe(info.Handle, p.event); err != nil {
		_ = p.Close() // the first failure is the one to tell
		return nil, portError(ctx, "HcsSetProcessCallback", s.id, err)
	}
	return p, nil
}

// Close gives up the handle; whoever waits for the end learns that it can't be seen any more.
func (s *hostSystem) Close() error {
	err := s.c.CloseSystem(s.handle)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(hcs.Ending{Err: &hcs.Error{Op: "HcsCloseComputeSystem", ID: s.id, Err: hcs.ErrClosed}})
	return closeError(err)
}

// closeError: closing twice is no error, nor is closing what the service took along.
func closeError(err error) error {
	if errors.Is(err, EHandle) || errors.Is(err, EServiceDisconnect) {
		return nil
	}
	return err
}
