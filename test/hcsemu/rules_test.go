package hcsemu

import (
	"strings"
	"testing"

	"github.com/isolrun/isol/internal/hcs/schema"
)

// A document that Windows would refuse, or that only a newer Windows takes, must
// not pass here: nobody else would notice before a customer does.
func TestContainerDocuments(t *testing.T) {
	edit := func(f func(c *schema.Container)) func(*schema.ComputeSystem) {
		return func(d *schema.ComputeSystem) { f(d.Container) }
	}
	for _, tt := range []struct {
		name string
		edit func(*schema.ComputeSystem)
		want HRESULT
		says string
	}{
		{"good", func(*schema.ComputeSystem) {}, OK, ""},
		{"no kind", func(d *schema.ComputeSystem) { d.Container = nil }, EInvalidJSON, "one of Container"},
		{"two kinds", func(d *schema.ComputeSystem) { d.VirtualMachine = &schema.VirtualMachine{} }, EInvalidJSON, "not 2"},
		{"hosted", func(d *schema.ComputeSystem) { d.Container, d.HostedSystem = nil, &schema.HostedSystem{} }, ENotSupported, "bridge"},
		{"no version", func(d *schema.ComputeSystem) { d.SchemaVersion = nil }, EInvalidJSON, "SchemaVersion"},
		{"version 1", func(d *schema.ComputeSystem) { d.SchemaVersion = &schema.Version{Major: 1} }, EInvalidJSON, "SchemaVersion"},
		{"version too new", func(d *schema.ComputeSystem) { d.SchemaVersion = &schema.Version{Major: 2, Minor: 7} }, EInvalidJSON, "2.4"},
		{"no storage", edit(func(c *schema.Container) { c.Storage = nil }), EInvalidJSON, "Path"},
		{"no layers", edit(func(c *schema.Container) { c.Storage.Layers = nil }), EInvalidJSON, "Layers"},
		{"volume that is not mounted", edit(func(c *schema.Container) { c.Storage.Path = `\\?\Volume{00000000-0000-0000-0000-000000000000}\` }), EPathNotFound, "prepared"},
		{"layers in another order", edit(func(c *schema.Container) {
			l := c.Storage.Layers
			l[0], l[1] = l[1], l[0]
		}), EInvalidLayer, "prepared with"},
		{"one layer too few", edit(func(c *schema.Container) { c.Storage.Layers = c.Storage.Layers[:1] }), EInvalidLayer, "2 layers"},
		{"id of another layer", edit(func(c *schema.Container) { c.Storage.Layers[0].ID = c.Storage.Layers[1].ID }), EInvalidLayer, "has the id"},
		{"processor twice", edit(func(c *schema.Container) { c.Processor = &schema.ContainerProcessor{Count: 1, Maximum: 5000} }), EInvalidArg, "one of Count"},
		{"processor too much", edit(func(c *schema.Container) { c.Processor = &schema.ContainerProcessor{Maximum: 10001} }), EInvalidArg, "10000"},
		{"empty processor", edit(func(c *schema.Container) { c.Processor = &schema.ContainerProcessor{} }), OK, ""},
		{"relative directory", edit(func(c *schema.Container) {
			c.MappedDirectories = []schema.MappedDirectory{{HostPath: "data", ContainerPath: `C:\data`}}
		}), EInvalidArg, "absolute"},
		{"two directories at one place", edit(func(c *schema.Container) {
			c.MappedDirectories = []schema.MappedDirectory{{HostPath: `C:\a`, ContainerPath: `C:\data`}, {HostPath: `C:\b`, ContainerPath: `c:/DATA/`}}
		}), EAlreadyExists, "one destination"},
		{"pipe with prefix", edit(func(c *schema.Container) {
			c.MappedPipes = []schema.MappedPipe{{HostPath: `\\.\pipe\x`, ContainerPipeName: `\\.\pipe\x`}}
		}), EInvalidArg, "bare name"},
		{"namespace that is not there", edit(func(c *schema.Container) { c.Networking = &schema.Networking{Namespace: zeroGUID} }), EElementNotFound, "namespace"},
		{"extensions are newer than 2019 but known here", edit(func(c *schema.Container) { c.AdditionalDeviceNamespace = &schema.DeviceExtensions{} }), OK, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, Config{})
			_, err := b.CreateSystem(t.Context(), CreateSystem{ID: "c", Document: b.containerDoc(tt.edit)})
			b.code("create", err, tt.want)
			if err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %q does not say %q", err, tt.says)
			}
			if err != nil && !strings.Contains(ResultDocument(err), `"ErrorMessage"`) {
				t.Errorf("result document %s", ResultDocument(err))
			}
		})
	}
}

func TestDocumentsByBuild(t *testing.T) {
	extensions := func(d *schema.ComputeSystem) { d.Container.AdditionalDeviceNamespace = &schema.DeviceExtensions{} }
	b := newBench(t, Config{Build: 17763})
	_, err := b.CreateSystem(t.Context(), CreateSystem{ID: "c", Document: b.containerDoc(extensions)})
	b.code("a field of 20348 on 17763", err, EInvalidJSON)
	h := b.start("c")
	b.code("a resource of 19042 on 17763", b.ModifySystem(t.Context(), h,
		`{"ResourcePath":"Container/Processor","RequestType":"Update","Settings":{"Maximum":5000}}`), ENotSupported)
	for _, text := range []string{"", "{", `[]`, `{"Owner":1}`, `{"Ovner":"x"}`} {
		_, err := b.CreateSystem(t.Context(), CreateSystem{ID: "d", Document: text})
		b.code(text, err, EInvalidJSON)
	}
	_, err = b.CreateSystem(t.Context(), CreateSystem{Document: b.containerDoc()})
	b.code("no id", err, EInvalidArg)
}

// Only one container may stand on a volume.
func TestVolumeInUse(t *testing.T) {
	b := newBench(t, Config{})
	b.create("c")
	_, err := b.CreateSystem(t.Context(), CreateSystem{ID: "d", Document: b.containerDoc()})
	b.code("second container on a volume", err, ESharingViolation)
	b.code("unprepare below a container", b.UnprepareLayer(t.Context(), scratchPath), ESharingViolation)
}

// The version rule of process isolation, as the service has the last word on it.
func TestImageMismatch(t *testing.T) {
	for _, tt := range []struct {
		host, image uint32
		want        HRESULT
	}{
		{17763, 17763, OK}, {17763, 14393, EImageMismatch}, {17763, 20348, EImageMismatch},
		{20348, 20348, OK}, {20348, 17763, EImageMismatch}, {26100, 20348, OK}, {26100, 26200, EImageMismatch}, {26200, 26100, OK},
		{26100, 0, OK},
	} {
		b := newBench(t, Config{Build: tt.host, ImageBuild: func(layer string) uint32 {
			if layer != basePath {
				t.Errorf("asked for the build of %s", layer)
			}
			return tt.image
		}})
		_, err := b.CreateSystem(t.Context(), CreateSystem{ID: "c", Document: b.containerDoc()})
		if CodeOf(err) != tt.want {
			t.Errorf("image %d on host %d: %v, want 0x%08x", tt.image, tt.host, err, uint32(tt.want))
		}
	}
}

func TestMachineDocuments(t *testing.T) {
	for _, tt := range []struct {
		name string
		no   bool // hypervisor
		edit func(*schema.VirtualMachine)
		want HRESULT
	}{
		{"good", false, func(*schema.VirtualMachine) {}, OK},
		{"no hypervisor", true, func(*schema.VirtualMachine) {}, EHypervNotInstalled},
		{"no boot", false, func(v *schema.VirtualMachine) { v.Chipset = nil }, EInvalidJSON},
		{"two boots", false, func(v *schema.VirtualMachine) { v.Chipset.LinuxKernelDirect = &schema.LinuxKernelDirect{} }, EInvalidJSON},
		{"Linux", false, func(v *schema.VirtualMachine) {
			v.Chipset = &schema.Chipset{LinuxKernelDirect: &schema.LinuxKernelDirect{KernelFilePath: `C:\vmlinux`}}
		}, OK},
		{"no topology", false, func(v *schema.VirtualMachine) { v.ComputeTopology = nil }, EInvalidJSON},
		{"odd memory", false, func(v *schema.VirtualMachine) { v.ComputeTopology.Memory.SizeInMB = 1025 }, EInvalidArg},
		{"too many processors", false, func(v *schema.VirtualMachine) { v.ComputeTopology.Processor.Count = 3 }, EInvalidArg},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, Config{Hypervisor: !tt.no})
			doc := machineDoc()
			tt.edit(doc.VirtualMachine)
			_, err := b.CreateSystem(t.Context(), CreateSystem{ID: "c", Document: encode(doc)})
			b.code("create", err, tt.want)
		})
	}
}

// Hot-added resources are counted, found again, and go with the machine.
func TestMachineResources(t *testing.T) {
	b := newBench(t, Config{Hypervisor: true, Build: 26100})
	ctx := t.Context()
	doc := machineDoc()
	doc.VirtualMachine.Devices.NetworkAdapters = map[string]schema.NetworkAdapter{"n": {EndpointID: "e"}}
	doc.VirtualMachine.Devices.Plan9 = &schema.Plan9{Shares: []schema.Plan9Share{{Name: "p", Path: `C:\p`}}}
	doc.VirtualMachine.Devices.VirtualPCI = map[string]schema.VirtualPCIDevice{"g": {}}
	doc.VirtualMachine.Devices.VirtualPMem = &schema.VirtualPMemController{Devices: map[string]schema.VirtualPMemDevice{"0": {HostPath: `C:\r`}}}
	h, err := b.CreateSystem(ctx, CreateSystem{ID: "m", Document: encode(doc)})
	b.ok(err)
	b.ok(b.StartSystem(ctx, h, ""))
	if n := len(b.e.Ledger()); n != 1+1+1+6 { // root, system, handle, devices
		t.Errorf("%d entries:\n%s", n, b.e.Ledger())
	}
	scsi := func(do, lun string) string {
		return `{"ResourcePath":"VirtualMachine/Devices/Scsi/c0/Attachments/` + lun + `","RequestType":"` + do + `","Settings":{"Type":"VirtualDisk","Path":"C:\\d.vhdx"}}`
	}
	share := func(do, name string) string {
		return `{"ResourcePath":"VirtualMachine/Devices/VirtualSmb/Shares","RequestType":"` + do + `","Settings":{"Name":"` + name + `","Path":"C:\\l"}}`
	}
	for _, tt := range []struct {
		name, request string
		want          HRESULT
	}{
		{"disk at a free LUN", scsi("Add", "1"), OK},
		{"disk at a taken LUN", scsi("Add", "1"), EAlreadyExists},
		{"disk beyond the controller", scsi("Add", "64"), EInvalidArg},
		{"remove a disk", scsi("Remove", "1"), OK},
		{"remove it again", scsi("Remove", "1"), EElementNotFound},
		{"share", share("Add", "s1"), OK},
		{"share of that name", share("Add", "s1"), EAlreadyExists},
		{"remove a share", share("Remove", "s1"), OK},
		{"adapter without endpoint", `{"ResourcePath":"VirtualMachine/Devices/NetworkAdapters/a","RequestType":"Add","Settings":{"EndpointId":"` + zeroGUID + `"}}`, EEndpointNotFound},
		{"even memory", `{"ResourcePath":"VirtualMachine/ComputeTopology/Memory/SizeInMB","RequestType":"Update","Settings":2048}`, OK},
		{"odd memory", `{"ResourcePath":"VirtualMachine/ComputeTopology/Memory/SizeInMB","RequestType":"Update","Settings":2047}`, EInvalidArg},
		{"no memory", `{"ResourcePath":"VirtualMachine/ComputeTopology/Memory/SizeInMB","RequestType":"Update","Settings":0}`, EInvalidArg},
		{"memory added", `{"ResourcePath":"VirtualMachine/ComputeTopology/Memory/SizeInMB","RequestType":"Add","Settings":2}`, ENotSupported},
		{"limits", `{"ResourcePath":"VirtualMachine/ComputeTopology/Processor/Limits","RequestType":"Update","Settings":{"Limit":50000}}`, OK},
		{"a container's resource", `{"ResourcePath":"Container/Memory/SizeInMB","RequestType":"Update","Settings":5}`, EInvalidArg},
		{"no such path", `{"ResourcePath":"VirtualMachine/Nothing","RequestType":"Update"}`, EInvalidJSON},
		{"wrong settings", `{"ResourcePath":"VirtualMachine/ComputeTopology/Memory/SizeInMB","RequestType":"Update","Settings":"big"}`, EInvalidJSON},
	} {
		b.code(tt.name, b.ModifySystem(ctx, h, tt.request), tt.want)
	}
	b.code("handle", b.ModifySystem(ctx, 99, share("Add", "s2")), EHandle)
	b.ok(b.CloseSystem(h))
	eventually(t, "the machine is gone", func() bool { return len(b.e.Ledger()) == 1 })
	b.cleanEnd()
}

func TestContainerResources(t *testing.T) {
	b := newBench(t, Config{})
	ctx := t.Context()
	h := b.start("c")
	for _, tt := range []struct {
		name, request string
		want          HRESULT
	}{
		{"processor", `{"ResourcePath":"Container/Processor","RequestType":"Update","Settings":{"Maximum":5000}}`, OK},
		{"processor twice", `{"ResourcePath":"Container/Processor","RequestType":"Update","Settings":{"Maximum":5000,"Count":1}}`, EInvalidArg},
		{"map", `{"ResourcePath":"Container/MappedDirectories","RequestType":"Add","Settings":{"HostPath":"C:\\a","ContainerPath":"C:\\b"}}`, OK},
		{"map there again", `{"ResourcePath":"Container/MappedDirectories","RequestType":"Add","Settings":{"HostPath":"C:\\c","ContainerPath":"C:\\B"}}`, EAlreadyExists},
		{"unmap", `{"ResourcePath":"Container/MappedDirectories","RequestType":"Remove","Settings":{"HostPath":"C:\\a","ContainerPath":"C:\\b"}}`, OK},
		{"pipe", `{"ResourcePath":"Container/MappedPipes","RequestType":"Add","Settings":{"HostPath":"\\\\.\\pipe\\x","ContainerPipeName":"x"}}`, OK},
	} {
		b.code(tt.name, b.ModifySystem(ctx, h, tt.request), tt.want)
	}
	if l := b.e.Ledger().String(); !strings.Contains(l, `mapped pipe \\.\pipe\x of c`) || strings.Contains(l, "mapped directory") {
		t.Errorf("ledger:\n%s", l)
	}
}

func TestServiceProperties(t *testing.T) {
	b := newBench(t, Config{CPUs: 3})
	ctx := t.Context()
	for query, want := range map[string]string{
		"":                                      `{"Properties":[{"SupportedSchemaVersions":[{"Major":1,"Minor":0},{"Major":2,"Minor":4}]}]}`,
		`{"PropertyTypes":["QoSCapabilities"]}`: `{"Properties":[{"ProcessorQoSSupported":true}]}`,
		`{"PropertyTypes":["ContainerCredentialGuard"]}`: `{"Properties":[{}]}`,
	} {
		got, err := b.ServiceProperties(ctx, query)
		b.ok(err)
		if got != want {
			t.Errorf("query %s: %s, want %s", query, got, want)
		}
	}
	answer, err := b.ServiceProperties(ctx, `{"PropertyTypes":["ProcessorTopology"]}`)
	b.ok(err)
	if !strings.Contains(answer, `"LogicalProcessorCount":3`) || strings.Count(answer, "LpIndex") != 3 {
		t.Errorf("topology %s", answer)
	}
	for query, want := range map[string]HRESULT{
		`{"PropertyTypes":["CacheAllocation"]}`: ENotSupported, `{"PropertyQueries":{"a":{}}}`: ENotSupported, `{"X":1}`: EInvalidJSON,
	} {
		_, err := b.ServiceProperties(ctx, query)
		b.code(query, err, want)
	}
}

func TestCredentialGuard(t *testing.T) {
	b := newBench(t, Config{})
	ctx := t.Context()
	add := `{"PropertyType":"ContainerCredentialGuard","Settings":{"Operation":"AddInstance","OperationDetails":{"Id":"c","CredentialSpec":"{}","Transport":"LRPC"}}}`
	answer, err := b.ModifyService(ctx, add)
	b.ok(err)
	b.ok(schema.Validate[schema.CredentialGuardInstance]([]byte(answer), 20348))
	_, err = b.ModifyService(ctx, add)
	b.code("again", err, EAlreadyExists)
	if b.e.Ledger().Leaks()[0].Kind != "credential guard" {
		t.Errorf("ledger:\n%s", b.e.Ledger())
	}
	remove := `{"PropertyType":"ContainerCredentialGuard","Settings":{"Operation":"RemoveInstance","OperationDetails":{"Id":"c"}}}`
	_, err = b.ModifyService(ctx, remove)
	b.ok(err)
	_, err = b.ModifyService(ctx, remove)
	b.code("remove again", err, EElementNotFound)
	_, err = b.ModifyService(ctx, strings.Replace(add, `"{}"`, `"spec"`, 1))
	b.code("spec that is no JSON", err, EInvalidArg)
	_, err = b.ModifyService(ctx, `{"PropertyType":"Memory"}`)
	b.code("other setting", err, ENotSupported)
	_, err = b.ModifyService(ctx, `[]`)
	b.code("no object", err, EInvalidJSON)
	b.cleanEnd()
}
