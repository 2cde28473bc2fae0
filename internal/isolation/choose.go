package isolation

import (
	"fmt"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/oci"
)

// claim is what one source says of the mode.
type claim struct {
	input string
	mode  Mode // ModeInvalid: auto
	guest Guest
	why   string
	rank  rank
}

// rank is what becomes of a claim that disagrees with a stronger one.
type rank uint8

const (
	rankDefault rank = iota // it is overruled
	rankSpec                // the spec's own: the two contradict each other
	rankPod
	rankPolicy
)

func (c claim) auto() bool { return c.mode == ModeInvalid }

// said is the claim's mode as messages have it.
func (c claim) said() string {
	switch {
	case c.auto():
		return "auto"
	case c.guest == GuestLinux:
		return "hyperv with a Linux guest"
	}
	return c.mode.String()
}

// claims returns what the sources say, the strongest first. The last one, the
// host's edition, always speaks.
func (d *decision) claims() []claim {
	var cs []claim
	cs = append(cs, d.policyClaim()...)
	cs = append(cs, d.podClaim()...)
	cs = append(cs, d.specClaims()...)
	return append(cs, d.defaultClaims()...)
}

func (d *decision) policyClaim() []claim {
	rule := d.in.Node.HyperVRule(d.in.Namespace, d.req.Written)
	if rule == "" {
		return nil
	}
	return []claim{{
		input: "node policy " + rule, mode: ModeHyperV, guest: guestOf(d.req), rank: rankPolicy,
		why: "the policy of " + d.in.Node.Path + " requires it and nothing overrules a policy",
	}}
}

func (d *decision) podClaim() []claim {
	p := d.in.Pod
	if p == nil {
		return nil
	}
	c := claim{input: "pod " + p.SandboxID, mode: p.Mode, guest: p.Guest, rank: rankPod}
	switch p.Mode {
	case ModeHyperV:
		c.why = "a container of a Hyper-V pod runs in the pod's utility VM " + p.UVM.ID
	case ModeHostProcess:
		c.why = "a container of a HostProcess pod is a job on the host"
	default:
		c.why = "a container of a process-isolated pod shares the host's kernel"
	}
	return []claim{c}
}

func (d *decision) specClaims() []claim {
	var cs []claim
	if d.req.Linux {
		cs = append(cs, claim{
			input: "spec.linux", mode: ModeHyperV, guest: GuestLinux, rank: rankSpec,
			why: "a Linux container on Windows needs a Linux kernel, so a utility VM",
		})
	}
	if hp := d.req.HostProcess.Requested; hp.Set() && hp.V {
		cs = append(cs, claim{
			input: string(hp.Source), mode: ModeHostProcess, guest: GuestWindows, rank: rankSpec,
			why: "a HostProcess container is a job on the host, with the host's file system and network",
		})
	}
	guest := guestOf(d.req)
	if d.req.HyperV != nil {
		cs = append(cs, claim{
			input: "spec.windows.hyperv", mode: ModeHyperV, guest: guest, rank: rankSpec,
			why: "its presence in the spec asks for a utility VM",
		})
	}
	if a := d.req.Isolation; a.Set() {
		cs = append(cs, named(string(a.V), string(a.Source), "the annotation says so", guest, rankSpec))
	}
	return cs
}

func (d *decision) defaultClaims() []claim {
	var cs []claim
	if o := d.in.Options.Isolation; o.Set() {
		cs = append(cs, named(string(o.V), string(o.Source), "the runtime handler's options say so", GuestWindows, rankDefault))
	}
	if n := d.in.Node; n.Isolation != "" {
		cs = append(cs, named(n.Isolation, "node config "+n.Path, "the node's default, as nothing stronger said otherwise", GuestWindows, rankDefault))
	}
	c := claim{input: "host edition", rank: rankDefault}
	switch d.in.Host.Edition {
	case host.Server:
		c.mode, c.why = ModeProcess, "the default of Windows Server is process isolation"
	case host.Client:
		c.mode, c.why = ModeHyperV, "the default of Windows 10 and 11 is Hyper-V isolation"
	default:
		c.mode, c.why = ModeHyperV, "the host's edition is not known: the stronger isolation is taken"
	}
	return append(cs, c)
}

// named is the claim of a source that spells the mode as a word, which its
// reader has checked.
func named(word, input, why string, guest Guest, r rank) claim {
	c := claim{input: input, guest: guest, rank: r, why: why}
	switch oci.Isolation(word) {
	case oci.IsolationProcess:
		c.mode, c.guest = ModeProcess, GuestWindows
	case oci.IsolationHyperV:
		c.mode = ModeHyperV
	}
	return c
}

