package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/isolrun/isol/test/hcsemu/service"
	"github.com/isolrun/isol/test/hcsemu/vm"
)

const (
	workerExe = labFolder + `\vmwp.exe`
	guestExe  = labFolder + `\guest.exe`
	// hvsockFolder is where the emulated hvsockets keep their ports.
	hvsockFolder = labFolder + `\hvsock`
)

// guests are the kernels of a lab's utility VMs: a prefix each, in which
// guest.exe waits for a machine that takes it. A guest that was taken is
// replaced at once, one that has ended is removed with its prefix.
type guests struct {
	lab      *Lab
	template string // the prefix to clone
	pool     vm.Pool
	ready    atomic.Int32                                 // how many are to wait
	run      func(g *guests, p prefix, name string) error // runGuest, but for tests
	progress func(string)

	all     sync.WaitGroup // goroutines
	mu      sync.Mutex
	living  map[string]bool // guests' names, until nothing of them is left; guarded by mu
	booting map[string]bool // those of them that can't be taken yet; guarded by mu
	err     error           // of guests that did not start or end as they should; guarded by mu
}

// look is how often the keeper looks whether a guest was taken.
const look = 50 * time.Millisecond

// prepareGuests makes the folders of n guests and shows programs of the lab
// that its machine has a hypervisor.
func (l *Lab) prepareGuests(template string, n int, progress func(string)) error {
	l.guests = &guests{lab: l, template: template, run: runGuest, progress: progress, pool: vm.Pool(filepath.Join(l.dir, "pool")), living: map[string]bool{}, booting: map[string]bool{}}
	l.guests.ready.Store(int32(n))
	if err := errors.Join(l.guests.pool.Open(), os.MkdirAll(l.Path(hvsockFolder), 0o755)); err != nil {
		return fmt.Errorf("lab: guests: %w", err)
	}
	l.prefix.extra = []string{"ISOL_HVSOCK_DIR=" + hvsockFolder}
	return l.prefix.addKey(`System\\CurrentControlSet\\Services\\vmms`, `"Start"=dword:00000003`)
}

