package e2e

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/lab"
)

// mountURL is the type of a mount that an update carries, as hcsshim's clients
// send it.
const mountURL = "github.com/Microsoft/hcsshim/pkg/ctrdtaskapi/ContainerMount"

// crossingLab returns a machine that carries every crossing of both modes.
func crossingLab(t *testing.T) (*lab.Lab, *client) {
	t.Helper()
	l := vms.of(t)
	return l, connect(t, l)
}

func bootCrossings(t *testing.T) (*lab.Lab, error) {
	shim, err := lab.BuildIsolShim(t.Context(), nil)
	if err != nil {
		return nil, err
	}
	l, err := lab.Start(context.WithoutCancel(t.Context()), lab.Config{
		Guests: 2, Out: t.Output(),
		Shims: map[string]string{lab.IsolShim: shim, lab.IsolGuest: filepath.Join(filepath.Dir(shim), lab.IsolGuest)},
	})
	if err != nil {
		return nil, err
	}
	for name, text := range map[string]string{
		`C:\data\a.txt`: "from the host", `C:\later\b.txt`: "mounted later", `C:\drivers\nic.inf`: "[Version]", `C:\disks\d.vhdx`: "disk",
	} {
		if err := l.WriteFile(name, []byte(text)); err != nil {
			return l, err
		}
	}
	return l, nil
}

// begin runs a container of the spec; the error is create's or start's.
func (c *client) begin(id string, s *specs.Spec) error {
	c.t.Helper()
	request := c.container(id, packed(c.t, specURL, s), nil)
	ctx, cancel := c.within(time.Minute)
	defer cancel()
	if _, err := c.tasks.Create(ctx, request); err != nil {
		return err
	}
	_, err := c.tasks.Start(ctx, &tasksapi.StartRequest{ContainerID: id})
	return err
}

// crossingSpec is a container that sleeps, in one of the modes.
func crossingSpec(hyperv bool, change func(*specs.Spec)) *specs.Spec {
	s := spec("probe", "sleep", "600")
	s.Annotations = map[string]string{}
	if hyperv {
		s.Windows.HyperV = &specs.WindowsHyperV{}
	}
	if change != nil {
		change(s)
	}
	return s
}

func bind(source, destination string, options ...string) specs.Mount {
	return specs.Mount{Source: source, Destination: destination, Type: "bind", Options: options}
}

