package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/isolrun/isol/internal/gcs"
	"github.com/isolrun/isol/internal/gcs/gcstest"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/test/hcsemu"
)

// Config is what an agent works with.
type Config struct {
	Build    uint32 // Windows build of the guest, for the documents it takes
	Runner   hcsemu.Runner
	Hardware *Hardware

	// Dial connects to an hvsocket service of the host.
	Dial func(serviceID string) (net.Conn, error)

	// Gate, if not nil, lets each request pass to handle, which returns the
	// response, or does not; the error is then what the host is told. A
	// notification passes, too: then handle sends it.
	Gate func(m hcsemu.Message, handle func() (any, error)) error

	// Fault, if not nil, is asked before each request is handled. A response
	// that is not nil is the answer; hang means that none is ever sent.
	Fault func(proc gcs.Procedure, body []byte) (resp any, hang bool)
}

// Agent serves one bridge.
type Agent struct {
	cfg    Config
	server *gcstest.Server

	mu         sync.Mutex
	fault      func(proc gcs.Procedure, body []byte) (resp any, hang bool) // guarded by mu
	containers map[string]*container                                       // guarded by mu
	mounts     map[string]int                                              // guest path of a mounted disk to its LUN; guarded by mu
	combined   map[string][]string                                         // root path to the layers' folders on the host; guarded by mu
	adapters   map[string]bool                                             // guarded by mu
	namespaces map[string]bool                                             // guarded by mu
	machine    hcsemu.Silo                                                 // processes outside of containers, nil until the first; guarded by mu
	pids       map[uint32]*process                                         // guarded by mu
}

// container is a container of the guest.
type container struct {
	id     string
	system string // the GUID by which hvsockets address it
	doc    *schema.Container
	silo   hcsemu.Silo // nil until started
	layers []string
}

// process is a process of the guest, of a container or of none.
type process struct {
	container string
	run       hcsemu.RunningProcess
	relayed   sync.WaitGroup // streams that are still copied
}

// Serve dials the host's bridge service and serves it until either side ends.
func Serve(cfg Config) (*Agent, error) {
	conn, err := cfg.Dial(gcs.BridgeService)
	if err != nil {
		return nil, err
	}
	a := &Agent{
		cfg: cfg, fault: cfg.Fault, containers: map[string]*container{}, mounts: map[string]int{}, combined: map[string][]string{},
		adapters: map[string]bool{}, namespaces: map[string]bool{}, pids: map[uint32]*process{},
	}
	a.mu.Lock() // the first request may be there before server is set
	a.server = gcstest.Serve(conn, a.handle)
	a.mu.Unlock()
	return a, nil
}

// Done is closed when the bridge has ended.
func (a *Agent) Done() <-chan struct{} { return a.server.Done() }

// Bridge is the served bridge, for faults: garbage, a sudden close.
func (a *Agent) Bridge() *gcstest.Server { return a.server }

// SetFault replaces Config.Fault; nil ends the faults.
func (a *Agent) SetFault(f func(proc gcs.Procedure, body []byte) (resp any, hang bool)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fault = f
}

// Close ends everything in the guest, as the end of its machine does.
func (a *Agent) Close() {
	a.mu.Lock()
	silos := []hcsemu.Silo{a.machine}
	for _, c := range a.containers {
		silos = append(silos, c.silo)
	}
	a.mu.Unlock()
	a.server.Close() // first: a machine that has ended reports no exits
	for _, s := range silos {
		if s != nil {
			s.Terminate()
			s.Close()
		}
	}
}

// Left lists what the host has added and not removed.
func (a *Agent) Left() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var left []string
	for id := range a.containers {
		left = append(left, "container "+id)
	}
	for path := range a.mounts {
		left = append(left, "mounted disk "+path)
	}
	for path := range a.combined {
		left = append(left, "combined layers "+path)
	}
	for id := range a.adapters {
		left = append(left, "adapter "+id)
	}
	for id := range a.namespaces {
		left = append(left, "namespace "+id)
	}
	return left
}

// handle answers one request.
func (a *Agent) handle(proc gcs.Procedure, body []byte) any {
	var resp any
	handle := func() (_ any, err error) {
		resp, err = a.answer(proc, body)
		return resp, err
	}
	var err error
	if a.cfg.Gate == nil {
		_, err = handle()
	} else {
		err = a.cfg.Gate(hcsemu.Message{Procedure: proc.String(), Body: body}, handle)
	}
	if err != nil {
		return refusal(err)
	}
	return resp
}

