package pod

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/job"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/test/hcsemu"
)

// local are functions that ask no service anything: they end.
var local = []string{"HcsSetComputeSystemCallback", "HcsSetProcessCallback", "HcsCloseComputeSystem", "HcsCloseProcess",
	"HcnCloseNamespace", "HcnCloseEndpoint", "NameToGuid"}

func remote(c hcsemu.Call) bool { return !slices.Contains(local, c.Function) }

// everywhere runs f for each call, message and notification of each tale that where selects,
// if given: before and after it. The short form takes one in so many; make leaks
// has them all.
func everywhere(t *testing.T, oneIn int, where func(hcsemu.Call) bool, f func(l *vmLab, ta tale, at hcsemu.Fault, what string)) {
	for _, ta := range tales {
		t.Run(ta.name, func(t *testing.T) {
			t.Parallel()
			calls := ta.calls(t)
			if len(calls) < 15 {
				t.Fatalf("a whole life takes %d calls: the test shows nothing", len(calls))
			}
			notified := func(c hcsemu.Call) bool { return c.Function == "Gcs"+hcsemu.Notification }
			if strings.HasPrefix(ta.name, "hyperv") && !slices.ContainsFunc(calls, notified) {
				t.Fatal("the guest notifies nobody: the test shows nothing of it")
			}
			for n, call := range calls {
				if where != nil && !where(call) || testing.Short() && n%oneIn != 0 {
					continue
				}
				for _, when := range []hcsemu.When{"before", "after"} {
					ta.struck(t, func(l *vmLab) {
						at := hcsemu.Fault{Function: "*", Exe: l.pod.cfg.Owner, Nth: n + 1, When: when}
						f(l, ta, at, fmt.Sprintf("%s %s, call %d", when, call.Function, n+1))
					})
				}
			}
		})
	}
}

// kill -9 of the shim before and after every call that it makes and every
// message that it sends to a guest: the journals, as they were at that moment,
// are enough to clean up.
func TestKilledAnywhere(t *testing.T) {
	everywhere(t, 3, nil, func(l *vmLab, ta tale, at hcsemu.Fault, what string) {
		var files map[string]string
		l.killed = func() { files = l.tree() }
		at.Action = hcsemu.ActionKill
		l.fault(at)
		_ = ta.live(l)
		_ = l.pod.Close(background()) // the dead shim's goroutines
		synctest.Wait()
		if files == nil {
			l.Errorf("%s: the shim was not killed", what)
			return
		}
		l.restore(files) // what those did after its death was not done
		l.emu.ClearFaults()
		l.shim(2)
		ta.replay(l)
		ta.replay(l)
		l.clean("killed " + what)
	})
}

