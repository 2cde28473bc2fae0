package options

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	runhcs "github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1/options"
	runtimeoptions "github.com/containerd/containerd/api/types/runtimeoptions/v1"
	"github.com/containerd/typeurl/v2"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/isolrun/isol/internal/fault"
)

// decode sends m as containerd does.
func decode(t *testing.T, m proto.Message) (Options, error) {
	t.Helper()
	a, err := typeurl.MarshalAny(m)
	if err != nil {
		t.Fatal(err)
	}
	return Decode(a.GetTypeUrl(), a.GetValue())
}

func decodeTOML(t *testing.T, text string) (Options, error) {
	t.Helper()
	return decode(t, &runtimeoptions.Options{ConfigBody: []byte(text)})
}

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

// TestNothingSaid: ctr and nerdctl send no options; a handler may have none.
func TestNothingSaid(t *testing.T) {
	for name, f := range map[string]func() (Options, error){
		"no Any":           func() (Options, error) { return Decode("", nil) },
		"empty generic":    func() (Options, error) { return decode(t, &runtimeoptions.Options{}) },
		"empty runhcs":     func() (Options, error) { return decode(t, &runhcs.Options{}) },
		"comment":          func() (Options, error) { return decodeTOML(t, "# nothing\n") },
		"containerd's own": func() (Options, error) { return decodeTOML(t, "TypeUrl = ''\nConfigPath = ''\n") },
	} {
		got, err := f()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(Options{}, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// TestOwnTOML reads every option of isol.
func TestOwnTOML(t *testing.T) {
	got, err := decodeTOML(t, `
isolation = "hyperv"
config = 'C:\isol.toml'
debug = true
log_file = 'C:\logs\isol.log'
log_file_max_mb = 10
log_file_keep = 3
scrub_logs = false
io_retry_timeout = "2m"
vm_processor_count = 4
vm_memory_mb = 2048
vm_no_inherit_timezone = true
boot_files_root = 'C:\boot'
uvm_image = '\\server\share\uvm'
pod_annotations = ["io.isol.*"]
scale_cpu_limits_to_sandbox = true
platform = "windows/amd64"
[default_container_annotations]
"io.microsoft.container.memory.sizeinmb" = "512"
`)
	if err != nil {
		t.Fatal(err)
	}
	want := Options{
		Isolation: Value[Isolation]{IsolationHyperV, "option isolation"},
		Platform:  Value[string]{"windows/amd64", "option platform"},
		VM: VM{
			ProcessorCount:    Value[uint32]{4, "option vm_processor_count"},
			MemoryMB:          Value[uint64]{2048, "option vm_memory_mb"},
			BootFilesRoot:     Value[string]{`C:\boot`, "option boot_files_root"},
			Image:             Value[string]{`\\server\share\uvm`, "option uvm_image"},
			NoInheritTimeZone: Value[bool]{true, "option vm_no_inherit_timezone"},
		},
		Log: Log{
			Level:     Value[string]{"debug", "option debug"},
			File:      Value[string]{`C:\logs\isol.log`, "option log_file"},
			FileMaxMB: Value[uint32]{10, "option log_file_max_mb"},
			FileKeep:  Value[uint32]{3, "option log_file_keep"},
			Scrub:     Value[bool]{false, "option scrub_logs"},
		},
		ScaleCPULimits:     Value[bool]{true, "option scale_cpu_limits_to_sandbox"},
		PodAnnotations:     Value[[]string]{[]string{"io.isol.*"}, "option pod_annotations"},
		DefaultAnnotations: map[string]string{"io.microsoft.container.memory.sizeinmb": "512"},
		IORetry:            Value[time.Duration]{2 * time.Minute, "option io_retry_timeout"},
		NodeConfig:         Value[string]{`C:\isol.toml`, "option config"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	if !got.VM.Image.Set() || (Value[bool]{}).Set() {
		t.Error("Set does not tell what was said")
	}
}

// TestRunhcs reads every option of runhcs that isol takes, in the two forms
// that its users have: their handler must work when only runtime_type changes.
func TestRunhcs(t *testing.T) {
	no := false
	message := &runhcs.Options{
		Debug: true, DebugType: runhcs.Options_ETW, RegistryRoot: "r", SandboxImage: "pause", SandboxPlatform: "windows/amd64",
		SandboxIsolation: runhcs.Options_HYPERVISOR, BootFilesRootPath: `C:\boot`, VmProcessorCount: 4, VmMemorySizeInMb: 2048,
		GPUVHDPath: "gpu", ScaleCpuLimitsToSandbox: true, DefaultContainerScratchSizeInGb: 30, DefaultVmScratchSizeInGb: 40, ShareScratch: true,
		LogLevel: "Warning", IoRetryTimeoutInSec: 30, DefaultContainerAnnotations: map[string]string{"a": "b"}, NoInheritHostTimezone: true, ScrubLogs: &no,
	}
	const text = `
Debug = true
DebugType = 2
RegistryRoot = "r"
SandboxImage = "pause"
SandboxPlatform = "windows/amd64"
SandboxIsolation = 1
BootFilesRootPath = 'C:\boot'
VmProcessorCount = 4
VmMemorySizeInMb = 2048
GPUVHDPath = "gpu"
ScaleCpuLimitsToSandbox = true
DefaultContainerScratchSizeInGb = 30
DefaultVmScratchSizeInGb = 40
ShareScratch = true
LogLevel = "Warning"
IoRetryTimeoutInSec = 30
NoInheritHostTimezone = true
ScrubLogs = false
[DefaultContainerAnnotations]
a = "b"
`
	fromMessage, err := decode(t, message)
	if err != nil {
		t.Fatal(err)
	}
	fromText, err := decodeTOML(t, text)
	if err != nil {
		t.Fatal(err)
	}
	want := func(s func(toml, proto string) Source) Options {
		return Options{
			Isolation: Value[Isolation]{IsolationHyperV, s("SandboxIsolation", "sandbox_isolation")},
			Platform:  Value[string]{"windows/amd64", s("SandboxPlatform", "sandbox_platform")},
			VM: VM{
				ProcessorCount:    Value[uint32]{4, s("VmProcessorCount", "vm_processor_count")},
				MemoryMB:          Value[uint64]{2048, s("VmMemorySizeInMb", "vm_memory_size_in_mb")},
				BootFilesRoot:     Value[string]{`C:\boot`, s("BootFilesRootPath", "boot_files_root_path")},
				NoInheritTimeZone: Value[bool]{true, s("NoInheritHostTimezone", "no_inherit_host_timezone")},
			},
			Log: Log{
				Level: Value[string]{"warn", s("LogLevel", "log_level")},
				Scrub: Value[bool]{false, s("ScrubLogs", "scrub_logs")},
			},
			ScaleCPULimits:     Value[bool]{true, s("ScaleCpuLimitsToSandbox", "scale_cpu_limits_to_sandbox")},
			DefaultAnnotations: map[string]string{"a": "b"},
			IORetry:            Value[time.Duration]{30 * time.Second, s("IoRetryTimeoutInSec", "io_retry_timeout_in_sec")},
			Notes: []Note{
				{s("debug", "debug"), "has no effect: " + string(s("LogLevel", "log_level")) + " = warn wins"},
				{s("RegistryRoot", "registry_root"), "has no effect: isol keeps no state in the registry"},
				{s("SandboxImage", "sandbox_image"), "has no effect: containerd's own sandbox image holds"},
				{s("GPUVHDPath", "GPUVHDPath"), "has no effect: GPU disks are no longer supported"},
				{s("DefaultContainerScratchSizeInGb", "default_container_scratch_size_in_gb"), "has no effect: the snapshotter makes scratch space"},
				{s("DefaultVmScratchSizeInGb", "default_vm_scratch_size_in_gb"), "has no effect: the snapshotter makes scratch space"},
				{s("ShareScratch", "share_scratch"), "has no effect: the snapshotter makes scratch space"},
				{s("DebugType", "debug_type"), "ETW: logs go to containerd's log pipe as well"},
			},
		}
	}
	if diff := cmp.Diff(want(func(_, p string) Source { return Source("runhcs option " + p) }), fromMessage); diff != "" {
		t.Errorf("protobuf (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want(func(n, _ string) Source { return Source("option " + n) }), fromText); diff != "" {
		t.Errorf("TOML (-want +got):\n%s", diff)
	}
}

// TestIsolation: what each way of saying it means. In protobuf PROCESS cannot
// be told from nothing and leaves the choice to the spec; in TOML a 0 was written.
func TestIsolation(t *testing.T) {
	for text, want := range map[string]Value[Isolation]{
		`isolation = "process"`:                       {IsolationProcess, "option isolation"},
		`isolation = "auto"`:                          {IsolationAuto, "option isolation"},
		`SandboxIsolation = 0`:                        {IsolationProcess, "option SandboxIsolation"},
		`sandboxisolation = 1`:                        {IsolationHyperV, "option SandboxIsolation"},
		"isolation = \"hyperv\"\nSandboxIsolation= 1": {IsolationHyperV, "option isolation"},
	} {
		if got, err := decodeTOML(t, text); err != nil || got.Isolation != want {
			t.Errorf("%s: %+v, %v", text, got.Isolation, err)
		}
	}
	if got, err := decode(t, &runhcs.Options{Debug: true}); err != nil || got.Isolation.Set() {
		t.Errorf("runhcs options with debug alone: isolation %+v, %v", got.Isolation, err)
	}
}

// TestZeroIsNotSaid: runhcs' users write 0 for the default.
func TestZeroIsNotSaid(t *testing.T) {
	got, err := decodeTOML(t, "vm_memory_mb = 0\nlog_file_keep = 2\n")
	if err != nil || got.VM.MemoryMB.Set() {
		t.Fatalf("%+v, %v", got.VM, err)
	}
	want := []Note{{"option log_file_keep", "has no effect without log_file"}, {"option vm_memory_mb", "0 is read as not said"}}
	if diff := cmp.Diff(want, got.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

// TestTypeURLs: every client's way of writing the type.
func TestTypeURLs(t *testing.T) {
	body, err := proto.Marshal(&runtimeoptions.Options{ConfigBody: []byte(`isolation = "auto"`), TypeUrl: "types.containerd.io/runtimeoptions.v1.Options"})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []string{
		"runtimeoptions.v1.Options", "type.googleapis.com/runtimeoptions.v1.Options", "types.containerd.io/runtimeoptions.v1.Options", "cri.runtimeoptions.v1.Options",
	} {
		if got, err := Decode(u, body); err != nil || got.Isolation.V != IsolationAuto {
			t.Errorf("%s: %+v, %v", u, got, err)
		}
	}
	if got, err := Decode("type.googleapis.com/containerd.runhcs.v1.Options", []byte{6 << 3, 1}); err != nil || got.Isolation.V != IsolationHyperV {
		t.Errorf("runhcs: %+v, %v", got, err)
	}
}

// TestConfigPath: ctr run --runtime-config-path names a file.
func TestConfigPath(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "isol.toml")
	if err := os.WriteFile(path, []byte("isolation = \"hyperv\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := decode(t, &runtimeoptions.Options{ConfigPath: path, ConfigBody: []byte("not read")})
	if err != nil || got.Isolation.V != IsolationHyperV {
		t.Errorf("%+v, %v", got, err)
	}
	huge := filepath.Join(dir, "huge")
	if err := os.WriteFile(huge, []byte(strings.Repeat("#", MaxSize+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = decode(t, &runtimeoptions.Options{ConfigPath: huge})
	wantError(t, err, fault.InvalidArgument, "read runtime options "+huge+": larger than 1024 KiB")
	_, err = decode(t, &runtimeoptions.Options{ConfigPath: filepath.Join(dir, "none")})
	wantError(t, err, fault.InvalidArgument, "read runtime options ConfigPath: open "+filepath.Join(dir, "none")+": no such file or directory (the file must be there when a container is created)")
	if _, err = decode(t, &runtimeoptions.Options{ConfigPath: dir}); !fault.Is(err, fault.Internal) {
		t.Errorf("a folder: %v", err)
	}
}

// TestTOMLErrors by their text.
func TestTOMLErrors(t *testing.T) {
	bad := fault.InvalidArgument
	for _, tc := range []struct {
		name, toml string
		kind       fault.Kind
		text       string // after "read runtime options "
	}{
		{"unknown, near", "debug = true\nisolatoin = \"hyperv\"", bad, `ConfigBody: line 2: unknown option "isolatoin" (did you mean isolation?)`},
		{"unknown, near one of runhcs", "SandboxIsolations = 1", bad, `ConfigBody: line 1: unknown option "SandboxIsolations" (did you mean SandboxIsolation?)`},
		{"unknown, far", "xyz = 1", bad, `ConfigBody: line 1: unknown option "xyz" (isol's options are isolation, config, log_level, log_file, log_file_max_mb, log_file_keep, scrub_logs, io_retry_timeout, vm_processor_count, vm_memory_mb, vm_no_inherit_timezone, boot_files_root, uvm_image, scale_cpu_limits_to_sandbox, platform, pod_annotations, default_container_annotations, debug)`},
		{"unknown table", "[options]\nisolation = \"auto\"", bad, `ConfigBody: line 1: unknown option "options" (isol's options are isolation, config, log_level, log_file, log_file_max_mb, log_file_keep, scrub_logs, io_retry_timeout, vm_processor_count, vm_memory_mb, vm_no_inherit_timezone, boot_files_root, uvm_image, scale_cpu_limits_to_sandbox, platform, pod_annotations, default_container_annotations, debug)`},
		{"no TOML", "isolation = ", bad, "ConfigBody: line 1, column 12: toml: expected value, not end of input"},
		{"wrong type", "\nvm_memory_mb = \"2g\"", bad, "ConfigBody: line 2, column 16: option vm_memory_mb: toml: cannot decode TOML string into struct field options.document.VMMemoryMB of type int64"},
		{"isolation", `isolation = "vm"`, bad, `option isolation: "vm" is none of process, hyperv, auto`},
		{"sandbox isolation", `SandboxIsolation = 2`, bad, `option SandboxIsolation: 2 is neither 0 (process) nor 1 (hyperv)`},
		{"two isolations", "isolation = \"auto\"\nSandboxIsolation = 1", bad, `option isolation: "auto" contradicts option SandboxIsolation = 1: remove one of them`},
		{"two memories", "vm_memory_mb = 1\nVmMemorySizeInMb = 2", bad, `option vm_memory_mb: 1 contradicts option VmMemorySizeInMb = 2: remove one of them`},
		{"bytes for MB", "vm_memory_mb = 2147483648", bad, `option vm_memory_mb: 2147483648 is not a whole number from 1 to 16777215 (MB), or 0 for not said`},
		{"negative processors", "VmProcessorCount = -1", bad, `option VmProcessorCount: -1 is not a whole number from 1 to 2147483647 (processors), or 0 for not said`},
		{"platform", `platform = "darwin/arm64"`, bad, `option platform: "darwin/arm64" is none of windows/amd64, windows/arm64, linux/amd64, linux/arm64`},
		{"level", `log_level = "loud"`, bad, `option log_level: "loud" is none of trace, debug, info, warn, error, fatal, panic`},
		{"relative path", `log_file = "isol.log"`, bad, `option log_file: "isol.log" is not absolute: write it with its drive, as C:\folder`},
		{"empty path", `config = ""`, bad, `option config: is empty`},
		{"NUL in a path", "uvm_image = \"C:\\\\\\u0000\"", bad, `option uvm_image: "C:\\\x00" has a NUL in it`},
		{"pattern", `pod_annotations = ["io.isol.*", "["]`, bad, `option pod_annotations: "[" is not a pattern: give a key, * matches any part of it`},
		{"no pattern", `pod_annotations = [""]`, bad, `option pod_annotations: "" is not a pattern: give a key, * matches any part of it`},
		{"retry", `io_retry_timeout = "soon"`, bad, `option io_retry_timeout: "soon" is not a duration such as 30s or 2m`},
		{"retry of runhcs", `IoRetryTimeoutInSec = -1`, bad, `option IoRetryTimeoutInSec: -1 is not a whole number from 0 to 2147483647 (seconds)`},
		{"two retries", "io_retry_timeout = \"1m\"\nIoRetryTimeoutInSec = 1", bad, `option io_retry_timeout: 1m0s contradicts option IoRetryTimeoutInSec = 1: remove one of them`},
		{"two annotation tables", "[default_container_annotations]\na=\"b\"\n[DefaultContainerAnnotations]\na=\"b\"", bad, `option default_container_annotations: stands together with DefaultContainerAnnotations: keep one of them`},
		{"FILE", `DebugType = 1`, bad, `option DebugType: FILE: set log_file instead, which says where and how much`},
		{"debug type", `DebugType = 7`, bad, `option DebugType: 7 is none of 0 (NPIPE), 1 (FILE), 2 (ETW)`},
		{"proxy", `NCProxyAddr = "x"`, fault.Unimplemented, `option NCProxyAddr: isol does not set up networks by a proxy yet (remove it)`},
		{"type of another", `TypeUrl = "io.containerd.runsc.v1.options"`, bad, `TypeUrl: "io.containerd.runsc.v1.options" is none of runtimeoptions.v1.Options, containerd.runhcs.v1.Options (leave it out)`},
		{"file in a file", `ConfigPath = 'C:\x'`, bad, `ConfigBody: ConfigPath inside of options that were already read (name one file)`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := decodeTOML(t, tc.toml)
			wantError(t, err, tc.kind, "read runtime options "+tc.text)
		})
	}
	if _, err := decodeTOML(t, `DebugType = 0`); err != nil {
		t.Error(err)
	}
}

// TestMessageErrors: wrong messages, and options that a newer client knows.
func TestMessageErrors(t *testing.T) {
	for _, tc := range []struct {
		name, typeURL string
		value         []byte
		text          string // after "read runtime options"
	}{
		{"another's options", "containerd.runc.v1.Options", nil, `: type "containerd.runc.v1.Options" is none of runtimeoptions.v1.Options, containerd.runhcs.v1.Options (a handler whose runtime_type is isol's takes TOML options)`},
		{"bytes of no type", "", []byte("x"), `: type "" is none of runtimeoptions.v1.Options, containerd.runhcs.v1.Options (a handler whose runtime_type is isol's takes TOML options)`},
		{"unknown field", "containerd.runhcs.v1.Options", []byte{0xa8, 0x01, 1}, ` containerd.runhcs.v1.Options: field 21 is unknown (the client is newer than isol)`},
		{"too large", "runtimeoptions.v1.Options", make([]byte, MaxSize+1), ": larger than 1024 KiB"},
		{"type of the content", "runtimeoptions.v1.Options", []byte("\x0a\x01x"), ` TypeUrl: "x" is none of runtimeoptions.v1.Options, containerd.runhcs.v1.Options (leave it out)`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Decode(tc.typeURL, tc.value)
			wantError(t, err, fault.InvalidArgument, "read runtime options"+tc.text)
		})
	}
	for _, u := range []string{"runtimeoptions.v1.Options", "containerd.runhcs.v1.Options"} {
		if _, err := Decode(u, []byte{0xff}); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), u) {
			t.Errorf("%s, cut: %v", u, err)
		}
	}
}

// TestRunhcsIsComplete: a field that a newer hcsshim adds must be mapped, or
// drop-in users would lose it silently.
func TestRunhcsIsComplete(t *testing.T) {
	names := make(map[string]bool)
	for _, n := range tags(reflect.TypeFor[runhcsDocument]()) {
		names[strings.ToLower(n)] = true
	}
	fields := (&runhcs.Options{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if n := strings.ToLower(fields.Get(i).JSONName()); !names[n] {
			t.Errorf("runhcs option %s is not mapped", fields.Get(i).Name())
		}
	}
	if len(names) != fields.Len() {
		t.Errorf("%d names for %d fields", len(names), fields.Len())
	}
}

// FuzzDecode: no bytes make the shim panic, and every refusal has a kind.
func FuzzDecode(f *testing.F) {
	f.Add(typeRuntime, []byte("\x1a\x10isolation = 'x'\n"))
	f.Add(typeRunhcs, []byte{6 << 3, 1})
	f.Add("", []byte(nil))
	f.Fuzz(func(t *testing.T, typeURL string, value []byte) {
		var m runtimeoptions.Options
		if proto.Unmarshal(value, &m) == nil && m.GetConfigPath() != "" {
			t.Skip("names a file of this machine")
		}
		_, err := Decode(typeURL, value)
		if k := fault.KindOf(err); err != nil && k != fault.InvalidArgument && k != fault.Unimplemented {
			t.Errorf("error of kind %v: %v", k, err)
		}
	})
}

// FuzzTOML: the same for the text that users write.
func FuzzTOML(f *testing.F) {
	f.Add("isolation = 'hyperv'\n[default_container_annotations]\n'a' = 'b'")
	f.Add("Debug = true\nSandboxIsolation = 1\nio_retry_timeout = '1s'")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := fromTOML("x", []byte(text))
		if k := fault.KindOf(err); err != nil && k != fault.InvalidArgument && k != fault.Unimplemented {
			t.Errorf("error of kind %v: %v", k, err)
		}
	})
}
