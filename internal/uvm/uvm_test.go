package uvm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/gcs"
	"github.com/isolrun/isol/internal/gcs/gcstest"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/network"
	"github.com/isolrun/isol/internal/uvm"
	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/guest"
	"github.com/isolrun/isol/test/hcsemu/netdriver"
)

// bench is an emulated machine with a hypervisor and an image on its disk.
type bench struct {
	t        *testing.T
	emulator *hcsemu.Emulator
	machines *guest.Machines
	client   *hcsemu.Client
	layers   layers.Layers
	cfg      uvm.Config
}

// bubble runs a test in a time of its own, in which waiting takes none.
func bubble(t *testing.T, name string, f func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, machines: &guest.Machines{Runner: hcsemu.NewScripted(), Build: 20348}}
	b.emulator = hcsemu.New(hcsemu.Config{Build: 20348, Hypervisor: true, Runner: b.machines})
	t.Cleanup(b.emulator.Close)
	b.client = b.emulator.Connect(hcsemu.Caller{PID: 100, Exe: "containerd-shim-isol-v1.exe"})
	root := t.TempDir()
	base, top, scratch := filepath.Join(root, "base"), filepath.Join(root, "top"), filepath.Join(root, "scratch")
	for _, dir := range []string{filepath.Join(base, "UtilityVM", "Files"), filepath.Join(base, "Files"), filepath.Join(top, "Files"), scratch} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{filepath.Join(base, "UtilityVM", "SystemTemplate.vhdx"), filepath.Join(scratch, "sandbox.vhdx")} {
		if err := os.WriteFile(f, []byte("disk"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b.layers = layers.Layers{Parents: []string{top, base}, Scratch: scratch}
	short := 2 * time.Second
	b.cfg = uvm.Config{
		Owner:   "containerd-shim-isol-v1.exe",
		Plan:    &isolation.UVM{ID: "pod@vm", MemoryMB: 1024, Processor: isolation.Processor{Count: 2}, AllowOvercommit: true},
		Layers:  b.layers,
		Host:    hcsemu.HostOn(b.client),
		Sockets: b.machines.Sockets,
		NameToGUID: func(name string) (string, error) {
			g, err := b.client.NameToGUID(t.Context(), name)
			return fmt.Sprint(g), err
		},
		Deadlines: uvm.Deadlines{Grant: short, Create: short, Start: short, Connect: short, Call: short, Modify: short, Undo: short, Terminate: short, Reason: 200 * time.Millisecond},
	}
	return b
}

func (b *bench) boot() *uvm.UVM {
	b.t.Helper()
	u, err := uvm.Boot(b.t.Context(), b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { u.Close() })
	return u
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// terminate ends the VM behind isol's back, as hcsdiag does.
func (b *bench) terminate() {
	b.t.Helper()
	other := b.emulator.Connect(hcsemu.Caller{PID: 7, Exe: "hcsdiag.exe"})
	h, err := other.OpenSystem(b.t.Context(), "pod@vm")
	b.must(err)
	b.must(other.TerminateSystem(b.t.Context(), h, ""))
	b.must(other.CloseSystem(h))
}

// clean fails the test if anything of a VM is left on the machine.
func (b *bench) clean() {
	b.t.Helper()
	// What the service ends by itself, it ends in its own time.
	for end := time.Now().Add(5 * time.Second); len(b.emulator.Ledger().Leaks()) != 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if l := b.emulator.Ledger().Leaks(); len(l) != 0 {
		b.t.Errorf("the ledger is not empty:\n%v", l)
	}
	if n := b.machines.Listeners(); n != 0 {
		b.t.Errorf("%d hvsocket listeners are left", n)
	}
	if _, err := os.Stat(filepath.Join(b.layers.Scratch, "vm")); err == nil {
		b.t.Error("the VM's scratch is left")
	}
}

// The whole life of a pod's VM with one container.
func TestContainerInVM(t *testing.T) {
	b := newBench(t)
	u := b.boot()
	mounted, unmount, err := u.Mount(t.Context(), b.layers)
	if err != nil {
		t.Fatal(err)
	}
	var doc schema.ComputeSystem
	doc.SchemaVersion = schema.V21()
	doc.Container = &schema.Container{Storage: &schema.Storage{Path: mounted.Path}}
	for _, l := range mounted.Layers {
		doc.Container.Storage.Layers = append(doc.Container.Storage.Layers, schema.Layer{ID: l.ID, Path: l.Path})
	}
	c, err := u.Create(t.Context(), "web", &doc)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := c.CreateProcess(t.Context(), &schema.ProcessParameters{CommandLine: "cmd /c echo from the guest", CreateStdOutPipe: true})
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(p.Stdout())
	if err != nil || !strings.Contains(string(out), "from the guest") {
		t.Errorf("output %q, %v", out, err)
	}
	<-p.Done()
	if code, err := p.ExitCode(); code != 0 || err != nil {
		t.Errorf("exit %d, %v", code, err)
	}
	p.Close()
	if err := c.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if err := c.Exit(); err != nil {
		t.Errorf("the container's exit: %v", err)
	}
	if err := unmount(t.Context()); err != nil {
		t.Error(err)
	}
	c.Close()
	if left := b.machines.Agents()[0].Left(); len(left) != 0 {
		t.Errorf("left in the guest: %v", left)
	}
	select {
	case <-u.Done():
		t.Error("the end of a container ended its VM")
	default:
	}
	if err := u.Close(); err != nil {
		t.Error(err)
	}
	if err := u.Exit(); err != nil {
		t.Errorf("the VM's exit: %v", err)
	}
	b.clean()
}

// A pod's container is restarted again and again beside a sibling: the VM
// stays, and neither LUNs nor shares grow.
func TestRestartsKeepTheVM(t *testing.T) {
	b := newBench(t)
	u := b.boot()
	_, keep, err := u.Share(t.Context(), b.layers.Parents[0], true)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for range 100 {
		m, unmount, err := u.Mount(t.Context(), b.layers)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, m.Path)
		if err := unmount(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if paths[0] != paths[99] {
		t.Errorf("the scratch moved from %s to %s", paths[0], paths[99])
	}
	if err := keep(t.Context()); err != nil {
		t.Error(err)
	}
	if err := u.Close(); err != nil {
		t.Error(err)
	}
	b.clean()
}

// Every step of booting fails, and nothing is left; the error names the phase.
func TestBootFails(t *testing.T) {
	fail := func(function, code string) hcsemu.Fault {
		return hcsemu.Fault{Function: function, Action: hcsemu.ActionFail, Code: code, Times: 1}
	}
	refuse := func(p gcs.Procedure) func(*bench) {
		return func(b *bench) {
			b.machines.Fault = func(proc gcs.Procedure, _ []byte) (any, bool) {
				if proc == p {
					return gcstest.Fail(0x80004005, "the guest refuses"), false
				}
				return nil, false
			}
		}
	}
	hang := func(p gcs.Procedure) func(*bench) {
		return func(b *bench) {
			b.machines.Fault = func(proc gcs.Procedure, _ []byte) (any, bool) { return nil, proc == p }
		}
	}
	for _, tc := range []struct {
		name  string
		hook  func(*bench)
		fault hcsemu.Fault
		phase string
		kind  fault.Kind
		text  string
	}{
		{name: "no UtilityVM folder", hook: func(b *bench) { b.cfg.Layers.Parents = b.cfg.Layers.Parents[:1] }, phase: "document, files", kind: fault.FailedPrecondition, text: "UtilityVM"},
		{name: "incomplete UtilityVM folder", hook: func(b *bench) { os.Remove(filepath.Join(b.layers.Parents[1], "UtilityVM", "SystemTemplate.vhdx")) }, phase: "document, files", kind: fault.FailedPrecondition, text: "SystemTemplate.vhdx"},
		{name: "grant denied", fault: fail("HcsGrantVmAccess", "0x80070005"), phase: "document, grant", kind: fault.PermissionDenied},
		{name: "create refused", fault: fail("HcsCreateComputeSystem", "0x8037010d"), phase: "create", kind: fault.InvalidArgument},
		{name: "no hypervisor", fault: fail("HcsCreateComputeSystem", "0x80370102"), phase: "create", kind: fault.FailedPrecondition, text: "hypervisor"},
		{name: "service gone", fault: hcsemu.Fault{Function: "HcsCreateComputeSystem", Action: hcsemu.ActionDisconnect}, phase: "create", kind: fault.Unavailable},
		{name: "create hangs", fault: hcsemu.Fault{Function: "HcsCreateComputeSystem", Action: hcsemu.ActionHang}, phase: "create", kind: fault.DeadlineExceeded},
		{name: "no sockets", hook: func(b *bench) {
			b.cfg.Sockets = func(string) (gcs.Listener, error) { return nil, errors.New("no hvsocket") }
		}, phase: "start, listen", text: "no hvsocket"},
		{name: "start refused", fault: fail("HcsStartComputeSystem", "0x80370106"), phase: "start", text: "unexpectedly"},
		{name: "start hangs", fault: hcsemu.Fault{Function: "HcsStartComputeSystem", Action: hcsemu.ActionHang}, phase: "start", kind: fault.DeadlineExceeded},
		{name: "crash at start", fault: hcsemu.Fault{Function: "HcsStartComputeSystem", When: "after", Action: hcsemu.ActionCrash}, phase: "", text: "unexpectedly"},
		{name: "guest never connects", hook: func(b *bench) { b.machines.NoGuest = true }, phase: "connect", kind: fault.DeadlineExceeded, text: "has not connected"},
		{name: "negotiation refused", hook: refuse(gcs.ProcNegotiateProtocol), phase: "connect", text: "the guest refuses"},
		{name: "negotiation hangs", hook: hang(gcs.ProcNegotiateProtocol), phase: "connect", kind: fault.DeadlineExceeded},
		{name: "guest's create refused", hook: refuse(gcs.ProcCreate), phase: "connect"},
		{name: "guest's start hangs", hook: hang(gcs.ProcStart), phase: "connect", kind: fault.DeadlineExceeded},
		{name: "sockets not set up", hook: refuse(gcs.ProcModifySettings), phase: "connect"},
		{name: "time zone unknown", hook: func(b *bench) {
			b.cfg.TimeZone = func() (*gcs.TimeZoneInformation, error) { return nil, errors.New("no zone") }
		}, phase: "connect", text: "no zone"},
	} {
		bubble(t, tc.name, func(t *testing.T) {
			b := newBench(t)
			if tc.hook != nil {
				tc.hook(b)
			}
			if tc.fault.Function != "" {
				if err := b.emulator.AddFaults(tc.fault); err != nil {
					t.Fatal(err)
				}
			}
			_, err := uvm.Boot(t.Context(), b.cfg)
			if err == nil {
				t.Fatal("the VM booted")
			}
			if tc.kind != fault.Unknown && fault.KindOf(err) != tc.kind {
				t.Errorf("kind %v, want %v: %v", fault.KindOf(err), tc.kind, err)
			}
			for _, want := range []string{"pod@vm", tc.text, "phase " + tc.phase} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not name %q", err, want)
				}
			}
			b.emulator.ClearFaults()
			b.emulator.RestoreService()
			b.clean()
		})
	}
}

// Cancelling a RunPodSandbox in the middle leaves nothing.
func TestBootCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.machines.NoGuest = true
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		if _, err := uvm.Boot(ctx, b.cfg); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want Canceled", err)
		}
		b.clean()
	})
}