// choose lets the strongest claim decide, lists those it overrules, and fails
// where one that must agree does not.
func (d *decision) choose() error {
	cs := d.claims()
	won := cs[0]
	inGuest := false
	for _, c := range cs[1:] {
		switch {
		case c.mode == ModeHostProcess && d.podInVM():
			inGuest = true // a HostProcess container of a Hyper-V pod: a job in the guest
		case agrees(won, c):
		case c.rank == rankDefault || c.auto():
			d.overrule(c.input, c.said(), won.input)
		default:
			return d.contradiction(won, c)
		}
	}
	d.plan.Mode, d.plan.Guest = won.mode, won.guest
	if won.auto() {
		if err := d.resolveAuto(won); err != nil {
			return err
		}
	} else {
		d.reason("isolation = "+won.said(), won.input, won.why)
	}
	if inGuest {
		d.plan.Mode = ModeHostProcess
		d.plan.Container.HostProcess = &HostProcess{InGuest: true}
		d.reason("HostProcess in the guest", string(d.req.HostProcess.Requested.Source),
			"the pod has a utility VM: the container is a job in it and sees nothing of the host")
	} else if d.plan.Mode == ModeHostProcess {
		d.plan.Container.HostProcess = &HostProcess{}
	}
	return nil
}

// agrees reports whether c is content with what won says.
func agrees(won, c claim) bool {
	switch {
	case c.auto() || won.auto():
		return c.auto() && won.auto()
	case won.mode == ModeHostProcess:
		return c.mode != ModeHyperV // a job on the host shares its kernel
	case c.rank == rankDefault:
		return c.mode == won.mode // a default speaks of the mode, not of the guest
	}
	return c.mode == won.mode && c.guest == won.guest
}

func (d *decision) podInVM() bool { return d.in.Pod != nil && d.in.Pod.Mode == ModeHyperV }

// contradiction is the error of two inputs that can't both be had.
func (d *decision) contradiction(won, c claim) error {
	switch won.rank {
	case rankPolicy:
		return d.in.Node.Deny(fmt.Sprintf("%s isolation, which %s asks for: hyperv is required", c.said(), c.input),
			d.in.Node.HyperVRule(d.in.Namespace, d.req.Written))
	case rankPod:
		return &fault.Error{
			Kind: fault.FailedPrecondition, Op: op, Subject: d.in.ID,
			Detail: fmt.Sprintf("%s asks for %s, but %s is %s: a container runs as its pod does", c.input, c.said(), won.input, won.said()),
			Hint:   "ask for it on the pod, or leave it out of the container",
		}
	}
	return &fault.Error{
		Kind: fault.InvalidArgument, Op: op, Subject: d.in.ID,
		Detail: fmt.Sprintf("%s asks for %s and %s asks for %s", won.input, won.said(), c.input, c.said()),
		Hint:   "they contradict each other: remove one of the two",
	}
}

// resolveAuto takes process isolation if the versions fit, else Hyper-V.
func (d *decision) resolveAuto(won claim) error {
	v := FitsKernel("host", d.in.Host.Version, d.in.Image.OS)
	hyp := d.in.Host.Hypervisor
	switch {
	case v.Fit == FitYes:
		d.plan.Mode = ModeProcess
		d.reason("isolation = process", won.input, "auto: the image fits the host: "+v.Rule)
	case hyp == host.No && v.Fit == FitUnknown:
		d.plan.Mode = ModeProcess
		d.reason("isolation = process", won.input, "auto: "+v.Rule+", and there is no hypervisor")
	case hyp == host.No:
		return d.mismatch(fmt.Sprintf("image %s fits host %s in no mode: %s, and there is no hypervisor (%s)",
			d.in.Image.OS, d.in.Host.Version, v.Rule, d.in.Host.HypervisorSource),
			"enable Hyper-V, or use "+imageHint(d.in.Host.Version))
	case v.Fit == FitNo:
		d.plan.Mode = ModeHyperV
		d.reason("isolation = hyperv", won.input, fmt.Sprintf("auto: image %s does not fit the host: %s", d.in.Image.OS, v.Rule))
	default:
		d.plan.Mode = ModeHyperV
		d.reason("isolation = hyperv", won.input, "auto: whether the image fits the host is not known")
	}
	return nil
}
