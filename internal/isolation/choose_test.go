package isolation

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/node"
	"github.com/isolrun/isol/internal/options"
)

// Which source decides, and what it overrules: the answer to "why did my
// container get this isolation?".
func TestChoice(t *testing.T) {
	type mods = []func(*specs.Spec)
	for _, tc := range []struct {
		name    string
		host    string
		mods    mods
		options options.Isolation
		node    string
		policy  node.Policy
		image   uint32 // 0: the host's
		noHyper bool
		want    Mode
		by      string   // the input of the reason that decided
		over    []string // inputs overruled
	}{
		{name: "server default", host: "server2022", want: ModeProcess, by: "host edition"},
		{name: "client default", host: "win11", want: ModeHyperV, by: "host edition"},
		{name: "node config over edition", host: "server2022", node: "hyperv", want: ModeHyperV, by: "node config N", over: []string{"host edition"}},
		{name: "options over node", host: "server2022", node: "hyperv", options: "process", want: ModeProcess, by: "option isolation", over: []string{"node config N"}},
		{name: "annotation over options", host: "server2022", mods: mods{annotate(annIsolation, "hyperv")}, options: "process",
			want: ModeHyperV, by: "annotation io.isol.isolation", over: []string{"option isolation", "host edition"}},
		{name: "nerdctl --isolation hyperv", host: "server2022", mods: mods{hyperv}, options: "process", node: "process",
			want: ModeHyperV, by: "spec.windows.hyperv", over: []string{"option isolation", "node config N", "host edition"}},
		{name: "spec.hyperv and annotation agree", host: "server2022", mods: mods{hyperv, annotate(annIsolation, "hyperv")},
			want: ModeHyperV, by: "spec.windows.hyperv", over: []string{"host edition"}},
		{name: "spec.hyperv over auto", host: "server2022", mods: mods{hyperv, annotate(annIsolation, "auto")},
			want: ModeHyperV, by: "spec.windows.hyperv", over: []string{"annotation io.isol.isolation", "host edition"}},
		{name: "HostProcess over options", host: "server2022", mods: mods{hostProcess}, options: "hyperv",
			want: ModeHostProcess, by: "annotation " + annHostProcess, over: []string{"option isolation"}},
		{name: "HostProcess is content with process", host: "server2022", mods: mods{hostProcess, annotate(annIsolation, "process")},
			want: ModeHostProcess, by: "annotation " + annHostProcess},
		{name: "Linux", host: "server2022", mods: mods{linux}, options: "process", want: ModeHyperV, by: "spec.linux", over: []string{"option isolation", "host edition"}},
		{name: "policy and Linux agree", host: "server2022", mods: mods{linux}, policy: node.Policy{RequireHyperV: true},
			want: ModeHyperV, by: "node policy require_hyperv", over: []string{"host edition"}},
		{name: "policy over options", host: "server2022", options: "process", policy: node.Policy{RequireHyperV: true},
			want: ModeHyperV, by: "node policy require_hyperv", over: []string{"option isolation", "host edition"}},
		{name: "policy over auto", host: "server2022", mods: mods{annotate(annIsolation, "auto")}, policy: node.Policy{RequireHyperVNamespaces: []string{"k8s*"}},
			want: ModeHyperV, by: `node policy require_hyperv_namespaces "k8s*"`, over: []string{"annotation io.isol.isolation", "host edition"}},
		{name: "policy by annotation", host: "server2022", mods: mods{annotate("example.com/untrusted", "true")},
			policy: node.Policy{RequireHyperVAnnotations: []string{"example.com/untrusted=true"}},
			want:   ModeHyperV, by: `node policy require_hyperv_annotations "example.com/untrusted=true"`, over: []string{"host edition"}},
		{name: "policy for others", host: "server2022", policy: node.Policy{RequireHyperVNamespaces: []string{"tenant-*"}}, want: ModeProcess, by: "host edition"},
		{name: "auto fits", host: "win11", mods: mods{annotate(annIsolation, "auto")}, image: 26100, want: ModeProcess, by: "annotation io.isol.isolation", over: []string{"host edition"}},
		{name: "auto does not fit", host: "server2022", options: "auto", image: 17763, want: ModeHyperV, by: "option isolation", over: []string{"host edition"}},
		{name: "auto fits and no hypervisor", host: "server2022", node: "auto", noHyper: true, want: ModeProcess, by: "node config N", over: []string{"host edition"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := inputOf(t, tc.host, tc.mods...)
			in.Namespace = "k8s.io"
			in.Node = node.Config{Path: "N", Isolation: tc.node, Policy: tc.policy}
			if tc.options != "" {
				in.Options.Isolation = optIsolation(tc.options)
			}
			if tc.image != 0 {
				in.Image = Image{OS: host.Build(tc.image), UVM: host.Build(tc.image)}
			}
			if tc.noHyper {
				in.Host.Hypervisor = host.No
			}
			p := decideOK(t, in)
			if p.Mode != tc.want {
				t.Errorf("mode %v, want %v", p.Mode, tc.want)
			}
			if r := p.Reasons[0]; r.Input != tc.by || !strings.HasPrefix(r.Decision, "isolation = ") || r.Why == "" {
				t.Errorf("first reason %+v, want one by %q", r, tc.by)
			}
			var over []string
			for _, o := range p.Overruled {
				over = append(over, o.Input)
				if o.By != tc.by || o.Said == "" {
					t.Errorf("overruled %+v, want by %q", o, tc.by)
				}
			}
			if diff := cmp.Diff(tc.over, over); diff != "" {
				t.Errorf("overruled (-want +got):\n%s", diff)
			}
		})
	}
}

