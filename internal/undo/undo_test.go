package undo_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/job"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/network"
	"github.com/isolrun/isol/internal/undo"
	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/jobdriver"
	"github.com/isolrun/isol/test/hcsemu/layerdriver"
	"github.com/isolrun/isol/test/hcsemu/netdriver"
)

const (
	owner = "containerd-shim-isol-v1.exe"
	guid  = "5c5e1d0e-0d5c-4a4a-9d9c-0f3a3b1c2d3e"
)

func newMachine(t *testing.T) (undo.Machine, *hcsemu.Emulator) {
	emu := hcsemu.New(hcsemu.Config{TrustNames: true})
	t.Cleanup(emu.Close)
	client := emu.Connect(hcsemu.Caller{PID: 1, Exe: owner})
	return undo.Machine{
		Host: hcsemu.HostOn(client), Owner: owner, Origin: "NODE7",
		Layers: layers.NewStore(layerdriver.New(client)), Networks: network.New(netdriver.New(client)),
		Jobs: job.NewHost(jobdriver.New(client, false), nil),
	}, emu
}

// record is one of the kind, for the task web.
func record(t *testing.T, k journal.Kind) journal.Record {
	name := map[journal.Kind]string{
		journal.KindComputeSystem: "web", journal.KindLayerMount: `C:\s\3`, journal.KindNamespace: guid, journal.KindCredentialGuard: "web",
		journal.KindUser: "isol-0123456789abcde", journal.KindVolumeFolder: `C:\hpc\web`, journal.KindJob: "web",
		journal.KindVMScratch: filepath.Join(t.TempDir(), "s", "vm", "sandbox.vhdx"), journal.KindVMAccess: `C:\s\3\sandbox.vhdx`,
	}[k]
	r := journal.Record{Kind: k, Name: name}
	if k == journal.KindVMScratch || k == journal.KindVMAccess {
		r.System = "web@vm"
	}
	return r
}

// A kind that is written down and that nobody can undo is a leak with a note.
// What is gone is no error: a replay may come after a teardown that got far.
func TestEveryKindIsUndoneAndGoneIsNoError(t *testing.T) {
	m, _ := newMachine(t)
	table := m.Undoers()
	if table.Origin != "NODE7" {
		t.Errorf("origin %q", table.Origin)
	}
	for _, k := range journal.Kinds() {
		f := table.Undo[k]
		if f == nil {
			t.Errorf("nothing undoes %s", k)
			continue
		}
		r := record(t, k)
		if r.Name == "" {
			t.Errorf("this test has no record of kind %s", k)
			continue
		}
		for range 2 {
			if err := f(t.Context(), r); err != nil {
				t.Errorf("%s of what is not there: %v", k, err)
			}
		}
	}
}

// An id may belong to another runtime: the shim died when it was told so. That
// container must live on.
func TestSystemsOfOthersLiveOn(t *testing.T) {
	for who, ends := range map[string]bool{owner: true, "containerd-shim-runhcs-v1.exe": false} {
		t.Run(who, func(t *testing.T) {
			m, emu := newMachine(t)
			other := hcsemu.NewHost(emu, hcsemu.Caller{PID: 9, Exe: who})
			sys, err := other.Create(t.Context(), "web", &schema.ComputeSystem{
				Owner: who, SchemaVersion: &schema.Version{Major: 2, Minor: 1},
				Container: &schema.Container{Storage: &schema.Storage{
					Path: `\\?\Volume{` + guid + `}\`, Layers: []schema.Layer{{ID: guid, Path: `C:\s\1`}},
				}},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = sys.Close() })
			if err := m.Undoers().Undo[journal.KindComputeSystem](t.Context(), journal.Record{Kind: journal.KindComputeSystem, Name: "web"}); err != nil {
				t.Error(err)
			}
			left, err := m.Host.List(t.Context(), schema.SystemQuery{IDs: []string{"web"}})
			if err != nil || (len(left) == 0) != ends {
				t.Errorf("left %v, %v", left, err)
			}
		})
	}
}

// The VM's scratch goes, and half of one; what else lies beside it stays.
func TestScratchOfVM(t *testing.T) {
	m, _ := newMachine(t)
	r := record(t, journal.KindVMScratch)
	dir := filepath.Dir(r.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{r.Name, r.Name + ".part", filepath.Join(dir, "notes.txt")} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Undoers().Undo[r.Kind](t.Context(), r); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || !slices.Equal(files, []string{filepath.Join(dir, "notes.txt")}) {
		t.Errorf("left %v, %v", files, err)
	}
}

// A file that containerd has removed took the VM's access with it.
func TestAccessToWhatIsGone(t *testing.T) {
	m, emu := newMachine(t)
	err := emu.AddFaults(hcsemu.Fault{Function: "HcsRevokeVmAccess", Action: hcsemu.ActionFail, Code: "0x80070002"},
		hcsemu.Fault{Function: "HcsRevokeVmAccess", Nth: 2, Action: hcsemu.ActionFail, Code: "0x80070005"})
	if err != nil {
		t.Fatal(err)
	}
	r := record(t, journal.KindVMAccess)
	if err := m.Undoers().Undo[r.Kind](t.Context(), r); err != nil {
		t.Error(err)
	}
	if err := m.Undoers().Undo[r.Kind](t.Context(), r); !errors.Is(err, hcs.ErrAccessDenied) {
		t.Errorf("another failure is hidden: %v", err)
	}
}
