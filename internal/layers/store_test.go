package layers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
)

// machine is a driver that keeps what is attached and prepared, records calls,
// and fails or hangs on demand.
type machine struct {
	mu        sync.Mutex
	calls     []string
	scratch   bool // sandbox.vhdx is there
	activated bool
	prepared  bool
	fail      map[string][]error // per call: the next results
	hang      map[string]chan struct{}
	late      bool // calls fail after their effect
}

func (m *machine) call(name, arg string) error {
	m.mu.Lock()
	m.calls = append(m.calls, name+" "+arg)
	var err error
	if q := m.fail[name]; len(q) > 0 {
		err, m.fail[name] = q[0], q[1:]
	}
	hang := m.hang[name]
	m.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return err
}

func (m *machine) set(p *bool, v bool) {
	m.mu.Lock()
	*p = v
	m.mu.Unlock()
}

func (m *machine) get() (calls []string, mounted bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.calls), m.activated || m.prepared
}

func (m *machine) HasScratch(f string) (bool, error) { return m.scratch, m.call("HasScratch", f) }
func (m *machine) Expand(f string, size uint64) error {
	return m.call("Expand", fmt.Sprint(f, " ", size))
}

func (m *machine) CreateScratch(f string, p []string) error {
	return m.call("CreateScratch", f+" "+strings.Join(p, " "))
}

func (m *machine) Activate(s string) error {
	err := m.call("Activate", s)
	if err == nil || m.late {
		m.set(&m.activated, true)
	}
	return err
}

func (m *machine) Prepare(s string, p []string) error {
	err := m.call("Prepare", s+" "+strings.Join(p, " "))
	if err == nil || m.late {
		m.set(&m.prepared, true)
	}
	return err
}

