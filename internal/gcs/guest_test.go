package gcs_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/gcs"
	"github.com/isolrun/isol/internal/gcs/gcstest"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

const (
	hrNotFound       = 0x80070490 // HRESULT_FROM_WIN32(ERROR_NOT_FOUND)
	hrSystemNotFound = 0xc037010e
	hrFileNotFound   = 0x80070002
)

// guest is a scripted guest: answers by procedure, everything it was asked.
type guest struct {
	t       *testing.T
	sockets *gcstest.Sockets
	server  *gcstest.Server

	mu      sync.Mutex
	answers map[gcs.Procedure]gcstest.Handler
	asked   []gcs.Procedure
	first   string // message
}

func newGuest(t *testing.T) (*guest, net.Conn) {
	host, vm := net.Pipe()
	g := &guest{t: t, sockets: gcstest.NewSockets(), answers: map[gcs.Procedure]gcstest.Handler{}}
	g.on(gcs.ProcNegotiateProtocol, func(gcs.Procedure, []byte) any {
		return &gcs.NegotiateResponse{Version: 4, Capabilities: gcs.Capabilities{SendHostCreateMessage: true, SendHostStartMessage: true, RuntimeOsType: "Windows"}}
	})
	g.server = gcstest.Serve(vm, g.handle)
	return g, host
}

// on scripts the answer to a procedure; without one the answer is success.
func (g *guest) on(p gcs.Procedure, h gcstest.Handler) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answers[p] = h
}

func (g *guest) handle(p gcs.Procedure, body []byte) any {
	g.mu.Lock()
	if g.asked == nil {
		g.first = string(body)
	}
	g.asked = append(g.asked, p)
	h := g.answers[p]
	g.mu.Unlock()
	if h == nil {
		return &gcs.ResponseBase{}
	}
	return h(p, body)
}

func connect(t *testing.T) (*guest, *gcs.Guest) {
	t.Helper()
	g, conn := newGuest(t)
	c, err := gcs.Connect(t.Context(), gcs.Config{VM: "pod@vm", Conn: conn, Stdio: g.sockets})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		<-g.server.Done()
		if n := g.sockets.Open(); n != 0 {
			t.Errorf("%d hvsocket listeners are left", n)
		}
	})
	return g, c
}

// A guest that never gets its create and start messages runs no container.
func TestConnectNegotiates(t *testing.T) {
	g, c := connect(t)
	if g.first != `{"ContainerId":"","MinimumVersion":4,"MaximumVersion":4}` {
		t.Errorf("the first message is %s, which is not production's", g.first)
	}
	want := []gcs.Procedure{gcs.ProcNegotiateProtocol, gcs.ProcCreate, gcs.ProcStart}
	if len(g.asked) != len(want) {
		t.Fatalf("asked %v, want %v", g.asked, want)
	}
	for i := range want {
		if g.asked[i] != want[i] {
			t.Errorf("message %d is %v, want %v", i, g.asked[i], want[i])
		}
	}
	if !c.Windows() {
		t.Error("a guest that says Windows is not taken for one")
	}
}

func TestConnectFails(t *testing.T) {
	for _, tc := range []struct {
		name string
		hook func(*guest)
		want error
		text string
	}{
		{"other protocol version", func(g *guest) {
			g.on(gcs.ProcNegotiateProtocol, func(gcs.Procedure, []byte) any { return &gcs.NegotiateResponse{Version: 3} })
		}, hcs.ErrNotSupported, "speaks protocol 3"},
		{"refused", func(g *guest) {
			g.on(gcs.ProcCreate, func(gcs.Procedure, []byte) any { return gcstest.Fail(0x80004005, "out of luck") })
		}, hcs.ErrUnknown, "out of luck"},
		{"guest closes", func(g *guest) {
			g.on(gcs.ProcNegotiateProtocol, func(gcs.Procedure, []byte) any { g.server.Close(); return nil })
		}, hcs.ErrDisconnected, "closed"},
		{"answer is not JSON", func(g *guest) {
			g.on(gcs.ProcNegotiateProtocol, func(gcs.Procedure, []byte) any { return json.RawMessage("{") })
		}, hcs.ErrUnknown, "cannot be decoded"},
		{"garbage", func(g *guest) {
			g.on(gcs.ProcNegotiateProtocol, func(gcs.Procedure, []byte) any { g.server.Garbage(make([]byte, 32)); return nil })
		}, hcs.ErrDisconnected, "0 bytes was announced"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g, conn := newGuest(t)
			tc.hook(g)
			_, err := gcs.Connect(t.Context(), gcs.Config{VM: "pod@vm", Conn: conn, Stdio: g.sockets})
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) || !strings.Contains(err.Error(), "pod@vm") {
				t.Errorf("error %v, want %v with %q and the VM's id", err, tc.want, tc.text)
			}
			<-g.server.Done() // a failed Connect has closed the stream
		})
	}
}

