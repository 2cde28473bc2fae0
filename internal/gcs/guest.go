package gcs

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// Config is what a connection to a guest needs.
type Config struct {
	VM       string               // id of the VM's compute system, for errors and logs
	Conn     io.ReadWriteCloser   // the accepted bridge connection; the Guest owns it
	Stdio    Listener             // for the streams of processes
	TimeZone *TimeZoneInformation // given to the guest; nil leaves the guest's own
	Log      *slog.Logger
	Timeout  time.Duration // of one call; 0 is DefaultTimeout

	// Linger is how long calls wait, after the stream has broken, for somebody
	// who knows why to call Fail. 0: not at all.
	Linger time.Duration

	Calls *hcs.CallTable // takes note of each call; may be nil
}

// DefaultTimeout bounds one call to a guest. The reference gives up after five
// minutes and takes the bridge with it; here only the call fails.
const DefaultTimeout = 2 * time.Minute

// Guest is the host's end of the bridge to one VM. All methods may be called
// from any goroutine.
type Guest struct {
	cfg    Config
	bridge *bridge
	caps   Capabilities

	mu         sync.Mutex
	containers map[string]*container // guarded by mu; nil once the bridge is dead
	nextPort   uint32                // guarded by mu
}

// Connect negotiates over c.Conn and, where the guest wants it, creates and
// starts the guest's own state. It owns c.Conn from the start: a failed Connect
// has closed it.
func Connect(ctx context.Context, c Config) (*Guest, error) {
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	g := &Guest{cfg: c, containers: map[string]*container{}, nextPort: firstStdioPort}
	g.bridge = newBridge(c.Conn, c.Log.With("vm", c.VM), c.Linger, g.notified)
	go g.watch()
	if err := g.negotiate(ctx); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

func (g *Guest) negotiate(ctx context.Context) error {
	// Of no container, not even the null one: as runhcs does, which is what guests have seen.
	req := NegotiateRequest{MinimumVersion: protocolVersion, MaximumVersion: protocolVersion}
	var resp NegotiateResponse
	if err := g.call(ctx, ProcNegotiateProtocol, NullContainer, &req, &resp); err != nil {
		return err
	}
	if resp.Version != protocolVersion {
		return g.failed(ProcNegotiateProtocol, NullContainer,
			fmt.Errorf("%w: the guest speaks protocol %d, isol speaks %d", hcs.ErrNotSupported, resp.Version, protocolVersion))
	}
	g.caps = resp.Capabilities
	if !g.caps.SendHostCreateMessage {
		return nil
	}
	create := CreateRequest{
		RequestBase:     RequestBase{ContainerID: NullContainer},
		ContainerConfig: Embedded{UVMConfig{SystemType: "Container", TimeZoneInformation: g.cfg.TimeZone}},
	}
	if err := g.call(ctx, ProcCreate, NullContainer, &create, &ResponseBase{}); err != nil {
		return err
	}
	if !g.caps.SendHostStartMessage {
		return nil
	}
	return g.call(ctx, ProcStart, NullContainer, &RequestBase{ContainerID: NullContainer}, &ResponseBase{})
}

// Windows reports whether the guest runs Windows: one that does not say does.
func (g *Guest) Windows() bool {
	return g.caps.RuntimeOsType == "" || strings.EqualFold(g.caps.RuntimeOsType, "windows")
}

// Capabilities returns what the guest said it can do.
func (g *Guest) Capabilities() Capabilities { return g.caps }

// Broken is closed when the stream has broken, before or with Done: no call will
// be answered any more, and Config.Linger later the bridge is dead.
func (g *Guest) Broken() <-chan struct{} { return g.bridge.broken }

// Cause says why the stream broke, nil if it did not break by itself.
func (g *Guest) Cause() error {
	g.bridge.mu.Lock()
	defer g.bridge.mu.Unlock()
	return g.bridge.cause
}

// Done is closed when the bridge is dead.
func (g *Guest) Done() <-chan struct{} { return g.bridge.dead }

// Reason says why the bridge died; it matches hcs.ErrDisconnected. It must be
// called only after Done is closed.
func (g *Guest) Reason() error { return g.bridge.reason() }

// Fail kills the bridge with a reason that the caller knows better: the exit
// of the VM, for example. It is idempotent; the first reason stays.
func (g *Guest) Fail(reason error) { g.bridge.close(reason) }

// Close kills the bridge. It is idempotent.
func (g *Guest) Close() error {
	g.bridge.close(errClosed)
	return nil
}

// Modify changes a resource of the VM as the guest sees it.
func (g *Guest) Modify(ctx context.Context, req *Modification) error {
	return g.call(ctx, ProcModifySettings, NullContainer,
		&ModifyRequest{RequestBase: RequestBase{ContainerID: NullContainer}, Request: req}, &ResponseBase{})
}

// ModifyService changes a service of the guest.
func (g *Guest) ModifyService(ctx context.Context, property string, settings any) error {
	req := ModifyServiceRequest{RequestBase: RequestBase{ContainerID: NullContainer}, PropertyType: property, Settings: settings}
	return g.call(ctx, ProcModifyService, NullContainer, &req, &ResponseBase{})
}

// DumpStacks returns the stacks of the guest's agent. Errors: ErrNotSupported.
func (g *Guest) DumpStacks(ctx context.Context) (string, error) {
	if !g.caps.GuestDefinedCapabilities.DumpStacksSupported {
		return "", g.failed(ProcDumpStacks, NullContainer, hcs.ErrNotSupported)
	}
	var resp DumpStacksResponse
	err := g.call(ctx, ProcDumpStacks, NullContainer, &RequestBase{ContainerID: NullContainer}, &resp)
	return resp.GuestStacks, err
}

// CreateProcess starts a process of the VM itself, outside of any container.
func (g *Guest) CreateProcess(ctx context.Context, params *schema.ProcessParameters) (hcs.Process, error) {
	return g.execute(ctx, NullContainer, params)
}

// Create makes a container in the VM from its document. The caller owns it.
// Errors: those of hcs.Host.Create.
func (g *Guest) Create(ctx context.Context, id string, doc any) (hcs.Compute, error) {
	c := &container{guest: g, id: id, done: make(chan struct{})}
	if err := g.register(c); err != nil {
		return nil, err
	}
	req := CreateRequest{RequestBase: RequestBase{ContainerID: id}, ContainerConfig: Embedded{doc}}
	err := g.callOrUndo(ctx, ProcCreate, id, &req, &ResponseBase{}, func([]byte) {
		g.attempt(ProcShutdownForced, id, &RequestBase{ContainerID: id})
	})
	if err != nil {
		g.unregister(c)
		return nil, err
	}
	return c, nil
}

// attempt makes a call that nobody waits for.
func (g *Guest) attempt(proc Procedure, id string, req any) {
	if err := g.call(context.Background(), proc, id, req, &ResponseBase{}); err != nil {
		g.cfg.Log.Warn("undo in the guest", "vm", g.cfg.VM, "container", id, "error", err)
	}
}

func (g *Guest) register(c *container) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.containers == nil {
		return g.failed(ProcCreate, c.id, g.bridge.reason())
	}
	if _, ok := g.containers[c.id]; ok {
		return g.failed(ProcCreate, c.id, hcs.ErrAlreadyExists)
	}
	g.containers[c.id] = c
	return nil
}

