// Package options decodes the runtime options that containerd hands to the
// shim into one typed value, whoever configured them and in whatever form:
//
//	ctr, nerdctl                 nothing                      zero Options
//	CRI, any runtime but runhcs  runtimeoptions.v1.Options    TOML in ConfigBody, or the file at ConfigPath
//	CRI and Docker for runhcs    containerd.runhcs.v1.Options protobuf
//
// The TOML takes isol's own keys and the names of runhcs' options, so that a
// handler's section can be copied from one to the other:
//
//	isolation                     = "hyperv"       # process, hyperv, auto          SandboxIsolation = 0, 1
//	config                        = 'C:\isol.toml' # the node's config file
//	debug                         = true           # log_level = "debug"            Debug
//	log_level                     = "info"         # trace to panic                 LogLevel
//	log_file                      = 'C:\isol.log'  # besides containerd's log pipe
//	log_file_max_mb               = 10             # size at which it is rotated
//	log_file_keep                 = 3              # rotated files to keep
//	scrub_logs                    = true           # no environments in logs        ScrubLogs
//	io_retry_timeout              = "30s"          # 0s: for ever                   IoRetryTimeoutInSec
//	vm_processor_count            = 2              #                                VmProcessorCount
//	vm_memory_mb                  = 1024           #                                VmMemorySizeInMb
//	vm_no_inherit_timezone        = false          #                                NoInheritHostTimezone
//	boot_files_root               = 'C:\boot'      #                                BootFilesRootPath
//	uvm_image                     = 'C:\uvm'       # image that holds the utility VM
//	scale_cpu_limits_to_sandbox   = true           #                                ScaleCpuLimitsToSandbox
//	platform                      = "windows/amd64" #                               SandboxPlatform
//	pod_annotations               = ["io.isol.*"]  # Sandbox API: what a pod's author may set
//	[default_container_annotations]                #                                DefaultContainerAnnotations
//	"io.microsoft.container.memory.sizeinmb" = "512"
//
// Decoding is strict: an unknown key or field, a wrong type or value is
// fault.InvalidArgument and names it with its line. An option that isol takes
// for the sake of runhcs' users and that does nothing leaves a [Note].
package options

import (
	"time"

	"github.com/isolrun/isol/internal/oci"
)

// Source names the input that gave an option: "option isolation" for TOML,
// "runhcs option sandbox_isolation" for protobuf. Empty: nobody gave it.
type Source string

// Value is an option together with the input that gave it.
type Value[T any] struct {
	V      T
	Source Source
}

// Set reports whether an input gave the value.
func (v Value[T]) Set() bool { return v.Source != "" }

// Isolation is what the options ask for.
type Isolation string

// The values of Isolation.
const (
	IsolationProcess Isolation = "process"
	IsolationHyperV  Isolation = "hyperv"
	IsolationAuto    Isolation = "auto"
)

// Options are the runtime options of one handler. The zero value is what ctr
// and nerdctl send: nothing said.
type Options struct {
	Isolation Value[Isolation]
	Platform  Value[string] // windows/amd64 or linux/amd64: what the handler is for
	VM        VM
	Log       Log

	ScaleCPULimits     Value[bool] // container CPU limits are of the host's processors: scale to the VM's
	DefaultAnnotations map[string]string
	PodAnnotations     Value[[]string]      // patterns of the annotations that count of a pod made by the Sandbox API
	IORetry            Value[time.Duration] // how long to look for a lost stdio pipe; 0: for ever
	NodeConfig         Value[string]        // path of the node's config file

	// Notes tells which options were accepted and have no effect, and why.
	Notes []Note
}

// AllowedPodAnnotations are the patterns of annotations that the author of a
// pod made by the Sandbox API may set: what option pod_annotations says, else
// [oci.DefaultPodAnnotations].
func (o Options) AllowedPodAnnotations() []string {
	if o.PodAnnotations.Set() {
		return o.PodAnnotations.V
	}
	return oci.DefaultPodAnnotations()
}

// VM are the defaults of the utility VM.
type VM struct {
	ProcessorCount    Value[uint32]
	MemoryMB          Value[uint64]
	BootFilesRoot     Value[string]
	Image             Value[string] // path of an unpacked image that holds the utility VM
	NoInheritTimeZone Value[bool]
}

// Log says what the shim logs and where.
type Log struct {
	Level     Value[string] // trace, debug, info, warn, error, fatal, panic
	File      Value[string] // path; empty: only containerd's log pipe
	FileMaxMB Value[uint32]
	FileKeep  Value[uint32]
	Scrub     Value[bool] // on when not set
}

// Note is an option that was read and has no effect, or lost against another.
type Note struct {
	Input Source
	Text  string
}