// A VM that dies must not look alive, and all in it ends with its reason: who
// reads "the guest's kernel crashed" looks for a driver, who reads "terminated"
// for a colleague.
func TestDeathOfTheVM(t *testing.T) {
	for _, tc := range []struct {
		name   string
		kill   func(*bench)
		reason uvm.Reason
		want   error  // nil: any
		text   string // in the error of what was under way
	}{
		{"guest's kernel crashes", func(b *bench) { b.machines.Bugcheck(0xd1, 0x28) }, uvm.ReasonBugcheck, hcs.ErrGuestCrash, "crash"},
		{"crash told by HCS", func(b *bench) { b.must(b.emulator.Bugcheck("pod@vm", 0xd1)) }, uvm.ReasonBugcheck, hcs.ErrGuestCrash, "crash"},
		{"worker process crashes", func(b *bench) { b.machines.Crash() }, uvm.ReasonCrash, hcs.ErrUnexpectedExit, "it crashed"},
		{"crash whose exit is lost", func(b *bench) {
			b.must(b.emulator.AddFaults(hcsemu.Fault{Event: "SystemExited", Action: hcsemu.ActionDrop}))
			b.machines.Crash()
		}, uvm.ReasonBridge, hcs.ErrDisconnected, "guest connection died"},
		{"someone terminates it", func(b *bench) { b.terminate() }, uvm.ReasonTerminated, nil, "it was terminated"},
		{"guest shuts down", func(b *bench) { b.machines.ShutDown() }, uvm.ReasonShutdown, nil, "its guest shut down"},
		{"compute service goes", func(b *bench) { b.emulator.DisconnectService(); b.emulator.RestoreService() }, uvm.ReasonLost, hcs.ErrDisconnected, "no longer be observed"},
		{"guest closes the bridge", func(b *bench) { b.machines.Agents()[0].Bridge().Close() }, uvm.ReasonBridge, hcs.ErrDisconnected, "guest connection died"},
		{"guest sends garbage", func(b *bench) { b.machines.Agents()[0].Bridge().Garbage(make([]byte, 64)) }, uvm.ReasonBridge, hcs.ErrDisconnected, "guest connection died"},
	} {
		bubble(t, tc.name, func(t *testing.T) {
			b := newBench(t)
			u := b.boot()
			p, err := u.CreateProcess(t.Context(), &schema.ProcessParameters{CommandLine: "ping -t localhost"})
			if err != nil {
				t.Fatal(err)
			}
			tc.kill(b)
			<-u.Done()
			if err := u.Exit(); err == nil || tc.want != nil && !errors.Is(err, tc.want) || !strings.Contains(err.Error(), "pod@vm") {
				t.Errorf("exit %v, want %v", err, tc.want)
			}
			if u.Reason() != tc.reason {
				t.Errorf("reason %s, want %s", u.Reason(), tc.reason)
			}
			<-p.Done()
			if _, err := p.ExitCode(); !errors.Is(err, hcs.ErrDisconnected) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("the process's exit: %v, want one that says %q", err, tc.text)
			}
			p.Close()
			if _, _, err := u.Share(t.Context(), b.layers.Parents[0], true); err == nil {
				t.Error("a dead VM takes a share")
			}
			if err := u.Close(); err != nil {
				t.Error(err)
			}
			if err := u.Close(); err != nil {
				t.Errorf("second close: %v", err)
			}
			b.clean()
		})
	}
}