func (g *Guest) unregister(c *container) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.containers[c.id] == c {
		delete(g.containers, c.id)
	}
}

// notified ends the container that the guest says has ended.
func (g *Guest) notified(n ContainerNotification) {
	g.mu.Lock()
	c := g.containers[n.ContainerID]
	delete(g.containers, n.ContainerID)
	g.mu.Unlock()
	if c == nil {
		g.cfg.Log.Warn("guest reports the end of a container nobody knows, dropped", "vm", g.cfg.VM, "container", n.ContainerID, "type", n.Type)
		return
	}
	var err error
	if n.Type == notifyUnexpectedExit {
		err = g.failed(ProcStart, c.id, fmt.Errorf("%w (0x%08x)", hcs.ErrUnexpectedExit, uint32(n.Result)))
	}
	c.end(err)
}

// notifyUnexpectedExit is the notification of a crash. The others of a
// container, GracefulExit and ForcedExit, are ends that isol asked for or the
// container chose (names: runhcs internal/hcs/schema1).
const notifyUnexpectedExit = "UnexpectedExit"

// watch ends every container when the bridge dies.
func (g *Guest) watch() {
	<-g.bridge.dead
	g.mu.Lock()
	containers := g.containers
	g.containers = nil
	g.mu.Unlock()
	reason := g.bridge.reason()
	for _, c := range containers {
		c.end(reason)
	}
}

// call makes one call with the guest's own deadline and turns a failure of
// either side into an hcs.Error.
func (g *Guest) call(ctx context.Context, proc Procedure, id string, req any, resp response) error {
	return g.callOrUndo(ctx, proc, id, req, resp, nil)
}

// callOrUndo is call for what the guest may do after nobody waits any more:
// undo then gets the response, if it says that it was done.
func (g *Guest) callOrUndo(ctx context.Context, proc Procedure, id string, req any, resp response, undo func(body []byte)) error {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	defer hcs.Waiting(ctx)()
	defer g.cfg.Calls.Begin("guest "+proc.String(), g.subject(id))()
	var late func([]byte)
	if undo != nil {
		late = func(body []byte) {
			var r ResponseBase
			if err := json.Unmarshal(body, &r); err == nil && r.Result >= 0 {
				g.cfg.Log.Warn("the guest did something late, it is undone", "vm", g.cfg.VM, "container", id, "procedure", proc)
				undo(body)
			}
		}
	}
	if err := g.bridge.call(ctx, proc, req, resp, late); err != nil {
		return g.failed(proc, id, err)
	}
	return resultError(proc, g.subject(id), resp.base())
}

func (g *Guest) subject(id string) string {
	if id == NullContainer {
		return g.cfg.VM
	}
	return id + " in " + g.cfg.VM
}

func (g *Guest) failed(proc Procedure, id string, err error) error {
	return &hcs.Error{Op: "guest " + proc.String(), ID: g.subject(id), Err: err}
}

// resultError returns the guest's refusal, if the response is one.
func resultError(proc Procedure, subject string, r *ResponseBase) error {
	if r.Result >= 0 {
		return nil
	}
	e := &hcs.Error{Op: "guest " + proc.String(), ID: subject, Code: uint32(r.Result), Result: r.ErrorMessage, Err: hcs.Classify(uint32(r.Result))}
	if e.Result == "" && len(r.ErrorRecords) > 0 {
		e.Result = r.ErrorRecords[0].Message
	}
	return e
}

// stdioListener opens the next stdio channel.
func (g *Guest) stdioListener() (*channel, uint32, error) {
	g.mu.Lock()
	port := g.nextPort
	g.nextPort++
	g.mu.Unlock()
	l, err := g.cfg.Stdio.Listen(ServiceID(port))
	if err != nil {
		return nil, 0, fmt.Errorf("listen for a process's stream: %w", err)
	}
	return newChannel(l), port, nil
}
