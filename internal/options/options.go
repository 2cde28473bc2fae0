// Package options decodes the runtime options that containerd hands to the
// shim into one typed value, whoever configured them and in whatever form.
package options

import (
	"errors"
	"time"
)

// Source names the input that gave an option: "option isolation",
// "runhcs option sandbox_isolation". Empty: nobody gave it.
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
	Platform  Value[string] // SandboxPlatform: windows/amd64, linux/amd64; validation only
	VM        VM
	Log       Log

	ScaleCPULimits     Value[bool] // container CPU limits are of the host's processors: scale to the VM's
	DefaultAnnotations map[string]string
	IORetry            Value[time.Duration] // zero: retry for ever
	NodeConfig         Value[string]        // path of the node's config file

	// Notes tells which options were accepted and have no effect, and why.
	Notes []Note
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
	Level     Value[string] // trace, debug, info, warn, error
	File      Value[string] // path; empty: only containerd's log pipe
	FileMaxMB Value[uint32]
	FileKeep  Value[uint32]
	Scrub     Value[bool] // on when not set
}

// Note is an option that was read and has no effect.
type Note struct {
	Input Source
	Text  string
}

// Decode decodes runtime options as containerd passes them: the type URL and
// the bytes of an Any.
func Decode(typeURL string, value []byte) (Options, error) {
	if typeURL == "" && len(value) == 0 {
		return Options{}, nil
	}
	return Options{}, errors.New("not yet")
}
