package options

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1/options"
	"github.com/pelletier/go-toml/v2"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/nearest"
)

// document is the TOML of isol. A nil member was not said.
type document struct {
	Isolation          *string           `toml:"isolation"`
	Config             *string           `toml:"config"`
	LogLevel           *string           `toml:"log_level"`
	LogFile            *string           `toml:"log_file"`
	LogFileMaxMB       *int64            `toml:"log_file_max_mb"`
	LogFileKeep        *int64            `toml:"log_file_keep"`
	ScrubLogs          *bool             `toml:"scrub_logs"`
	IORetryTimeout     *string           `toml:"io_retry_timeout"`
	VMProcessorCount   *int64            `toml:"vm_processor_count"`
	VMMemoryMB         *int64            `toml:"vm_memory_mb"`
	VMNoTimeZone       *bool             `toml:"vm_no_inherit_timezone"`
	BootFilesRoot      *string           `toml:"boot_files_root"`
	UVMImage           *string           `toml:"uvm_image"`
	ScaleCPULimits     *bool             `toml:"scale_cpu_limits_to_sandbox"`
	Platform           *string           `toml:"platform"`
	PodAnnotations     *[]string         `toml:"pod_annotations"`
	DefaultAnnotations map[string]string `toml:"default_container_annotations"`

	// The members of containerd's own section that are in ConfigBody too.
	TypeURL    *string `toml:"TypeUrl"`
	ConfigPath *string `toml:"ConfigPath"`

	runhcsDocument
}

// runhcsDocument are the options of runhcs under the names that their TOML
// has in containerd's config: those of the Go fields.
type runhcsDocument struct {
	Debug                           *bool             `toml:"Debug"` // also isol's debug: letter case does not matter in TOML keys
	DebugType                       *int64            `toml:"DebugType"`
	RegistryRoot                    *string           `toml:"RegistryRoot"`
	SandboxImage                    *string           `toml:"SandboxImage"`
	SandboxPlatform                 *string           `toml:"SandboxPlatform"`
	SandboxIsolation                *int64            `toml:"SandboxIsolation"`
	BootFilesRootPath               *string           `toml:"BootFilesRootPath"`
	VMProcessorCount                *int64            `toml:"VmProcessorCount"`
	VMMemorySizeInMB                *int64            `toml:"VmMemorySizeInMb"`
	GPUVHDPath                      *string           `toml:"GPUVHDPath"`
	ScaleCPULimitsToSandbox         *bool             `toml:"ScaleCpuLimitsToSandbox"`
	DefaultContainerScratchSizeInGB *int64            `toml:"DefaultContainerScratchSizeInGb"`
	DefaultVMScratchSizeInGB        *int64            `toml:"DefaultVmScratchSizeInGb"`
	ShareScratch                    *bool             `toml:"ShareScratch"`
	NCProxyAddr                     *string           `toml:"NCProxyAddr"`
	LogLevelName                    *string           `toml:"LogLevel"`
	IORetryTimeoutInSec             *int64            `toml:"IoRetryTimeoutInSec"`
	DefaultContainerAnnotations     map[string]string `toml:"DefaultContainerAnnotations"`
	NoInheritHostTimezone           *bool             `toml:"NoInheritHostTimezone"`
	ScrubLogsFlag                   *bool             `toml:"ScrubLogs"`
}

// fromTOML decodes TOML; name is what errors call it.
func fromTOML(name string, text []byte) (Options, error) {
	var d document
	decoder := toml.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return Options{}, tomlError(name, err)
	}
	if d.TypeURL != nil {
		if err := checkContentType(*d.TypeURL); err != nil {
			return Options{}, err
		}
	}
	if d.ConfigPath != nil && *d.ConfigPath != "" {
		return Options{}, invalid(name, "ConfigPath inside of options that were already read", "name one file")
	}
	return d.options(func(own string) Source { return Source("option " + own) })
}

