package pod

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/gcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/network"
	"github.com/isolrun/isol/internal/undo"
	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/layerdriver"
	"github.com/isolrun/isol/test/hcsemu/netdriver"
)

const gmsa = `{"CmsPlugins":["ActiveDirectory"],"DomainJoinConfig":{"DnsName":"contoso.com"}}`

// kinds returns the ids of the ledger's entries of one kind.
func (l *lab) kinds(kind string) []string {
	var ids []string
	for _, e := range l.emu.Ledger() {
		if e.Kind == kind {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// A container with a domain identity gets an instance of its own, and the
// identity goes with the container: one that stayed would let whoever takes
// the id next act as that account.
func TestCredentialGuard(t *testing.T) {
	l := newLab(t)
	req := l.request("web", "ping -t localhost")
	req.Plan.Container.CredentialSpec = gmsa
	l.must(l.pod.Create(l.Context(), req))
	l.start("web", "")
	if got := l.kinds("credential guard"); !slices.Equal(got, []string{"web"}) {
		t.Errorf("instances %v, want web's", got)
	}
	l.must(l.kill("web", ""))
	l.wait("web", "")
	l.delete("web", "")
	l.nothingLeft()
}

// In a VM the guest reaches the instance by an hvsocket service, which must be
// opened for this container and closed with it.
func TestCredentialGuardInVM(t *testing.T) {
	l := newVMLab(t)
	l.bootPod()
	req := l.isolated("web", isolation.RoleWorkload, "ping -t localhost")
	req.Plan.Container.CredentialSpec = gmsa
	l.must(l.pod.Create(l.Context(), req))
	l.start("web", "")
	if guards, sockets := l.kinds("credential guard"), l.kinds("hvsocket service"); len(guards) != 1 || len(sockets) != 1 {
		t.Errorf("instances %v, services %v, want one of each", guards, sockets)
	}
	l.must(l.kill("web", ""))
	l.wait("web", "")
	l.delete("web", "")
	if guards, sockets := l.kinds("credential guard"), l.kinds("hvsocket service"); len(guards) != 0 || len(sockets) != 0 {
		t.Errorf("left: instances %v, services %v", guards, sockets)
	}
	l.endPod()
}

// A shim that dies has its instances removed by whoever replays its journal.
func TestCredentialGuardAfterCrash(t *testing.T) {
	l := newLab(t)
	req := l.request("web", "ping -t localhost")
	req.Plan.Container.CredentialSpec = gmsa
	l.must(l.pod.Create(l.Context(), req))
	other := l.emu.Connect(hcsemu.Caller{PID: 99, Exe: "containerd-shim-isol-v1.exe"})
	table := undo.Machine{
		Host: hcsemu.HostOn(other), Owner: "containerd-shim-isol-v1.exe", Origin: "LAB",
		Layers: layers.NewStore(layerdriver.New(other)), Networks: network.New(netdriver.New(other)),
	}.Undoers()
	if _, err := journal.Replay(l.Context(), filepath.Join(l.bundle, journal.FileName), "web", table); err != nil {
		t.Fatal(err)
	}
	if got := l.kinds("credential guard"); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

// A create that cannot be given its identity fails, says why, and leaves
// nothing: a container without its account would fail far from the cause.
func TestCredentialGuardFails(t *testing.T) {
	for _, function := range []string{"HcsModifyServiceSettings", "HcsGetServiceProperties"} {
		t.Run(function, func(t *testing.T) {
			l := newLab(t)
			l.fault(hcsemu.Fault{Function: function, Nth: 1, Action: hcsemu.ActionFail, Code: "0x80070005"})
			req := l.request("web", "cmd")
			req.Plan.Container.CredentialSpec = gmsa
			err := l.pod.Create(l.Context(), req)
			if !fault.Is(err, fault.PermissionDenied) || !strings.Contains(err.Error(), "credentialSpec") {
				t.Errorf("%v, want PermissionDenied that names the credential spec", err)
			}
			l.nothingLeft()
		})
	}
}

// tooled gives the lab's VMs the program that isol runs in guests.
func (l *vmLab) tooled() {
	l.Helper()
	l.machines.Runner.(*hcsemu.Scripted).Handle("isol-guest", func(x *hcsemu.Exec) uint32 {
		if len(x.Args) == 3 && x.Args[1] == "mkdir" {
			l.made = append(l.made, x.Args[2])
			return 0
		}
		return 2
	})
	l.tool = l.file("tools", "isol-guest.exe")
}

// hosted returns the containers' documents that the guest was given.
func (l *vmLab) hosted() *[]schema.Container {
	var got []schema.Container
	l.machines.Fault = func(proc gcs.Procedure, body []byte) (any, bool) {
		var req struct{ ContainerConfig string }
		var system struct{ Container *schema.Container }
		if proc == gcs.ProcCreate && json.Unmarshal(body, &req) == nil && json.Unmarshal([]byte(req.ContainerConfig), &system) == nil && system.Container != nil {
			got = append(got, *system.Container)
		}
		return nil, false
	}
	return &got
}

const nic = `PCI\VEN_8086&DEV_1520\3&11583659&0&A0`

// A device of the host goes to the VM once, to every container that asks for
// it, and back to the host with the last of them.
func TestDevicesInVM(t *testing.T) {
	l := newVMLab(t)
	documents := l.hosted()
	l.tooled()
	l.bootPod()
	for _, id := range []string{"a", "b"} {
		req := l.isolated(id, isolation.RoleWorkload, "ping -t localhost")
		req.Plan.Container.Devices = []isolation.Device{{IDType: "vpci-instance-id", ID: nic + `\2`}}
		l.must(l.pod.Create(l.Context(), req))
		l.start(id, "")
	}
	if got := l.kinds("pci device"); !slices.Equal(got, []string{nic + `\2`}) {
		t.Errorf("assigned %q, want the one function once", got)
	}
	for _, c := range *documents {
		if len(c.AssignedDevices) != 1 || c.AssignedDevices[0].Type != schema.DeviceTypeInstance || !strings.HasPrefix(c.AssignedDevices[0].LocationPath, "PCIROOT(") {
			t.Errorf("the guest was told of %+v, want the location that it had reported", c.AssignedDevices)
		}
	}
	for i, id := range []string{"a", "b"} {
		l.must(l.kill(id, ""))
		l.wait(id, "")
		l.delete(id, "")
		if got := l.kinds("pci device"); len(got) != 1-i {
			t.Errorf("after %s: %q", id, got)
		}
	}
	l.endPod()
}

// A device that another VM has is refused by name, and the pod that was
// refused leaves nothing.
func TestDeviceOfAnotherVM(t *testing.T) {
	l := newVMLab(t)
	l.tooled()
	create := func(p *Pod, id string) error {
		req := l.isolated(id, isolation.RoleStandalone, "ping -t localhost")
		req.Plan.Container.Devices = []isolation.Device{{IDType: "vpci", ID: nic}}
		return p.Create(l.Context(), req)
	}
	other, err := New(l.cfg)
	l.must(err)
	l.must(create(l.pod, "first"))
	if err := create(other, "second"); err == nil || !strings.Contains(err.Error(), nic) || !strings.Contains(err.Error(), "first@vm") {
		t.Errorf("%v, want an error that names the device and who has it", err)
	}
	if got := l.virtualMachines(); !slices.Equal(got, []string{"first@vm"}) {
		t.Errorf("systems %v, want the first's alone", got)
	}
	l.delete("first", "")
	l.nothingLeft()
}

// Drivers are installed once per VM and their folder stays shared while a
// container uses it.
func TestDriversInVM(t *testing.T) {
	l := newVMLab(t)
	l.bootPod()
	folder := filepath.Dir(l.file("drivers", "nic.inf"))
	for _, id := range []string{"a", "b"} {
		req := l.isolated(id, isolation.RoleWorkload, "ping -t localhost")
		req.Plan.Container.KernelDrivers = []string{folder}
		l.must(l.pod.Create(l.Context(), req)) // the second finds them installed
	}
	if got := l.kinds("vsmb share"); !slices.Contains(got, folder) {
		t.Errorf("shares %q, want %s", got, folder)
	}
	for _, id := range []string{"a", "b"} {
		l.delete(id, "")
	}
	if got := l.kinds("vsmb share"); slices.Contains(got, folder) {
		t.Errorf("shares %q: %s should have gone with its last user", got, folder)
	}
	missing := l.isolated("c", isolation.RoleWorkload, "cmd")
	missing.Plan.Container.KernelDrivers = []string{filepath.Join(l.root, "nothing")}
	if err := l.pod.Create(l.Context(), missing); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("%v, want NotFound that names the folder", err)
	}
	l.endPod()
}

// sandbox:// is a directory of the VM that all containers of the pod see; a
// disk of a storage provider is attached as such.
func TestGuestDirectoriesAndDisks(t *testing.T) {
	l := newVMLab(t)
	documents := l.hosted()
	l.tooled()
	l.bootPod()
	req := l.isolated("web", isolation.RoleWorkload, "ping -t localhost")
	req.Plan.Container.Mounts = []isolation.Mount{
		{Source: `shared\a & b`, Destination: `C:\shared`, Mechanism: isolation.MechanismSandbox},
		{Source: `evd://space/volume1`, Destination: `C:\disk`, Mechanism: isolation.MechanismSCSI, Type: "extensible-virtual-disk"},
	}
	req.Plan.Container.Pipes = []isolation.Pipe{{HostPath: `\\.\pipe\pod\inner`, ContainerName: "inner", Guest: true}}
	l.must(l.pod.Create(l.Context(), req))
	l.start("web", "")
	if want := []string{`C:\SandboxMounts\shared\a & b`}; !slices.Equal(l.made, want) {
		t.Errorf("made %q in the guest, want %q: each word as it is", l.made, want)
	}
	if got := l.kinds("scsi attachment"); !slices.Contains(got, "volume1") {
		t.Errorf("disks %q, want volume1", got)
	}
	if c := (*documents)[0]; c.MappedDirectories[0].HostPath != `C:\SandboxMounts\shared\a & b` || c.MappedPipes[0].HostPath != `\\.\pipe\pod\inner` {
		t.Errorf("the guest was told %+v, %+v", c.MappedDirectories, c.MappedPipes)
	}
	l.must(l.kill("web", ""))
	l.wait("web", "")
	l.delete("web", "")
	if got := l.kinds("scsi attachment"); slices.Contains(got, "volume1") {
		t.Errorf("disks %q are left", got)
	}
	l.endPod()
}

// Without the program for guests there is no sandbox:// and no device in a
// VM: the refusal says what to install.
func TestGuestProgramMissing(t *testing.T) {
	l := newVMLab(t)
	l.tool = filepath.Join(l.root, "isol-guest.exe")
	l.bootPod()
	req := l.isolated("web", isolation.RoleWorkload, "cmd")
	req.Plan.Container.Mounts = []isolation.Mount{{Source: `shared`, Destination: `C:\shared`, Mechanism: isolation.MechanismSandbox}}
	if err := l.pod.Create(l.Context(), req); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "isol-guest.exe") {
		t.Errorf("%v, want FailedPrecondition that names the program", err)
	}
	l.endPod()
}

// Device extensions are files of JSON; a wrong one is named.
func TestDeviceExtensions(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.json", `{"device_category":{"name":"GPU","interface_class":[{"type":"ClassGuid","identifier":"5B45201D-F2F2-4F3B-85BB-30FF1F953599"}]}}`)
	for _, tc := range []struct {
		name string
		path string
		kind fault.Kind
	}{
		{"good", good, 0},
		{"missing", filepath.Join(folder, "none.json"), fault.NotFound},
		{"no JSON", write("text.json", "x"), fault.InvalidArgument},
		{"unknown member", write("other.json", `{"device":1}`), fault.InvalidArgument},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t)
			req := l.request("web", "cmd")
			req.Plan.Container.DeviceExtensions = []string{tc.path}
			err := l.pod.Create(l.Context(), req)
			if tc.kind == 0 {
				l.must(err)
				l.delete("web", "")
			} else if !fault.Is(err, tc.kind) || !strings.Contains(err.Error(), filepath.Base(tc.path)) {
				t.Errorf("%v, want %v that names the file", err, tc.kind)
			}
			l.nothingLeft()
		})
	}
}