// addKey adds a key to the registry of a prefix in which nothing runs.
func (p prefix) addKey(key, values string) error {
	f, err := os.OpenFile(filepath.Join(p.dir, "system.reg"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("lab: registry: %w", err)
	}
	_, err = fmt.Fprintf(f, "\n[%s] 0\n%s\n", key, values)
	return errors.Join(err, f.Close())
}

// serveFlags are what the emulator is told of the guests.
func (g *guests) serveFlags() []string {
	if g == nil {
		return nil
	}
	return []string{"--hypervisor", "--guests", unixPath(string(g.pool))}
}

// unixPath is a path of this machine as a program in any prefix finds it.
func unixPath(path string) string { return `Z:` + strings.ReplaceAll(path, "/", `\`) }

// guestTries is how many guests in a row may end before they are up. Wine 8 loses
// a new program now and then; a lab in which none comes up is broken.
const guestTries = 3

// start keeps the pool full until the lab ends. A guest that does not come up
// is told to progress and replaced.
func (g *guests) start() {
	if g == nil {
		return
	}
	g.all.Go(func() {
		tick := time.NewTicker(look)
		defer tick.Stop()
		for next, failed := 1, 0; failed < guestTries; {
			// One at a time: two would be in each other's way.
			if g.waiting() < int(g.ready.Load()) {
				if err := g.add(strconv.Itoa(next)); err != nil {
					g.progress(err.Error())
					if failed++; failed == guestTries {
						g.note(fmt.Errorf("lab: %w", err))
					}
				} else {
					failed = 0
				}
				next++
				continue
			}
			select {
			case <-g.lab.ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
}

// note keeps an error for WaitGuests.
func (g *guests) note(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = errors.Join(g.err, err)
}

// waiting counts the guests that wait for a machine. A lab that ends needs no more.
func (g *guests) waiting() int {
	if g.lab.ctx.Err() != nil {
		return int(g.ready.Load())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for name := range g.living {
		if g.pool.Waiting(name) {
			n++
		}
	}
	return n
}

// add starts a guest and waits until it can be taken. The error is that of a
// guest which ended before; there is none when the lab ends.
func (g *guests) add(name string) error {
	p := prefix{dir: filepath.Join(g.lab.dir, "guests", name), tools: g.lab.prefix.tools}
	g.mu.Lock()
	g.living[name], g.booting[name] = true, true
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.booting, name)
	}()
	ended := make(chan error, 1)
	g.all.Go(func() {
		defer close(ended)
		err := g.run(g, p, name)
		if g.lab.ctx.Err() != nil {
			return // the guard ends what is left
		}
		up := g.pool.Waiting(name) || g.pool.Taken(name)
		err = errors.Join(err, g.pool.Drop(name), p.settle(g.lab.ctx), os.RemoveAll(p.dir))
		// Without an error it came up, even if its machine had taken it and was gone
		// before anybody looked.
		switch {
		case err != nil && up:
			g.note(fmt.Errorf("lab: guest %s: %w", name, err))
		case err != nil:
			ended <- fmt.Errorf("guest %s did not come up: %w", name, err)
		}
		g.mu.Lock() // after the note: who waits for the last guest must see it
		defer g.mu.Unlock()
		delete(g.living, name)
	})
	tick := time.NewTicker(look)
	defer tick.Stop()
	for !g.pool.Waiting(name) && !g.pool.Taken(name) {
		select {
		case err := <-ended:
			return err
		case <-g.lab.ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	return nil
}

// runGuest makes the prefix of a guest and runs it to its end.
func runGuest(g *guests, p prefix, name string) error {
	if err := clone(g.template, p.dir); err != nil {
		return err
	}
	for _, file := range []string{guestExe, system32 + `\bcryptprimitives.dll`} {
		err := os.MkdirAll(filepath.Dir(p.path(file)), 0o755)
		if err == nil {
			err = copyFile(g.lab.Path(file), p.path(file))
		}
		if err != nil {
			return err
		}
	}
	cmd := p.command(g.lab.ctx, guestExe, unixPath(string(g.pool)), name)
	out := &buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// wait returns when no goroutine writes into the lab's folder any more; the
// lab's context must have ended.
func (g *guests) wait() {
	if g != nil {
		g.all.Wait()
	}
}

// busy names the guests that belong to a machine, or did and have not gone yet.
func (g *guests) busy() ([]string, error) {
	if g == nil {
		return nil, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var names []string
	for name := range g.living {
		if !g.booting[name] && !g.pool.Waiting(name) {
			names = append(names, name)
		}
	}
	return names, g.err
}

// WaitGuests waits until no guest of a virtual machine is left, which is a
// moment after the last machine has ended: its processes and its prefix have
// gone. It fails at once if a guest did not start or end as it should.
func (l *Lab) WaitGuests(ctx context.Context) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		names, err := l.guests.busy()
		if err != nil || len(names) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("lab: guests %s of virtual machines are left: %w", strings.Join(names, ", "), ctx.Err())
		case <-tick.C:
		}
	}
}

// HoldGuests waits until n guests wait for a machine, and lets no more come up
// until it is called again: one that comes up takes the processors from what is
// being measured. It fails if a guest does not start.
func (l *Lab) HoldGuests(ctx context.Context, n int) error {
	l.guests.ready.Store(int32(n))
	defer l.guests.ready.Store(0)
	tick := time.NewTicker(look)
	defer tick.Stop()
	for l.guests.waiting() < n {
		if _, err := l.guests.busy(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("lab: %d guests were to wait for virtual machines: %w", n, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// Machines lists the virtual machines that run and those that ran.
func (l *Lab) Machines() ([]vm.Status, error) {
	var all []vm.Status
	err := l.ask(service.AdminMachines, "", &all)
	return all, err
}

// Machine carries out a verb, [vm.Crash] for example, on a running virtual
// machine. For [vm.Left] it returns what its guest has left.
func (l *Lab) Machine(verb vm.Verb, systemID string) ([]string, error) {
	var left []string
	if verb == vm.Left {
		err := l.ask(service.AdminMachine, string(verb)+" "+systemID, &left)
		return left, err
	}
	return nil, l.ask(service.AdminMachine, string(verb)+" "+systemID, nil)
}
