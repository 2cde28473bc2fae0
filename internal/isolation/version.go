package isolation

import (
	"fmt"

	"github.com/isolrun/isol/internal/host"
)

// Fit is the answer of a version rule.
type Fit uint8

// The answers.
const (
	FitUnknown Fit = iota // a version is not known: HCS will say
	FitYes
	FitNo
)

// String returns "yes", "no" or "unknown".
func (f Fit) String() string { return nameOf([]string{"unknown", "yes", "no"}, int(f)) }

// Verdict is the answer of a version rule with the rule in words.
type Verdict struct {
	Fit  Fit
	Rule string // "a host of build 20348 takes images of build 20348"
}

// stableABI lists the long-term releases from the one on whose successors kept
// its ABI, ascending. A generation is what lies between two of them.
var stableABI = [...]uint32{host.BuildServer2022, host.BuildServer2025}

// processRange returns the image builds that a kernel of the given build runs:
// below 20348 its own only; from there on, from the long-term release before
// the kernel's generation up to the kernel's own build. The first generation
// has none before it and begins with itself.
//
// The rule is containerd's (github.com/containerd/platforms v1.0.0-rc.5), which
// agrees with
// https://learn.microsoft.com/virtualization/windowscontainers/deploy-containers/version-compatibility
// in that 26100 and 26200 take 20348; older copies of the rule say otherwise.
func processRange(kernel uint32) (lo, hi uint32) {
	if kernel < stableABI[0] {
		return kernel, kernel
	}
	for i := len(stableABI) - 1; i > 0; i-- {
		if kernel >= stableABI[i] {
			return stableABI[i-1], kernel
		}
	}
	return stableABI[0], kernel
}

// FitsKernel says whether an image's programs run on a kernel: the host's in
// process isolation, the utility VM's in Hyper-V isolation. what names the
// kernel's owner ("host", "utility VM").
func FitsKernel(what string, kernel, image host.Version) Verdict {
	if !kernel.Known() || !image.Known() {
		return Verdict{FitUnknown, fmt.Sprintf("the %s's build or the image's is not known, HCS decides", what)}
	}
	lo, hi := processRange(kernel.Build)
	v := Verdict{FitNo, fmt.Sprintf("a %s of build %d takes images of builds %d to %d", what, kernel.Build, lo, hi)}
	if lo == hi {
		v.Rule = fmt.Sprintf("a %s of build %d takes images of build %d only", what, kernel.Build, lo)
	}
	sameWindows := kernel.Major == image.Major && kernel.Minor == image.Minor
	if sameWindows && lo <= image.Build && image.Build <= hi {
		v.Fit = FitYes
	}
	if kernel.Build != host.BuildServer2016 {
		return v
	}
	// Server 2016 compares revisions too.
	v.Rule = fmt.Sprintf("a %s of build %d takes images of its own build and revision only", what, kernel.Build)
	if v.Fit == FitYes && kernel.Revision != image.Revision {
		v.Fit = FitNo
		if kernel.Revision == 0 || image.Revision == 0 {
			v.Fit = FitUnknown
		}
	}
	return v
}

// FitsHost says whether a utility VM (or an image that brings its own) may run
// on a host: not newer than the host. Newer ones are untested by Microsoft and
// need to be asked for; runhcs and Docker refuse them too.
func FitsHost(h, uvm host.Version, allowNewer bool) Verdict {
	if !h.Known() || !uvm.Known() {
		return Verdict{FitUnknown, "the host's build or the utility VM's is not known, HCS decides"}
	}
	if uvm.Build <= h.Build {
		return Verdict{FitYes, fmt.Sprintf("a host of build %d takes utility VMs up to build %d", h.Build, h.Build)}
	}
	if allowNewer {
		return Verdict{FitYes, fmt.Sprintf("build %d is newer than the host's %d, which Microsoft does not test, and was asked for", uvm.Build, h.Build)}
	}
	return Verdict{FitNo, fmt.Sprintf("a host of build %d takes utility VMs up to build %d", h.Build, h.Build)}
}

// releaseName names the image tag of a build that is a long-term release.
func releaseName(build uint32) string {
	switch build {
	case host.BuildServer2016:
		return "ltsc2016"
	case host.BuildServer2019:
		return "ltsc2019"
	case host.BuildServer2022:
		return "ltsc2022"
	case host.BuildServer2025:
		return "ltsc2025"
	}
	return ""
}

// imageHint says which image would fit a kernel.
func imageHint(kernel host.Version) string {
	lo, hi := processRange(kernel.Build)
	if hi == host.BuildServer2016 && kernel.Revision != 0 {
		return fmt.Sprintf("an image of version %s (a tag of ltsc2016 with the same revision)", kernel)
	}
	if n := releaseName(hi); n != "" {
		return fmt.Sprintf("an image of build %d (tag %s)", hi, n)
	}
	if n := releaseName(lo); n != "" && lo != hi {
		return fmt.Sprintf("an image of build %d (tag %s)", lo, n)
	}
	return fmt.Sprintf("an image of build %d (no long-term release has it)", hi)
}
