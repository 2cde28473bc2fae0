package lab

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/isolrun/isol/test/hcsemu/vm"
)

// keeper returns a pool of one guest whose guests are not programs but what run
// says, in a lab without Wine.
func keeper(t *testing.T, run func(g *guests, name string) error) *guests {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &Lab{dir: t.TempDir(), ctx: ctx}
	l.prefix.tools.wineserver = "true"
	l.guests = &guests{
		lab: l, pool: vm.Pool(filepath.Join(l.dir, "pool")), living: map[string]bool{}, booting: map[string]bool{},
		run: func(g *guests, _ prefix, name string) error { return run(g, name) }, progress: func(string) {},
	}
	l.guests.ready.Store(1)
	if err := l.guests.pool.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); l.guests.wait() })
	return l.guests
}

// Wine loses a program now and then. A lab that gives up at the first guest that
// it loses gives every later virtual machine none, and each waits for one in vain.
func TestGuestThatDoesNotComeUpIsReplaced(t *testing.T) {
	lost := errors.New("lost by Wine")
	g := keeper(t, func(g *guests, name string) error {
		if name == "1" || name == "2" {
			return lost
		}
		err := g.pool.Offer(name, "here")
		<-g.lab.ctx.Done()
		return err
	})
	var told []string
	g.progress = func(line string) { told = append(told, line) }
	g.start()
	name, _, err := g.pool.Take(t.Context())
	if err != nil || name != "3" {
		t.Errorf("a machine got guest %q, %v, want the third", name, err)
	}
	if _, err := g.busy(); err != nil {
		t.Errorf("guests that were replaced fail the lab: %v", err)
	}
	if len(told) != 2 || !strings.Contains(told[1], "guest 2 did not come up: lost by Wine") {
		t.Errorf("told %q, want a line for each that did not come up", told)
	}
}

// A lab in which no guest comes up is broken: its tests are to say why at once,
// not to wait for machines.
func TestNoGuestComesUp(t *testing.T) {
	lost := errors.New("lost by Wine")
	g := keeper(t, func(*guests, string) error { return lost })
	g.start()
	g.all.Wait()
	if err := g.lab.WaitGuests(t.Context()); !errors.Is(err, lost) {
		t.Errorf("WaitGuests: %v, want %v", err, lost)
	}
}

// A machine that is ended as soon as it has taken its guest takes it along,
// maybe before anybody has looked: the next one needs a guest too.
func TestGuestThatIsTakenAndGoneAtOnceIsReplaced(t *testing.T) {
	const quick = 4 // more than may fail
	g := keeper(t, func(g *guests, name string) error {
		err := g.pool.Offer(name, "here")
		if n, _ := strconv.Atoi(name); n <= quick {
			_, _, taken := g.pool.Take(g.lab.ctx)
			return errors.Join(err, taken, g.pool.Drop(name))
		}
		<-g.lab.ctx.Done()
		return err
	})
	g.start()
	for !g.pool.Waiting(strconv.Itoa(quick + 1)) {
		if _, err := g.busy(); err != nil || t.Context().Err() != nil {
			t.Fatalf("no more guests after %d that were gone at once: %v", quick, err)
		}
	}
}

// A guest that ends while it waits must not be given to a machine.
func TestGuestThatEndsWhileItWaitsIsWithdrawn(t *testing.T) {
	died := errors.New("died")
	g := keeper(t, func(g *guests, name string) error {
		if err := g.pool.Offer(name, "here"); err != nil || name != "1" {
			<-g.lab.ctx.Done()
			return err
		}
		return died
	})
	g.start()
	for g.pool.Waiting("1") || !g.pool.Waiting("2") {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.lab.WaitGuests(t.Context()); !errors.Is(err, died) {
		t.Errorf("WaitGuests: %v, want %v", err, died)
	}
}
