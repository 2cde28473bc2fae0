package options

import (
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/isolrun/isol/internal/fault"
)

// maxMemoryMB is what no host has; a larger number is bytes.
const maxMemoryMB = 1<<24 - 1

// checker turns a document into Options. It keeps the first error, so that the
// list of options reads as a list.
type checker struct {
	d      *document
	source func(name string) Source
	out    Options
	err    error
}

// options checks what the document says; source names an option of it.
func (d *document) options(source func(name string) Source) (Options, error) {
	c := &checker{d: d, source: source}
	c.isolation()
	c.platform()
	c.log()
	c.vm()
	c.rest()
	c.withoutEffect()
	if c.err != nil {
		return Options{}, c.err
	}
	return c.out, nil
}

func (c *checker) fail(s Source, format string, args ...any) {
	if c.err == nil {
		c.err = invalid(string(s), fmt.Sprintf(format, args...), "")
	}
}

func (c *checker) note(s Source, text string) { c.out.Notes = append(c.out.Notes, Note{s, text}) }

// one returns an option that has a name of isol's and one of runhcs'. Both are
// allowed when they say the same.
func one[T comparable](c *checker, own string, v *T, runhcs string, w *T) Value[T] {
	switch {
	case v != nil && w != nil && *v != *w:
		c.fail(c.source(own), "%v contradicts %s = %v: remove one of them", *v, c.source(runhcs), *w)
	case v != nil:
		return Value[T]{*v, c.source(own)}
	case w != nil:
		return Value[T]{*w, c.source(runhcs)}
	}
	return Value[T]{}
}

func just[T comparable](c *checker, name string, v *T) Value[T] {
	return one(c, name, v, name, nil)
}

// number checks a range and keeps 0 out: runhcs means "not said" by it.
func number[T uint32 | uint64](c *checker, v Value[int64], most int64, unit string) Value[T] {
	switch {
	case !v.Set():
		return Value[T]{}
	case v.V < 0 || v.V > most:
		c.fail(v.Source, "%d is not a whole number from 1 to %d (%s), or 0 for not said", v.V, most, unit)
		return Value[T]{}
	case v.V == 0:
		c.note(v.Source, "0 is read as not said")
		return Value[T]{}
	}
	return Value[T]{T(v.V), v.Source}
}

// path takes an absolute path; another would depend on the folder that the
// shim is started in, which is the bundle.
func (c *checker) path(v Value[string]) Value[string] {
	switch p := v.V; {
	case !v.Set():
	case p == "":
		c.fail(v.Source, "is empty")
	case strings.ContainsRune(p, 0):
		c.fail(v.Source, "%q has a NUL in it", p)
	case !absolute(p):
		c.fail(v.Source, `%q is not absolute: write it with its drive, as C:\folder`, p)
	}
	return v
}

// absolute knows Windows' paths on every operating system, and the system's
// own for isolctl and tests elsewhere.
func absolute(p string) bool {
	slash := func(b byte) bool { return b == '\\' || b == '/' }
	return slash(p[0]) && (p[0] == '/' || len(p) > 2 && slash(p[1])) ||
		len(p) > 2 && p[1] == ':' && slash(p[2])
}

func (c *checker) isolation() {
	own := just(c, "isolation", c.d.Isolation)
	if own.Set() {
		switch i := Isolation(own.V); i {
		case IsolationProcess, IsolationHyperV, IsolationAuto:
			c.out.Isolation = Value[Isolation]{i, own.Source}
		default:
			c.fail(own.Source, "%q is none of process, hyperv, auto", own.V)
		}
	}
	runhcs := just(c, "SandboxIsolation", c.d.SandboxIsolation)
	if !runhcs.Set() {
		return
	}
	var means Isolation
	switch runhcs.V {
	case 0:
		means = IsolationProcess
	case 1:
		means = IsolationHyperV
	default:
		c.fail(runhcs.Source, "%d is neither 0 (process) nor 1 (hyperv)", runhcs.V)
	}
	if own.Set() && means != c.out.Isolation.V {
		c.fail(own.Source, "%q contradicts %s = %d: remove one of them", own.V, runhcs.Source, runhcs.V)
	}
	if !own.Set() {
		c.out.Isolation = Value[Isolation]{means, runhcs.Source}
	}
}

