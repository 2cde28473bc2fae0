package oci

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/isolrun/isol/internal/fault"
)

// TestErrors shows each refusal of a spec by its text: it is what an operator
// reads in kubectl describe, and all they have.
func TestErrors(t *testing.T) {
	big, tiny, one, two := uint16(10001), uint64(500), uint16(1), uint64(2)
	bad := fault.InvalidArgument
	for _, tc := range []struct {
		name string
		spec *specs.Spec
		kind fault.Kind
		text string
	}{
		{"no spec", nil, bad,
			"read spec windows: the spec has neither a windows nor a linux section (a Windows container needs a windows section, a Linux container a linux one)"},
		{"neither Windows nor Linux", &specs.Spec{}, bad,
			"read spec windows: the spec has neither a windows nor a linux section (a Windows container needs a windows section, a Linux container a linux one)"},

		{"misspelt key", windows(annotated("io.microsoft.container.memory.sizeInM", "512")), bad,
			`read annotation io.microsoft.container.memory.sizeInM: unknown annotation, value "512" (did you mean io.microsoft.container.memory.sizeinmb?)`},
		{"misspelt case of a prefix", windows(annotated("IO.isol.Isolation", "auto")), bad,
			`read annotation IO.isol.Isolation: unknown annotation, value "auto" (did you mean io.isol.isolation?)`},
		{"misspelt HostProcess", windows(annotated("microsoft.com/hostprocess-containers", "true")), bad,
			`read annotation microsoft.com/hostprocess-containers: unknown annotation, value "true" (did you mean microsoft.com/hostprocess-container?)`},
		{"key like none", windows(annotated("io.isol.x", "")), bad,
			`read annotation io.isol.x: unknown annotation, value "" (docs/annotations.md lists all that isol knows)`},
		{"two wrong annotations", windows(annotated(keyMemoryMB, "1g", keyIOPS, "many")), bad,
			`read annotation io.microsoft.container.memory.sizeinmb: "1g" is not a whole number from 1 to 16777215 (MB), or 0 for not said (write the number of MB without a unit)` + "\n" +
				`read annotation io.microsoft.container.storage.qos.iopsmaximum: "many" is not a whole number from 1 to 9223372036854775807 (operations/s), or 0 for not said`},
		{"unknown isolation", windows(annotated(string(KeyIsolation), "hyper-v")), bad,
			`read annotation io.isol.isolation: "hyper-v" is none of process, hyperv, auto`},
		{"refused", windows(annotated("io.microsoft.virtualmachine.lcow.privileged", "true")), fault.Unimplemented,
			`read annotation io.microsoft.virtualmachine.lcow.privileged: "true": isol does not do this: isol runs Windows guests: a Linux guest has a kernel, an agent and disks of its own that isol does not bring; use a handler of runhcs for Linux containers (remove it, or run this container with a runtime that does)`},

		{"bytes that the spec does not say", windows(memoryLimit(1<<30), annotated(string(KeyUVMMemoryMB), "2147483648")), bad,
			`read annotation io.microsoft.virtualmachine.computetopology.memory.sizeinmb: "2147483648" is not a whole number from 1 to 16777215 (MB), or 0 for not said (that many MB do not exist, it looks like bytes: write 2048)`},
		{"fraction of a processor", windows(annotated(string(KeyUVMProcessorCount), "1.5")), bad,
			`read annotation io.microsoft.virtualmachine.computetopology.processor.count: "1.5" is not a whole number from 1 to 2147483647 (processors), or 0 for not said (processors are counted whole; for a part of their time set io.microsoft.virtualmachine.computetopology.processor.limit)`},
		{"fraction below one", windows(cpu(specs.WindowsCPUResources{}), annotated(keyProcessorCount, "0.5")), bad,
			`read annotation io.microsoft.container.processor.count: "0.5" is not a whole number from 1 to 2147483647 (processors), or 0 for not said (processors are counted whole; for a part of their time set io.microsoft.container.processor.limit)`},

		{"HostProcess, True", windows(annotated(keyHostProcess, "True")), bad,
			`read annotation microsoft.com/hostprocess-container: "True" is not the exact text true, which alone switches this on: write true in small letters`},
		{"HostProcess asked for and forbidden", windows(annotated(keyHostProcess, "true", keyDisableHostProcess, "1")), bad,
			`read annotation: annotation microsoft.com/disable-hostprocess-container = "1" and annotation microsoft.com/hostprocess-container = "true" contradict each other: one forbids what the other asks for (remove one of them)`},
		{"HostProcess with unsafe operations off", windows(annotated(keyHostProcess, "true", keyDisableUnsafe, "true")), bad,
			`read annotation: annotation io.microsoft.disable-unsafe-operations = "true" and annotation microsoft.com/hostprocess-container = "true" contradict each other: one forbids what the other asks for (remove one of them)`},
		{"unsafe operations off, one on", windows(annotated(keyDisableUnsafe, "true", string(KeyUVMNoWritableShares), "false")), bad,
			`read annotation: annotation io.microsoft.disable-unsafe-operations = "true" and annotation io.microsoft.virtualmachine.fileshares.disablewritable = "false" contradict each other: the first gives its value to the second (remove one of them)`},
		{"CPU group and partition", windows(annotated(string(KeyUVMCPUGroup), testGUID, string(KeyUVMPartition), testGUID)), bad,
			`read annotation: annotation io.microsoft.virtualmachine.cpugroup.id = "3f2504e0-4f89-11d3-9a0c-0305e82c3301" and annotation io.microsoft.virtualmachine.resource-partition-id = "3f2504e0-4f89-11d3-9a0c-0305e82c3301" contradict each other: a resource partition has a CPU group of its own (remove one of them)`},
		{"deferred without overcommit", windows(annotated(string(KeyUVMDeferredCommit), "true", string(KeyUVMOvercommit), "false")), bad,
			`read annotation: annotation io.microsoft.virtualmachine.computetopology.memory.enabledeferredcommit = "true" and annotation io.microsoft.virtualmachine.computetopology.memory.allowovercommit = "false" contradict each other: memory is committed later or from the start, not both (remove one of them)`},
		{"physical and overcommit", windows(annotated(string(KeyUVMPhysical), "true", string(KeyUVMOvercommit), "true")), bad,
			`read annotation: annotation io.microsoft.virtualmachine.fullyphysicallybacked = "true" and annotation io.microsoft.virtualmachine.computetopology.memory.allowovercommit = "true" contradict each other: physically backed memory is not overcommitted (remove one of them)`},
		{"physical and deferred", windows(annotated(string(KeyUVMPhysical), "true", string(KeyUVMDeferredCommit), "true")), bad,
			`read annotation: annotation io.microsoft.virtualmachine.fullyphysicallybacked = "true" and annotation io.microsoft.virtualmachine.computetopology.memory.enabledeferredcommit = "true" contradict each other: physically backed memory is committed from the start (remove one of them)`},
		{"a service twice", windows(annotated(keyServiceTable+testGUID, "{}", keyServiceTable+strings.ToUpper(testGUID), `{"Disabled":true}`)), bad,
			`read annotation: annotation io.microsoft.virtualmachine.hv-socket.service-table.3F2504E0-4F89-11D3-9A0C-0305E82C3301 = "{\"Disabled\":true}" and annotation io.microsoft.virtualmachine.hv-socket.service-table.3f2504e0-4f89-11d3-9a0c-0305e82c3301 = "{}" contradict each other: they are the same key (remove one of them)`},
		{"a service without GUID", windows(annotated(keyServiceTable+"x", "{}")), bad,
			`read annotation io.microsoft.virtualmachine.hv-socket.service-table.x: "x" at the end of the key is not a GUID`},

		{"sandbox id alone", windows(annotated(keySandboxID, "p")), bad,
			"read spec annotation io.kubernetes.cri.sandbox-id: stands without io.kubernetes.cri.container-type (set both or none)"},
		{"container type alone", windows(annotated(keyContainerType, "sandbox")), bad,
			"read spec annotation io.kubernetes.cri.container-type: stands without io.kubernetes.cri.sandbox-id (set both or none)"},

		{"two processor limits", windows(cpu(specs.WindowsCPUResources{Count: &two}), annotated(keyProcessorWeight, "7")), bad,
			"read spec processor limits: count 2 (spec.windows.resources.cpu.count), weight 7 (annotation io.microsoft.container.processor.weight) are mutually exclusive in a Windows container (keep one of them)"},
		{"three processor limits", windows(cpu(specs.WindowsCPUResources{Count: &two, Maximum: &one, Shares: &one})), bad,
			"read spec processor limits: count 2 (spec.windows.resources.cpu.count), limit 1 (spec.windows.resources.cpu.maximum), weight 1 (spec.windows.resources.cpu.shares) are mutually exclusive in a Windows container (keep one of them)"},
		{"processor maximum", windows(cpu(specs.WindowsCPUResources{Maximum: &big})), bad,
			"read spec windows.resources.cpu.maximum: 10001 is not from 1 to 10000"},
		{"processor shares", windows(cpu(specs.WindowsCPUResources{Shares: &big})), bad,
			"read spec windows.resources.cpu.shares: 10001 is not from 1 to 10000"},
		{"empty affinity", windows(cpu(specs.WindowsCPUResources{Affinity: []specs.WindowsCPUGroupAffinity{{Mask: 1}, {Group: 1}}})), bad,
			"read spec windows.resources.cpu.affinity[1]: the mask is 0 (name at least one processor, or remove the entry)"},
		{"memory in MB", windows(memoryLimit(tiny)), bad,
			"read spec windows.resources.memory.limit: 500 bytes are less than 1 MiB (the limit is in bytes)"},

		{"read-only root", windows(func(s *specs.Spec) { s.Root.Readonly = true }), bad,
			"read spec root.readonly: Windows containers have no read-only root file system (remove it)"},
		{"servicing", windows(func(s *specs.Spec) { s.Windows.Servicing = true }), fault.Unimplemented,
			"read spec windows.servicing: isol does not start containers to service their image (remove it)"},
		{"credential spec as an object", windows(func(s *specs.Spec) { s.Windows.CredentialSpec = map[string]any{} }), bad,
			"read spec windows.credentialSpec: is not a string (write the JSON of the credential spec as one string)"},
		{"credential spec that is none", windows(func(s *specs.Spec) { s.Windows.CredentialSpec = "file://x" }), bad,
			"read spec windows.credentialSpec: is not the JSON of a credential spec (New-CredentialSpec of Microsoft's CredentialSpec module writes one)"},
		{"device without type", windows(func(s *specs.Spec) { s.Windows.Devices = []specs.WindowsDevice{{ID: "x"}} }), bad,
			`read spec windows.devices[0]: id "x", idType "": both are needed (for example id 5B45201D-F2F2-4F3B-85BB-30FF1F953599, idType class)`},
		{"namespace that is no GUID", windows(func(s *specs.Spec) { s.Windows.Network = &specs.WindowsNetwork{NetworkNamespace: "/var/run/netns/x"} }), bad,
			`read spec windows.network.networkNamespace: "/var/run/netns/x" is not a GUID (network namespaces of Windows have a GUID: see Get-HnsNamespace)`},

		{"mount without source", windows(mounted(specs.Mount{Source: `C:\a`, Destination: `C:\a`}, specs.Mount{Destination: `C:\b`})), bad,
			`read spec mounts[1]: source "", destination "C:\\b": both are needed`},
		{"mount read-only and writable", windows(mounted(specs.Mount{Source: `C:\a`, Destination: `C:\a`, Options: []string{"rw", "ro"}})), bad,
			"read spec mounts[0]: options ro and rw contradict each other (remove one of them)"},
		{"relative source", windows(mounted(specs.Mount{Source: `data`, Destination: `C:\a`})), bad,
			`read spec mounts[0]: source "data" is not absolute (write it with its drive: C:\folder)`},
		{"source on no drive", windows(mounted(specs.Mount{Source: `\data`, Destination: `C:\a`})), bad,
			`read spec mounts[0]: source "\\data" is not absolute (write it with its drive: C:\folder)`},
		{"relative destination", windows(mounted(specs.Mount{Source: `C:\a`, Destination: `a`})), bad,
			`read spec mounts[0]: destination "a" is not absolute (write it with its drive: C:\folder)`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse(tc.spec, nil)
			wantError(t, err, tc.kind, tc.text)
		})
	}
}