// A dump that the user asked for is written to its end, and its place is in the
// reason; meanwhile nothing in the guest looks alive.
func TestDumpOfACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.cfg.Plan.DumpDirectory = `C:\dumps`
		u := b.boot()
		b.must(b.emulator.Bugcheck("pod@vm", 0x50))
		<-u.Done()
		if err := u.Exit(); err == nil || !strings.Contains(err.Error(), `bugcheck 0x50, dump in C:\dumps\pod@vm-windows-crash`) {
			t.Errorf("exit %v", err)
		}
		b.must(u.Close())
		b.clean()
	})
}

// A refusal of the graceful end must not cost its grace: terminate comes at once.
func TestRefusedShutdownCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.cfg.Deadlines.Grace = time.Hour
		u := b.boot()
		b.must(b.emulator.AddFaults(hcsemu.Fault{Function: "HcsShutDownComputeSystem", Action: hcsemu.ActionFail, Code: "0x80370105"}))
		b.must(u.Close()) // the test would end by its own time limit
		if u.Reason() != uvm.ReasonClosed {
			t.Errorf("reason %s", u.Reason())
		}
		b.clean()
	})
}

// A disk that the guest refuses is off the machine again.
func TestAttachRollsBack(t *testing.T) {
	b := newBench(t)
	u := b.boot()
	disk := schema.Attachment{Type: schema.AttachmentVirtualDisk, Path: filepath.Join(b.layers.Scratch, "sandbox.vhdx")}
	before := b.emulator.Ledger().Leaks()

	b.machines.Fault = func(p gcs.Procedure, _ []byte) (any, bool) {
		if p == gcs.ProcModifySettings {
			return gcstest.Fail(0x80004005, "no"), false
		}
		return nil, false
	}
	b.machines.Agents()[0].SetFault(b.machines.Fault)
	if _, _, err := u.Attach(t.Context(), disk); err == nil {
		t.Fatal("attached although the guest refused")
	}
	if diff := cmp.Diff(before.String(), b.emulator.Ledger().Leaks().String()); diff != "" {
		t.Errorf("after the guest's refusal (-before +after):\n%s", diff)
	}

	b.machines.Agents()[0].SetFault(nil)
	if err := b.emulator.AddFaults(hcsemu.Fault{Function: "HcsModifyComputeSystem", Action: hcsemu.ActionFail, Code: "0x80070005"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := u.Attach(t.Context(), disk); !errors.Is(err, hcs.ErrAccessDenied) {
		t.Errorf("host's refusal: %v", err)
	}
	path, detach, err := u.Attach(t.Context(), disk)
	if err != nil || !strings.HasPrefix(path, `c:\mounts\scsi\m`) {
		t.Fatalf("attach after refusals: %q, %v", path, err)
	}
	if err := detach(t.Context()); err != nil {
		t.Error(err)
	}
	u.Close()
	b.clean()
}

// A close that could not release all is tried again by the next: else a delete
// that failed once, as when a scanner holds the scratch, would fail for ever.
func TestCloseAgain(t *testing.T) {
	b := newBench(t)
	u := b.boot()
	if err := b.emulator.AddFaults(hcsemu.Fault{Function: "HcsRevokeVmAccess", Action: hcsemu.ActionFail, Code: "0x80070020"}); err != nil {
		t.Fatal(err)
	}
	if err := u.Close(); err == nil {
		t.Error("the access was not revoked and Close said nothing")
	}
	if err := u.Close(); err != nil {
		t.Errorf("second try: %v", err)
	}
	b.clean()
}

// A root file system that came off by half must come off at the second try,
// without asking guest or host again for what they have done.
func TestUnmountAgain(t *testing.T) {
	for _, function := range []string{"HcsModifyComputeSystem", "HcsRevokeVmAccess"} {
		t.Run(function, func(t *testing.T) {
			b := newBench(t)
			u := b.boot()
			_, release, err := u.Mount(t.Context(), b.layers)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.emulator.AddFaults(hcsemu.Fault{Function: function, Action: hcsemu.ActionFail, Code: "0x80070020"}); err != nil {
				t.Fatal(err)
			}
			if err := release(t.Context()); err == nil {
				t.Error("the disk was not taken off and nothing said so")
			}
			b.machines.Agents()[0].SetFault(func(gcs.Procedure, []byte) (any, bool) { return gcstest.Fail(0x80070002, "not mounted"), false })
			if err := release(t.Context()); err != nil {
				t.Errorf("second try: %v", err)
			}
			u.Close()
			b.clean()
		})
	}
}

// A disk that is off by half is no more mounted in the guest: the next container
// with it must not write into the empty folder that is there.
func TestAttachOfDiskOffByHalf(t *testing.T) {
	b := newBench(t)
	u := b.boot()
	disk := schema.Attachment{Type: schema.AttachmentVirtualDisk, Path: filepath.Join(b.layers.Scratch, "sandbox.vhdx")}
	_, release, err := u.Attach(t.Context(), disk)
	b.must(err)
	b.must(b.emulator.AddFaults(hcsemu.Fault{Function: "HcsModifyComputeSystem", Action: hcsemu.ActionFail, Code: "0x80070020"}))
	if err := release(t.Context()); err == nil {
		t.Error("the disk was not detached and nothing said so")
	}
	if _, _, err := u.Attach(t.Context(), disk); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "delete that container again") {
		t.Errorf("attached again: %v", err)
	}
	b.must(release(t.Context()))
	_, release, err = u.Attach(t.Context(), disk)
	b.must(err)
	b.must(release(t.Context()))
	b.must(u.Close())
	b.clean()
}

// A read-only user of a disk must not get the writable attachment of another.
func TestAttachModesApart(t *testing.T) {
	b := newBench(t)
	u := b.boot()
	path := filepath.Join(b.layers.Scratch, "sandbox.vhdx")
	writable, _, err := u.Attach(t.Context(), schema.Attachment{Type: schema.AttachmentVirtualDisk, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	shared, _, err := u.Attach(t.Context(), schema.Attachment{Type: schema.AttachmentVirtualDisk, Path: path, ReadOnly: true})
	if err == nil && shared == writable {
		t.Errorf("both are at %s", shared)
	}
}

// What the guest sees of the host is what was asked for: single files by
// themselves, writable folders only where allowed.
func TestShares(t *testing.T) {
	b := newBench(t)
	u := b.boot()
	file := filepath.Join(b.layers.Scratch, "one.txt")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	path, release, err := u.Share(t.Context(), file, false)
	if err != nil || !strings.HasSuffix(path, `\one.txt`) {
		t.Errorf("single file: %q, %v", path, err)
	}
	again, release2, err := u.Share(t.Context(), file, false)
	if err != nil || again != path {
		t.Errorf("second use: %q, %v, want %q", again, err, path)
	}
	for _, r := range []uvm.Release{release, release2} {
		if err := r(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := u.Share(t.Context(), filepath.Join(b.layers.Scratch, "nope"), true); !fault.Is(err, fault.NotFound) {
		t.Errorf("missing source: %v", err)
	}
	b.cfg.Plan.NoWritableShare = true
	if _, _, err := u.Share(t.Context(), b.layers.Scratch, false); !fault.Is(err, fault.PermissionDenied) {
		t.Errorf("forbidden writable share: %v", err)
	}
	pipe, release, err := u.SharePipe(t.Context(), `\\.\pipe\docker_engine`)
	if err != nil || !strings.HasSuffix(pipe, `\IPC$\docker_engine`) {
		t.Errorf("pipe %q, %v", pipe, err)
	}
	if err := release(t.Context()); err != nil {
		t.Error(err)
	}
	if err := u.SetMemory(t.Context(), 2048); err != nil {
		t.Error(err)
	}
	if err := u.SetProcessorLimits(t.Context(), schema.ProcessorLimits{Limit: 50000}); err != nil {
		t.Error(err)
	}
	if _, err := u.Properties(t.Context(), schema.PropertyQuery{PropertyTypes: []schema.PropertyType{schema.PropertyStatistics}}); err != nil {
		t.Error(err)
	}
	u.Close()
	b.clean()
}

// An adapter is on the host and in the guest, or on neither.
func TestNetwork(t *testing.T) {
	b := newBench(t)
	u := b.boot()
	agent := b.machines.Agents()[0]
	net, err := b.client.CreateNetworkObject(t.Context(), hcsemu.Network, 0, "cccccccc-0000-0000-0000-000000000003", "{}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.client.CreateNetworkObject(t.Context(), hcsemu.Endpoint, net, "bbbbbbbb-0000-0000-0000-000000000002", "{}"); err != nil {
		t.Fatal(err)
	}
	before := b.emulator.Ledger().Leaks().String()
	const ns = "5c5e1d0e-0d5c-4a4a-9d9c-0f3a3b1c2d3e"
	leave, err := u.AddNamespace(t.Context(), ns, []byte(`{"ID":"`+ns+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	nic := uvm.Adapter{
		ID: "aaaaaaaa-0000-0000-0000-000000000001", EndpointID: "bbbbbbbb-0000-0000-0000-000000000002",
		MAC: "00-15-5D-00-00-01", Endpoint: []byte(`{"ID":"bbbbbbbb-0000-0000-0000-000000000002"}`),
	}
	for step := 1; step <= 2; step++ { // the guest refuses the PreAdd, then the Add
		seen := 0
		agent.SetFault(func(p gcs.Procedure, _ []byte) (any, bool) {
			if p == gcs.ProcModifySettings {
				if seen++; seen == step {
					return gcstest.Fail(0x80004005, "no"), false
				}
			}
			return nil, false
		})
		if _, err := u.AddAdapter(t.Context(), nic); err == nil || !strings.Contains(err.Error(), nic.EndpointID) {
			t.Errorf("step %d refused: %v", step, err)
		}
		if diff := cmp.Diff(before, b.emulator.Ledger().Leaks().String()); diff != "" {
			t.Errorf("step %d refused (-before +after):\n%s", step, diff)
		}
	}
	agent.SetFault(nil)
	if err := b.emulator.AddFaults(hcsemu.Fault{Function: "HcsModifyComputeSystem", Action: hcsemu.ActionFail, Code: "0x80370105"}); err != nil {
		t.Fatal(err)
	}
	if _, err := u.AddAdapter(t.Context(), nic); !errors.Is(err, hcs.ErrInvalidState) {
		t.Errorf("host refuses: %v", err)
	}
	unplug, err := u.AddAdapter(t.Context(), nic)
	if err != nil {
		t.Fatal(err)
	}
	if left := agent.Left(); len(left) != 2 {
		t.Errorf("the guest has %v, want the namespace and the adapter", left)
	}
	service, err := u.AddSocketService(t.Context(), "11111111-2222-3333-4444-555555555555", schema.HvSocketServiceConfig{AllowWildcardBinds: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, release := range []uvm.Release{service, unplug, leave} {
		if err := release(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if left := agent.Left(); len(left) != 0 {
		t.Errorf("left in the guest: %v", left)
	}
	if diff := cmp.Diff(before, b.emulator.Ledger().Leaks().String()); diff != "" {
		t.Errorf("after removal (-before +after):\n%s", diff)
	}
	if err := u.Close(); err != nil {
		t.Error(err)
	}
}

// A pod's network: the namespace, then an adapter for each endpoint, eth0
// first; and nothing of it where one step fails.
func TestConnect(t *testing.T) {
	b := newBench(t)
	const ns = "5c5e1d0e-0d5c-4a4a-9d9c-0f3a3b1c2d3e"
	net, err := b.client.CreateNetworkObject(t.Context(), hcsemu.Network, 0, "cccccccc-0000-0000-0000-000000000003", "{}")
	if err != nil {
		t.Fatal(err)
	}
	resources := ""
	for i, name := range []string{"net1", "eth0"} {
		id := fmt.Sprintf("bbbbbbbb-0000-0000-0000-00000000000%d", i)
		if _, err := b.client.CreateNetworkObject(t.Context(), hcsemu.Endpoint, net, hcsemu.GUID(id), `{"Name":"`+name+`"}`); err != nil {
			t.Fatal(err)
		}
		resources += `,{"Type":"Endpoint","Data":{"Id":"` + id + `"}}`
	}
	if _, err := b.client.CreateNetworkObject(t.Context(), hcsemu.Namespace, 0, ns, `{"Resources":[`+resources[1:]+`]}`); err != nil {
		t.Fatal(err)
	}
	b.cfg.Namespace = network.New(netdriver.New(b.client)).Namespace
	u := b.boot()
	agent := b.machines.Agents()[0]
	var seen []string
	refuse := 0
	agent.SetFault(func(p gcs.Procedure, body []byte) (any, bool) {
		if p != gcs.ProcModifySettings {
			return nil, false
		}
		seen = append(seen, string(body))
		if len(seen) == refuse {
			return gcstest.Fail(0x80004005, "no"), false
		}
		return nil, false
	})
	before := b.emulator.Ledger().Leaks().String()
	unchanged := func(when string) {
		t.Helper()
		if left := agent.Left(); len(left) != 0 {
			t.Errorf("%s: left in the guest: %v", when, left)
		}
		if diff := cmp.Diff(before, b.emulator.Ledger().Leaks().String()); diff != "" {
			t.Errorf("%s (-before +after):\n%s", when, diff)
		}
	}
	for refuse = 1; refuse <= 5; refuse++ { // namespace, then PreAdd and Add of two adapters
		seen = nil
		if _, err := u.Connect(t.Context(), ns); err == nil || !strings.Contains(err.Error(), "connect utility VM pod@vm") {
			t.Errorf("guest's request %d refused: %v", refuse, err)
		}
		unchanged(fmt.Sprintf("guest's request %d refused", refuse))
	}
	seen, refuse = nil, 0
	release, err := u.Connect(t.Context(), ns)
	if err != nil {
		t.Fatal(err)
	}
	if left := agent.Left(); len(left) != 3 || len(seen) != 5 || !strings.Contains(seen[1], "eth0") || !strings.Contains(seen[3], "net1") {
		t.Errorf("the guest has %v of requests\n%s", left, strings.Join(seen, "\n"))
	}
	if err := b.emulator.AddFaults(hcsemu.Fault{Function: "HcsModifyComputeSystem", Action: hcsemu.ActionFail, Code: "0x80370105"}); err != nil {
		t.Fatal(err)
	}
	if err := release(t.Context()); !errors.Is(err, hcs.ErrInvalidState) {
		t.Errorf("an adapter that the host keeps: %v", err)
	}
	for range 2 { // the first takes away what was left
		if err := release(t.Context()); err != nil {
			t.Errorf("released again: %v", err)
		}
	}
	unchanged("released")
	if err := u.Close(); err != nil {
		t.Error(err)
	}
	if _, err := u.Connect(t.Context(), ns); err == nil {
		t.Error("connected a machine that has ended")
	}
}

// What cannot be connected says why.
func TestConnectRefused(t *testing.T) {
	b := newBench(t)
	u := b.boot()
	if _, err := u.Connect(t.Context(), "n1"); !fault.Is(err, fault.Unimplemented) {
		t.Errorf("without a network service: %v", err)
	}
	u.Close()
	b.cfg.Namespace = network.New(netdriver.New(b.client)).Namespace
	u = b.boot()
	if _, err := u.Connect(t.Context(), "n1"); !fault.Is(err, fault.NotFound) {
		t.Errorf("namespace that is not there: %v", err)
	}
	release, err := u.AddNamespace(t.Context(), "n1", []byte(`{"ID":"n1"}`))
	if err != nil {
		t.Fatal(err)
	}
	b.machines.Crash()
	<-u.Done()
	if err := release(t.Context()); err != nil {
		t.Errorf("released after the machine crashed: %v", err)
	}
	u.Close()
	b.clean()
}