func (c *checker) platform() {
	p := one(c, "platform", c.d.Platform, "SandboxPlatform", c.d.SandboxPlatform)
	if !p.Set() {
		return
	}
	system, arch, _ := strings.Cut(strings.ToLower(p.V), "/")
	if system != "windows" && system != "linux" || arch != "" && arch != "amd64" && arch != "arm64" {
		c.fail(p.Source, "%q is none of windows/amd64, windows/arm64, linux/amd64, linux/arm64", p.V)
	}
	c.out.Platform = p
}

var levels = []string{"trace", "debug", "info", "warn", "error", "fatal", "panic"}

func (c *checker) log() {
	level := one(c, "log_level", c.d.LogLevel, "LogLevel", c.d.LogLevelName)
	if level.Set() {
		level.V = strings.ToLower(level.V)
		if level.V == "warning" {
			level.V = "warn"
		}
		if !slices.Contains(levels, level.V) {
			c.fail(level.Source, "%q is none of %s", level.V, strings.Join(levels, ", "))
		}
	}
	debug := just(c, "debug", c.d.Debug)
	switch {
	case debug.V && level.Set() && level.V != "debug":
		c.note(debug.Source, fmt.Sprintf("has no effect: %s = %s wins", level.Source, level.V))
	case debug.V && !level.Set():
		level = Value[string]{"debug", debug.Source}
	}
	c.out.Log = Log{
		Level:     level,
		File:      c.path(just(c, "log_file", c.d.LogFile)),
		FileMaxMB: number[uint32](c, just(c, "log_file_max_mb", c.d.LogFileMaxMB), 1<<20, "MB"),
		FileKeep:  number[uint32](c, just(c, "log_file_keep", c.d.LogFileKeep), 1000, "files"),
		Scrub:     one(c, "scrub_logs", c.d.ScrubLogs, "ScrubLogs", c.d.ScrubLogsFlag),
	}
	if c.out.Log.File.Set() {
		return
	}
	for _, s := range []Source{c.out.Log.FileMaxMB.Source, c.out.Log.FileKeep.Source} {
		if s != "" {
			c.note(s, "has no effect without log_file")
		}
	}
}

func (c *checker) vm() {
	d := c.d
	c.out.VM = VM{
		ProcessorCount: number[uint32](c, one(c, "vm_processor_count", d.VMProcessorCount, "VmProcessorCount", d.runhcsDocument.VMProcessorCount),
			math.MaxInt32, "processors"),
		MemoryMB: number[uint64](c, one(c, "vm_memory_mb", d.VMMemoryMB, "VmMemorySizeInMb", d.VMMemorySizeInMB),
			maxMemoryMB, "MB"),
		BootFilesRoot:     c.path(one(c, "boot_files_root", d.BootFilesRoot, "BootFilesRootPath", d.BootFilesRootPath)),
		Image:             c.path(just(c, "uvm_image", d.UVMImage)),
		NoInheritTimeZone: one(c, "vm_no_inherit_timezone", d.VMNoTimeZone, "NoInheritHostTimezone", d.NoInheritHostTimezone),
	}
}

func (c *checker) rest() {
	d := c.d
	c.out.NodeConfig = c.path(just(c, "config", d.Config))
	c.out.ScaleCPULimits = one(c, "scale_cpu_limits_to_sandbox", d.ScaleCPULimits, "ScaleCpuLimitsToSandbox", d.ScaleCPULimitsToSandbox)
	c.out.IORetry = c.retry()
	c.podAnnotations()
	c.out.DefaultAnnotations = maps.Clone(d.DefaultContainerAnnotations)
	if len(d.DefaultAnnotations) > 0 && len(d.DefaultContainerAnnotations) > 0 {
		c.fail(c.source("default_container_annotations"), "stands together with DefaultContainerAnnotations: keep one of them")
	}
	if len(d.DefaultAnnotations) > 0 {
		c.out.DefaultAnnotations = maps.Clone(d.DefaultAnnotations)
	}
}

