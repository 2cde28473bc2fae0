package pod

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/test/hcsemu"
)

// disks makes a workload with n disks beside its scratch.
func (l *vmLab) disks(id string, n int) CreateTask {
	l.Helper()
	req := l.isolated(id, isolation.RoleWorkload, "ping -t localhost")
	for i := range n {
		req.Plan.Container.Mounts = append(req.Plan.Container.Mounts, isolation.Mount{
			Source: l.file("disks", fmt.Sprintf("d%d.vhdx", i)), Destination: fmt.Sprintf(`C:\disk%d`, i),
			Mechanism: isolation.MechanismSCSI, Type: "virtual-disk",
		})
	}
	return req
}

// shares makes a workload with n folders of the host.
func (l *vmLab) shares(id string, n int) CreateTask {
	l.Helper()
	req := l.isolated(id, isolation.RoleWorkload, "ping -t localhost")
	for i := range n {
		req.Plan.Container.Mounts = append(req.Plan.Container.Mounts, isolation.Mount{
			Source: filepath.Dir(l.file("data", fmt.Sprint(i), "a.txt")), Destination: fmt.Sprintf(`C:\data%d`, i), Mechanism: isolation.MechanismVSMB,
		})
	}
	return req
}

// refusesMore checks that a create is refused in words that say what was asked
// for, how much there is and what to do; that all of it is undone, down to the
// access to files; and that the pod goes on, and takes what does fit.
func (l *vmLab) refusesMore(tooMany, fits CreateTask, kinds []string, says ...string) {
	l.Helper()
	held := func() map[string][]string {
		all := map[string][]string{}
		for _, kind := range kinds {
			all[kind] = l.kinds(kind)
		}
		return all
	}
	before := held()
	err := l.pod.Create(l.Context(), tooMany)
	if !fault.Is(err, fault.ResourceExhausted) {
		l.Fatalf("%v of kind %v", err, fault.KindOf(err))
	}
	for _, want := range says {
		if !strings.Contains(err.Error(), want) {
			l.Errorf("%v: want it to say %q", err, want)
		}
	}
	if d := cmp.Diff(before, held()); d != "" {
		l.Errorf("not undone: %s", d)
	}
	if s, err := l.pod.State("sibling", ""); err != nil || s.Status != StatusRunning {
		l.Errorf("the sibling: %+v, %v", s, err)
	}
	l.must(l.pod.Create(l.Context(), fits))
	l.start(fits.ID, "")
	l.endPod(fits.ID, "sibling")
}

// Hyper-V's SCSI controller takes 64 disks: the VM's own scratch, and with the
// sibling's and this container's 61 more.
func TestTooManyDisksInVM(t *testing.T) {
	l := newVMLab(t)
	l.bootPod()
	l.runIsolated("sibling", isolation.RoleWorkload, "ping -t localhost")
	l.refusesMore(l.disks("web", 62), l.disks("next", 61), []string{"scsi attachment", "vm access", "vsmb share"},
		"attach "+filepath.Join(l.root, "disks", "d61.vhdx"), "all 63 SCSI attachments that containers have (of 64, one is the utility VM's own) are in use",
		"use fewer disks or containers in this pod")
}

// How many shares a VM takes is the host's affair: what it answers must reach
// the user as a sentence about mounts.
func TestTooManySharesInVM(t *testing.T) {
	l := newVMLabOn(t, hcsemu.Config{Shares: 10}) // the VM's own, the layer's, and 8 more
	l.bootPod()
	l.runIsolated("sibling", isolation.RoleWorkload, "ping -t localhost")
	l.refusesMore(l.shares("web", 9), l.shares("next", 8), []string{"scsi attachment", "vm access", "vsmb share"},
		"share "+filepath.Join(l.root, "data", "8"), "the utility VM has 9 shares of layers and mounts, and the host gives it no more",
		"one mount of a folder does for all that is in it")
}