// A container runs as its pod does, whatever its handler's defaults are.
func TestPodMembership(t *testing.T) {
	for _, tc := range []struct {
		name   string
		pod    []func(*specs.Spec)
		mods   []func(*specs.Spec)
		option options.Isolation
		want   Mode
		inVM   bool
	}{
		{"process pod", nil, nil, "", ModeProcess, false},
		{"Hyper-V pod", []func(*specs.Spec){hyperv}, nil, "process", ModeHyperV, true},
		{"Hyper-V pod, container says so too", []func(*specs.Spec){hyperv}, []func(*specs.Spec){hyperv}, "", ModeHyperV, true},
		{"Hyper-V pod, auto", []func(*specs.Spec){hyperv}, []func(*specs.Spec){annotate(annIsolation, "auto")}, "", ModeHyperV, true},
		{"HostProcess pod", []func(*specs.Spec){hostProcess}, []func(*specs.Spec){hostProcess}, "hyperv", ModeHostProcess, false},
		{"HostProcess in a Hyper-V pod", []func(*specs.Spec){hyperv}, []func(*specs.Spec){hostProcess}, "", ModeHostProcess, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := inputOf(t, "server2025", append(slices.Clone(tc.mods), workload)...)
			in.Pod = podOf(t, "server2025", tc.pod...)
			if tc.option != "" {
				in.Options.Isolation = optIsolation(tc.option)
			}
			p := decideOK(t, in)
			if p.Mode != tc.want || p.InVM() != tc.inVM || p.UVM != nil || p.SandboxID != podID {
				t.Errorf("mode %v, in VM %v, own UVM %v, pod %q", p.Mode, p.InVM(), p.UVM, p.SandboxID)
			}
		})
	}
}

// A HostProcess container takes from its pod what it leaves out.
func TestHostProcessInherits(t *testing.T) {
	in := inputOf(t, "server2022", workload, hostProcess)
	in.Pod = podOf(t, "server2022", hostProcess,
		annotate("microsoft.com/hostprocess-inherit-user", "true", "microsoft.com/hostprocess-rootfs-location", `D:\hpc`))
	got := decideOK(t, in).Container.HostProcess
	if diff := cmp.Diff(&HostProcess{InheritUser: true, RootfsFolder: `D:\hpc`}, got); diff != "" {
		t.Error(diff)
	}
	in = inputOf(t, "server2022", hostProcess)
	if got := decideOK(t, in).Container.HostProcess; got.RootfsFolder != `C:\hpc` || got.InheritUser {
		t.Errorf("defaults: %+v", got)
	}
}

// Adding a weaker source never changes the plan, only the overruled list: else
// a node's default would reach into containers that said what they want.
func TestWeakerSourceChangesNothing(t *testing.T) {
	specsOf := map[string][]func(*specs.Spec){
		"nothing": nil, "hyperv": {hyperv}, "hostprocess": {hostProcess}, "linux": {linux},
		"annotation process": {annotate(annIsolation, "process")},
		"annotation hyperv":  {annotate(annIsolation, "hyperv")},
		"annotation auto":    {annotate(annIsolation, "auto")},
		"sandbox hyperv":     {sandbox, hyperv},
	}
	modes := []string{"", "process", "hyperv", "auto"}
	checked := 0
	for name, mods := range specsOf {
		for _, preset := range []string{"server2019", "server2022", "win11"} {
			base := inputOf(t, preset, mods...)
			decided := len(mods) > 0
			for _, opt := range modes {
				withOpt := base
				if opt != "" {
					withOpt.Options.Isolation = optIsolation(options.Isolation(opt))
				}
				if decided {
					samePlan(t, name+" + option "+opt, base, withOpt)
					checked++
				}
				for _, nd := range modes {
					withNode := withOpt
					withNode.Node = node.Config{Path: "N", Isolation: nd}
					if decided || opt != "" {
						samePlan(t, name+" + option "+opt+" + node "+nd, withOpt, withNode)
						checked++
					}
					otherEdition := withNode
					otherEdition.Host.Edition = map[host.Edition]host.Edition{host.Server: host.Client, host.Client: host.Server}[withNode.Host.Edition]
					if decided || opt != "" || nd != "" {
						samePlan(t, name+" on the other edition", withNode, otherEdition)
						checked++
					}
				}
			}
		}
	}
	if checked < 500 {
		t.Errorf("only %d pairs were compared", checked)
	}
}

// samePlan compares all but what was overruled and remarks on the edition.
func samePlan(t *testing.T, name string, a, b Input) {
	t.Helper()
	strip := func(in Input) *Plan {
		p := decideOK(t, in)
		p.Overruled = nil
		p.Reasons = slices.DeleteFunc(p.Reasons, func(r Reason) bool { return r.Decision == "for development only" })
		return p
	}
	if diff := cmp.Diff(strip(a), strip(b)); diff != "" {
		t.Errorf("%s changes the plan (-without +with):\n%s", name, diff)
	}
}
