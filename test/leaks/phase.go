package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/lab"
)

// shim is a shim's name here, its runtime's in containerd, and its program.
type shim struct{ name, runtime, exe string }

// shims are those that are measured; the first is ours.
var shims = []shim{
	{"isol", "io.containerd.isol.v1", lab.IsolShim},
	{"runhcs", "io.containerd.runhcs.v1", "containerd-shim-runhcs-v1.exe"},
}

// ours says whether a leak of this shim is a failure.
func (s shim) ours() bool { return s.name == shims[0].name }

// phase is one shim with one kind of container.
type phase struct {
	*machine
	shim  shim
	mode  mode
	short bool
	at    string // only calls with this in their name
	out   io.Writer

	progress io.Writer // of what is no result
}

// result is what a phase found.
type result struct {
	shim     shim
	mode     mode
	calls    int // native calls of a life in which nothing goes wrong
	messages int // messages to its guest

	points, missed int            // at which the shim was killed; of planned ones that no call reached
	unreached      int            // of planned ones, because the shim failed before
	leaking, left  int            // points that leave something; things that they leave
	kinds          map[string]int // of things left at kill points, how many of each
	stuck          int            // points after which containerd could not remove the container

	others, othersLeaking int // failures that kill no shim
}

// run kills the shim at every point and then lets other things fail.
func (p *phase) run(ctx context.Context) (result, error) {
	r := result{shim: p.shim, mode: p.mode, kinds: map[string]int{}}
	calls, err := p.dry(ctx)
	if err != nil {
		return r, err
	}
	for _, c := range calls {
		if c.DLL == guestBridge {
			r.messages++
		} else {
			r.calls++
		}
	}
	for _, n := range p.kills(calls) {
		for _, when := range []hcsemu.When{"before", "after"} {
			if err := p.point(ctx, &r, n, when); err != nil {
				return r, fmt.Errorf("killed %s call %d (%s): %w", when, n, calls[n-1].Function, err)
			}
		}
	}
	if p.at != "" {
		return r, p.end(ctx, &r)
	}
	for _, f := range p.failures() {
		if err := p.fail(ctx, &r, f); err != nil {
			return r, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	for _, s := range p.series() {
		if err := p.goThrough(ctx, &r, s, calls); err != nil {
			return r, err
		}
	}
	return r, p.end(ctx, &r)
}

// end looks for what no ledger has: shims that still run, and bundles that
// containerd does not take away. It does so when it starts, too: a delete action
// for which its five seconds were too short leaves one until then.
func (p *phase) end(ctx context.Context, r *result) error {
	shims, bundles, err := p.atRest(ctx)
	if err == nil && bundles > 0 {
		p.printf("%s, %s: at the end: %d bundles are left of deletes that containerd gave up: restarting it\n", p.shim.name, p.mode, bundles)
		if err = p.RestartContainerd(ctx); err == nil {
			shims, bundles, err = p.atRest(ctx)
		}
	}
	if err != nil {
		return err
	}
	r.others++
	if shims+bundles > 0 {
		r.othersLeaking++
	}
	p.printf("%s, %s: at the end: %d shims run, %d bundles are left\n", p.shim.name, p.mode, shims, bundles)
	return nil
}

// atRest counts shims and bundles when there are none any more, or none go.
func (p *phase) atRest(ctx context.Context) (shims, bundles int, err error) {
	for deadline := time.Now().Add(settleLimit); ; {
		shims, bundles, err = p.remains(ctx, p.shim.exe)
		if err != nil || shims+bundles == 0 || time.Now().After(deadline) {
			return shims, bundles, err
		}
	}
}

// guestBridge is the library of the record's calls that are messages to a guest.
const guestBridge = "guest bridge"

// kills are the calls and messages at which the shim is killed. The short form takes one or
// two from the midst of a life.
func (p *phase) kills(calls []hcsemu.Call) []int {
	switch n := len(calls); {
	case p.short && p.shim.ours():
		return []int{(n + 2) / 3, (2*n + 2) / 3}
	case p.short:
		return []int{(n + 1) / 2}
	}
	var all []int
	for i, c := range calls {
		if strings.Contains(c.Function, p.at) {
			all = append(all, i+1)
		}
	}
	return all
}

// dry lives a life in which nothing goes wrong and returns its native calls.
func (p *phase) dry(ctx context.Context) ([]hcsemu.Call, error) {
	if _, err := p.calls(p.shim.exe); err != nil {
		return nil, err
	}
	left, err := p.watched(ctx, func(l life) error { return p.live(ctx, l) })
	if err != nil {
		return nil, fmt.Errorf("a life in which nothing goes wrong: %w", err)
	}
	if len(left) > 0 {
		return nil, fmt.Errorf("a life in which nothing goes wrong leaves:\n%s", left)
	}
	calls, err := p.calls(p.shim.exe)
	if err == nil && len(calls) == 0 {
		err = errors.New("the shim made no native calls: nothing would be shown")
	}
	slices.SortFunc(calls, func(a, b hcsemu.Call) int { return cmp.Compare(a.Seq, b.Seq) }) // of their begin, as faults count
	return calls, err
}

// watched makes a container, does something with it, removes it, and returns
// what the machine holds more than before. The error is do's, or that of the
// machine itself.
func (p *phase) watched(ctx context.Context, do func(life) error) (hcsemu.Ledger, error) {
	before, err := p.Ledger()
	if err != nil {
		return nil, err
	}
	p.names++
	id := fmt.Sprintf("leak-%d", p.names)
	l, err := p.containerd.prepare(inNamespace(ctx), p.shim, p.mode, id)
	if err != nil {
		return nil, err
	}
	did := do(l)
	if err := p.Faults(); err != nil {
		return nil, err
	}
	removed := p.containerd.removeAll(inNamespace(ctx), l)
	left, err := p.settle(ctx, before)
	if err != nil {
		return nil, err
	}
	if err := p.quench(left); err != nil {
		return nil, err
	}
	if removed != nil {
		did = errors.Join(did, &stuckError{removed})
	}
	return left, did
}

// stuckError says that containerd could not remove a container.
type stuckError struct{ err error }

func (e *stuckError) Error() string { return e.err.Error() }

// pointTries is how often a point is tried whose shim failed before it came to it.
const pointTries = 3

// point kills the shim at a call of a container's life. A life that fails
// before the shim comes to that call shows nothing and is lived again.
func (p *phase) point(ctx context.Context, r *result, n int, when hcsemu.When) error {
	for range pointTries {
		began := time.Now()
		k, err := p.strike(ctx, hcsemu.Fault{When: when, Action: hcsemu.ActionKill}, n, p.live)
		if err != nil {
			return err
		}
		at := fmt.Sprintf("%s, %s: killed %s call %d, %s", p.shim.name, p.mode, when, n, k.at)
		if took := time.Since(began); took > slowPoint {
			fmt.Fprintf(p.progress, "leaks: %s: %s\n", at, took.Round(time.Second))
		}
		switch {
		case k.at != "" && (strings.Contains(k.at, p.at) || len(k.left) > 0):
			p.count(r, k, at)
			return nil
		case k.at != "" || k.failed == nil: // another call than in the first life, or fewer of them
			r.missed++
			return nil
		}
		if !k.clean() {
			r.othersLeaking++
			p.tell(fmt.Sprintf("%s, %s: a life that failed before call %d", p.shim.name, p.mode, n), k)
		}
		fmt.Fprintf(p.progress, "leaks: %s, %s: a life failed before call %d: %v\n", p.shim.name, p.mode, n, k.failed)
	}
	r.unreached++
	p.printf("%s, %s: not killed %s call %d: each of %d lives failed before\n", p.shim.name, p.mode, when, n, pointTries)
	return nil
}

// slowPoint is when a point is so slow that who waits is told.
const slowPoint = 20 * time.Second

// struck is what came of a life in which one call was to go wrong.
type struck struct {
	at     string // the function in which it did; empty: the life never came there
	failed error  // why the life was not lived to its end
	stuck  error  // why containerd could not remove the container
	left   hcsemu.Ledger
}

// clean says whether nothing is left of the life.
func (k struck) clean() bool { return len(k.left) == 0 && k.stuck == nil }

// strike lives a life in which the fault comes at the nth call.
func (p *phase) strike(ctx context.Context, fault hcsemu.Fault, n int, live func(context.Context, life) error) (k struck, err error) {
	fault.Function, fault.Exe, fault.Nth = "*", p.shim.exe, n
	k.left, err = p.watched(ctx, func(l life) error {
		if err := p.Faults(fault); err != nil {
			return err
		}
		// That it fails is what such a life means; that it does not is, too, where
		// the call was the shim's last.
		k.failed = live(ctx, l)
		if fault.Action != hcsemu.ActionHang {
			return nil
		}
		_, err := p.Release(fault.Name)
		return err
	})
	var stuck *stuckError
	if errors.As(err, &stuck) {
		k.stuck, err = stuck, nil
	}
	if err != nil {
		return k, err
	}
	calls, err := p.calls(p.shim.exe)
	k.at = faultAt(calls, fault.Action)
	return k, err
}

// live lives a life to its end, or to where it fails.
func (p *phase) live(ctx context.Context, l life) error {
	ctx, cancel := context.WithTimeout(inNamespace(ctx), lifeLimit)
	defer cancel()
	return p.containerd.live(ctx, l)
}

// count takes a point into the result.
func (p *phase) count(r *result, k struck, at string) {
	p.tell(at, k)
	r.points++
	if k.stuck != nil {
		r.stuck++
	}
	if len(k.left) == 0 {
		return
	}
	r.leaking++
	r.left += len(k.left)
	for _, x := range k.left {
		r.kinds[x.Kind]++
	}
}

// tell prints what is left of a life; of the reference's only what containerd
// cannot remove.
func (p *phase) tell(at string, k struck) {
	if k.stuck != nil {
		p.printf("%s: containerd cannot remove the container: %v\n", at, k.stuck)
	}
	if len(k.left) > 0 && p.shim.ours() {
		p.printf("%s, left:\n%s\n", at, indent(k.left.String()))
	}
}

// faultAt is the function in which the fault plan did something; empty: nowhere.
func faultAt(calls []hcsemu.Call, action hcsemu.Action) string {
	for _, c := range calls {
		if strings.Contains(c.Fault, string(action)) {
			return c.Function
		}
	}
	return ""
}

func (p *phase) printf(format string, args ...any) { fmt.Fprintf(p.out, format, args...) }

func indent(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }
