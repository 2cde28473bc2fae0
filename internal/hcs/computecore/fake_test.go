package computecore

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// fakeService plays computecore.dll: handles, operations, events, and processes
// that do what their command line says. It keeps the order of calls and knows
// which handles are still open.
type fakeService struct {
	events *registry

	mu      sync.Mutex // guards what follows; not held while events are delivered
	last    uint32
	objects map[handle]any // *fakeOperation, *systemHandle, *processHandle, *fakeFile
	systems map[string]*fakeSystem
	trace   []string
	fail    map[string]error         // what a function answers instead
	hang    map[string]chan struct{} // a function waits for this before it does anything
	mute    bool                     // no exit events

	refuseShutdown error // result of the operation of a shutdown, which then does nothing
}

type fakeOperation struct {
	done chan struct{}
	doc  string
	info processInformation
	err  error
}

type fakeSystem struct {
	id        string
	doc       schema.ComputeSystem
	state     schema.State
	handles   int
	callbacks map[handle]uintptr
	processes map[uint32]*fakeProcess
}

type systemHandle struct{ *fakeSystem }

type fakeProcess struct {
	pid       uint32
	params    schema.ProcessParameters
	created   time.Time
	stdin     *io.PipeWriter // the client's end
	callbacks map[handle]uintptr
	end       chan uint32 // asked to end with this code
	ended     bool
}

type processHandle struct {
	*fakeProcess
	system *fakeSystem
}

// fakeFile is the client's end of a pipe.
type fakeFile struct {
	io.Reader
	io.Writer
	close func() error
}

func (f *fakeFile) Close() error { return f.close() }

func newFakeService() *fakeService {
	return &fakeService{
		events: &registry{}, objects: map[handle]any{}, systems: map[string]*fakeSystem{},
		fail: map[string]error{}, hang: map[string]chan struct{}{},
	}
}

// host returns an adapter on the service; the test fails if it leaves a handle
// or a receiver of events behind.
func (s *fakeService) host(t *testing.T) *host {
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, o := range s.objects {
			t.Errorf("left behind: %T", o)
		}
		if n := len(s.events.entries); n != 0 {
			t.Errorf("left behind: %d receivers of events", n)
		}
	})
	return &host{n: s, events: s.events}
}

// created returns a system.
func (s *fakeService) created(t *testing.T) hcs.System {
	t.Helper()
	sys, err := s.host(t).Create(t.Context(), "c", document(t))
	if err != nil {
		t.Fatal(err)
	}
	return sys
}

// started returns a system that runs.
func (s *fakeService) started(t *testing.T) hcs.System {
	t.Helper()
	sys := s.created(t)
	if err := sys.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return sys
}

// enter records a call, waits where it is made to hang, and answers what it is
// made to answer.
func (s *fakeService) enter(name string) error {
	s.mu.Lock()
	s.trace = append(s.trace, name)
	err, hang := s.fail[name], s.hang[name]
	s.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return err
}

func (s *fakeService) add(o any) handle {
	s.last++
	s.objects[handle(s.last)] = o
	return handle(s.last)
}

func objectAt[T any](s *fakeService, h handle) T {
	o, ok := s.objects[h].(T)
	if !ok {
		panic(fmt.Sprintf("handle %d is a %T, not a %T: used after it was closed?", h, s.objects[h], o))
	}
	return o
}

