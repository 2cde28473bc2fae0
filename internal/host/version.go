package host

import (
	"fmt"
	"strconv"
	"strings"
)

// Builds that Windows' container rules speak of.
// https://learn.microsoft.com/virtualization/windowscontainers/deploy-containers/version-compatibility
const (
	BuildServer2016 = 14393 // LTSC 2016: schema 1, no pods, revisions must match in process isolation
	BuildServer2019 = 17763 // LTSC 2019, Windows 10 1809: first with pods, schema 2, process isolation on a client
	BuildServer2022 = 20348 // LTSC 2022: first whose successors keep its ABI
	BuildServer2025 = 26100 // LTSC 2025, Windows 11 24H2
)

// Version is a Windows version, as in 10.0.20348.2700. The zero Version, and
// any whose Build is 0, means "unknown": use [Version.Known] before comparing.
type Version struct {
	Major    uint32
	Minor    uint32
	Build    uint32
	Revision uint32 // the update build revision (UBR); 0 means not known
}

// Build returns the version of Windows 10.0 with the given build and no known
// revision.
func Build(build uint32) Version {
	if build == 0 {
		return Version{}
	}
	return Version{Major: 10, Build: build}
}

// Known reports whether the version was read from somewhere.
func (v Version) Known() bool { return v.Build != 0 }

// String returns "10.0.20348.2700", without the revision where it is not
// known, or "unknown".
func (v Version) String() string {
	if !v.Known() {
		return "unknown"
	}
	s := fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Build)
	if v.Revision != 0 {
		s += "." + strconv.FormatUint(uint64(v.Revision), 10)
	}
	return s
}

// MarshalText writes the version as String does.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what ParseVersion reads, and "unknown".
func (v *Version) UnmarshalText(text []byte) error {
	if s := string(text); s == "" || s == "unknown" {
		*v = Version{}
		return nil
	}
	p, err := ParseVersion(string(text))
	if err != nil {
		return err
	}
	*v = p
	return nil
}

// ParseVersion reads a build ("20348"), a build and revision ("20348.2700"), or
// a version of three or four parts ("10.0.20348", "10.0.20348.2700").
func ParseVersion(s string) (Version, error) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return Version{}, versionError(s)
	}
	var n [4]uint32
	for i, p := range parts {
		x, err := strconv.ParseUint(p, 10, 32)
		if err != nil {
			return Version{}, versionError(s)
		}
		n[i] = uint32(x)
	}
	v := Version{Major: 10}
	switch len(parts) {
	case 1, 2:
		v.Build, v.Revision = n[0], n[1]
	default:
		v = Version{n[0], n[1], n[2], n[3]}
	}
	if !v.Known() {
		return Version{}, versionError(s)
	}
	return v, nil
}

func versionError(s string) error {
	return fmt.Errorf("%q is not a Windows version: give a build such as 20348, or 10.0.20348.2700", s)
}