// held returns the ids of what the services have handed out of one kind.
func held(t *testing.T, l *lab.Lab, kind string) []string {
	t.Helper()
	ledger, err := l.Ledger()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, e := range ledger {
		if e.Kind == kind {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// inside runs a command in a container, in the given folder, and returns what
// it printed.
func inside(t *testing.T, m Machine, id, folder string, args ...string) lab.Result {
	t.Helper()
	return ctr(t, m, append([]string{"task", "exec", "--exec-id", "e", "--cwd", folder, id}, args...)...)
}

const (
	crossGMSA = `{"CmsPlugins":["ActiveDirectory"],"DomainJoinConfig":{"DnsName":"contoso.com"}}`
	crossNIC  = `PCI\VEN_8086&DEV_1520\3&11583659&0&A0`
)

// Every crossing that a mode carries, asked of containerd.exe, is there while
// the container runs and gone with it.
func TestCrossings(t *testing.T) {
	l, c := crossingLab(t)
	m := emulated{l}
	common := func(s *specs.Spec) {
		s.Hostname = "cross"
		s.Mounts = []specs.Mount{
			bind(`C:\data`, `C:\in`, "ro"), {Source: `C:\data\a.txt`, Destination: `C:\one\a.txt`},
			{Source: `\\.\pipe\docker_engine`, Destination: `\\.\pipe\docker_engine`},
		}
		s.Windows.CredentialSpec = crossGMSA
	}
	t.Run("process", func(t *testing.T) {
		err := c.begin("cross1", crossingSpec(false, func(s *specs.Spec) {
			common(s)
			s.Windows.Devices = []specs.WindowsDevice{{IDType: "class", ID: "5B45201D-F2F2-4F3B-85BB-30FF1F953599"}}
			s.Windows.Resources = &specs.WindowsResources{
				CPU: &specs.WindowsCPUResources{Affinity: []specs.WindowsCPUGroupAffinity{{Mask: 1}}},
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		if got := held(t, l, "mapped pipe"); !slices.Equal(got, []string{`\\.\pipe\docker_engine`}) {
			t.Errorf("pipes %q", got)
		}
		if got := strings.TrimSpace(inside(t, m, "cross1", `C:\`, "probe", "affinity").Stdout); got != "1" {
			t.Errorf("pinned to %q, want the first processor", got)
		}
		whileItRuns(t, l, c, "cross1")
		documented(t, l, "HcsCreateComputeSystem", "cross1", `"InterfaceClassGuid":"5B45201D-F2F2-4F3B-85BB-30FF1F953599"`, `"ReadOnly":true`, `"Transport":"LRPC"`)
		c.remove("cross1")
		settled(t, l)
	})
	t.Run("hyperv", func(t *testing.T) {
		err := c.begin("cross2", crossingSpec(true, func(s *specs.Spec) {
			common(s)
			s.Mounts = append(s.Mounts, specs.Mount{Source: "sandbox://shared/deep & down", Destination: `C:\shared`},
				specs.Mount{Source: `C:\disks\d.vhdx`, Destination: `C:\disk`, Type: "virtual-disk"},
				specs.Mount{Source: `uvm://\\.\pipe\inner`, Destination: `\\.\pipe\inner`})
			s.Windows.Devices = []specs.WindowsDevice{{IDType: "vpci-instance-id", ID: crossNIC}}
			s.Annotations["io.microsoft.virtualmachine.kerneldrivers"] = `C:\drivers`
		}))
		if err != nil {
			t.Fatal(err)
		}
		for kind, want := range map[string]string{
			"pci device": crossNIC + `\0`, "scsi attachment": `C:\disks\d.vhdx`, "vsmb share": `C:\drivers`, "mapped pipe": "docker_engine",
		} {
			if got := held(t, l, kind); !slices.ContainsFunc(got, func(s string) bool { return strings.EqualFold(s, want) }) {
				t.Errorf("%s %q, want %s", kind, got, want)
			}
		}
		if got := held(t, l, "hvsocket service"); len(got) != 1 {
			t.Errorf("hvsocket services %q, want the credential guard's", got)
		}
		// The directory is one of the guest's own, made there by isol-guest.exe.
		if r := inside(t, m, "cross2", `C:\shared`, "cmd", "/c", "cd"); r.ExitCode != 0 || !strings.Contains(r.Stdout, `SandboxMounts\shared\deep & down`) {
			t.Errorf("sandbox directory: %d, %q, %q", r.ExitCode, r.Stdout, r.Stderr)
		}
		whileItRuns(t, l, c, "cross2")
		c.remove("cross2")
		settled(t, l)
	})
}

// documented looks for texts in the document of a call.
func documented(t *testing.T, l *lab.Lab, function, system string, texts ...string) {
	t.Helper()
	calls, err := l.Calls(hcsemu.CallFilter{Function: function, System: system})
	if err != nil || len(calls) == 0 {
		t.Fatalf("no %s of %s: %v", function, system, err)
	}
	text := strings.Join(strings.Fields(argsText(calls[0].Args)), "")
	for _, want := range texts {
		if !strings.Contains(text, want) {
			t.Errorf("%s does not say %s: %s", function, want, text)
		}
	}
}

func argsText(args hcsemu.Args) string {
	text, err := json.Marshal(args)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// whileItRuns checks what works the same in both modes.
func whileItRuns(t *testing.T, l *lab.Lab, c *client, id string) {
	t.Helper()
	m := emulated{l}
	if r := inside(t, m, id, `C:\in`, "cmd", "/c", "type a.txt"); strings.TrimSpace(r.Stdout) != "from the host" {
		t.Errorf("the mounted directory: %d, %q, %q", r.ExitCode, r.Stdout, r.Stderr)
	}
	if got := held(t, l, "credential guard"); !slices.Equal(got, []string{id}) {
		t.Errorf("credential guard instances %q", got)
	}
	ctx, cancel := c.within(time.Minute)
	defer cancel()
	update := func(annotations map[string]string, source, destination string) error {
		_, err := c.tasks.Update(ctx, &tasksapi.UpdateTaskRequest{
			ContainerID: id, Annotations: annotations,
			Resources: packed(t, mountURL, map[string]any{"HostPath": source, "ContainerPath": destination, "ReadOnly": true}),
		})
		return err
	}
	before := len(held(t, l, "mapped directory")) + len(held(t, l, "vsmb share"))
	if err := update(nil, `C:\later`, `C:\late`); err != nil {
		t.Errorf("mount of the running container: %v", err)
	}
	if after := len(held(t, l, "mapped directory")) + len(held(t, l, "vsmb share")); after != before+1 {
		t.Errorf("%d directories and shares before the mount, %d after", before, after)
	}
	if err := update(nil, `C:\later`, `C:\LATE`); status.Code(err) != codes.AlreadyExists {
		t.Errorf("a second mount there: %v", err)
	}
	if err := update(nil, `C:\nowhere`, `C:\late2`); status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), `C:\nowhere`) {
		t.Errorf("a mount of nothing: %v", err)
	}
	if err := update(map[string]string{"io.isol.unmount": "true"}, `C:\later`, `C:\late`); err != nil {
		t.Errorf("unmount: %v", err)
	}
	if after := len(held(t, l, "mapped directory")) + len(held(t, l, "vsmb share")); after != before {
		t.Errorf("%d directories and shares before, %d after the unmount", before, after)
	}
}

// What cannot cross is refused at create, by name and with a code; nothing is
// left of the attempt.
func TestCrossingsRefused(t *testing.T) {
	l, c := crossingLab(t)
	with := func(mounts ...specs.Mount) func(*specs.Spec) {
		return func(s *specs.Spec) { s.Mounts = mounts }
	}
	device := func(devices ...specs.WindowsDevice) func(*specs.Spec) {
		return func(s *specs.Spec) { s.Windows.Devices = devices }
	}
	for _, tc := range []struct {
		name   string
		hyperv bool
		change func(*specs.Spec)
		code   codes.Code
		says   []string
	}{
		{"source that is not there", false, with(bind(`C:\nowhere`, `C:\in`)), codes.FailedPrecondition, []string{`C:\nowhere`, "must exist"}},
		{"source that is not there, in a VM", true, with(bind(`C:\nowhere`, `C:\in`)), codes.FailedPrecondition, []string{`C:\nowhere`, "must exist"}},
		{"relative source", false, with(bind(`data`, `C:\in`)), codes.InvalidArgument, []string{"data", "absolute"}},
		{"no source", false, with(bind(``, `C:\in`)), codes.InvalidArgument, []string{"mounts[0]", "needed"}},
		{"the system drive", false, with(bind(`C:\data`, `C:\`)), codes.InvalidArgument, []string{"own file system"}},
		{"two to one place", false, with(bind(`C:\data`, `C:\in`), bind(`C:\later`, `c:/IN`)), codes.InvalidArgument, []string{"mounts[0]", "same destination"}},
		{"a disk in process isolation", false, with(specs.Mount{Source: `C:\disks\d.vhdx`, Destination: `C:\disk`, Type: "virtual-disk"}), codes.InvalidArgument, []string{"use Hyper-V isolation"}},
		{"sandbox:// in process isolation", false, with(specs.Mount{Source: `sandbox://x`, Destination: `C:\x`}), codes.InvalidArgument, []string{"mount a directory of the host"}},
		{"unknown device class", false, device(specs.WindowsDevice{IDType: "usb", ID: "x"}), codes.InvalidArgument, []string{"usb", "class"}},
		{"class that is no GUID", false, device(specs.WindowsDevice{IDType: "class", ID: "gpu"}), codes.InvalidArgument, []string{"gpu", "GUID"}},
		{"GPU class in a VM", true, device(specs.WindowsDevice{IDType: "class", ID: "5B45201D-F2F2-4F3B-85BB-30FF1F953599"}), codes.InvalidArgument, []string{"use process isolation"}},
		{"credential spec that is no JSON", false, func(s *specs.Spec) { s.Windows.CredentialSpec = "file://x.json" }, codes.InvalidArgument, []string{"credentialSpec", "JSON"}},
		{"credential spec that is forbidden", false, func(s *specs.Spec) {
			s.Windows.CredentialSpec = crossGMSA
			s.Annotations["io.microsoft.container.wcow.gmsa.disable"] = "true"
		}, codes.PermissionDenied, []string{"gmsa.disable"}},
		{"exclusive processor settings", false, func(s *specs.Spec) {
			n, share := uint64(1), uint16(10)
			s.Windows.Resources = &specs.WindowsResources{CPU: &specs.WindowsCPUResources{Count: &n, Shares: &share}}
		}, codes.InvalidArgument, []string{"mutually exclusive"}},
		{"processors that are not there", false, func(s *specs.Spec) {
			s.Windows.Resources = &specs.WindowsResources{CPU: &specs.WindowsCPUResources{Affinity: []specs.WindowsCPUGroupAffinity{{Mask: 1 << 63}}}}
		}, codes.InvalidArgument, []string{"processors"}},
		{"affinity in a VM", true, func(s *specs.Spec) {
			s.Windows.Resources = &specs.WindowsResources{CPU: &specs.WindowsCPUResources{Affinity: []specs.WindowsCPUGroupAffinity{{Mask: 1}}}}
		}, codes.Unimplemented, []string{"use process isolation"}},
		{"drivers that are not there", true, func(s *specs.Spec) {
			s.Annotations["io.microsoft.virtualmachine.kerneldrivers"] = `C:\nodrivers`
		}, codes.NotFound, []string{`C:\nodrivers`}},
		{"device extension that is no JSON", false, func(s *specs.Spec) {
			s.Annotations["io.microsoft.container.wcow.deviceextensions"] = `C:\data\a.txt`
		}, codes.InvalidArgument, []string{`C:\data\a.txt`, "device extension"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := c.begin("refused", crossingSpec(tc.hyperv, tc.change))
			if status.Code(err) != tc.code {
				t.Errorf("code %v, want %v: %v", status.Code(err), tc.code, err)
			}
			says(t, err, tc.says...)
			c.remove("refused")
		})
	}
	settled(t, l)
}

// What each mode promises, checked from outside: processes, objects, registry
// and files. The lab's process containers share the host's object and registry
// name spaces, as Wine has no silos, and all network stacks are one: those
// promises only a Windows machine can show.
func TestIsolationIsKept(t *testing.T) {
	l, c := crossingLab(t)
	m := emulated{l}
	for id, hyperv := range map[string]bool{"kept1": true, "kept2": true, "kept3": false} {
		if err := c.begin(id, crossingSpec(hyperv, nil)); err != nil {
			t.Fatal(err)
		}
	}
	if n := programs(t, l, "probe.exe"); n != 1 {
		t.Errorf("the host's list has %d probe.exe: want that of the process container, none of the VMs'", n)
	}
	if n := programs(t, l, "vmwp.exe"); n != 2 {
		t.Errorf("the host's list has %d vmwp.exe, want one for each VM", n)
	}
	if out := must(t, m, "task", "exec", "--exec-id", "hold", "-d", "kept1", "probe", "hold", "secret"); strings.Contains(out, "error") {
		t.Fatal(out)
	}
	find := func(id string) string {
		return strings.TrimSpace(inside(t, m, id, `C:\`, "probe", "find", "secret").Stdout)
	}
	for deadline := time.Now().Add(10 * time.Second); find("kept1") != "object key" && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
	}
	for id, want := range map[string]string{"kept1": "object key", "kept2": "nothing", "kept3": "nothing"} {
		if got := find(id); got != want {
			t.Errorf("an object and a registry key of kept1: %s sees %q, want %q", id, got, want)
		}
	}
	// A folder of the host that nobody asked for is not there, and what a VM
	// writes is not on the host.
	for _, id := range []string{"kept1", "kept2"} {
		if r := inside(t, m, id, `C:\`, "cmd", "/c", `type C:\data\a.txt`); r.ExitCode == 0 || strings.Contains(r.Stdout, "from the host") {
			t.Errorf("%s reads a file of the host: %q", id, r.Stdout)
		}
	}
	inside(t, m, "kept1", `C:\`, "cmd", "/c", `echo x> C:\windows\temp\of-kept1.txt`)
	if _, err := os.Stat(l.Path(`C:\windows\temp\of-kept1.txt`)); err == nil {
		t.Error("what a VM wrote to its drive C: is on the host's")
	}
	for _, id := range []string{"kept1", "kept2", "kept3"} {
		c.remove(id)
	}
	settled(t, l)
}
