// Package host says what the machine and an image's layers are: the facts that
// the decision of internal/isolation starts from.
//
// [Facts] is a plain value. On Windows [Probe] reads it from the registry and
// two calls of kernel32; elsewhere, and for "what if" questions, it comes from
// a preset ([Preset]) or a file ([Load]). [Image] holds what the layers of an
// image say of themselves ([ReadImage]); reading it needs the file system only
// and works on any operating system.
//
// What could not be read is unknown, never zero: see [Version.Known] and
// [Presence]. A probe does not fail because one fact is missing.
//
// Nothing here is cached or locked: a probe costs a few registry reads and is
// made once per create.
package host

import (
	"errors"
	"fmt"
)

// Edition is the family of the Windows product.
type Edition string

// The editions. The zero Edition means unknown.
const (
	EditionUnknown Edition = ""
	Client         Edition = "client" // Windows 10 and 11
	Server         Edition = "server"
)

// Presence is whether the machine has something.
type Presence string

// The presences. The zero Presence means unknown.
const (
	Unknown Presence = ""
	Yes     Presence = "yes"
	No      Presence = "no"
)

// String returns "yes", "no" or "unknown".
func (p Presence) String() string {
	if p == Unknown {
		return "unknown"
	}
	return string(p)
}

// check finds words that are none of the allowed.
func (f Facts) check() error {
	switch f.Edition {
	case Client, Server, EditionUnknown:
	default:
		return fmt.Errorf("edition = %q: it is client or server; leave it out where it is not known", f.Edition)
	}
	switch f.Hypervisor {
	case Yes, No, Unknown:
	default:
		return fmt.Errorf("hypervisor = %q: it is yes or no; leave it out where it is not known", f.Hypervisor)
	}
	if !f.Version.Known() {
		return errors.New("no version: give version = \"10.0.20348.2700\"")
	}
	return nil
}

// Facts are what is known of a machine.
type Facts struct {
	Version  Version `json:"version" toml:"version"`                     // of the running Windows
	Edition  Edition `json:"edition,omitempty" toml:"edition,omitempty"` // client or server
	Product  string  `json:"product,omitempty" toml:"product,omitempty"` // "Windows Server 2022 Datacenter"
	CPUs     uint32  `json:"cpus,omitempty" toml:"cpus,omitempty"`       // logical processors of all groups; 0 unknown
	MemoryMB uint64  `json:"memoryMB,omitempty" toml:"memoryMB,omitempty"`
	// Hypervisor is whether this machine can start virtual machines, as far as
	// HypervisorSource shows. HCS has the last word.
	Hypervisor       Presence `json:"hypervisor,omitempty" toml:"hypervisor,omitempty"`
	HypervisorSource string   `json:"hypervisorSource,omitempty" toml:"hypervisorSource,omitempty"`
	// Schemas are the schema versions that HCS says it takes ("2.1"), where it was asked.
	Schemas []string `json:"schemas,omitempty" toml:"schemas,omitempty"`
	// Source says where the facts come from: "probe", "preset server2022", a path.
	Source string `json:"source,omitempty" toml:"-"`
}

// String returns one line that a person reads: version, edition and product.
func (f Facts) String() string {
	s := f.Version.String()
	if f.Product != "" {
		s += ", " + f.Product
	}
	if f.Edition != EditionUnknown {
		s += " (" + string(f.Edition) + ")"
	}
	return s
}