// answer does what one request asks. Without a response none is sent.
func (a *Agent) answer(proc gcs.Procedure, body []byte) (any, error) {
	a.mu.Lock()
	fault := a.fault
	a.mu.Unlock()
	if fault != nil {
		if resp, hang := fault(proc, body); hang || resp != nil {
			return resp, nil
		}
	}
	handler := map[gcs.Procedure]func([]byte) (any, error){
		gcs.ProcNegotiateProtocol: a.negotiate,
		gcs.ProcCreate:            a.create,
		gcs.ProcStart:             a.start,
		gcs.ProcShutdownGraceful:  a.shutdown,
		gcs.ProcShutdownForced:    a.shutdown,
		gcs.ProcExecuteProcess:    a.execute,
		gcs.ProcWaitForProcess:    a.wait,
		gcs.ProcSignalProcess:     a.signal,
		gcs.ProcResizeConsole:     a.resize,
		gcs.ProcGetProperties:     a.properties,
		gcs.ProcModifySettings:    a.modify,
		gcs.ProcModifyService:     a.modifyService,
		gcs.ProcDumpStacks:        a.dumpStacks,
	}[proc]
	if handler == nil {
		return nil, fmt.Errorf("%w: the guest has no %v", hcsemu.EUnknownMessage, proc)
	}
	resp, err := handler(body)
	if err == nil && resp == nil {
		resp = &gcs.ResponseBase{}
	}
	return resp, err
}

// refusal is the response that an error makes.
func refusal(err error) any {
	code := hcsemu.EFail
	errors.As(err, &code)
	return gcstest.Fail(uint32(code), err.Error())
}

func decode[T any](body []byte) (*T, error) {
	req := new(T)
	if err := json.Unmarshal(body, req); err != nil {
		return nil, fmt.Errorf("%w: %w", hcsemu.EInvalidJSON, err)
	}
	return req, nil
}

// buildHostProcess is the first build whose guests run HostProcess containers:
// Windows Server 2025, as runhcs's change that brought them says (hcsshim#2531).
const buildHostProcess = 26100

func (a *Agent) negotiate(body []byte) (any, error) {
	req, err := decode[gcs.NegotiateRequest](body)
	if err != nil {
		return nil, err
	}
	if req.MinimumVersion > 4 || req.MaximumVersion < 4 {
		return nil, fmt.Errorf("%w: the guest speaks version 4, the host %d to %d", hcsemu.EUnsupportedProtocol, req.MinimumVersion, req.MaximumVersion)
	}
	// What a guest of Server 2019 and later says (runhcs relies on it:
	// gcs/guestconnection.go, uvm/capabilities.go).
	return &gcs.NegotiateResponse{Version: 4, Capabilities: gcs.Capabilities{
		SendHostCreateMessage: true, SendHostStartMessage: true, HvSocketConfigOnStartup: false,
		ModifyServiceSettingsSupported: true,
		SupportedSchemaVersions:        []schema.Version{{Major: 2, Minor: 1}},
		RuntimeOsType:                  "Windows",
		GuestDefinedCapabilities: gcs.GuestCapabilities{
			NamespaceAddRequestSupported: true, SignalProcessSupported: true, DumpStacksSupported: true,
			LogForwardingSupported: true, HostProcessContainerSupported: a.cfg.Build >= buildHostProcess,
		},
	}}, nil
}

func (a *Agent) modifyService(body []byte) (any, error) {
	req, err := decode[gcs.ModifyServiceRequest](body)
	if err != nil {
		return nil, err
	}
	if req.PropertyType != "LogForwardService" {
		return nil, fmt.Errorf("%w: service %q", hcsemu.ENotSupported, req.PropertyType)
	}
	return nil, nil
}

func (a *Agent) dumpStacks([]byte) (any, error) {
	return &gcs.DumpStacksResponse{GuestStacks: "emulated guest: no stacks"}, nil
}