// TestDefaultErrors: an option that is wrong is called an option, not an
// annotation of the pod, whose author cannot mend it.
func TestDefaultErrors(t *testing.T) {
	for _, tc := range []struct {
		name     string
		defaults map[string]string
		text     string
	}{
		{"wrong value", map[string]string{keyIOPS: "x"},
			`read option default_container_annotations[io.microsoft.container.storage.qos.iopsmaximum]: "x" is not a whole number from 1 to 9223372036854775807 (operations/s), or 0 for not said`},
		{"unknown key", map[string]string{"io.isol.isolatoin": "auto"},
			`read option default_container_annotations[io.isol.isolatoin]: unknown annotation, value "auto" (did you mean io.isol.isolation?)`},
		{"grouping", map[string]string{keySandboxID: "x"},
			`read option default_container_annotations[io.kubernetes.cri.sandbox-id]: the pod of a container is not a default (remove it from the runtime's options)`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse(windows(), tc.defaults)
			wantError(t, err, fault.InvalidArgument, tc.text)
		})
	}
}

// TestNerdctl: what nerdctl --isolation hyperv -m 2g --cpus 1.5 writes starts.
func TestNerdctl(t *testing.T) {
	one := uint64(1)
	r := parse(t, windows(memoryLimit(2<<30), cpu(specs.WindowsCPUResources{Count: &one}),
		annotated(string(KeyUVMMemoryMB), "2147483648", string(KeyUVMProcessorCount), "1.5")), nil)
	if got := r.Annotations.Uint(KeyUVMMemoryMB); got.V != 2048 {
		t.Errorf("memory %d MB, want 2048", got.V)
	}
	if got := r.Annotations.Uint(KeyUVMProcessorCount); got.V != 1 {
		t.Errorf("processors %d, want 1", got.V)
	}
	if len(r.Notes) != 2 {
		t.Errorf("notes %v, want one for each", r.Notes)
	}
	for _, text := range []string{"1.", ".5", "1.5e3", "NaN.", "0x1.8p1", "-1.5", "1_0.5"} {
		if _, err := Parse(windows(cpu(specs.WindowsCPUResources{Count: &one}), annotated(keyProcessorCount, text)), nil); err == nil {
			t.Errorf("%q is taken for a fraction of 1", text)
		}
	}
}

