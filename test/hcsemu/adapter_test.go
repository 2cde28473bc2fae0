package hcsemu

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/hcstest"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// What the shim's tests on Linux rely on is what the port promises.
func TestPortConformance(t *testing.T) {
	hcstest.Run(t, func(t *testing.T) hcstest.Env {
		b := newBench(t, Config{})
		roots := 0
		return hcstest.Env{
			Host: NewHost(b.e, Caller{PID: 20, Exe: "shim.exe"}),
			Commands: hcstest.Commands{
				Forever: "forever", Cat: "more", Missing: "nosuch.exe",
				Exit:    func(code uint32) string { return fmt.Sprintf("cmd /c exit %d", code) },
				Echo:    func(text string) string { return "cmd /c echo " + text },
				EchoErr: func(text string) string { return "stderr " + text },
			},
			Document: func(*testing.T) *schema.ComputeSystem {
				roots++
				return b.container(b.prepare(fmt.Sprintf(`C:\snapshots\root%d`, roots)))
			},
		}
	})
}

// faulty returns a host whose calls fail as the plan says, and a running container of it.
func faulty(t *testing.T, faults ...Fault) (*bench, hcs.Host, hcs.System) {
	t.Helper()
	b := newBench(t, Config{Hypervisor: true})
	h := NewHost(b.e, Caller{PID: 20, Exe: "shim.exe"})
	s, err := h.Create(t.Context(), "c", b.container(b.volume))
	b.ok(err)
	b.ok(s.Start(t.Context()))
	b.ok(b.e.AddFaults(faults...))
	return b, h, s
}

// Each code becomes the one error that the shim acts on.
func TestPortErrors(t *testing.T) {
	for _, tt := range []struct {
		code HRESULT
		want error
		kind fault.Kind
	}{
		{ESystemNotFound, hcs.ErrNotFound, fault.NotFound},
		{ESystemAlreadyExists, hcs.ErrAlreadyExists, fault.AlreadyExists},
		{EOperationTimeout, hcs.ErrTimeout, fault.DeadlineExceeded},
		{EServiceNotAvailable, hcs.ErrUnavailable, fault.Unavailable},
		{EHypervNotInstalled, hcs.ErrNoHypervisor, fault.FailedPrecondition},
		{EImageMismatch, hcs.ErrImageMismatch, fault.FailedPrecondition},
		{EInvalidJSON, hcs.ErrInvalidDocument, fault.InvalidArgument},
		{EAccessDenied, hcs.ErrAccessDenied, fault.PermissionDenied},
		{EFail, hcs.ErrUnknown, fault.Unknown},
	} {
		_, _, s := faulty(t, Fault{Function: "HcsGetComputeSystemProperties", Action: ActionFail, Code: fmt.Sprintf("0x%08x", uint32(tt.code))})
		_, err := s.Properties(t.Context(), schema.PropertyQuery{})
		var e *hcs.Error
		if !errors.As(err, &e) || !errors.Is(err, tt.want) || e.Code != uint32(tt.code) || e.Result == "" || fault.KindOf(err) != tt.kind && tt.kind != fault.Unknown {
			t.Errorf("0x%08x: %#v, want %v", uint32(tt.code), err, tt.want)
		}
	}
}

func TestPortWhenTheServiceGoes(t *testing.T) {
	b, h, s := faulty(t)
	p, err := s.CreateProcess(t.Context(), &schema.ProcessParameters{CommandLine: "forever"})
	b.ok(err)
	b.e.DisconnectService()
	<-s.Done()
	<-p.Done()
	if err := s.Exit(); !errors.Is(err, hcs.ErrDisconnected) {
		t.Errorf("exit of the system: %v", err)
	}
	if _, err := p.ExitCode(); !errors.Is(err, hcs.ErrDisconnected) {
		t.Errorf("exit of the process: %v", err)
	}
	if _, err := h.List(t.Context(), schema.SystemQuery{}); !errors.Is(err, hcs.ErrUnavailable) {
		t.Errorf("list: %v", err)
	}
	b.ok(errors.Join(p.Close(), s.Close()))
}

func TestPortTellsACrash(t *testing.T) {
	b, _, s := faulty(t)
	b.ok(b.e.Crash("c"))
	<-s.Done()
	if err := s.Exit(); !errors.Is(err, hcs.ErrUnexpectedExit) {
		t.Errorf("exit: %v", err)
	}
}