// execute starts a process and copies its streams to the host's listeners.
func (a *Agent) execute(body []byte) (any, error) {
	req, err := decode[struct {
		gcs.RequestBase
		Settings struct {
			ProcessParameters  string
			StdioRelaySettings *gcs.RelayServices
		}
	}](body)
	if err != nil {
		return nil, err
	}
	raw := []byte(req.Settings.ProcessParameters)
	if err := schema.Validate[schema.ProcessParameters](raw, a.cfg.Build); err != nil {
		return nil, fmt.Errorf("%w: %w", hcsemu.EInvalidJSON, err)
	}
	params, err := decode[schema.ProcessParameters](raw)
	if err != nil {
		return nil, err
	}
	silo, err := a.siloOf(req.ContainerID)
	if err != nil {
		return nil, err
	}
	run, err := silo.Start(context.Background(), spec(params))
	if err != nil {
		return nil, err
	}
	p := &process{container: req.ContainerID, run: run}
	if err := a.relay(p, req.Settings.StdioRelaySettings); err != nil {
		// The process must not run on unseen; that it may have ended already is no matter.
		_ = run.Kill()
		return nil, err
	}
	a.mu.Lock()
	a.pids[run.PID()] = p
	a.mu.Unlock()
	return &gcs.ExecuteResponse{ProcessID: run.PID()}, nil
}

func spec(p *schema.ProcessParameters) hcsemu.ProcessSpec {
	s := hcsemu.ProcessSpec{
		ApplicationName: p.ApplicationName, CommandLine: p.CommandLine, WorkingDirectory: p.WorkingDirectory,
		Environment: p.Environment, User: p.User, Console: p.EmulateConsole,
		Stdin: p.CreateStdInPipe, Stdout: p.CreateStdOutPipe, Stderr: p.CreateStdErrPipe,
	}
	if len(p.ConsoleSize) == 2 {
		s.Rows, s.Columns = p.ConsoleSize[0], p.ConsoleSize[1]
	}
	return s
}

// relay connects a process's streams. The host listens before it asks, so a
// service nobody listens on is the host's mistake.
func (a *Agent) relay(p *process, to *gcs.RelayServices) error {
	if to == nil {
		to = &gcs.RelayServices{}
	}
	std := p.run.Stdio()
	if std.In != nil {
		conn, err := a.cfg.Dial(to.StdIn)
		if err != nil {
			return fmt.Errorf("%w: stdin: %w", hcsemu.EConnectFailed, err)
		}
		go func() {
			defer conn.Close()
			io.Copy(std.In, conn) // ends with the process or the host, whichever is first
			p.run.CloseStdin()
		}()
	}
	for _, out := range []struct {
		name, service string
		from          io.ReadCloser
	}{{"stdout", to.StdOut, std.Out}, {"stderr", to.StdErr, std.Err}} {
		if out.from == nil {
			continue
		}
		conn, err := a.cfg.Dial(out.service)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", hcsemu.EConnectFailed, out.name, err)
		}
		p.relayed.Add(1)
		go func() {
			defer p.relayed.Done()
			io.Copy(conn, out.from) // a host that has gone takes no more
			conn.Close()
		}()
	}
	return nil
}

func (a *Agent) processOf(container string, pid uint32) (*process, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.pids[pid]
	if p == nil || p.container != container {
		return nil, fmt.Errorf("%w: process %d", hcsemu.EElementNotFound, pid)
	}
	return p, nil
}

// wait answers when the process has ended.
func (a *Agent) wait(body []byte) (any, error) {
	req, err := decode[gcs.WaitRequest](body)
	if err != nil {
		return nil, err
	}
	p, err := a.processOf(req.ContainerID, req.ProcessID)
	if err != nil {
		return nil, err
	}
	<-p.run.Done()
	a.mu.Lock()
	delete(a.pids, req.ProcessID)
	a.mu.Unlock()
	p.run.Close()
	return &gcs.WaitResponse{ExitCode: p.run.ExitCode()}, nil
}

func (a *Agent) signal(body []byte) (any, error) {
	req, err := decode[gcs.SignalRequest](body)
	if err != nil {
		return nil, err
	}
	p, err := a.processOf(req.ContainerID, req.ProcessID)
	if err != nil {
		return nil, err
	}
	if req.Options == nil {
		if err := p.run.Kill(); err != nil {
			return nil, hcsemu.EElementNotFound
		}
		return nil, nil
	}
	return nil, p.run.Signal(hcsemu.Signal(req.Options.Signal))
}

func (a *Agent) resize(body []byte) (any, error) {
	req, err := decode[gcs.ResizeRequest](body)
	if err != nil {
		return nil, err
	}
	p, err := a.processOf(req.ContainerID, req.ProcessID)
	if err != nil {
		return nil, err
	}
	return nil, p.run.Resize(req.Height, req.Width)
}