// podAnnotations takes the patterns that containerd's own pod_annotations
// takes: those of path.Match.
func (c *checker) podAnnotations() {
	if c.d.PodAnnotations == nil {
		return
	}
	s := c.source("pod_annotations")
	for _, p := range *c.d.PodAnnotations {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			c.fail(s, "%q is not a pattern: give a key, * matches any part of it", p)
		}
	}
	c.out.PodAnnotations = Value[[]string]{slices.Clone(*c.d.PodAnnotations), s}
}

// retry reads how long a lost stdio pipe is looked for.
func (c *checker) retry() Value[time.Duration] {
	own := just(c, "io_retry_timeout", c.d.IORetryTimeout)
	runhcs := just(c, "IoRetryTimeoutInSec", c.d.IORetryTimeoutInSec)
	var out Value[time.Duration]
	if runhcs.Set() {
		if runhcs.V < 0 || runhcs.V > math.MaxInt32 {
			c.fail(runhcs.Source, "%d is not a whole number from 0 to %d (seconds)", runhcs.V, math.MaxInt32)
			return out
		}
		out = Value[time.Duration]{time.Duration(runhcs.V) * time.Second, runhcs.Source}
	}
	if !own.Set() {
		return out
	}
	duration, err := time.ParseDuration(own.V)
	switch {
	case err != nil || duration < 0:
		c.fail(own.Source, "%q is not a duration such as 30s or 2m", own.V)
	case runhcs.Set() && out.V != duration:
		c.fail(own.Source, "%s contradicts %s = %d: remove one of them", duration, runhcs.Source, runhcs.V)
	}
	return Value[time.Duration]{duration, own.Source}
}

// withoutEffect tells of the options that runhcs' users set and that do
// nothing here: most of them do nothing in runhcs either.
func (c *checker) withoutEffect() {
	d := c.d
	for _, o := range []struct {
		name string
		said bool
		why  string
	}{
		{"RegistryRoot", d.RegistryRoot != nil, "isol keeps no state in the registry"},
		{"SandboxImage", d.SandboxImage != nil, "containerd's own sandbox image holds"},
		{"GPUVHDPath", d.GPUVHDPath != nil, "GPU disks are no longer supported"},
		{"DefaultContainerScratchSizeInGb", d.DefaultContainerScratchSizeInGB != nil, "the snapshotter makes scratch space"},
		{"DefaultVmScratchSizeInGb", d.DefaultVMScratchSizeInGB != nil, "the snapshotter makes scratch space"},
		{"ShareScratch", d.ShareScratch != nil, "the snapshotter makes scratch space"},
	} {
		if o.said {
			c.note(c.source(o.name), "has no effect: "+o.why)
		}
	}
	c.debugType()
	if d.NCProxyAddr != nil && *d.NCProxyAddr != "" && c.err == nil {
		c.err = &fault.Error{
			Kind: fault.Unimplemented, Op: op, Subject: string(c.source("NCProxyAddr")),
			Detail: "isol does not set up networks by a proxy yet", Hint: "remove it",
		}
	}
}

func (c *checker) debugType() {
	if c.d.DebugType == nil {
		return
	}
	s := c.source("DebugType")
	switch *c.d.DebugType {
	case 0:
	case 1:
		c.fail(s, "FILE: set log_file instead, which says where and how much")
	case 2:
		c.note(s, "ETW: logs go to containerd's log pipe as well")
	default:
		c.fail(s, "%d is none of 0 (NPIPE), 1 (FILE), 2 (ETW)", *c.d.DebugType)
	}
}
