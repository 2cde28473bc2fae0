package oci

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/isolrun/isol/internal/fault"
)

var update = flag.Bool("update", false, "write the golden files")

// windows returns a spec of a Windows container that Parse takes, changed.
func windows(change ...func(*specs.Spec)) *specs.Spec {
	s := &specs.Spec{
		Process:     &specs.Process{Args: []string{"cmd.exe"}, Cwd: `C:\`},
		Root:        &specs.Root{},
		Annotations: map[string]string{},
		Windows:     &specs.Windows{},
	}
	for _, c := range change {
		c(s)
	}
	return s
}

// annotated returns a change that sets annotations: key, value, key, value.
func annotated(kv ...string) func(*specs.Spec) {
	return func(s *specs.Spec) {
		for i := 0; i < len(kv); i += 2 {
			s.Annotations[kv[i]] = kv[i+1]
		}
	}
}

func memoryLimit(bytes uint64) func(*specs.Spec) {
	return func(s *specs.Spec) {
		resources(s).Memory = &specs.WindowsMemoryResources{Limit: &bytes}
	}
}

func cpu(c specs.WindowsCPUResources) func(*specs.Spec) {
	return func(s *specs.Spec) { resources(s).CPU = &c }
}

func resources(s *specs.Spec) *specs.WindowsResources {
	if s.Windows.Resources == nil {
		s.Windows.Resources = &specs.WindowsResources{}
	}
	return s.Windows.Resources
}

func mounted(m ...specs.Mount) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Mounts = m }
}

// parse fails the test if spec does not parse.
func parse(t *testing.T, spec *specs.Spec, defaults map[string]string) *Request {
	t.Helper()
	r, err := Parse(spec, defaults)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return r
}

// wantError fails the test unless err is of kind and reads as text.
func wantError(t *testing.T, err error, kind fault.Kind, text string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", text)
	}
	if got := fault.KindOf(err); got != kind {
		t.Errorf("kind %v, want %v", got, kind)
	}
	if got := err.Error(); got != text {
		t.Errorf("error\n got %s\nwant %s", got, text)
	}
}

// TestKubernetes reads what containerd's CRI writes for a container of a pod:
// if a field of it gets lost here, no later step can know.
func TestKubernetes(t *testing.T) {
	spec, err := ReadFile("testdata/kubernetes.json")
	if err != nil {
		t.Fatal(err)
	}
	r := parse(t, spec, map[string]string{
		"io.microsoft.container.storage.qos.iopsmaximum": "300",
		string(KeyDumpLocation):                          `C:\dumps`,
	})
	view := struct {
		*Request
		Given map[string]string
	}{r, map[string]string{}}
	for _, k := range r.Annotations.Keys() {
		view.Given[k] = r.Annotations.m[k].text + " from " + string(r.Annotations.m[k].source)
	}
	got, err := json.MarshalIndent(view, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "kubernetes.golden.json")
	if *update {
		if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(want)), string(got)); diff != "" {
		t.Errorf("request (-want +got); -update writes it anew:\n%s", diff)
	}
}

// TestParseSharesNothing: the shim changes neither spec nor defaults, and a
// later change of the spec by another must not reach the plan.
func TestParseSharesNothing(t *testing.T) {
	spec, err := ReadFile("testdata/kubernetes.json")
	if err != nil {
		t.Fatal(err)
	}
	before, _ := json.Marshal(spec)
	defaults := map[string]string{string(KeyDumpType): "mini"}
	r := parse(t, spec, defaults)
	after, _ := json.Marshal(spec)
	if diff := cmp.Diff(string(before), string(after)); diff != "" {
		t.Errorf("Parse changed the spec:\n%s", diff)
	}
	if len(defaults) != 1 {
		t.Errorf("Parse changed the defaults: %v", defaults)
	}
	spec.Process.Env[0], spec.Process.Args[0] = "X=y", "other"
	spec.Mounts[0].Options[0] = "ro"
	spec.Windows.Network.DNSSearchList[0] = "other"
	if r.Process.Env[0] == "X=y" || r.Process.Args[0] == "other" || r.Mounts[0].Options[0] == "ro" || r.Network.DNSSearch[0] == "other" {
		t.Error("the request shares memory with the spec")
	}
}

// TestRole: a container that lands in the wrong pod, or in none, is lost.
func TestRole(t *testing.T) {
	for _, tc := range []struct {
		name string
		kv   []string
		role Role
		id   string
	}{
		{"no pod", nil, RoleStandalone, ""},
		{"sandbox", []string{keyContainerType, "sandbox", keySandboxID, "p"}, RoleSandbox, "p"},
		{"container", []string{keyContainerType, "container", keySandboxID, "p"}, RoleWorkload, "p"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := parse(t, windows(annotated(tc.kv...)), nil)
			if r.Role != tc.role || r.SandboxID != tc.id {
				t.Errorf("role %v of %q, want %v of %q", r.Role, r.SandboxID, tc.role, tc.id)
			}
		})
	}
	if got := RoleSandbox.String() + RoleWorkload.String() + RoleStandalone.String(); got != "sandboxcontainerstandalone" {
		t.Errorf("names %s", got)
	}
}

// TestAsksForIsolation: what the decision starts from.
func TestAsksForIsolation(t *testing.T) {
	r := parse(t, windows(annotated(string(KeyIsolation), "auto", keyHostProcess, "true", keyInheritUser, "true", keyRootfsLocation, `D:\hpc`), func(s *specs.Spec) {
		s.Windows.HyperV = &specs.WindowsHyperV{UtilityVMPath: `C:\uvm`}
	}), nil)
	if r.Isolation != (Value[Isolation]{IsolationAuto, "annotation io.isol.isolation"}) {
		t.Errorf("isolation %+v", r.Isolation)
	}
	if r.HyperV == nil || r.HyperV.UtilityVMPath != `C:\uvm` {
		t.Errorf("hyperv %+v", r.HyperV)
	}
	want := HostProcess{
		Requested:   Value[bool]{true, "annotation " + keyHostProcess},
		InheritUser: Value[bool]{true, "annotation " + keyInheritUser},
		Rootfs:      Value[string]{`D:\hpc`, "annotation " + keyRootfsLocation},
	}
	if diff := cmp.Diff(want, r.HostProcess); diff != "" {
		t.Errorf("HostProcess:\n%s", diff)
	}
	if r.Linux {
		t.Error("a Windows container is taken for a Linux one")
	}
	linux := parse(t, &specs.Spec{Linux: &specs.Linux{}}, nil)
	if !linux.Linux || linux.Process != nil {
		t.Errorf("Linux container: %+v", linux)
	}
}

// TestResources: annotation before spec, and the loser is told of.
func TestResources(t *testing.T) {
	five, two := uint16(5000), uint64(2)
	r := parse(t, windows(memoryLimit(1<<30), cpu(specs.WindowsCPUResources{
		Maximum: &five, Affinity: []specs.WindowsCPUGroupAffinity{{Mask: 3, Group: 1}},
	}), func(s *specs.Spec) {
		s.Windows.Resources.Storage = &specs.WindowsStorageResources{Iops: &two, SandboxSize: &two}
	}, annotated(keyMemoryMB, "512", keyBandwidth, "1000", keyIOPS, "0")), nil)
	want := Resources{
		CPULimit:   Value[uint64]{5000, "spec.windows.resources.cpu.maximum"},
		Affinity:   []Affinity{{Mask: 3, Group: 1}},
		MemoryMB:   Value[uint64]{512, "annotation " + keyMemoryMB},
		IOPS:       Value[uint64]{2, "spec.windows.resources.storage.iops"},
		Bandwidth:  Value[uint64]{1000, "annotation " + keyBandwidth},
		ScratchMin: Value[uint64]{2, "spec.windows.resources.storage.sandboxSize"},
	}
	if diff := cmp.Diff(want, r.Resources); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Overruled{{"spec.windows.resources.memory.limit", "1024", "annotation " + keyMemoryMB}}, r.Overruled); diff != "" {
		t.Errorf("overruled (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Note{{"annotation " + keyIOPS, "0 is read as not said"}}, r.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

// TestSandboxMayHaveAllProcessorLimits: they size the utility VM of the pod.
func TestSandboxMayHaveAllProcessorLimits(t *testing.T) {
	count, shares := uint64(2), uint16(100)
	r := parse(t, windows(cpu(specs.WindowsCPUResources{Count: &count, Shares: &shares}),
		annotated(keyContainerType, "sandbox", keySandboxID, "p")), nil)
	wantError(t, r.Resources.CheckCPU(), fault.InvalidArgument,
		"read spec processor limits: count 2 (spec.windows.resources.cpu.count), weight 100 (spec.windows.resources.cpu.shares) are mutually exclusive in a Windows container (keep one of them)")
}

// TestAsks: what Windows containers do not have is found however it is asked for.
func TestAsks(t *testing.T) {
	for _, tc := range []struct {
		name    string
		m       specs.Mount
		feature Feature
	}{
		{"tmpfs on /dev/shm", specs.Mount{Type: "tmpfs", Source: "shm", Destination: "/dev/shm"}, FeatureSharedMemory},
		{"host folder on /dev/shm", specs.Mount{Type: "bind", Source: `C:\shm`, Destination: "/dev/shm"}, FeatureSharedMemory},
		{"below /dev/shm, in Windows' slashes", specs.Mount{Source: `C:\shm`, Destination: `\dev\shm\x`}, FeatureSharedMemory},
		{"shm type", specs.Mount{Type: "shm", Source: "shm", Destination: `C:\shm`}, FeatureSharedMemory},
		{"message queues", specs.Mount{Type: "mqueue", Source: "mqueue", Destination: "/dev/mqueue"}, FeatureIPCNamespace},
		{"folder on message queues", specs.Mount{Source: `C:\q`, Destination: "/dev/mqueue"}, FeatureIPCNamespace},
		{"tmpfs", specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: `C:\tmp`}, FeatureKernelMount},
		{"proc", specs.Mount{Type: "proc", Source: "proc", Destination: "/proc"}, FeatureKernelMount},
		{"named kernel objects", specs.Mount{Source: `\\?\GLOBALROOT\BaseNamedObjects`, Destination: `C:\objects`}, FeatureIPCNamespace},
		{"kernel objects of a session", specs.Mount{Source: `\\.\GLOBALROOT\Sessions\1\BaseNamedObjects`, Destination: `C:\objects`}, FeatureIPCNamespace},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := parse(t, windows(mounted(tc.m)), nil)
			if len(r.Asks) != 1 || r.Asks[0].Feature != tc.feature || r.Asks[0].Where != "mounts[0]" {
				t.Errorf("asks %+v, want one for %s", r.Asks, tc.feature)
			}
			if len(r.Mounts) != 0 {
				t.Errorf("is a mount as well: %+v", r.Mounts)
			}
		})
	}
	t.Run("linux section", func(t *testing.T) {
		r := parse(t, &specs.Spec{
			Linux: &specs.Linux{
				Namespaces: []specs.LinuxNamespace{
					{Type: specs.MountNamespace}, {Type: specs.PIDNamespace, Path: "/proc/1/ns/pid"}, {Type: specs.IPCNamespace}, {Type: specs.IPCNamespace, Path: "/x"},
				},
				Sysctl: map[string]string{"kernel.shmmax": "1"},
			},
			Mounts: []specs.Mount{{Type: "tmpfs", Source: "shm", Destination: "/dev/shm"}},
		}, nil)
		want := []Ask{
			{FeaturePIDNamespace, "linux.namespaces[1]", "pid /proc/1/ns/pid"},
			{FeatureIPCNamespace, "linux.namespaces[3]", "ipc /x"},
			{FeatureSysctl, "linux.sysctl[kernel.shmmax]", "1"},
		}
		if diff := cmp.Diff(want, r.Asks); diff != "" {
			t.Errorf("asks (-want +got):\n%s", diff)
		}
		if len(r.Mounts) != 1 {
			t.Errorf("a Linux guest has /dev/shm: %+v", r.Mounts)
		}
	})
}

// TestMounts: every form of source that a later step understands gets through.
func TestMounts(t *testing.T) {
	for _, source := range []string{
		`C:\data`, `c:/data`, `\\server\share\x`, `\\?\Volume{1}\`, `\\.\pipe\p`, `\\.\PHYSICALDRIVE1`,
		"sandbox:///tmp/a", `uvm://\\.\pipe\x`, `evd://type/C:\disk`,
	} {
		for _, destination := range []string{`C:\data`, `\data`, "/data", `D:`, `\\.\pipe\p`} {
			r := parse(t, windows(mounted(specs.Mount{Source: source, Destination: destination, Options: []string{"RO", "rbind"}})), nil)
			want := []Mount{{Source: source, Destination: destination, ReadOnly: true, Options: []string{"RO", "rbind"}}}
			if diff := cmp.Diff(want, r.Mounts); diff != "" {
				t.Errorf("%s on %s (-want +got):\n%s", source, destination, diff)
			}
		}
	}
}

// TestNotes: what has no effect is told, not passed over.
func TestNotes(t *testing.T) {
	for _, tc := range []struct {
		name string
		spec *specs.Spec
		want Note
	}{
		{"hooks", windows(func(s *specs.Spec) { s.Hooks = &specs.Hooks{} }), Note{"hooks", "has no effect: a Windows shim runs no hooks"}},
		{"flushes", windows(func(s *specs.Spec) { s.Windows.IgnoreFlushesDuringBoot = true }), Note{"windows.ignoreFlushesDuringBoot", "has no effect: documents of schema version 2 have no such field"}},
		{"args beside a command line", windows(func(s *specs.Spec) { s.Process.CommandLine = "x" }), Note{"process.args", "has no effect: process.commandLine is there"}},
		{"option of a mount", windows(mounted(specs.Mount{Source: `C:\a`, Destination: `C:\a`, Options: []string{"noexec"}})), Note{"mounts[0]", `option "noexec" has no effect in Windows`}},
		{"inherit user without HostProcess", windows(annotated(keyInheritUser, "true")), Note{"annotation " + keyInheritUser, "has no effect without " + keyHostProcess}},
		{"rootfs without HostProcess", windows(annotated(keyRootfsLocation, `C:\x`)), Note{"annotation " + keyRootfsLocation, "has no effect without " + keyHostProcess}},
		{"dump count without location", windows(annotated(string(KeyDumpCount), "3")), Note{annotationSource(string(KeyDumpCount)), "has no effect without " + string(KeyDumpLocation)}},
		{"ignored annotation", windows(annotated("io.microsoft.cri.tenant-sandbox-id", "x")), Note{"annotation io.microsoft.cri.tenant-sandbox-id", "has no effect: no shim reads it"}},
		{"nerdctl's bytes", windows(memoryLimit(2<<30), annotated(string(KeyUVMMemoryMB), "2147483648")),
			Note{"annotation " + Source(KeyUVMMemoryMB), "2147483648 equals spec.windows.resources.memory.limit, so it is bytes and not MB: read as 2048 MB"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff([]Note{tc.want}, parse(t, tc.spec, nil).Notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSystem copies the rest of the spec.
func TestSystem(t *testing.T) {
	r := parse(t, windows(func(s *specs.Spec) {
		s.Hostname = "web"
		s.Root.Path = `\\?\Volume{1}\`
		s.Windows.LayerFolders = []string{`C:\l\1`, `C:\l\scratch`}
		s.Windows.CredentialSpec = `{"CmsPlugins":["ActiveDirectory"]}`
		s.Windows.Devices = []specs.WindowsDevice{{IDType: "class", ID: "5B45201D-F2F2-4F3B-85BB-30FF1F953599"}}
		s.Windows.Network = &specs.WindowsNetwork{EndpointList: []string{"e"}, NetworkSharedContainerName: "other"}
	}), nil)
	want := System{Hostname: "web", RootPath: `\\?\Volume{1}\`, LayerFolders: []string{`C:\l\1`, `C:\l\scratch`}, CredentialSpec: `{"CmsPlugins":["ActiveDirectory"]}`}
	if diff := cmp.Diff(want, r.System); diff != "" {
		t.Errorf("system (-want +got):\n%s", diff)
	}
	if len(r.Devices) != 1 || r.Network.EndpointIDs[0] != "e" || r.Network.SharedContainer != "other" {
		t.Errorf("devices %v, network %+v", r.Devices, r.Network)
	}
	if r := parse(t, windows(func(s *specs.Spec) { s.Windows.CredentialSpec = "" }), nil); r.System.CredentialSpec != "" {
		t.Error("an empty credential spec is one")
	}
}