func (m *machine) MountPath(s string) (string, error) {
	return `\\?\Volume{0}\`, m.call("MountPath", s)
}

func (m *machine) NameToGUID(n string) (string, error) { return "guid-" + n, m.call("NameToGUID", n) }

func (m *machine) Unprepare(s string) error {
	err := m.call("Unprepare", s)
	if err == nil {
		m.set(&m.prepared, false)
	}
	return err
}

func (m *machine) Deactivate(s string) error {
	err := m.call("Deactivate", s)
	if err == nil {
		m.set(&m.activated, false)
	}
	return err
}

func code(c uint32) error { return &CallError{Call: "x", Path: "y", Code: c, Err: errors.New("no")} }

var testLayers = Layers{Parents: []string{`C:\s\2`, `C:\s\1`}, Scratch: `C:\s\3`}

// The order is that of the reference (a container with the filter on a disk
// that is not attached reads an empty root).
func TestMountCallsInOrder(t *testing.T) {
	m := &machine{}
	s := NewStore(m)
	got, err := s.Mount(t.Context(), testLayers)
	if err != nil {
		t.Fatal(err)
	}
	want := Mounted{Path: `\\?\Volume{0}\`, Layers: []Layer{{"guid-2", `C:\s\2`}, {"guid-1", `C:\s\1`}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if err := s.Unmount(t.Context(), testLayers.Scratch); err != nil {
		t.Fatal(err)
	}
	calls, mounted := m.get()
	if d := cmp.Diff([]string{`Activate C:\s\3`, `Prepare C:\s\3 C:\s\2 C:\s\1`, `MountPath C:\s\3`, "NameToGUID 2", "NameToGUID 1",
		`Unprepare C:\s\3`, `Deactivate C:\s\3`}, calls); d != "" || mounted {
		t.Error(mounted, d)
	}
}

func TestEnsureScratch(t *testing.T) {
	for name, tc := range map[string]struct {
		has  bool
		want []string
	}{
		"made when missing": {false, []string{`HasScratch C:\s\3`, `CreateScratch C:\s\3 C:\s\2 C:\s\1`}},
		"kept when there":   {true, []string{`HasScratch C:\s\3`}},
	} {
		t.Run(name, func(t *testing.T) {
			m := &machine{scratch: tc.has}
			if err := NewStore(m).EnsureScratch(t.Context(), testLayers); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, m.calls); d != "" {
				t.Error(d)
			}
		})
	}
	grown := testLayers
	grown.ScratchSize = 50 << 30
	m := &machine{scratch: true}
	if err := NewStore(m).EnsureScratch(t.Context(), grown); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{`HasScratch C:\s\3`, `Expand C:\s\3 53687091200`}, m.calls); d != "" {
		t.Error(d)
	}
	m = &machine{fail: map[string][]error{"HasScratch": {code(codeAccessDenied)}}}
	if err := NewStore(m).EnsureScratch(t.Context(), testLayers); !fault.Is(err, fault.PermissionDenied) {
		t.Error(err)
	}
}

// The answer of a call was lost, its effect was not.
func TestMountFailureAfterItsEffect(t *testing.T) {
	for _, call := range []string{"Activate", "Prepare"} {
		t.Run(call, func(t *testing.T) {
			m := &machine{fail: map[string][]error{call: {code(codeAccessDenied)}}, late: true}
			if _, err := NewStore(m).Mount(t.Context(), testLayers); !fault.Is(err, fault.PermissionDenied) {
				t.Error(err)
			}
			if calls, mounted := m.get(); mounted {
				t.Errorf("left mounted after %v", calls)
			}
		})
	}
}

// A scratch that another container uses must stay as it is.
func TestMountOfScratchInUse(t *testing.T) {
	m := &machine{fail: map[string][]error{"Activate": {code(codeSharing)}}}
	if _, err := NewStore(m).Mount(t.Context(), testLayers); !fault.Is(err, fault.FailedPrecondition) {
		t.Error(err)
	}
	if d := cmp.Diff([]string{`Activate C:\s\3`}, m.calls); d != "" {
		t.Error(d)
	}
}

// Whatever fails, nothing stays mounted, and the error keeps the first cause.
func TestMountFailureLeavesNothing(t *testing.T) {
	for _, call := range []string{"Activate", "Prepare", "MountPath", "NameToGUID"} {
		t.Run(call, func(t *testing.T) {
			m := &machine{fail: map[string][]error{call: {code(codeBadLayer)}}}
			_, err := NewStore(m).Mount(t.Context(), testLayers)
			if !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "mount layers") {
				t.Errorf("got %v (%v)", err, fault.KindOf(err))
			}
			if calls, mounted := m.get(); mounted {
				t.Errorf("left mounted after %v", calls)
			}
		})
	}
}

// Server 2019 under load reports disks before they are there: five tries, 100
// ms apart, as the reference.
func TestMountRetries(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare []error
		tries   int
		ok      bool
	}{
		"ready at the third try": {[]error{code(codeNotReady), code(codeNotConnected)}, 3, true},
		"never ready":            {slices.Repeat([]error{code(0x80070015)}, 9), 5, false},
		"another error":          {[]error{code(codeBadLayer), nil}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &machine{fail: map[string][]error{"Prepare": tc.prepare}}
				start := time.Now()
				_, err := NewStore(m).Mount(t.Context(), testLayers)
				if (err == nil) != tc.ok {
					t.Errorf("error %v", err)
				}
				calls, mounted := m.get()
				n := 0
				for _, c := range calls {
					if strings.HasPrefix(c, "Prepare") {
						n++
					}
				}
				if n != tc.tries || mounted != tc.ok || time.Since(start) != time.Duration(n-1)*mountPause {
					t.Errorf("%d tries in %v, mounted %v: %v", n, time.Since(start), mounted, calls)
				}
			})
		})
	}
}

func TestMountRetryEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &machine{fail: map[string][]error{"Activate": slices.Repeat([]error{code(codeNotReady)}, 9)}}
		ctx, cancel := context.WithTimeout(t.Context(), mountPause/2)
		defer cancel()
		if _, err := NewStore(m).Mount(ctx, testLayers); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		synctest.Wait()
	})
}

// A call that hangs must not hang its caller, and what it does late must not stay.
func TestMountThatHangs(t *testing.T) {
	for _, call := range []string{"Activate", "Prepare", "MountPath", "NameToGUID"} {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				m := &machine{hang: map[string]chan struct{}{call: release}}
				s := NewStore(m)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if _, err := s.Mount(ctx, testLayers); !fault.Is(err, fault.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				// The scratch is still in work: the next call waits for it, in its own time.
				short, cancel2 := context.WithTimeout(t.Context(), time.Second)
				defer cancel2()
				if err := s.Unmount(short, testLayers.Scratch); !fault.Is(err, fault.DeadlineExceeded) ||
					!strings.Contains(err.Error(), "an earlier call for this scratch") {
					t.Errorf("unmount while the mount hangs: %v", err)
				}
				close(release)
				synctest.Wait()
				if calls, mounted := m.get(); mounted {
					t.Errorf("left mounted: %v", calls)
				}
				if err := s.Unmount(t.Context(), testLayers.Scratch); err != nil {
					t.Errorf("unmount after the mount ended: %v", err)
				}
			})
		})
	}
}

// Undo is repeated by Delete, by the delete action and by prune.
func TestUnmountIsIdempotent(t *testing.T) {
	for _, c := range []uint32{codeFileNotFound, codePathNotFound, codeNotFound, codeDevNotExist, 0x80070490} {
		t.Run(fmt.Sprintf("0x%x", c), func(t *testing.T) {
			m := &machine{fail: map[string][]error{"Unprepare": {code(c)}, "Deactivate": {code(c)}}}
			if err := NewStore(m).Unmount(t.Context(), `C:\s\3`); err != nil {
				t.Error(err)
			}
		})
	}
}

// A filter that does not come off must not keep the disk attached unreported.
func TestUnmountTriesBothSteps(t *testing.T) {
	m := &machine{fail: map[string][]error{"Unprepare": {code(codeSharing)}}}
	err := NewStore(m).Unmount(t.Context(), `C:\s\3`)
	if !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "holds it open") {
		t.Error(err)
	}
	if d := cmp.Diff([]string{`Unprepare C:\s\3`, `Deactivate C:\s\3`}, m.calls); d != "" {
		t.Error(d)
	}
}

func TestCallErrorKinds(t *testing.T) {
	for c, want := range map[uint32]fault.Kind{
		0xC0370112: fault.FailedPrecondition, 0x80370112: fault.FailedPrecondition,
		0x80070005: fault.PermissionDenied, 1722: fault.Unavailable, 112: fault.ResourceExhausted, 0x12345: fault.Unknown,
	} {
		if got := fault.KindOf(code(c)); got != want {
			t.Errorf("0x%08x: %v, want %v", c, got, want)
		}
	}
	if s := (&CallError{Call: "ActivateLayer", Path: `C:\3`}).Error(); s != `ActivateLayer C:\3` {
		t.Error(s)
	}
}
