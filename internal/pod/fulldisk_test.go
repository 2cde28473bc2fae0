package pod

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/journal"
)

// volume is the disk that journals lie on. It takes so many writes, then half
// of one, and then nothing until it has space again.
type volume struct {
	mu     sync.Mutex
	room   int // writes; negative: without end
	writes int
}

var errFull = errors.New("there is not enough space on the disk")

type volumeFile struct {
	*os.File
	on *volume
}

func (f volumeFile) Write(b []byte) (int, error) {
	f.on.mu.Lock()
	defer f.on.mu.Unlock()
	f.on.writes++
	switch {
	case f.on.room < 0:
	case f.on.room == 0:
		return 0, errFull
	default:
		if f.on.room--; f.on.room == 0 {
			n, err := f.File.Write(b[:len(b)/2])
			return n, errors.Join(err, errFull)
		}
	}
	return f.File.Write(b)
}

func (v *volume) journal(path string, h journal.Header) (*journal.Journal, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return journal.CreateOn(volumeFile{f, v}, path, h)
}

// The disk of containerd's state fills up at any moment of a life: what needs a
// record is refused with a sentence that says so, the rest goes on, and nothing
// is left. With space again all is as before.
func TestFullDiskAnywhere(t *testing.T) {
	for _, ta := range tales {
		t.Run(ta.name, func(t *testing.T) {
			t.Parallel()
			all := &volume{room: -1}
			on := func(v *volume) func(*Config) { return func(c *Config) { c.Journal = v.journal } }
			ta.struck(t, func(l *vmLab) { l.must(ta.live(l)) }, on(all))
			if all.writes < 4 {
				t.Fatalf("a life writes %d lines: the test shows nothing", all.writes)
			}
			for n := 1; n <= all.writes; n++ {
				v := &volume{room: n}
				ta.struck(t, func(l *vmLab) {
					what := fmt.Sprintf("the disk is full at line %d", n)
					err := ta.live(l)
					if err != nil && (!fault.Is(err, fault.ResourceExhausted) || !errors.Is(err, errFull) || !strings.Contains(err.Error(), "free space")) {
						l.Errorf("%s: the client is told %v of kind %v", what, err, fault.KindOf(err))
					}
					if err := ta.remove(l); err != nil {
						l.Errorf("%s: the tasks cannot be removed: %v", what, err)
					}
					l.clean(what) // without a replay: the shim needs no disk to let go
					v.mu.Lock()
					v.room = -1
					v.mu.Unlock()
					l.network(false)
					if err := ta.live(l); err != nil {
						l.Errorf("%s, and has space again: %v", what, err)
					}
					l.clean(what + ", and has space again")
				}, on(v))
			}
		})
	}
}