// begin starts the work of a function that tracks an operation.
func (s *fakeService) begin(name string, op handle, work func(*fakeOperation) error) error {
	if err := s.enter(name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := objectAt[*fakeOperation](s, op)
	if err := work(o); err != nil {
		o.err = err
	}
	close(o.done)
	return nil
}

func (s *fakeService) createOperation() (handle, error) {
	if err := s.enter("HcsCreateOperation"); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(&fakeOperation{done: make(chan struct{})}), nil
}

func (s *fakeService) closeOperation(op handle) {
	_ = s.enter("HcsCloseOperation")
	s.mu.Lock()
	defer s.mu.Unlock()
	objectAt[*fakeOperation](s, op)
	delete(s.objects, op)
}

func (s *fakeService) cancelOperation(op handle) error {
	err := s.enter("HcsCancelOperation")
	s.mu.Lock()
	defer s.mu.Unlock()
	objectAt[*fakeOperation](s, op)
	return err
}

func (s *fakeService) operationResult(op handle) (string, error) {
	if err := s.enter("HcsGetOperationResult"); err != nil {
		return "", err
	}
	return `{"Error":1,"ErrorMessage":"as the service says"}`, nil
}

func (s *fakeService) wait(name string, op handle, ms uint32) (*fakeOperation, error) {
	s.mu.Lock()
	o := objectAt[*fakeOperation](s, op)
	s.trace = append(s.trace, name)
	err, hang := s.fail[name], s.hang[name]
	s.mu.Unlock()
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	if hang != nil {
		select {
		case <-hang:
		case <-timer.C:
			return o, operationTimeout
		}
	}
	<-o.done
	if err != nil {
		return o, err
	}
	return o, o.err
}

func (s *fakeService) waitResult(op handle, ms uint32) (string, error) {
	o, err := s.wait("HcsWaitForOperationResult", op, ms)
	return o.doc, err
}

func (s *fakeService) waitProcess(op handle, ms uint32) (processInformation, string, error) {
	o, err := s.wait("HcsWaitForOperationResultAndProcessInfo", op, ms)
	if err != nil {
		return processInformation{}, o.doc, err
	}
	return o.info, o.doc, nil
}

func (s *fakeService) createSystem(id, doc string, op handle) (handle, error) {
	if err := s.enter("HcsCreateComputeSystem"); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.systems[id] != nil {
		return 0, hresult(0x8037010F)
	}
	sys := &fakeSystem{id: id, state: schema.StateCreated, callbacks: map[handle]uintptr{}, processes: map[uint32]*fakeProcess{}}
	if err := json.Unmarshal([]byte(doc), &sys.doc); err != nil || sys.doc.Container == nil {
		return 0, hresult(0x8037010D)
	}
	s.systems[id] = sys
	sys.handles++
	close(objectAt[*fakeOperation](s, op).done)
	return s.add(&systemHandle{sys}), nil
}

func (s *fakeService) openSystem(id string) (handle, error) {
	if err := s.enter("HcsOpenComputeSystem"); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sys := s.systems[id]
	if sys == nil {
		return 0, hresult(0x8037010E)
	}
	sys.handles++
	return s.add(&systemHandle{sys}), nil
}

func (s *fakeService) closeSystem(h handle) {
	_ = s.enter("HcsCloseComputeSystem")
	s.mu.Lock()
	sys := objectAt[*systemHandle](s, h)
	delete(s.objects, h)
	delete(sys.callbacks, h)
	sys.handles--
	last := sys.handles == 0 && sys.doc.ShouldTerminateOnLastHandleClosed
	s.mu.Unlock()
	if last {
		s.stop(sys.fakeSystem, `{"Status":0,"ExitType":"ForcedExit"}`)
	}
}

// stop ends a system and its processes and tells whoever watches.
func (s *fakeService) stop(sys *fakeSystem, data string) {
	s.mu.Lock()
	stopped := sys.state == schema.StateStopped
	sys.state = schema.StateStopped
	if s.systems[sys.id] == sys {
		delete(s.systems, sys.id)
	}
	processes := slices.Collect(maps.Values(sys.processes))
	callbacks := slices.Collect(maps.Values(sys.callbacks))
	s.mu.Unlock()
	if stopped {
		return
	}
	for _, p := range processes {
		p.ask(0xC000013A)
	}
	for _, id := range callbacks {
		s.events.deliver(id, eventSystemExited, data)
	}
}

// ask has a process end with code.
func (p *fakeProcess) ask(code uint32) {
	select {
	case p.end <- code:
	default: // it has been asked before
	}
}

func (s *fakeService) startSystem(h, op handle) error {
	return s.begin("HcsStartComputeSystem", op, func(*fakeOperation) error {
		sys := objectAt[*systemHandle](s, h)
		if sys.state != schema.StateCreated {
			return hresult(0x80370105)
		}
		sys.state = schema.StateRunning
		return nil
	})
}

func (s *fakeService) shutDownSystem(h, op handle) error {
	const name = "HcsShutDownComputeSystem"
	if s.refuseShutdown != nil {
		return s.begin(name, op, func(*fakeOperation) error { return s.refuseShutdown })
	}
	return s.endSystem(name, h, op, `{"Status":0,"ExitType":"GracefulExit"}`)
}

func (s *fakeService) terminateSystem(h, op handle) error {
	return s.endSystem("HcsTerminateComputeSystem", h, op, `{"Status":0,"ExitType":"ForcedExit"}`)
}

func (s *fakeService) endSystem(name string, h, op handle, data string) error {
	var sys *fakeSystem
	err := s.begin(name, op, func(*fakeOperation) error {
		sys = objectAt[*systemHandle](s, h).fakeSystem
		return nil
	})
	if err == nil {
		s.stop(sys, data)
	}
	return err
}

func (s *fakeService) systemProperties(h, op handle, query string) error {
	return s.begin("HcsGetComputeSystemProperties", op, func(o *fakeOperation) error {
		sys := objectAt[*systemHandle](s, h)
		if sys.state == schema.StateStopped {
			return hresult(0x8037010E)
		}
		var q schema.PropertyQuery
		if err := json.Unmarshal([]byte(query), &q); err != nil {
			return hresult(0x8037010D)
		}
		p := schema.Properties{SystemType: schema.SystemContainer, Owner: sys.doc.Owner, State: sys.state}
		for _, typ := range q.PropertyTypes {
			switch typ {
			case schema.PropertyProcessList:
				for _, proc := range sys.processes {
					p.ProcessList = append(p.ProcessList, schema.ProcessDetails{ProcessID: proc.pid, ImageName: "a.exe", CreateTimestamp: proc.created})
				}
			case schema.PropertyStatistics:
				p.Statistics = &schema.Statistics{Timestamp: time.Now(), Processor: &schema.ProcessorStats{}, Memory: &schema.MemoryStats{}, Storage: &schema.StorageStats{}}
			}
		}
		return o.answer(p)
	})
}

func (o *fakeOperation) answer(v any) error {
	raw, err := json.Marshal(v)
	o.doc = string(raw)
	return err
}

func (s *fakeService) modifySystem(h, op handle, doc string) error {
	return s.begin("HcsModifyComputeSystem", op, func(*fakeOperation) error {
		objectAt[*systemHandle](s, h)
		if err := schema.Validate[schema.ModificationRequest]([]byte(doc), 26100); err != nil {
			return hresult(0x8037010D)
		}
		return nil
	})
}

func (s *fakeService) enumerateSystems(query string, op handle) error {
	return s.begin("HcsEnumerateComputeSystems", op, func(o *fakeOperation) error {
		var q schema.SystemQuery
		if err := json.Unmarshal([]byte(query), &q); err != nil {
			return hresult(0x8037010D)
		}
		found := []schema.SystemSummary{}
		for id, sys := range s.systems {
			if in(q.IDs, id) && in(q.Owners, sys.doc.Owner) && in(q.Types, schema.SystemContainer) {
				found = append(found, schema.SystemSummary{ID: id, Owner: sys.doc.Owner, State: sys.state, SystemType: schema.SystemContainer})
			}
		}
		return o.answer(found)
	})
}

func in[T comparable](list []T, v T) bool { return len(list) == 0 || slices.Contains(list, v) }

func (s *fakeService) setSystemCallback(h handle, id uintptr) error {
	if err := s.enter("HcsSetComputeSystemCallback"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	objectAt[*systemHandle](s, h).callbacks[h] = id
	return nil
}

func (s *fakeService) createProcess(h handle, params string, op handle) (handle, error) {
	if err := s.enter("HcsCreateProcess"); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sys := objectAt[*systemHandle](s, h)
	if sys.state != schema.StateRunning {
		return 0, hresult(0x80370105)
	}
	p := &fakeProcess{callbacks: map[handle]uintptr{}, end: make(chan uint32, 1), created: time.Now()}
	if err := json.Unmarshal([]byte(params), &p.params); err != nil {
		return 0, hresult(0x8037010D)
	}
	if p.params.CommandLine == "missing" {
		return 0, hresult(0x80070002)
	}
	s.last += 4
	p.pid = s.last
	sys.processes[p.pid] = p
	o := objectAt[*fakeOperation](s, op)
	o.info = s.launch(sys.fakeSystem, p)
	close(o.done)
	return s.add(&processHandle{p, sys.fakeSystem}), nil
}

// launch makes the pipes that were asked for and runs the process.
func (s *fakeService) launch(sys *fakeSystem, p *fakeProcess) processInformation {
	info := processInformation{ProcessID: p.pid, StdInput: noHandle}
	stdin, stdout, stderr := io.Reader(strings.NewReader("")), io.WriteCloser(discard{}), io.WriteCloser(discard{})
	if p.params.CreateStdInPipe {
		r, w := io.Pipe()
		stdin, p.stdin = r, w
		info.StdInput = s.add(&fakeFile{Writer: w, close: w.Close})
	}
	if p.params.CreateStdOutPipe {
		r, w := io.Pipe()
		stdout = w
		info.StdOutput = s.add(&fakeFile{Reader: r, close: r.Close})
	}
	if p.params.CreateStdErrPipe {
		r, w := io.Pipe()
		stderr = w
		info.StdError = s.add(&fakeFile{Reader: r, close: r.Close})
	}
	go func() {
		code := p.run(stdin, stdout, stderr)
		_, _ = stdout.Close(), stderr.Close()
		s.exited(sys, p, code)
	}()
	return info
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) Close() error                { return nil }

// run does what the command line says.
func (p *fakeProcess) run(stdin io.Reader, stdout, stderr io.Writer) uint32 {
	verb, arg, _ := strings.Cut(p.params.CommandLine, " ")
	switch verb {
	case "exit":
		code, _ := strconv.ParseUint(arg, 10, 32)
		return uint32(code)
	case "echo":
		_, _ = fmt.Fprintln(stdout, arg)
	case "echoerr":
		_, _ = fmt.Fprintln(stderr, arg)
	case "cat":
		_, _ = io.Copy(stdout, stdin)
	case "forever":
		return <-p.end
	}
	return 0
}

func (s *fakeService) exited(sys *fakeSystem, p *fakeProcess, code uint32) {
	s.mu.Lock()
	p.ended = true
	delete(sys.processes, p.pid)
	callbacks := slices.Collect(maps.Values(p.callbacks))
	mute := s.mute
	s.mu.Unlock()
	if mute {
		return
	}
	data, _ := json.Marshal(schema.ProcessStatus{ProcessID: p.pid, Exited: true, ExitCode: code})
	for _, id := range callbacks {
		s.events.deliver(id, eventProcessExited, string(data))
	}
	p.ask(code) // for who registers after the end
}

func (s *fakeService) openProcess(h handle, pid uint32) (handle, error) {
	if err := s.enter("HcsOpenProcess"); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sys := objectAt[*systemHandle](s, h)
	p := sys.processes[pid]
	if p == nil {
		return 0, hresult(0x80070490)
	}
	return s.add(&processHandle{p, sys.fakeSystem}), nil
}

func (s *fakeService) closeProcess(h handle) {
	_ = s.enter("HcsCloseProcess")
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(objectAt[*processHandle](s, h).callbacks, h)
	delete(s.objects, h)
}

func (s *fakeService) terminateProcess(h, op handle) error {
	return s.endProcess("HcsTerminateProcess", h, op)
}

func (s *fakeService) signalProcess(h, op handle, doc string) error {
	if err := schema.Validate[schema.SignalProcessOptions]([]byte(doc), 17763); err != nil {
		return hresult(0x8037010D)
	}
	return s.endProcess("HcsSignalProcess", h, op)
}

func (s *fakeService) endProcess(name string, h, op handle) error {
	return s.begin(name, op, func(*fakeOperation) error {
		p := objectAt[*processHandle](s, h)
		if p.ended {
			return hresult(0x8037011F)
		}
		p.ask(0xC000013A)
		return nil
	})
}

func (s *fakeService) modifyProcess(h, op handle, doc string) error {
	return s.begin("HcsModifyProcess", op, func(*fakeOperation) error {
		p := objectAt[*processHandle](s, h)
		var req schema.ProcessModifyRequest
		if err := schema.Validate[schema.ProcessModifyRequest]([]byte(doc), 17763); err != nil {
			return hresult(0x8037010D)
		}
		if err := json.Unmarshal([]byte(doc), &req); err != nil {
			return hresult(0x8037010D)
		}
		if p.ended {
			return hresult(0x8037011F)
		}
		if req.CloseHandle != nil && p.stdin != nil {
			return p.stdin.Close()
		}
		return nil
	})
}

func (s *fakeService) processInfo(h, op handle) error {
	return s.begin("HcsGetProcessInfo", op, func(o *fakeOperation) error {
		p := objectAt[*processHandle](s, h)
		o.info = processInformation{ProcessID: p.pid, StdInput: noHandle, StdOutput: noHandle, StdError: noHandle}
		return nil
	})
}

func (s *fakeService) setProcessCallback(h handle, id uintptr) error {
	if err := s.enter("HcsSetProcessCallback"); err != nil {
		return err
	}
	s.mu.Lock()
	p := objectAt[*processHandle](s, h)
	p.callbacks[h] = id
	late := p.ended && !s.mute
	s.mu.Unlock()
	if late { // the service tells of an exit that came before
		data, _ := json.Marshal(schema.ProcessStatus{ProcessID: p.pid, Exited: true, ExitCode: <-p.end})
		s.events.deliver(id, eventProcessExited, string(data))
	}
	return nil
}

func (s *fakeService) serviceProperties(string) (string, error) {
	if err := s.enter("HcsGetServiceProperties"); err != nil {
		return `{"ErrorMessage":"as the service says"}`, err
	}
	return `{"Properties":[{"SupportedSchemaVersions":[{"Major":1,"Minor":0},{"Major":2,"Minor":6}]}]}`, nil
}

func (s *fakeService) modifyService(doc string) (string, error) {
	return doc, s.enter("HcsModifyServiceSettings")
}

func (s *fakeService) grantAccess(_, _ string) error  { return s.enter("HcsGrantVmAccess") }
func (s *fakeService) revokeAccess(_, _ string) error { return s.enter("HcsRevokeVmAccess") }

func (s *fakeService) stream(h handle) (io.ReadWriteCloser, error) {
	if err := s.enter("stream"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := objectAt[*fakeFile](s, h)
	inner := f.close
	f.close = func() error {
		s.mu.Lock()
		delete(s.objects, h)
		s.mu.Unlock()
		return inner()
	}
	return f, nil
}

func (s *fakeService) closeFile(h handle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := objectAt[*fakeFile](s, h)
	delete(s.objects, h)
	_ = f.close()
}

// document is one that the service accepts.
func document(*testing.T) *schema.ComputeSystem {
	return &schema.ComputeSystem{
		Owner: "owner.exe", SchemaVersion: schema.V21(), Container: &schema.Container{}, ShouldTerminateOnLastHandleClosed: true,
	}
}
