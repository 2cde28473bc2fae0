package doc

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/oci"
)

var update = flag.Bool("update", false, "write the golden files")

const volumeID = `\\?\Volume{0d1e2f30-aaaa-bbbb-cccc-1234567890ab}`

func facts() Facts {
	return Facts{
		Owner: "containerd-shim-isol-v1.exe",
		Root:  volumeID + `\`,
		Layers: []Layer{
			{ID: "6d7a3b31-8c1f-5e5e-9d50-b1b5c7a0a001", Path: `C:\snapshots\2`},
			{ID: "6d7a3b31-8c1f-5e5e-9d50-b1b5c7a0a000", Path: `C:\snapshots\1`},
		},
	}
}

func plan(c isolation.Container) *isolation.Plan {
	return &isolation.Plan{Mode: isolation.ModeProcess, Container: c}
}

// full is a plan that fills every section that Windows of 1809 takes.
func full() isolation.Container {
	return isolation.Container{
		HostName:  "web-0",
		MemoryMB:  512,
		Processor: isolation.Processor{Limit: 5000},
		Storage:   isolation.StorageQoS{IOPS: 500, Bandwidth: 10 << 20},
		Mounts: []isolation.Mount{
			{Source: `C:\data`, Destination: `C:\data`, ReadOnly: true},
			{Source: `C:\logs`, Destination: `D:\logs`},
		},
		Pipes: []isolation.Pipe{{HostPath: `\\.\pipe\docker_engine`, ContainerName: "docker_engine"}},
		Network: isolation.Network{
			NamespaceID: "5c5e1d0e-0d5c-4a4a-9d9c-0f3a3b1c2d3e", UnqualifiedDNSQuery: true,
			DNSSearch: []string{"default.svc.cluster.local", "svc.cluster.local"},
		},
		Devices: []isolation.Device{{IDType: "class", ID: "5B45201D-F2F2-4F3B-85BB-30FF1F953599"}},
		Registry: []isolation.RegistryValue{
			{Hive: "Software", Key: `Vendor`, Name: "Zero", Type: "DWord"},
			{Hive: "Software", Key: `Vendor`, Name: "Big", Type: "QWord", QWord: 1 << 40},
			{Hive: "Software", Key: `Vendor`, Name: "Raw", Type: "Binary", Bin: []byte{0, 255}},
		},
		Dump: &isolation.Dump{Folder: `C:\dumps`, Type: 2, Count: 10},
	}
}

// golden compares v with testdata/name.json, or writes it with -update.
func golden(t *testing.T, name string, v any) {
	t.Helper()
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(file, buf.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(buf.String(), "\n")); diff != "" {
		t.Errorf("%s differs (-want +got), go test -update writes it:\n%s", file, diff)
	}
}

// valid checks v as a T of the builds.
func valid[T any](t *testing.T, v any, builds ...uint32) {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range builds {
		if err := schema.Validate[T](raw, b); err != nil {
			t.Errorf("build %d: %v", b, err)
		}
	}
}

// A container must not start without the identity or the devices that it asked
// for because nobody has made them.
func TestWhatNobodyMade(t *testing.T) {
	for _, c := range []struct {
		name  string
		build func() error
	}{
		{"credential spec", func() error {
			_, err := Container(plan(isolation.Container{CredentialSpec: "{}"}), facts())
			return err
		}},
		{"device extension", func() error {
			_, err := Container(plan(isolation.Container{DeviceExtensions: []string{`C:\gpu.json`}}), facts())
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.build(); !fault.Is(err, fault.Unimplemented) {
				t.Errorf("%v, want Unimplemented", err)
			}
		})
	}
}

// The documents are what production's shim has proven: a change shows here.
func TestContainer(t *testing.T) {
	for _, c := range []struct {
		name   string
		plan   *isolation.Plan
		facts  func(*Facts)
		builds []uint32
	}{
		{"minimal", plan(isolation.Container{}), nil, []uint32{17763, 20348, 26100}},
		{"full", plan(full()), nil, []uint32{17763, 20348, 26100}},
		{"devices", plan(isolation.Container{DeviceExtensions: []string{`C:\gpu.json`}, Devices: []isolation.Device{
			{IDType: "vpci-location-path", ID: "PCIROOT(0)#PCI(0100)"}, {IDType: "vpci-class-guid", ID: "5B45201D-F2F2-4F3B-85BB-30FF1F953599"},
		}}), func(f *Facts) {
			f.Extensions = []schema.DeviceExtension{{DeviceCategory: &schema.DeviceCategory{Name: "gpu"}}}
		}, []uint32{20348, 26100}},
		{"credential", plan(isolation.Container{CredentialSpec: `{}`, Network: isolation.Network{EndpointIDs: []string{"e"}}}), func(f *Facts) {
			f.Namespace = "made-for-the-endpoints"
			f.CredentialGuard = &schema.CredentialGuardState{Cookie: "c", RPCEndpoint: "r", Transport: schema.TransportLRPC, CredentialSpec: "{}"}
		}, []uint32{17763, 20348, 26100}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := facts()
			if c.facts != nil {
				c.facts(&f)
			}
			doc, err := Container(c.plan, f)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "container-"+c.name, doc)
			valid[schema.ComputeSystem](t, doc, c.builds...)
		})
	}
}

func TestHosted(t *testing.T) {
	inVM := isolation.Container{
		HostName: "web-0",
		Mounts: []isolation.Mount{
			{Source: `C:\data`, Destination: `C:\data`, ReadOnly: true, Mechanism: isolation.MechanismVSMB},
			{Source: "made by the guest", Destination: `C:\x`, Mechanism: isolation.MechanismGuest},
		},
		Devices: []isolation.Device{{IDType: "gpu", ID: `PCIP\VEN`}},
	}
	hostProcess := isolation.Container{HostProcess: &isolation.HostProcess{InGuest: true, RootfsFolder: `C:\own`}}
	f := facts()
	f.Root = `c:\mounts\scsi\m0`
	f.Paths = []string{`\\?\VMSMB\VSMB-{dcc079ae-60ba-4d07-847c-3493609c0870}\s2`, ""}
	f.Devices = []schema.ContainerDevice{{Type: schema.DeviceTypeInstance, LocationPath: "PCIROOT(1)"}}
	doc, err := Hosted(&isolation.Plan{Mode: isolation.ModeHyperV, Container: inVM}, f)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "hosted", doc)
	valid[schema.Container](t, doc, 20348, 26100)

	f.Paths, f.Devices = nil, nil
	doc, err = Hosted(&isolation.Plan{Mode: isolation.ModeHostProcess, Container: hostProcess}, f)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "hosted-hostprocess", doc)
	valid[schema.Container](t, doc, 17763, 20348, 26100)

	hostProcess.HostProcess.RootfsFolder = defaultRootfsFolder
	doc, err = Hosted(&isolation.Plan{Mode: isolation.ModeHostProcess, Container: hostProcess}, f)
	if err != nil || doc.Storage.PrivilegedContainerRootPath != "" {
		t.Errorf("the default folder is for the guest to know: %+v, %v", doc, err)
	}
}

// A document of a plan that it does not fit would start something else than
// was decided.
func TestUnfitPlans(t *testing.T) {
	for _, c := range []struct {
		name   string
		plan   *isolation.Plan
		facts  func(*Facts)
		hosted bool
		want   string
	}{
		{name: "no plan", want: "not of a process container"},
		{name: "a plan for a VM", plan: &isolation.Plan{Mode: isolation.ModeHyperV}, want: "not of a process container"},
		{name: "a Linux guest", plan: &isolation.Plan{Mode: isolation.ModeProcess, Guest: isolation.GuestLinux}, want: "not of a process container"},
		{name: "a root that is a folder", plan: plan(isolation.Container{}), facts: func(f *Facts) { f.Root = `C:\x` }, want: `want \\?\Volume{GUID}\`},
		{name: "no root", plan: plan(isolation.Container{}), facts: func(f *Facts) { f.Root = "" }, want: `the root ""`},
		{name: "two processor limits", plan: plan(isolation.Container{Processor: isolation.Processor{Count: 1, Weight: 2}}), want: "exclude each other"},
		{name: "a device of a VM", plan: plan(isolation.Container{Devices: []isolation.Device{{IDType: "gpu", ID: "x"}}}), want: "only a utility VM"},
		{name: "hosted, no plan", hosted: true, want: "not of a container in a Windows utility VM"},
		{name: "hosted, a process plan", plan: plan(isolation.Container{}), hosted: true, want: "not of a container in a Windows utility VM"},
		{name: "hosted, a mount without path", plan: &isolation.Plan{Mode: isolation.ModeHyperV, Container: isolation.Container{Mounts: make([]isolation.Mount, 1)}}, hosted: true, want: "1 mounts and 0 paths"},
		{name: "hosted, two processor limits", plan: &isolation.Plan{Mode: isolation.ModeHyperV, Container: isolation.Container{Processor: isolation.Processor{Count: 1, Limit: 2}}}, hosted: true, want: "exclude each other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := facts()
			if c.facts != nil {
				c.facts(&f)
			}
			var err error
			if c.hosted {
				_, err = Hosted(c.plan, f)
			} else {
				_, err = Container(c.plan, f)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !fault.Is(err, fault.Internal) {
				t.Errorf("error %v, want %q of kind internal", err, c.want)
			}
		})
	}
}

// The service refuses a volume without its last backslash.
func TestRootEndsWithBackslash(t *testing.T) {
	f := facts()
	f.Root = volumeID
	doc, err := Container(plan(isolation.Container{}), f)
	if err != nil || doc.Container.Storage.Path != volumeID+`\` {
		t.Errorf("%+v, %v", doc, err)
	}
}

func TestProcess(t *testing.T) {
	for _, c := range []struct {
		name string
		in   oci.Process
		io   Pipes
		want schema.ProcessParameters
	}{
		{
			"a command with its variables",
			oci.Process{Args: []string{"cmd", "/c", "echo hi"}, Cwd: `C:\`, Env: []string{"A=b", "EMPTY=", "E=x=y"}, User: "ContainerUser"},
			Pipes{Stdout: true, Stderr: true},
			schema.ProcessParameters{
				CommandLine: `cmd /c "echo hi"`, WorkingDirectory: `C:\`, User: "ContainerUser", CreateStdOutPipe: true, CreateStdErrPipe: true,
				Environment: map[string]string{"A": "b", "EMPTY": "", "E": "x=y"},
			},
		},
		{
			"a console has no pipe for errors",
			oci.Process{CommandLine: "cmd", Terminal: true, ConsoleSize: oci.ConsoleSize{Height: 25, Width: 80}},
			Pipes{Stdin: true, Stdout: true, Stderr: true},
			schema.ProcessParameters{
				CommandLine: "cmd", EmulateConsole: true, ConsoleSize: []uint16{25, 80}, CreateStdInPipe: true, CreateStdOutPipe: true,
				Environment: map[string]string{},
			},
		},
		{
			"a size without console means nothing",
			oci.Process{CommandLine: "cmd", ConsoleSize: oci.ConsoleSize{Height: 25, Width: 80}}, Pipes{},
			schema.ProcessParameters{CommandLine: "cmd", Environment: map[string]string{}},
		},
		{
			"the later of two spellings wins",
			oci.Process{CommandLine: "cmd", Env: []string{"Path=a", "PATH=b", "path=c"}}, Pipes{},
			schema.ProcessParameters{CommandLine: "cmd", Environment: map[string]string{"path": "c"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Process(&c.in, c.io)
			if diff := cmp.Diff(&c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			valid[schema.ProcessParameters](t, got, 17763)
		})
	}
}

func TestModifications(t *testing.T) {
	processor, err := Processor(isolation.Processor{Count: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		req   *schema.ModificationRequest
		build uint32
		want  string
	}{
		{"memory", Memory(512), 17763, `{"ResourcePath":"Container/Memory/SizeInMB","RequestType":"Update","Settings":512}`},
		{"processors", processor, 19042, `{"ResourcePath":"Container/Processor","RequestType":"Update","Settings":{"Count":2}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw, err := json.Marshal(c.req)
			if err != nil || string(raw) != c.want {
				t.Errorf("%s, %v; want %s", raw, err, c.want)
			}
			valid[schema.ModificationRequest](t, c.req, c.build)
		})
	}
	if _, err := Processor(isolation.Processor{Count: 2, Limit: 3}); err == nil {
		t.Error("two processor limits at once passed")
	}
}