// A call that hangs ends with its caller's patience, and what it made late is gone.
func TestPortCallsThatHang(t *testing.T) {
	for _, when := range []When{whenBefore, whenAfter} {
		for _, function := range []string{"HcsCreateComputeSystem", "HcsOpenComputeSystem", "HcsCreateProcess"} {
			t.Run(string(when)+" "+function, func(t *testing.T) {
				b, h, s := faulty(t, Fault{Function: function, When: when, Action: ActionHang})
				other := b.prepare(`C:\snapshots\other`)
				before := len(b.e.Ledger())
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				defer cancel()
				var err error
				switch function {
				case "HcsCreateComputeSystem":
					_, err = h.Create(ctx, "d", b.container(other))
				case "HcsOpenComputeSystem":
					_, err = h.Open(ctx, "c")
				default:
					_, err = s.CreateProcess(ctx, &schema.ProcessParameters{CommandLine: "forever"})
				}
				if !errors.Is(err, hcs.ErrTimeout) {
					t.Errorf("error %v", err)
				}
				eventually(t, "the ledger is as before", func() bool { return len(b.e.Ledger()) == before })
			})
		}
	}
}

// A failure between the creation and the first look leaves nothing.
func TestPortUndoesHalfACreate(t *testing.T) {
	for _, function := range []string{"HcsSetComputeSystemCallback", "HcsGetComputeSystemProperties"} {
		b, h, _ := faulty(t, Fault{Function: function, Action: ActionFail, Code: "0x80370118"})
		_, err := h.Create(t.Context(), "d", b.container(b.prepare(`C:\snapshots\other`)))
		if !errors.Is(err, hcs.ErrTimeout) {
			t.Errorf("%s: %v", function, err)
		}
		if _, err := h.Open(t.Context(), "d"); !errors.Is(err, hcs.ErrNotFound) {
			t.Errorf("%s: the system is still there: %v", function, err)
		}
	}
	b, _, s := faulty(t, Fault{Function: "HcsSetProcessCallback", Action: ActionFail, Code: "0x80370118"})
	_, err := s.CreateProcess(t.Context(), &schema.ProcessParameters{CommandLine: "exit 0"})
	if !errors.Is(err, hcs.ErrTimeout) {
		t.Errorf("create process: %v", err)
	}
	eventually(t, "no process handle", func() bool {
		for _, x := range b.e.Ledger() {
			if x.Kind == "process handle" {
				return false
			}
		}
		return true
	})
}

func TestPortOfTheService(t *testing.T) {
	b, h, s := faulty(t)
	ctx := t.Context()
	answer, err := h.ModifyService(ctx, &schema.ServiceModification{PropertyType: schema.ServicePropertyContainerCredentialGuard, Settings: schema.CredentialGuardRequest{
		Operation: schema.CredentialGuardOpAddInstance, OperationDetails: schema.CredentialGuardAddInstance{ID: "c", CredentialSpec: "{}"},
	}})
	b.ok(err)
	if len(answer) == 0 {
		t.Error("no instance came back")
	}
	if _, err := h.ModifyService(ctx, &schema.ServiceModification{PropertyType: schema.ServicePropertyMemory}); !errors.Is(err, hcs.ErrNotSupported) {
		t.Errorf("modify service: %v", err)
	}
	if _, err := h.ServiceProperties(ctx, schema.ServicePropertyQuery{PropertyTypes: []schema.ServicePropertyType{"X"}}); !errors.Is(err, hcs.ErrInvalidDocument) {
		t.Errorf("service properties: %v", err)
	}
	b.ok(h.GrantVMAccess(ctx, "vm", `C:\d`))
	b.ok(h.RevokeVMAccess(ctx, "vm", `C:\d`))
	doc := b.container(b.prepare(`C:\snapshots\other`))
	doc.Container.Networking = &schema.Networking{Namespace: zeroGUID}
	if _, err := h.Create(ctx, "d", doc); !errors.Is(err, hcs.ErrInvalidDocument) {
		t.Errorf("create in a namespace that is not there: %v", err)
	}
	vm, err := h.Create(ctx, "p@vm", machineDoc())
	b.ok(err)
	if vm.RuntimeID() == "" || vm.ID() != "p@vm" {
		t.Errorf("machine %q has the runtime id %q", vm.ID(), vm.RuntimeID())
	}
	b.ok(errors.Join(vm.Close(), s.Close()))
}
