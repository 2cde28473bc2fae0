// Package node reads the node's config file: defaults for containers that say
// nothing, and the policy that nothing overrules.
//
// The file is %ProgramData%\isol\config.toml ([DefaultPath]) unless another is
// named. A file that is not there is the zero [Config], which changes nothing.
// A file that is there is read strictly: an unknown key, a wrong type or a value
// out of range is an error that names the line, and no container is created
// until it is mended, because a misspelt rule must not be a rule switched off.
//
//	isolation = "process"            # process, hyperv, auto: default for containers that do not say
//
//	[hyperv]
//	memory_mb  = 1024                # default size of a utility VM
//	processors = 2
//	overhead_mb = 256                # memory of the VM beyond the containers' limits
//	allow_newer_image = false        # an image newer than its utility VM: untested by Microsoft
//
//	[policy]
//	require_hyperv             = false
//	require_hyperv_namespaces  = ["tenant-*"]       # containerd namespaces
//	require_hyperv_annotations = ["example.com/untrusted=true"]
//	forbid_host_process        = false
//	forbid_pipes               = false
//	forbid_writable_mounts     = false
//	forbid_devices             = false
//	allow_host_paths           = ['C:\data', 'D:\shared']
//
// A Config is a value: it is read once per create and never changed.
package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/isolrun/isol/internal/fault"
)

// Config is the node's config file. The zero Config sets and forbids nothing.
type Config struct {
	// Path is the file it was read from; empty if there was none.
	Path string `toml:"-"`
	// Isolation is the mode of containers that ask for none: "", process,
	// hyperv or auto.
	Isolation string `toml:"isolation"`
	HyperV    HyperV `toml:"hyperv"`
	Policy    Policy `toml:"policy"`
}

// HyperV holds defaults for utility VMs; 0 means isol's own default.
type HyperV struct {
	MemoryMB        uint64 `toml:"memory_mb"`
	Processors      uint32 `toml:"processors"`
	OverheadMB      uint64 `toml:"overhead_mb"`
	AllowNewerImage bool   `toml:"allow_newer_image"`
}

// Policy is what the node requires and forbids. Nothing overrules it.
type Policy struct {
	RequireHyperV            bool     `toml:"require_hyperv"`
	RequireHyperVNamespaces  []string `toml:"require_hyperv_namespaces"`  // containerd namespaces, * matches
	RequireHyperVAnnotations []string `toml:"require_hyperv_annotations"` // key or key=value
	ForbidHostProcess        bool     `toml:"forbid_host_process"`
	ForbidPipes              bool     `toml:"forbid_pipes"`
	ForbidWritableMounts     bool     `toml:"forbid_writable_mounts"`
	ForbidDevices            bool     `toml:"forbid_devices"`
	// AllowHostPaths lists the host directories that containers may mount,
	// with all below them. Empty allows every path.
	AllowHostPaths []string `toml:"allow_host_paths"`
}

// DefaultPath returns %ProgramData%\isol\config.toml with the variable taken
// from getenv.
func DefaultPath(getenv func(string) string) string {
	dir := getenv("ProgramData")
	if dir == "" {
		dir = `C:\ProgramData`
	}
	return dir + `\isol\config.toml`
}

// Read reads the file at path. A file that does not exist is the zero Config.
func Read(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, nil
	}
	if err != nil {
		return Config{}, fault.New(fault.FailedPrecondition, "read node config: %w", err)
	}
	return Parse(path, text)
}

// Parse reads the text of a config file; path is for messages.
func Parse(path string, text []byte) (Config, error) {
	var c Config
	d := toml.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return Config{}, fault.New(fault.FailedPrecondition, "node config %s: %w", path, located(err))
	}
	c.Path = path
	if err := c.check(); err != nil {
		return Config{}, fault.New(fault.FailedPrecondition, "node config %s: %w", path, err)
	}
	return c, nil
}

// located turns the decoder's errors into one sentence with line and key.
func located(err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) && len(strict.Errors) > 0 {
		e := strict.Errors[0]
		line, _ := e.Position()
		return fmt.Errorf("line %d: unknown key %q (the known keys are in docs/isolation.md)",
			line, strings.Join(e.Key(), "."))
	}
	var dec *toml.DecodeError
	if errors.As(err, &dec) {
		line, col := dec.Position()
		return fmt.Errorf("line %d, column %d: %w", line, col, err)
	}
	return err
}

// check finds values that parse and mean nothing.
func (c Config) check() error {
	if !slices.Contains([]string{"", "process", "hyperv", "auto"}, c.Isolation) {
		return fmt.Errorf("isolation = %q: it is process, hyperv or auto", c.Isolation)
	}
	for _, p := range c.Policy.RequireHyperVNamespaces {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			return fmt.Errorf("policy.require_hyperv_namespaces: %q is not a pattern: give a name, * matches any part of it", p)
		}
	}
	for _, a := range c.Policy.RequireHyperVAnnotations {
		if k, _, _ := strings.Cut(a, "="); k == "" {
			return fmt.Errorf("policy.require_hyperv_annotations: %q is neither key nor key=value", a)
		}
	}
	for _, p := range c.Policy.AllowHostPaths {
		if !absolute(p) {
			return fmt.Errorf("policy.allow_host_paths: %q is not an absolute path such as 'C:\\data'", p)
		}
	}
	return nil
}