// One process with all streams: what isol does most often in a VM.
func TestProcess(t *testing.T) {
	g, c := connect(t)
	exit := make(chan uint32)
	g.on(gcs.ProcExecuteProcess, func(_ gcs.Procedure, body []byte) any {
		var req gcs.ExecuteRequest
		var params schema.ProcessParameters
		req.Settings.ProcessParameters.Value = &params
		if err := json.Unmarshal(body, &req); err != nil || params.CommandLine != "cat" {
			return gcstest.Fail(0x80070057, "bad request")
		}
		relay := req.Settings.StdioRelaySettings
		in, err := g.sockets.Dial(relay.StdIn)
		if err != nil {
			return gcstest.Fail(0x80004005, err.Error())
		}
		out, err := g.sockets.Dial(relay.StdOut)
		if err != nil {
			return gcstest.Fail(0x80004005, err.Error())
		}
		go func() {
			io.Copy(out, in)
			out.Close()
			exit <- 7
		}()
		return &gcs.ExecuteResponse{ProcessID: 412}
	})
	g.on(gcs.ProcWaitForProcess, func(gcs.Procedure, []byte) any { return &gcs.WaitResponse{ExitCode: <-exit} })

	ctr, err := c.Create(t.Context(), "web", &schema.Container{})
	if err != nil {
		t.Fatal(err)
	}
	defer ctr.Close()
	p, err := ctr.CreateProcess(t.Context(), &schema.ProcessParameters{CommandLine: "cat", CreateStdInPipe: true, CreateStdOutPipe: true})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.PID() != 412 {
		t.Errorf("pid %d, want the guest's 412", p.PID())
	}
	if p.Stderr() != nil {
		t.Error("a stream that was not asked for is there")
	}
	go func() {
		io.WriteString(p.Stdin(), "through the VM and back")
		p.CloseStdin(t.Context())
	}()
	got, err := io.ReadAll(p.Stdout())
	if err != nil || string(got) != "through the VM and back" {
		t.Errorf("read %q, %v", got, err)
	}
	<-p.Done()
	if code, err := p.ExitCode(); code != 7 || err != nil {
		t.Errorf("exit %d, %v, want 7", code, err)
	}
	if delivered, err := p.Kill(t.Context()); delivered || err != nil {
		t.Errorf("kill of an ended process: delivered %v, %v", delivered, err)
	}
}

