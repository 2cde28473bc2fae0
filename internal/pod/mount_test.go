package pod

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/test/hcsemu"
)

// A running container gets a directory and gives it back; the same destination
// is given once.
func TestMountOfRunningContainer(t *testing.T) {
	l := newLab(t)
	m := isolation.Mount{Source: `C:\data`, Destination: `C:\in`, ReadOnly: true}
	if err := l.pod.Mount(l.Context(), "web", m); !fault.Is(err, fault.NotFound) {
		t.Errorf("before there is a task: %v", err)
	}
	l.run("web", "ping -t localhost")
	l.must(l.pod.Mount(l.Context(), "web", m))
	if got := l.kinds("mapped directory"); !slices.Equal(got, []string{`C:\data`}) {
		t.Errorf("mounted %v", got)
	}
	if err := l.pod.Mount(l.Context(), "web", isolation.Mount{Source: `C:\other`, Destination: `c:\IN`}); !fault.Is(err, fault.AlreadyExists) {
		t.Errorf("a second mount there: %v", err)
	}
	l.must(l.pod.Unmount(l.Context(), "web", `C:\in`))
	if got := l.kinds("mapped directory"); len(got) != 0 {
		t.Errorf("left %v", got)
	}
	if err := l.pod.Unmount(l.Context(), "web", `C:\in`); !fault.Is(err, fault.NotFound) {
		t.Errorf("unmounted twice: %v", err)
	}
	l.must(l.pod.Mount(l.Context(), "web", m)) // it goes with the container
	l.must(l.kill("web", ""))
	l.wait("web", "")
	l.delete("web", "")
	l.nothingLeft()
}

// In a VM the directory is shared first; the share goes with the mount, with
// its last user, or with the container.
func TestMountOfRunningContainerInVM(t *testing.T) {
	l := newVMLab(t)
	l.bootPod()
	folder := filepath.Dir(l.file("data", "a.txt"))
	m := isolation.Mount{Source: folder, Destination: `C:\in`, Mechanism: isolation.MechanismVSMB}
	for _, id := range []string{"a", "b"} {
		l.must(l.pod.Create(l.Context(), l.isolated(id, isolation.RoleWorkload, "ping -t localhost")))
		l.start(id, "")
		l.must(l.pod.Mount(l.Context(), id, m))
	}
	shared := func() int {
		n := 0
		for _, s := range l.kinds("vsmb share") {
			if s == folder {
				n++
			}
		}
		return n
	}
	if shared() != 1 {
		t.Errorf("shared %d times, want once for both", shared())
	}
	l.must(l.pod.Unmount(l.Context(), "a", `C:\in`))
	if shared() != 1 {
		t.Error("the share has gone with the first of two users")
	}
	if err := l.pod.Mount(l.Context(), "pod", m); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("to the sandbox: %v", err)
	}
	for _, id := range []string{"a", "b"} {
		l.must(l.kill(id, ""))
		l.wait(id, "")
		l.delete(id, "")
	}
	if shared() != 0 {
		t.Error("the share has stayed after its last user")
	}
	l.endPod()
}

// A mount that fails half way leaves no share behind.
func TestMountOfRunningContainerFails(t *testing.T) {
	l := newVMLab(t)
	l.bootPod()
	l.must(l.pod.Create(l.Context(), l.isolated("a", isolation.RoleWorkload, "ping -t localhost")))
	l.start("a", "")
	missing := isolation.Mount{Source: filepath.Join(l.root, "nothing"), Destination: `C:\in`}
	if err := l.pod.Mount(l.Context(), "a", missing); !fault.Is(err, fault.NotFound) {
		t.Errorf("nothing there: %v", err)
	}
	folder := filepath.Dir(l.file("data", "a.txt"))
	before := len(l.kinds("vsmb share"))
	l.fault(hcsemu.Fault{Function: "GcsModifySettings", Action: hcsemu.ActionFail, Code: "0x80070005"})
	m := isolation.Mount{Source: folder, Destination: `C:\in`}
	if err := l.pod.Mount(l.Context(), "a", m); !fault.Is(err, fault.PermissionDenied) {
		t.Errorf("a guest that refuses: %v", err)
	}
	if got := l.kinds("vsmb share"); len(got) != before {
		t.Errorf("the share is left: %v", got)
	}
	l.must(l.pod.Mount(l.Context(), "a", m))
	l.must(l.kill("a", ""))
	l.wait("a", "")
	l.delete("a", "")
	l.endPod()
}

