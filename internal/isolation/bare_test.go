package isolation

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/options"
)

// bareOf decides a sandbox of the Sandbox API: it has no image.
func bareOf(t *testing.T, mode options.Isolation, change func(*Input), mods ...func(*specs.Spec)) *Plan {
	t.Helper()
	in := inputOf(t, "server2022", append(mods, sandbox)...)
	in.ID, in.Bare, in.Image, in.Options.Isolation = podID, true, Image{}, optIsolation(mode)
	if change != nil {
		change(&in)
	}
	return decideOK(t, in)
}

func hasReason(p *Plan, decision string) bool {
	for _, r := range p.Reasons {
		if strings.Contains(r.Decision, decision) {
			return true
		}
	}
	return false
}

// Where the VM of a pod without an image boots from.
func TestBarePod(t *testing.T) {
	image := func(in *Input) {
		in.Options.VM.Image = options.Value[string]{V: `C:\uvm`, Source: "option uvm_image"}
		in.Image = Image{UVM: host.Build(20348), UVMSource: `C:\uvm`, UVMFolder: `C:\uvm\UtilityVM`}
	}
	for _, tc := range []struct {
		name   string
		mode   options.Isolation
		change func(*Input)
		mods   []func(*specs.Spec)
		uvm    bool
		late   bool
		says   string
	}{
		{"process", options.IsolationProcess, nil, nil, false, false, "versions not compared"},
		{"process with limits of the pod", options.IsolationProcess, nil, []func(*specs.Spec){memoryLimit(1 << 30)}, false, false, "limits of the pod have no effect"},
		{"no image is named", options.IsolationHyperV, nil, nil, true, true, "boots with the first container"},
		{"an image is named", options.IsolationHyperV, image, nil, true, false, "utility VM fits host"},
		{"auto knows no image", options.IsolationAuto, nil, nil, true, true, "isolation = hyperv"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := bareOf(t, tc.mode, tc.change, tc.mods...)
			if !p.Bare || (p.UVM != nil) != tc.uvm || p.UVM != nil && p.UVM.Late != tc.late || !hasReason(p, tc.says) {
				t.Errorf("bare %v, VM %+v, reasons %v; want VM %v, late %v, %q", p.Bare, p.UVM, p.Reasons, tc.uvm, tc.late, tc.says)
			}
			if p.Container.MemoryMB != 0 && !tc.uvm {
				t.Errorf("a limit of %d MB on nothing", p.Container.MemoryMB)
			}
		})
	}
}

// A container that joins before the VM has booted is held against the VM that
// its own image brings; one that comes after is held against the VM that runs.
func TestJoinLatePod(t *testing.T) {
	pod := bareOf(t, options.IsolationHyperV, nil)
	joining := func(image, uvm uint32, pod *Plan) (*Plan, error) {
		in := inputOf(t, "server2022", workload)
		in.Pod, in.Image = pod, Image{OS: host.Build(image), UVM: host.Build(uvm), UVMSource: "its image"}
		return Decide(in)
	}
	first, err := joining(17763, 17763, pod)
	if err != nil {
		t.Fatal(err)
	}
	if first.Versions.UVM != host.Build(17763) || first.UVM != nil {
		t.Errorf("the first container: %+v", first)
	}
	if _, err := joining(26100, 26100, pod); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "newer than the host") {
		t.Errorf("an image whose VM the host can't run: %v", err)
	}
	booted := pod.Booted(first)
	if booted.UVM.Late || booted.Versions.UVM != host.Build(17763) || !pod.UVM.Late {
		t.Errorf("booted %+v, before %+v", booted, pod)
	}
	if _, err := joining(20348, 20348, booted); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "does not fit the utility VM") {
		t.Errorf("an image of another build than the VM: %v", err)
	}
	meanwhile, err := joining(20348, 20348, pod)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := meanwhile.Rejoin(booted); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "its image") {
		t.Errorf("one that was decided before the VM booted: %v", err)
	}
	if again, err := first.Rejoin(booted); err != nil || again.Versions.UVM != host.Build(17763) {
		t.Errorf("%+v, %v", again, err)
	}
}