// A guest that no longer knows a process has ended it: `ctr kill` must not
// fail, nor may anything be torn down because of it.
func TestSignalToProcessThatIsGone(t *testing.T) {
	g, c := connect(t)
	g.on(gcs.ProcExecuteProcess, func(gcs.Procedure, []byte) any { return &gcs.ExecuteResponse{ProcessID: 4} })
	g.on(gcs.ProcWaitForProcess, func(gcs.Procedure, []byte) any { return nil })
	g.on(gcs.ProcSignalProcess, func(gcs.Procedure, []byte) any { return gcstest.Fail(hrNotFound, "no such process") })
	p, err := c.CreateProcess(t.Context(), &schema.ProcessParameters{CommandLine: "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if delivered, err := p.Signal(t.Context(), schema.CtrlShutdown); delivered || err != nil {
		t.Errorf("delivered %v, error %v, want neither", delivered, err)
	}
}

// Whoever waits for a process whose handle was given up must not wait for ever,
// and the guest's late answer must not change what it was told.
func TestProcessClosedBeforeItsEnd(t *testing.T) {
	g, c := connect(t)
	exit := make(chan struct{})
	g.on(gcs.ProcExecuteProcess, func(gcs.Procedure, []byte) any { return &gcs.ExecuteResponse{ProcessID: 4} })
	g.on(gcs.ProcWaitForProcess, func(gcs.Procedure, []byte) any { <-exit; return &gcs.WaitResponse{ExitCode: 7} })
	p, err := c.CreateProcess(t.Context(), &schema.ProcessParameters{CommandLine: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	<-p.Done()
	close(exit)
	if code, err := p.ExitCode(); code != 0 || !errors.Is(err, hcs.ErrClosed) {
		t.Errorf("exit %d, %v, want ErrClosed", code, err)
	}
}

func TestContainerLife(t *testing.T) {
	g, c := connect(t)
	ctr, err := c.Create(t.Context(), "web", map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(t.Context(), "web", map[string]any{}); !errors.Is(err, hcs.ErrAlreadyExists) {
		t.Errorf("second container of one id: %v", err)
	}
	if err := ctr.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.on(gcs.ProcGetProperties, func(gcs.Procedure, []byte) any {
		return &gcs.PropertiesResponse{Properties: `{"ProcessList":[{"ProcessId":4,"ImageName":"a.exe"}]}`}
	})
	props, err := ctr.Properties(t.Context(), schema.PropertyQuery{})
	if err != nil || len(props.ProcessList) != 1 || props.ProcessList[0].ImageName != "a.exe" {
		t.Errorf("properties %+v, %v", props, err)
	}
	if err := ctr.Modify(t.Context(), &schema.ModificationRequest{}); err != nil {
		t.Error(err)
	}
	if err := ctr.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	select {
	case <-ctr.Done():
		t.Error("the container ended before the guest said so")
	default:
	}
	if err := g.server.Notify(gcs.ContainerNotification{RequestBase: gcs.RequestBase{ContainerID: "web"}, Type: "GracefulExit"}); err != nil {
		t.Fatal(err)
	}
	<-ctr.Done()
	if err := ctr.Exit(); err != nil {
		t.Errorf("exit %v", err)
	}
	if err := ctr.Terminate(t.Context()); !errors.Is(err, hcs.ErrAlreadyStopped) {
		t.Errorf("terminate after the end: %v", err)
	}
	again, err := c.Create(t.Context(), "web", map[string]any{})
	if err != nil {
		t.Fatalf("the id is not free again: %v", err)
	}
	g.on(gcs.ProcShutdownForced, func(gcs.Procedure, []byte) any { return gcstest.Fail(hrSystemNotFound, "") })
	if err := again.Terminate(t.Context()); !errors.Is(err, hcs.ErrAlreadyStopped) {
		t.Errorf("terminate of a container the guest has forgotten: %v", err)
	}
	again.Close()
}

func TestContainerCrash(t *testing.T) {
	g, c := connect(t)
	ctr, err := c.Create(t.Context(), "web", map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	defer ctr.Close()
	g.server.Notify(gcs.ContainerNotification{RequestBase: gcs.RequestBase{ContainerID: "web"}, Type: "UnexpectedExit", Result: -1})
	<-ctr.Done()
	if err := ctr.Exit(); !errors.Is(err, hcs.ErrUnexpectedExit) {
		t.Errorf("exit %v, want ErrUnexpectedExit", err)
	}
}

// The kind of a guest's refusal must reach the client: "no such file" is the
// user's to mend, not an internal error.
func TestRefusalKeepsItsKind(t *testing.T) {
	g, c := connect(t)
	g.on(gcs.ProcExecuteProcess, func(gcs.Procedure, []byte) any {
		return &gcs.ResponseBase{Result: -2147024894, ErrorRecords: []gcs.ErrorRecord{{Message: "nope.exe is not there"}}} // hrFileNotFound
	})
	_, err := c.CreateProcess(t.Context(), &schema.ProcessParameters{CommandLine: "nope.exe", CreateStdOutPipe: true})
	if !errors.Is(err, hcs.ErrFileNotFound) || fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), "nope.exe is not there") {
		t.Errorf("error %v of kind %v", err, fault.KindOf(err))
	}
}

// A message the host cannot read fails its own call only: with the reference
// it takes the whole pod.
func TestMalformedMessagesDoNotKillThePod(t *testing.T) {
	g, c := connect(t)
	g.on(gcs.ProcModifySettings, func(gcs.Procedure, []byte) any { return json.RawMessage("not json") })
	if err := c.Modify(t.Context(), &gcs.Modification{}); !errors.Is(err, hcs.ErrUnknown) {
		t.Errorf("error %v", err)
	}
	for name, f := range map[string]gcs.Frame{
		"response nobody asked for":  {Type: gcs.ProcStart.Response(), ID: 4711, Body: []byte("{}")},
		"request from the guest":     {Type: gcs.ProcStart.Request(), ID: 1, Body: []byte("{}")},
		"unknown notification":       {Type: 0x30100901, Body: []byte("{}")},
		"notification of no JSON":    {Type: gcs.NotifyContainer, Body: []byte("}")},
		"notification for a nobody":  {Type: gcs.NotifyContainer, Body: []byte(`{"ContainerId":"who"}`)},
		"message of no known kind":   {Type: 0x70000000},
		"response of another's type": {Type: 0x20999901, ID: 4712, Body: []byte("{}")},
	} {
		if err := g.server.Send(f); err != nil {
			t.Fatal(name, err)
		}
	}
	g.on(gcs.ProcModifySettings, nil)
	if err := c.Modify(t.Context(), &gcs.Modification{}); err != nil {
		t.Errorf("the bridge does not work any more: %v", err)
	}
}

// When the VM dies, everything in flight ends at once with the reason.
func TestDeathOfTheBridgeEndsAll(t *testing.T) {
	g, c := connect(t)
	g.on(gcs.ProcExecuteProcess, func(gcs.Procedure, []byte) any { return &gcs.ExecuteResponse{ProcessID: 4} })
	g.on(gcs.ProcWaitForProcess, func(gcs.Procedure, []byte) any { return nil })
	g.on(gcs.ProcModifySettings, func(gcs.Procedure, []byte) any { return nil })
	ctr, err := c.Create(t.Context(), "web", map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	defer ctr.Close()
	p, err := ctr.CreateProcess(t.Context(), &schema.ProcessParameters{CreateStdOutPipe: true})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	inFlight := make(chan error)
	go func() { inFlight <- c.Modify(t.Context(), &gcs.Modification{}) }()

	reason := errors.New("the guest crashed: bugcheck 0x7f")
	c.Fail(reason)
	c.Fail(errors.New("a later reason"))
	for name, err := range map[string]error{
		"call in flight": <-inFlight,
		"container":      func() error { <-ctr.Done(); return ctr.Exit() }(),
		"process":        func() error { <-p.Done(); _, err := p.ExitCode(); return err }(),
		"later call":     c.Modify(t.Context(), &gcs.Modification{}),
		"bridge":         func() error { <-c.Done(); return c.Reason() }(),
	} {
		if !errors.Is(err, hcs.ErrDisconnected) || !errors.Is(err, reason) {
			t.Errorf("%s: error %v, want ErrDisconnected and the first reason", name, err)
		}
	}
	if _, err := c.Create(t.Context(), "late", map[string]any{}); !errors.Is(err, hcs.ErrDisconnected) {
		t.Errorf("create after death: %v", err)
	}
}

// A guest that hangs costs one call its deadline, and its late answer is not
// taken for the answer of the next call.
func TestCallEndsThoughTheGuestHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, conn := newGuest(t)
		c, err := gcs.Connect(t.Context(), gcs.Config{VM: "pod@vm", Conn: conn, Stdio: g.sockets, Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		g.on(gcs.ProcModifySettings, func(gcs.Procedure, []byte) any {
			time.Sleep(90 * time.Second)
			return gcstest.Fail(0x80004005, "late")
		})
		start := time.Now()
		if err := c.Modify(t.Context(), &gcs.Modification{}); !errors.Is(err, hcs.ErrTimeout) || fault.KindOf(err) != fault.DeadlineExceeded {
			t.Errorf("error %v, want ErrTimeout", err)
		}
		if d := time.Since(start); d != time.Minute {
			t.Errorf("the call took %v, want its deadline of 1m", d)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Modify(ctx, &gcs.Modification{}); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled call: %v", err)
		}
		g.on(gcs.ProcModifySettings, nil)
		time.Sleep(time.Minute)
		if err := c.Modify(t.Context(), &gcs.Modification{}); err != nil {
			t.Errorf("after the late answer: %v", err)
		}
		c.Close()
		<-g.server.Done()
		time.Sleep(5 * time.Minute) // for what the guest still does
	})
}

// A Linux guest takes vsock ports where a Windows guest takes service GUIDs.
func TestStdioOfLinuxGuest(t *testing.T) {
	g, conn := newGuest(t)
	g.on(gcs.ProcNegotiateProtocol, func(gcs.Procedure, []byte) any {
		return &gcs.NegotiateResponse{Version: 4, Capabilities: gcs.Capabilities{RuntimeOsType: "linux"}}
	})
	c, err := gcs.Connect(t.Context(), gcs.Config{VM: "pod@vm", Conn: conn, Stdio: g.sockets})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	settings := make(chan gcs.ExecuteSettings, 1)
	g.on(gcs.ProcExecuteProcess, func(_ gcs.Procedure, body []byte) any {
		var req gcs.ExecuteRequest
		if err := json.Unmarshal(body, &req); err != nil {
			return gcstest.Fail(0x80070057, err.Error())
		}
		settings <- req.Settings
		return &gcs.ExecuteResponse{ProcessID: 1}
	})
	g.on(gcs.ProcWaitForProcess, func(gcs.Procedure, []byte) any { return nil })
	p, err := c.CreateProcess(t.Context(), &schema.ProcessParameters{CreateStdOutPipe: true, CreateStdErrPipe: true})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s := <-settings
	if s.StdioRelaySettings != nil || s.VsockStdioRelaySettings == nil || s.VsockStdioRelaySettings.StdOut != 0x40000001 || s.VsockStdioRelaySettings.StdErr != 0x40000002 {
		t.Errorf("settings %+v", s)
	}
	if got := gcs.ServiceID(0x40000001); got != "40000001-facb-11e6-bd58-64006a7986d3" {
		t.Errorf("service id %s", got)
	}
}

// What a guest does after nobody waits for it is undone: a late container
// would keep its layers in use, a late process would run unseen.
func TestLateSuccessIsUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, conn := newGuest(t)
		c, err := gcs.Connect(t.Context(), gcs.Config{VM: "pod@vm", Conn: conn, Stdio: g.sockets, Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		undone := map[gcs.Procedure]int{}
		for _, p := range []gcs.Procedure{gcs.ProcShutdownForced, gcs.ProcSignalProcess} {
			g.on(p, func(p gcs.Procedure, body []byte) any {
				g.mu.Lock()
				defer g.mu.Unlock()
				undone[p]++
				return &gcs.ResponseBase{}
			})
		}
		slow := func(resp any) gcstest.Handler {
			return func(gcs.Procedure, []byte) any { time.Sleep(90 * time.Second); return resp }
		}
		g.on(gcs.ProcCreate, slow(&gcs.ResponseBase{}))
		g.on(gcs.ProcExecuteProcess, slow(&gcs.ExecuteResponse{ProcessID: 9}))
		if _, err := c.Create(t.Context(), "web", map[string]any{}); !errors.Is(err, hcs.ErrTimeout) {
			t.Errorf("create: %v", err)
		}
		if _, err := c.CreateProcess(t.Context(), &schema.ProcessParameters{}); !errors.Is(err, hcs.ErrTimeout) {
			t.Errorf("process: %v", err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		g.mu.Lock()
		if undone[gcs.ProcShutdownForced] != 1 || undone[gcs.ProcSignalProcess] != 1 {
			t.Errorf("undone %v, want one container and one process", undone)
		}
		g.mu.Unlock()
		g.on(gcs.ProcCreate, slow(gcstest.Fail(0x80004005, "late refusal")))
		c.Create(t.Context(), "web", map[string]any{})
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		g.mu.Lock()
		if undone[gcs.ProcShutdownForced] != 1 {
			t.Error("a late refusal was undone")
		}
		g.mu.Unlock()
		c.Close()
		<-g.server.Done()
		time.Sleep(5 * time.Minute) // for what the guest still does
	})
}
