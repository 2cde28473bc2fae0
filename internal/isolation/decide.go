package isolation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/oci"
)

// op opens the text of every refusal of this package.
const op = "decide isolation of"

// decision is a plan in the making. It lives for one call of Decide.
type decision struct {
	in   Input
	req  *oci.Request
	plan *Plan
}

// Decide makes the plan of one container. The error is a fault whose kind is
// one of those in the package comment; no plan is returned with it.
func Decide(in Input) (*Plan, error) {
	if in.Request == nil {
		return nil, fault.New(fault.Internal, "decide isolation of %s: no request", in.ID)
	}
	d := &decision{in: in, req: in.Request, plan: &Plan{
		ID: in.ID, Role: Role(in.Request.Role), SandboxID: in.Request.SandboxID,
		Versions: Versions{Host: in.Host.Version, Image: in.Image.OS},
	}}
	d.plan.Bare = in.Bare
	d.plan.Reasons = make([]Reason, 0, 8)
	for _, step := range []func() error{
		d.checkRole, d.checkPlatform, d.refuseAsks, d.choose, d.checkHost, d.checkVersions, d.hostProcess,
		d.utilityVM, d.resources, d.mounts, d.devices, d.network, d.ports, d.credentials, d.extras,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	d.notes()
	return d.plan, nil
}

func (d *decision) reason(decision, input, why string) {
	d.plan.Reasons = append(d.plan.Reasons, Reason{decision, input, why})
}

func (d *decision) overrule(input, said, by string) {
	d.plan.Overruled = append(d.plan.Overruled, Overruled{input, said, by})
}

func (d *decision) cross(c Crossing) { d.plan.Crossings = append(d.plan.Crossings, c) }

// refuse is a refusal of the given kind.
func (d *decision) refuse(kind fault.Kind, hint, format string, args ...any) error {
	return &fault.Error{Kind: kind, Op: op, Subject: d.in.ID, Detail: fmt.Sprintf(format, args...), Hint: hint}
}

func (d *decision) invalid(hint, format string, args ...any) error {
	return d.refuse(fault.InvalidArgument, hint, format, args...)
}

func (d *decision) mismatch(detail, hint string) error {
	return d.refuse(fault.FailedPrecondition, hint, "%s", detail)
}

// checkRole holds the pod that was found against the one that was asked for.
func (d *decision) checkRole() error {
	pod := d.in.Pod
	switch {
	case d.plan.Role == RoleWorkload && pod == nil:
		return d.refuse(fault.FailedPrecondition, "create the pod's sandbox first",
			"it joins pod %s, which is not running here", d.req.SandboxID)
	case d.plan.Role != RoleWorkload && pod != nil:
		return d.invalid("containers of a pod carry io.kubernetes.cri.container-type = container",
			"it is no container of a pod (%s) and can't join pod %s", d.plan.Role, pod.SandboxID)
	case pod != nil && pod.SandboxID != d.req.SandboxID:
		return d.refuse(fault.FailedPrecondition, "create the container in its own pod",
			"it joins pod %s, but this is pod %s", d.req.SandboxID, pod.SandboxID)
	case pod != nil && pod.Mode == ModeHyperV && (pod.Guest == GuestLinux) != d.req.Linux:
		return d.refuse(fault.FailedPrecondition, "all containers of a Hyper-V pod run on the kernel of its utility VM",
			"it is a %s container and the utility VM of pod %s has a %s guest", guestOf(d.req), pod.SandboxID, pod.Guest)
	case pod != nil && pod.Mode == ModeHyperV && pod.UVM == nil:
		return fault.New(fault.Internal, "the plan of pod %s is hyperv and has no utility VM", pod.SandboxID)
	}
	return nil
}

func guestOf(r *oci.Request) Guest {
	if r.Linux {
		return GuestLinux
	}
	return GuestWindows
}

// checkPlatform holds the platform that runhcs's options name against the spec.
func (d *decision) checkPlatform() error {
	p := d.in.Options.Platform
	os, _, _ := strings.Cut(p.V, "/")
	switch {
	case !p.Set() || os == "linux" && d.req.Linux || os == "windows" && !d.req.Linux:
		return nil
	case d.req.Linux:
		return d.invalid("use a handler for Linux containers", "%s is %s and the spec has a linux section", p.Source, p.V)
	}
	return d.invalid("use a handler for Windows containers", "%s is %s and the spec has no linux section", p.Source, p.V)
}

// refuseAsks refuses what Windows containers do not have, by name. A Linux
// guest has kernel parameters of its own, but no namespace of the host.
func (d *decision) refuseAsks() error {
	for _, a := range d.req.Asks {
		if d.req.Linux && a.Feature == oci.FeatureSysctl {
			continue
		}
		return d.invalid("remove it: only files, pipes, ports, networks and devices cross a Windows container's boundary",
			"%s asks for %s (%s), which Windows containers do not have in any isolation mode", a.Where, a.Feature, a.Said)
	}
	return nil
}

// checkHost refuses modes that this host has not.
func (d *decision) checkHost() error {
	h := d.in.Host
	switch {
	case h.Version.Known() && h.Version.Build < host.BuildServer2019 && d.plan.Role != RoleStandalone:
		return d.mismatch(fmt.Sprintf("host %s has no pods: they came with build %d (Windows Server 2019)", h.Version, host.BuildServer2019),
			"use a host of Windows Server 2019 or later")
	case d.plan.Mode == ModeProcess && h.Edition == host.Client && h.Version.Known() && h.Version.Build < host.BuildServer2019:
		return d.mismatch(fmt.Sprintf("host %s is a client older than build %d, which has no process isolation", h.Version, host.BuildServer2019),
			"use Hyper-V isolation")
	case d.plan.InVM() && d.in.Pod == nil && h.Hypervisor == host.No:
		return d.mismatch(fmt.Sprintf("Hyper-V isolation needs a hypervisor, and this host has none: %s", h.HypervisorSource),
			"enable the Hyper-V role, and nested virtualisation where the host is itself a virtual machine; or use process isolation")
	}
	if d.plan.Mode == ModeProcess && h.Edition == host.Client {
		d.reason("for development only", "host edition",
			"Microsoft supports process isolation on a client for development and test, not for production")
	}
	if d.plan.InVM() && d.in.Pod == nil && h.Hypervisor == host.Unknown {
		d.reason("hypervisor not checked", "host", "whether the host has one is not known, HCS decides")
	}
	return nil
}

// checkVersions applies the version rule of the mode, then isol's own floor.
func (d *decision) checkVersions() error {
	var err error
	switch {
	case d.plan.Guest == GuestLinux:
	case d.plan.Bare && !(d.plan.InVM() && d.in.Image.UVM.Known()):
		d.reason("versions not compared", "Sandbox API", "the pod has no image of its own: each container's is compared when it joins")
	case d.plan.InVM():
		err = d.checkVMVersions()
	case d.plan.Mode == ModeHostProcess:
		d.reason("versions not compared", "HostProcess", "a HostProcess container uses the host's own system files: any image fits")
	default:
		err = d.checkProcessVersions()
	}
	if err != nil {
		return err
	}
	if h := d.in.Host.Version; h.Known() && h.Build < host.BuildServer2019 {
		return d.refuse(fault.Unimplemented, "use a host of Windows Server 2019 or later",
			"host %s takes documents of schema version 1, which isol does not speak yet", h)
	}
	return nil
}

func (d *decision) checkProcessVersions() error {
	h, img := d.in.Host.Version, d.in.Image.OS
	v := FitsKernel("host", h, img)
	newer := d.newerAsked()
	if v.Fit == FitNo && newer != "" && img.Build > h.Build {
		d.reason("versions: tried all the same", newer, v.Rule+"; the image is newer, which Microsoft does not test: HCS decides")
		return nil
	}
	if v.Fit != FitNo {
		d.reason("versions: "+v.Fit.String(), "image "+img.String()+", host "+h.String(), v.Rule)
		return nil
	}
	hint := "use " + imageHint(h)
	if img.Build <= h.Build && d.in.Host.Hypervisor != host.No {
		hint = "use Hyper-V isolation, which takes older images, or " + imageHint(h)
	}
	return d.mismatch(fmt.Sprintf("image %s does not fit host %s in process isolation: %s", img, h, v.Rule), hint)
}

// Mismatch turns HCS's word that the image does not fit into the refusal that
// Decide would have given, with the versions that were compared: HCS knows what
// could not be read, and has the last word. err is the service's error.
func (p *Plan) Mismatch(err error) error {
	kernel, what := p.Versions.Host, "host"
	builds := fmt.Sprintf("host %s, image %s", p.Versions.Host, p.Versions.Image)
	if p.InVM() {
		kernel, what = p.Versions.UVM, "utility VM"
		builds = fmt.Sprintf("host %s, utility VM %s, image %s", p.Versions.Host, p.Versions.UVM, p.Versions.Image)
		if src := p.Versions.UVMSource; src != "" {
			builds += "; the utility VM comes from " + src
		}
	}
	hint := "use an image of the same release as the " + what
	if kernel.Known() {
		hint = "use " + imageHint(kernel)
	}
	if !p.InVM() {
		hint += ", or Hyper-V isolation for an older one"
	}
	return &fault.Error{
		Kind: fault.FailedPrecondition, Op: "create", Subject: p.ID,
		Detail: fmt.Sprintf("HCS says that the image does not fit the %s in %s isolation (%s): %s", what, p.Mode, builds, FitsKernel(what, kernel, p.Versions.Image).Rule),
		Hint:   hint, Err: err,
	}
}

// newerAsked names the input that allows images newer than the host, or is empty.
func (d *decision) newerAsked() string {
	a := d.req.Annotations.Bool(oci.KeyAllowNewerImage)
	switch {
	case a.Set() && !a.V:
		return "" // the container's own no is stronger than the node's yes
	case a.V:
		return string(a.Source)
	case d.in.Node.HyperV.AllowNewerImage:
		return "node config " + d.in.Node.Path
	}
	return ""
}

func (d *decision) checkVMVersions() error {
	h, img, uvm, src := d.in.Host.Version, d.in.Image.OS, d.in.Image.UVM, d.in.Image.UVMSource
	boots := d.in.Pod == nil || d.in.Pod.UVM != nil && d.in.Pod.UVM.Late
	if !boots {
		uvm, src = d.in.Pod.Versions.UVM, d.in.Pod.Versions.UVMSource
	} else if !uvm.Known() {
		uvm, src = img, "the image, which should bring its own"
	}
	d.plan.Versions.UVM, d.plan.Versions.UVMSource = uvm, src
	builds := fmt.Sprintf("host %s, utility VM %s, image %s", h, uvm, img)
	if boots {
		v := FitsHost(h, uvm, d.newerAsked() != "")
		if v.Fit == FitNo {
			return d.mismatch(fmt.Sprintf("the utility VM is newer than the host (%s; the utility VM comes from %s): %s", builds, src, v.Rule),
				"use an image of the host's build or older; annotation "+string(oci.KeyAllowNewerImage)+" = true tries it all the same, untested by Microsoft")
		}
		d.reason("utility VM fits host: "+v.Fit.String(), builds, v.Rule)
	}
	if d.plan.Role == RoleSandbox {
		return nil // no process of the pod's own image runs in the VM
	}
	v, err := d.plan.fitsVM()
	if err == nil {
		d.reason("image fits utility VM: "+v.Fit.String(), builds, v.Rule)
	}
	return err
}

// fitsVM applies the version rule to the versions that the plan names.
func (p *Plan) fitsVM() (Verdict, error) {
	v := FitsKernel("utility VM", p.Versions.UVM, p.Versions.Image)
	if v.Fit != FitNo {
		return v, nil
	}
	return v, &fault.Error{
		Kind: fault.FailedPrecondition, Op: op, Subject: p.ID,
		Detail: fmt.Sprintf("the image does not fit the utility VM (host %s, utility VM %s, image %s; the utility VM comes from %s): %s",
			p.Versions.Host, p.Versions.UVM, p.Versions.Image, p.Versions.UVMSource, v.Rule),
		Hint: "use " + imageHint(p.Versions.UVM) + ", or a pod whose utility VM has the image's build (option uvm_image, or another pause image)",
	}
}

// Booted returns the plan of a pod whose utility VM was [UVM.Late], once the
// container that first has booted it.
func (p *Plan) Booted(first *Plan) *Plan {
	booted := *p
	vm := *p.UVM
	vm.Late, vm.MemoryMB = false, max(vm.MemoryMB, first.BootMemoryMB)
	booted.UVM = &vm
	booted.Versions.UVM, booted.Versions.UVMSource = first.Versions.UVM, first.Versions.UVMSource
	return &booted
}

// Rejoin holds a container that was decided before its pod's utility VM had
// booted against the VM that another container has booted meanwhile. It
// returns the container's plan as it would have been decided now. Errors:
// FailedPrecondition if the image does not fit that VM.
func (p *Plan) Rejoin(pod *Plan) (*Plan, error) {
	joined := *p
	joined.Versions.UVM, joined.Versions.UVMSource = pod.Versions.UVM, pod.Versions.UVMSource
	if _, err := joined.fitsVM(); err != nil {
		return nil, err
	}
	if limit, have := p.Container.MemoryMB, pod.UVM.MemoryMB; p.BootMemoryMB != 0 && limit > have {
		joined.Reasons = append(slices.Clone(p.Reasons), Reason{"memory limit cannot be reached", "pod " + pod.SandboxID,
			fmt.Sprintf("another container has booted the utility VM, which has %d MB; this one may use %d MB", have, limit)})
	}
	joined.BootMemoryMB = 0
	return &joined, nil
}

// notes adds what the readers of the inputs had to say.
func (d *decision) notes() {
	for _, n := range d.req.Notes {
		d.reason("note", string(n.Input), n.Text)
	}
	for _, n := range d.in.Options.Notes {
		d.reason("note", string(n.Input), n.Text)
	}
	for _, o := range d.req.Overruled {
		d.overrule(string(o.Input), o.Said, string(o.By))
	}
}