// A source that goes away, or becomes a link to something else, between create
// and start must not be mounted: nobody has decided about what it is now.
func TestSourceChangesBeforeStart(t *testing.T) {
	for name, tc := range map[string]struct {
		leads string
		err   error
		says  string
	}{
		"gone":   {err: fs.ErrNotExist, says: "it was there when the container was created"},
		"a link": {leads: `C:\secrets`, says: `leads to C:\secrets now`},
		"same":   {leads: `c:\DATA`},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, func(c *Config) {
				created := false
				c.Source = func(path string) (Source, error) {
					if !created {
						created = true
						return Source{Path: path, Volume: path}, nil
					}
					return Source{Path: tc.leads, Volume: tc.leads}, tc.err
				}
			})
			req := l.request("web", "ping -t localhost")
			req.Plan.Container.Mounts = []isolation.Mount{{Source: `C:\data`, Destination: `C:\in`}}
			l.must(l.pod.Create(l.Context(), req))
			_, err := l.pod.Start(l.Context(), "web", "")
			if tc.says == "" {
				l.must(err)
				l.must(l.kill("web", ""))
			} else if !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v, want FailedPrecondition with %q", err, tc.says)
			}
			l.wait("web", "")
			l.delete("web", "")
			l.nothingLeft()
		})
	}
}

// pins records what containers were pinned to.
type pinned struct {
	err  error
	said map[string][]isolation.AffinityMask
}

func (p *pinned) SetAffinity(_ context.Context, id string, masks []isolation.AffinityMask) error {
	if p.err == nil {
		p.said[id] = masks
	}
	return p.err
}

// Affinity is set before the start, can be changed while the container runs,
// and one that cannot be set leaves no container.
func TestAffinityOfTasks(t *testing.T) {
	p := &pinned{said: map[string][]isolation.AffinityMask{}}
	l := newLab(t, func(c *Config) { c.Affinity = p })
	req := l.request("web", "ping -t localhost")
	req.Plan.Container.Affinity = []isolation.AffinityMask{{Mask: 1}}
	l.must(l.pod.Create(l.Context(), req))
	if got := p.said["web"]; len(got) != 1 || got[0].Mask != 1 {
		t.Errorf("created with %v", got)
	}
	l.start("web", "")
	l.must(l.pod.Update(l.Context(), Update{ID: "web", CPU: &UpdateCPU{Affinity: []isolation.AffinityMask{{Mask: 2}}}}))
	if got := p.said["web"]; len(got) != 1 || got[0].Mask != 2 {
		t.Errorf("updated to %v", got)
	}
	for name, masks := range map[string][]isolation.AffinityMask{"empty mask": {{}}, "group on an old build": {{Mask: 1, Group: 1}}} {
		l.pod.cfg.HostBuild = 19042
		if err := l.pod.Update(l.Context(), Update{ID: "web", CPU: &UpdateCPU{Affinity: masks}}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	l.must(l.kill("web", ""))
	l.wait("web", "")
	l.delete("web", "")
	p.err = errors.New("no such processor")
	if err := l.pod.Create(l.Context(), req); err == nil || !strings.Contains(err.Error(), "no such processor") {
		t.Errorf("an affinity that fails: %v", err)
	}
	l.nothingLeft()
}

// A VM moves between CPU groups; a container in it has none, and its affinity
// is refused with what works instead.
func TestUpdateOfVMPlacement(t *testing.T) {
	l := newVMLab(t)
	l.bootPod()
	l.must(l.pod.Create(l.Context(), l.isolated("a", isolation.RoleWorkload, "ping -t localhost")))
	l.start("a", "")
	const group = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
	l.must(l.pod.Update(l.Context(), Update{ID: "pod", CPUGroup: group}))
	if err := l.pod.Update(l.Context(), Update{ID: "a", CPUGroup: group}); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("CPU group of a workload: %v", err)
	}
	err := l.pod.Update(l.Context(), Update{ID: "a", CPU: &UpdateCPU{Affinity: []isolation.AffinityMask{{Mask: 1}}}})
	if !fault.Is(err, fault.Unimplemented) || !strings.Contains(err.Error(), "cpugroup.id") {
		t.Errorf("affinity in a VM: %v", err)
	}
	l.must(l.kill("a", ""))
	l.wait("a", "")
	l.delete("a", "")
	l.endPod()
}