// written reports whether a journal says how to undo what the machine holds.
func written(e hcsemu.Entry, records []journal.Record) bool {
	kind := map[string]journal.Kind{
		"system": journal.KindComputeSystem, "active layer": journal.KindLayerMount, "prepared layer": journal.KindLayerMount,
		"namespace": journal.KindNamespace, "job object": journal.KindJob, "local user": journal.KindUser, "volume folder": journal.KindVolumeFolder, "credential guard": journal.KindCredentialGuard, "vm access": journal.KindVMAccess,
	}[e.Kind]
	for _, r := range records {
		switch {
		case e.Kind == "vm access" && r.System != e.System:
		case r.Kind == kind && strings.EqualFold(r.Name, strings.TrimSuffix(strings.TrimPrefix(e.ID, job.ObjectName("")), `\`)):
			return true
		case r.Kind == journal.KindComputeSystem && e.Kind != "vm access" && r.Name == e.System:
			return true // it ends with its system
		}
	}
	return false
}

// notIsols are kinds of things that isol need not undo, and why.
var notIsols = map[string]string{
	"expanded layer":  "the scratch of a snapshot is its client's, who removes it with the snapshot",
	"network":         "the client's",
	"endpoint":        "the client's",
	"system handle":   "ends with the process",
	"process handle":  "ends with the process",
	"network handle":  "ends with the process",
	"reserved handle": "ends with the process",
}

// Whatever outlives the shim is on the disk before it is acquired, and until it
// is released: at each call, before and after it, all that the machine holds
// for this shim is named by a journal. A new kind of thing fails this test until
// it is written down, or the reason why not is in notIsols.
func TestJournalNamesAllThatTheMachineHolds(t *testing.T) {
	seen := map[journal.Kind]bool{}
	for _, ta := range tales {
		t.Run(ta.name, func(t *testing.T) {
			ta.struck(t, func(l *vmLab) {
				var mu sync.Mutex // calls are made by several goroutines
				l.watch = func(c hcsemu.Call) {
					mu.Lock()
					defer mu.Unlock()
					records := l.outstanding(ta)
					for _, r := range records {
						seen[r.Kind] = true
					}
					for _, e := range l.emu.Ledger() {
						if notIsols[e.Kind] == "" && e.Owner.Exe == l.pod.cfg.Owner && !written(e, records) {
							t.Errorf("at %s no journal names %s; they name %v", c.Function, e, records)
						}
					}
					for path := range l.tree() {
						if _, was := l.files[path]; !was && filepath.Base(path) != journal.FileName && !names(records, path) {
							t.Errorf("at %s no journal names the file %s; they name %v", c.Function, path, records)
						}
					}
				}
				l.must(ta.live(l))
				l.watch = nil
				l.clean("at the end")
			})
		})
	}
	for _, k := range journal.Kinds() {
		if !seen[k] {
			t.Errorf("no tale acquires a %s: the test shows nothing of it", k)
		}
	}
}

// outstanding is what the journals on the disk name.
func (l *vmLab) outstanding(ta tale) []journal.Record {
	var all []journal.Record
	for _, id := range ta.tasks {
		c, err := journal.Read(l.journalOf(id))
		if err != nil {
			l.Errorf("journal of %s: %v", id, err)
		}
		for _, e := range c.Entries {
			all = append(all, e.Record())
		}
	}
	return all
}

func names(records []journal.Record, path string) bool {
	for _, r := range records {
		if r.Kind == journal.KindVMScratch && strings.TrimSuffix(path, ".part") == r.Name {
			return true
		}
	}
	return false
}

// survive strikes with a disaster that the shim lives through, lets the client
// remove what it can, ends the disaster, and checks that all is right then:
// errors that say what was the matter, an exit for each start, nothing left.
func (l *vmLab) survive(ta tale, what string, recovered func()) {
	l.Helper()
	began := time.Now()
	err := ta.live(l)
	if kind := fault.KindOf(err); err != nil && (kind == fault.Unknown || kind == fault.Internal) {
		l.Errorf("%s: the client is told %v of kind %v", what, err, kind)
	}
	if err != nil && !namesTask(ta, err) {
		l.Errorf("%s: the client is told %v, and not of which task", what, err)
	}
	early := ta.remove(l)
	recovered()
	synctest.Wait()
	if err := ta.remove(l); err != nil {
		l.Errorf("%s: after it the tasks cannot be removed: %v (during it: %v)", what, err, early)
	}
	if took := time.Since(began); took > surviveLimit {
		l.Errorf("%s: it took %v", what, took)
	}
	ta.replay(l) // containerd's delete actions
	l.clean(what)
	if d := unmatched(l.events.all()); len(d) > 0 {
		l.Errorf("%s: starts without exit, or exits without start: %v", what, d)
	}
}

// surviveLimit is the longest deadline, that of a VM's boot, and the teardown.
const surviveLimit = 15 * time.Minute

func namesTask(ta tale, err error) bool {
	return strings.Contains(err.Error(), "e1") || slices.ContainsFunc(ta.tasks, func(id string) bool { return strings.Contains(err.Error(), id) })
}

// unmatched returns what was started and has no exit, or more than one.
func unmatched(events []string) []string {
	exits := map[string]int{}
	for _, e := range events {
		word, rest, _ := strings.Cut(e, " ")
		switch word {
		case "start":
			exits[rest+"/"+rest]++
		case "exec-started":
			exits[rest]++
		}
	}
	var wrong []string
	for _, e := range events {
		word, rest, _ := strings.Cut(e, " ")
		if id, _, _ := strings.Cut(rest, " "); word == "exit" {
			if _, started := exits[id]; started {
				exits[id]--
			}
		}
	}
	for id, n := range exits {
		if n != 0 {
			wrong = append(wrong, fmt.Sprintf("%s %+d", id, n))
		}
	}
	return wrong
}

// Each call and message hangs for ever, before it has its effect and after: the
// client has an error in bounded time, and delete cleans up, at the latest when
// the call has come back.
func TestHangAnywhere(t *testing.T) {
	everywhere(t, 7, remote, func(l *vmLab, ta tale, at hcsemu.Fault, what string) {
		at.Action = hcsemu.ActionHang
		l.fault(at)
		l.survive(ta, "hung "+what, func() { l.emu.Release("") })
	})
}

// The compute service goes away at each call and message, and comes back.
func TestServiceGoesAnywhere(t *testing.T) {
	everywhere(t, 7, nil, func(l *vmLab, ta tale, at hcsemu.Fault, what string) {
		at.Action = hcsemu.ActionDisconnect
		l.fault(at)
		l.survive(ta, "disconnected "+what, l.emu.RestoreService)
	})
}

// The container, or the utility VM, crashes at each call and message about it.
func TestCrashAnywhere(t *testing.T) {
	everywhere(t, 5, func(c hcsemu.Call) bool { return c.System != "" }, func(l *vmLab, ta tale, at hcsemu.Fault, what string) {
		at.Action = hcsemu.ActionCrash
		l.fault(at)
		l.survive(ta, "crashed "+what, func() {})
	})
}

// Each call fails after it had its effect: the answer was lost.
func TestAnswerLostAnywhere(t *testing.T) {
	everywhere(t, 5, remote, func(l *vmLab, ta tale, at hcsemu.Fault, what string) {
		if at.When == "before" {
			return
		}
		at.Action, at.Code = hcsemu.ActionFail, "0x80070005"
		l.fault(at)
		l.survive(ta, "answer lost "+what, func() {})
	})
}