// tomlError says where in the TOML err is, and what an unknown key could have
// meant.
func tomlError(name string, err error) error {
	e := &fault.Error{Kind: fault.InvalidArgument, Op: op, Subject: name}
	var missing *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case errors.As(err, &missing) && len(missing.Errors) > 0:
		first := &missing.Errors[0]
		line, _ := first.Position()
		key := strings.Join(first.Key(), ".")
		e.Detail = fmt.Sprintf("line %d: unknown option %q", line, key)
		if n := nearest.Word(key, keys()); n != "" {
			e.Hint = "did you mean " + n + "?"
		} else {
			e.Hint = "isol's options are " + strings.Join(ownKeys(), ", ")
		}
	case errors.As(err, &wrong):
		line, column := wrong.Position()
		e.Detail = fmt.Sprintf("line %d, column %d", line, column)
		if key := strings.Join(wrong.Key(), "."); key != "" {
			e.Detail += ": option " + key
		}
		e.Err = err
	default:
		e.Err = err
	}
	return e
}

// ownKeys are isol's own keys, in the order of the document.
func ownKeys() []string {
	own := tags(reflect.TypeFor[document]())
	return append(own[:len(own)-2], "debug")
}

// keys are all keys that the document takes.
func keys() []string {
	return append(ownKeys(), tags(reflect.TypeFor[runhcsDocument]())...)
}

func tags(t reflect.Type) []string {
	var out []string
	for f := range t.Fields() {
		if tag := f.Tag.Get("toml"); tag != "" {
			out = append(out, tag)
		}
	}
	return out
}

// fromRunhcs takes the options of runhcs. What has its zero value there was
// not said: protobuf does not tell the two apart. Above all PROCESS, the zero
// of sandbox_isolation, leaves the choice to the spec, where runhcs refuses a
// Hyper-V spec as soon as any other option is set.
func fromRunhcs(m *options.Options) (Options, error) {
	d := document{runhcsDocument: runhcsDocument{
		Debug:                           said(m.GetDebug()),
		DebugType:                       said(int64(m.GetDebugType())),
		RegistryRoot:                    said(m.GetRegistryRoot()),
		SandboxImage:                    said(m.GetSandboxImage()),
		SandboxPlatform:                 said(m.GetSandboxPlatform()),
		SandboxIsolation:                said(int64(m.GetSandboxIsolation())),
		BootFilesRootPath:               said(m.GetBootFilesRootPath()),
		VMProcessorCount:                said(int64(m.GetVmProcessorCount())),
		VMMemorySizeInMB:                said(int64(m.GetVmMemorySizeInMb())),
		GPUVHDPath:                      said(m.GetGPUVHDPath()),
		ScaleCPULimitsToSandbox:         said(m.GetScaleCpuLimitsToSandbox()),
		DefaultContainerScratchSizeInGB: said(int64(m.GetDefaultContainerScratchSizeInGb())),
		DefaultVMScratchSizeInGB:        said(int64(m.GetDefaultVmScratchSizeInGb())),
		ShareScratch:                    said(m.GetShareScratch()),
		NCProxyAddr:                     said(m.GetNCProxyAddr()),
		LogLevelName:                    said(m.GetLogLevel()),
		IORetryTimeoutInSec:             said(int64(m.GetIoRetryTimeoutInSec())),
		DefaultContainerAnnotations:     m.GetDefaultContainerAnnotations(),
		NoInheritHostTimezone:           said(m.GetNoInheritHostTimezone()),
		ScrubLogsFlag:                   m.ScrubLogs,
	}}
	names := m.ProtoReflect().Descriptor().Fields()
	return d.options(func(own string) Source {
		for i := range names.Len() {
			if strings.EqualFold(names.Get(i).JSONName(), own) {
				own = string(names.Get(i).Name())
			}
		}
		return Source("runhcs option " + own)
	})
}

// said returns nil for a zero value.
func said[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
