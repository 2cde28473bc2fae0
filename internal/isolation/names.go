package isolation

import (
	"fmt"
	"slices"
)

// The names of the enumerations, as texts and JSON have them.
var (
	modeNames      = []string{"invalid", "process", "hyperv", "hostprocess"}
	guestNames     = []string{"windows", "linux"}
	roleNames      = []string{"standalone", "sandbox", "workload"}
	mechanismNames = []string{"bind", "vsmb", "scsi", "sandbox", "guest", "plan9", "hugepages"}
)

// String returns "process", "hyperv" or "hostprocess".
func (m Mode) String() string { return nameOf(modeNames, int(m)) }

// MarshalText writes the mode's name.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the mode's name.
func (m *Mode) UnmarshalText(text []byte) error { return setName(m, modeNames, "mode", text) }

// String returns "windows" or "linux".
func (g Guest) String() string { return nameOf(guestNames, int(g)) }

// MarshalText writes the guest's name.
func (g Guest) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalText reads the guest's name.
func (g *Guest) UnmarshalText(text []byte) error { return setName(g, guestNames, "guest", text) }

// String returns "standalone", "sandbox" or "workload".
func (r Role) String() string { return nameOf(roleNames, int(r)) }

// MarshalText writes the role's name.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the role's name.
func (r *Role) UnmarshalText(text []byte) error { return setName(r, roleNames, "role", text) }

// String returns the mechanism's name, lower case.
func (m Mechanism) String() string { return nameOf(mechanismNames, int(m)) }

// How says in words by what mechanism the container gets the mount.
func (m Mount) How() string {
	return map[Mechanism]string{
		MechanismBind: "mapped by the compute service", MechanismVSMB: "VSMB share of the utility VM, mapped by its guest",
		MechanismSCSI: "SCSI disk of the utility VM, mounted by its guest", MechanismSandbox: "directory of the utility VM",
		MechanismGuest: "left to the guest", MechanismPlan9: "Plan 9 share of the utility VM", MechanismHugePages: "huge pages of the guest",
	}[m.Mechanism]
}

// How says in words by what mechanism the container gets the pipe.
func (p Pipe) How(inVM bool) string {
	switch {
	case p.Guest:
		return "pipe of the utility VM"
	case inVM:
		return "share IPC$ of the utility VM, mapped by its guest"
	}
	return "mapped by the compute service"
}

// MarshalText writes the mechanism's name.
func (m Mechanism) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the mechanism's name.
func (m *Mechanism) UnmarshalText(text []byte) error {
	return setName(m, mechanismNames, "mechanism", text)
}

func nameOf(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("unknown(%d)", i)
}

func setName[T ~uint8](dst *T, names []string, what string, text []byte) error {
	i := slices.Index(names, string(text))
	if i < 0 {
		return fmt.Errorf("%q is not a %s: one of %v", text, what, names)
	}
	*dst = T(i)
	return nil
}
