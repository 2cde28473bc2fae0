package pod

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/test/hcsemu"
)

// volume is the disk that all lies on which the shim writes: journals, scratches
// of VMs, the log. It takes so many writes, then half of one, and then nothing
// until it has space again.
type volume struct {
	mu      sync.Mutex
	room    int // writes; negative: without end
	writes  int
	copies  int // of them, of scratches
	unwrote int // lines that the log could not write
}

var errFull error = fault.ErrDiskFull

// take makes room for a write of n bytes and returns how many of them fit.
func (v *volume) take(n int) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.writes++
	switch {
	case v.room < 0:
		return n, nil
	case v.room == 0:
		return 0, errFull
	}
	if v.room--; v.room == 0 {
		return n / 2, errFull
	}
	return n, nil
}

// clear gives the volume space again.
func (v *volume) clear() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.room = -1
}

type volumeFile struct {
	*os.File
	on *volume
}

func (f volumeFile) Write(b []byte) (int, error) {
	fits, full := f.on.take(len(b))
	n, err := f.File.Write(b[:fits])
	return n, errors.Join(err, full)
}

func (v *volume) journal(path string, h journal.Header) (*journal.Journal, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return journal.CreateOn(volumeFile{f, v}, path, h)
}

// copy copies a scratch, or a part of it.
func (v *volume) copy(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	fits, full := v.take(len(text))
	v.mu.Lock()
	v.copies++
	v.mu.Unlock()
	return errors.Join(os.WriteFile(to, text[:fits], 0o600), full)
}

// Write is that of the log, whose lines do not count.
func (v *volume) Write(b []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.room == 0 {
		v.unwrote++
		return 0, errFull
	}
	return len(b), nil
}

// holds makes a pod write to the volume.
func (v *volume) holds(c *Config) {
	c.Journal, c.Log = v.journal, slog.New(slog.NewTextHandler(v, nil))
	vms := c.VMs.(bootVMs)
	vms.copy = v.copy
	c.VMs = vms
}

// The disk of containerd's state fills up at any moment of a life: what needs a
// record is refused with a sentence that says so, the rest goes on, and nothing
// is left. With space again all is as before.
func TestFullDiskAnywhere(t *testing.T) {
	for _, ta := range tales {
		t.Run(ta.name, func(t *testing.T) {
			t.Parallel()
			all := &volume{room: -1}
			ta.struck(t, func(l *vmLab) { l.must(ta.live(l)) }, all.holds)
			if all.writes < 4 || strings.HasPrefix(ta.name, "hyperv") && all.copies != 1 {
				t.Fatalf("a life writes %d times and copies %d scratches: the test shows nothing", all.writes, all.copies)
			}
			for n := 1; n <= all.writes; n++ {
				v := &volume{room: n}
				ta.struck(t, func(l *vmLab) {
					what := fmt.Sprintf("the disk is full at write %d", n)
					l.toldOfFullDisk(what, ta.live(l))
					if err := ta.remove(l); err != nil {
						l.Errorf("%s: the tasks cannot be removed: %v", what, err)
					}
					l.clean(what) // without a replay: the shim needs no disk to let go
					if d := unmatched(l.events.all()); len(d) > 0 {
						l.Errorf("%s: starts without exit, or exits without start: %v", what, d)
					}
					v.clear()
					l.network(false)
					if err := ta.live(l); err != nil {
						l.Errorf("%s, and has space again: %v", what, err)
					}
					l.clean(what + ", and has space again")
				}, v.holds)
			}
		})
	}
}

// toldOfFullDisk checks what a client is told, if it is told anything: that the
// disk is full, in which file there was no room, and what to do.
func (l *vmLab) toldOfFullDisk(what string, err error) {
	l.Helper()
	if err == nil {
		return
	}
	text := err.Error()
	file := strings.Contains(text, journal.FileName) || strings.Contains(text, filepath.Join("vm", "sandbox.vhdx"))
	if !fault.Is(err, fault.ResourceExhausted) || !errors.Is(err, errFull) || !file || !strings.Contains(text, "free space on the volume of") {
		l.Errorf("%s: the client is told %v of kind %v", what, err, fault.KindOf(err))
	}
}

// The volume that is full is that of the snapshots or the guest's: the compute
// service, the layers' and the guest's functions answer so, one after the other.
func TestFullDiskBelowAnywhere(t *testing.T) {
	needsSpace := func(c hcsemu.Call) bool {
		return remote(c) && c.Function != "GcsWaitForProcess" // whose failure is an end that nobody saw
	}
	everywhere(t, 7, needsSpace, func(l *vmLab, ta tale, at hcsemu.Fault, what string) {
		if at.When == "after" {
			return
		}
		at.Action, at.Code = hcsemu.ActionFail, "0x80070070" // HRESULT_FROM_WIN32(ERROR_DISK_FULL)
		l.fault(at)
		what = "no space " + what
		if err := ta.live(l); err != nil && (!fault.Is(err, fault.ResourceExhausted) || !strings.Contains(err.Error(), "free space")) {
			l.Errorf("%s: the client is told %v of kind %v", what, err, fault.KindOf(err))
		}
		if err := ta.remove(l); err != nil {
			l.Errorf("%s: the tasks cannot be removed: %v", what, err)
		}
		ta.replay(l)
		l.clean(what)
	})
}