// TestUnsafeOperationsOff: one annotation protects in four places.
func TestUnsafeOperationsOff(t *testing.T) {
	for _, text := range []string{"true", "false"} {
		r := parse(t, windows(annotated(keyDisableUnsafe, text, string(KeyUVMNoDirectMap), strings.ToUpper(text))), nil)
		on := text == "true"
		from := annotationSource(keyDisableUnsafe)
		for name, got := range map[string]Value[bool]{
			"gMSA": r.Annotations.Bool(KeyGMSADisable), "writable shares": r.Annotations.Bool(KeyUVMNoWritableShares),
			"direct map": r.Annotations.Bool(KeyUVMNoDirectMap), "HostProcess": r.HostProcess.Disabled,
		} {
			if got != (Value[bool]{on, from}) {
				t.Errorf("%s: %+v, want %v from %s", name, got, on, from)
			}
		}
	}
}

// TestForeignAnnotations: those of other programs pass, even odd ones.
func TestForeignAnnotations(t *testing.T) {
	r := parse(t, windows(annotated("io.kubernetes.cri.image-name", "x", "io.microsoft.other.thing", "", "microsoft.com/team", "x", "", "")), nil)
	if keys := r.Annotations.Keys(); len(keys) != 0 {
		t.Errorf("kept %v", keys)
	}
}