// A VM that boots with the pod's first container is sized by that container's
// limit, unless somebody has said its size.
func TestSizeOfLateVM(t *testing.T) {
	const mb = 1 << 20
	asked := annotate(annVM+"computetopology.memory.sizeinmb", "2048")
	for _, tc := range []struct {
		name          string
		pod           []func(*specs.Spec)
		limit         uint64 // MB, of the first container
		host          uint64
		want          uint64
		cannotReached bool
	}{
		{"no limit", nil, 0, 65536, 1024, false},
		{"a limit that the default holds", nil, 768, 65536, 1024, false},
		{"a limit beyond the default", nil, 3072, 65536, 3328, false},
		{"an odd one", nil, 3071, 65536, 3328, false},
		{"more than the host has", nil, 9000, 8193, 8192, true},
		{"a host that is not known", nil, 3072, 0, 3328, false},
		{"an annotation says the size", mods(asked), 3072, 65536, 2048, true},
		{"a limit of the pod says it", mods(memoryLimit(2048 * mb)), 3072, 65536, 2304, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pod := bareOf(t, options.IsolationHyperV, func(in *Input) { in.Host.MemoryMB = tc.host }, tc.pod...)
			m := mods(workload)
			if tc.limit != 0 {
				m = append(m, memoryLimit(tc.limit*mb))
			}
			in := inputOf(t, "server2022", m...)
			in.Pod, in.Host.MemoryMB = pod, tc.host
			first := decideOK(t, in)
			if got := pod.Booted(first).UVM.MemoryMB; got != tc.want || hasReason(first, "cannot be reached") != tc.cannotReached {
				t.Errorf("%d MB, want %d; reasons %v", got, tc.want, first.Reasons)
			}
			// One that was decided before another booted the VM finds another size.
			other, err := first.Rejoin(pod.Booted(&Plan{Versions: Versions{UVM: host.Build(20348)}}))
			if err != nil || first.BootMemoryMB != 0 && !hasReason(other, "cannot be reached") || other.BootMemoryMB != 0 {
				t.Errorf("after another's boot: %+v, %v", other, err)
			}
			// One that joins after another has booted the VM finds it as it is.
			in.Pod = pod.Booted(&Plan{})
			if late := decideOK(t, in); late.BootMemoryMB != 0 {
				t.Errorf("a VM that runs becomes %d MB", late.BootMemoryMB)
			}
		})
	}
}

// The size of a running VM by the rule of its first size.
func TestResize(t *testing.T) {
	vm := &UVM{MemoryMB: 1024, OverheadMB: 256, Processor: Processor{Count: 4}}
	for _, tc := range []struct {
		name          string
		vm            *UVM
		limit         uint64
		quota, period int64
		want          Size
	}{
		{"nothing", vm, 0, 0, 0, Size{}},
		{"below what it was planned with", vm, 512, 0, 0, Size{MemoryMB: 1024}},
		{"limit and the guest's own", vm, 2048, 0, 0, Size{MemoryMB: 2304}},
		{"odd", vm, 2047, 0, 0, Size{MemoryMB: 2304}},
		{"no limit of CPU", vm, 0, -1, 100_000, Size{}},
		{"one of four processors", vm, 0, 100_000, 100_000, Size{Limit: 2500}},
		{"all of them", vm, 0, 400_000, 100_000, Size{Limit: 10000}},
		{"more than it has", vm, 0, 800_000, 100_000, Size{Limit: 10000}},
		{"next to nothing", vm, 0, 1, 100_000, Size{Limit: 1}},
		{"the kubelet's period", vm, 0, 200_000, 0, Size{Limit: 5000}},
		{"no VM", nil, 2048, 100_000, 100_000, Size{}},
	} {
		if got := (&Plan{UVM: tc.vm}).Resize(tc.limit, tc.quota, tc.period); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}
