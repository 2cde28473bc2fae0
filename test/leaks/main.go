// Command leaks kills a shim before and after every native call that it makes
// in a container's life, lets containerd clean up, and counts what the machine
// still holds. It does so to isol's shim and to Microsoft's runhcs shim, on two
// emulated machines that are alike.
//
//	go run ./test/leaks [-short] [-mode process|hyperv|process-pod|hyperv-pod|both|all] [-at part-of-a-call's-name]
//
// A first life, in which nothing goes wrong, tells how many native calls, and
// messages to the guest of a utility VM and notifications of it, there are. Then each of them is a point
// twice: the shim is ended, as kill -9 does, before it has an effect and after it. What is left of a container is
// what the emulator's ledger holds then and did not hold before; nothing is
// restarted between two points, so that a machine's long life is seen too.
//
// Further lines are of failures that end no shim: the compute service goes and
// comes back, a virtual machine crashes, one call after the other hangs, or
// finds the disk full.
//
// It prints a line for each point at which isol leaves something and exits with
// 1 if there is one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"time"

	"github.com/isolrun/isol/test/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "leaks:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	short bool
	modes []mode
	at    string // part of a function's name; empty: all
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{modes: []mode{process, hyperv, processPod, hypervPod}}
	set := flag.NewFlagSet("leaks", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.BoolVar(&o.short, "short", false, "a handful of points in place of all")
	set.StringVar(&o.at, "at", "", "kill only at calls with this `part` in their name, such as Notification, and let nothing else fail")
	set.Func("mode", "isolation of the containers: `process, hyperv, both` of them without pods, process-pod, hyperv-pod or all", func(s string) error {
		all := []mode{process, hyperv, processPod, hypervPod}
		switch {
		case s == "all":
			o.modes = all
		case s == "both":
			o.modes = all[:2]
		case slices.Contains(all, mode(s)):
			o.modes = []mode{mode(s)}
		default:
			return errors.New("want process, hyperv, both, process-pod, hyperv-pod or all")
		}
		return nil
	})
	err := set.Parse(args)
	if err == nil && set.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	return o, err
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	results, err := measure(ctx, o, stdout, stderr)
	if err != nil {
		return err
	}
	return report(stdout, results)
}

// measure goes through all phases. Each shim has a machine of its own, and both
// run at once: what they do is waiting, most of the time.
func measure(ctx context.Context, o options, out, progress io.Writer) (_ []result, err error) {
	shim, err := lab.BuildIsolShim(ctx, func(line string) { fmt.Fprintln(progress, "lab: "+line) })
	if err != nil {
		return nil, err
	}
	machines := make([]*machine, len(shims))
	defer func() {
		for _, m := range machines {
			if m != nil {
				err = errors.Join(err, m.close())
			}
		}
	}()
	for i := range shims {
		if machines[i], err = boot(ctx, shim, o.modes, progress); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	found, errs := make([][]result, len(shims)), make([]error, len(shims))
	lines := &inTurn{to: out}
	var all sync.WaitGroup
	for i, s := range shims {
		all.Go(func() {
			if found[i], errs[i] = phases(ctx, machines[i], s, o, lines, progress); errs[i] != nil {
				cancel()
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var results []result
	for j := range o.modes {
		for i := range shims {
			results = append(results, found[i][j])
		}
	}
	return results, nil
}

// phases goes through those of one shim, a result for each mode.
func phases(ctx context.Context, m *machine, s shim, o options, out, progress io.Writer) ([]result, error) {
	var results []result
	for _, mode := range o.modes {
		began := time.Now()
		p := phase{machine: m, shim: s, mode: mode, short: o.short, at: o.at, out: out, progress: progress}
		r, err := p.run(ctx)
		if err != nil {
			if ctx.Err() == nil {
				fmt.Fprintf(progress, "leaks: the machine of %s, %s\n%s\n", s.name, mode, lab.Notable(m.Logs()))
			}
			return nil, fmt.Errorf("%s, %s: %w", s.name, mode, err)
		}
		results = append(results, r)
		fmt.Fprintf(progress, "leaks: %s, %s: %s\n", s.name, mode, time.Since(began).Round(time.Second))
	}
	return results, nil
}

// inTurn is a writer for several goroutines.
type inTurn struct {
	mu sync.Mutex
	to io.Writer // guarded by mu
}

// Write implements io.Writer.
func (w *inTurn) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(b)
}

// boot starts a lab with both shims, and with a hypervisor if one is needed.
func boot(ctx context.Context, shim string, modes []mode, progress io.Writer) (*machine, error) {
	cfg := lab.Config{Shims: map[string]string{lab.IsolShim: shim}, Out: progress}
	if slices.ContainsFunc(modes, mode.inVM) {
		cfg.Guests = 1
	}
	l, err := lab.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	c, err := connect(ctx, l)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &machine{Lab: l, containerd: c}, nil
}