// TestTypedValues reads one value of each kind.
func TestTypedValues(t *testing.T) {
	r := parse(t, windows(annotated(
		string(KeyTestRegistry), `[{"Key":{"Hive":"Software","Name":"A"},"Name":"v","Type":"DWord","DWordValue":7}]`,
		string(KeyUVMCPUGroup), "{"+strings.ToUpper(testGUID)+"}",
		keyServiceTable+strings.ToUpper(testGUID), `{ "Disabled": true }`,
		"io.microsoft.virtualmachine.computetopology.memory.highmmiogapinmb", "0",
	)), nil)
	if got := r.Annotations.List(KeyUVMKernelDrivers); got.Set() {
		t.Errorf("drivers %q that nobody gave", got.V)
	}
	if got := r.Annotations.Registry(KeyTestRegistry).V; !cmp.Equal(got, []RegistryValue{{Hive: "Software", Key: "A", Name: "v", Type: "DWord", DWord: 7}}) {
		t.Errorf("registry %+v", got)
	}
	if got := r.Annotations.String(KeyUVMCPUGroup).V; got != testGUID {
		t.Errorf("GUID %q", got)
	}
	if got := r.Annotations.ServiceTable(); string(got[testGUID].V) != `{"Disabled":true}` {
		t.Errorf("services %s", got)
	}
	if got := r.Annotations.Uint(KeyUVMHighMMIOGapMB); !got.Set() {
		t.Error("0 of a number that may be 0 is lost")
	}
	if got := r.Annotations.UintList("io.microsoft.virtualmachine.lcow.extra-vsock-ports"); got.Set() {
		t.Errorf("ports %v that nobody gave", got)
	}
}
