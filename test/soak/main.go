// Command soak holds pods for long: `make soak`. It boots a lab and measures the
// shim, as a process of Linux's and as isolctl show has it, while CRI
//
//	execs   probes one container of a pod again and again, in both modes
//	pods    runs many pods at once, with several containers each, in both modes
//
// and prints a table. It fails if something is left behind, or if the shim has
// grown by more than its limits.
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
	"syscall"

	"github.com/isolrun/isol/test/cri"
	"github.com/isolrun/isol/test/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	n := size{Handlers: bothModes}
	flag.IntVar(&n.Execs, "execs", 10000, "probes in one pod, of each mode")
	flag.IntVar(&n.Pods, "pods", 20, "pods at once, of each mode")
	flag.IntVar(&n.Containers, "containers", 3, "containers of each pod")
	flag.Func("mode", "isolation of the pods: `process or hyperv`; both unless said", func(s string) error {
		handler, ok := map[string]string{"process": lab.HandlerProcess, "hyperv": lab.HandlerHyperV}[s]
		if !ok {
			return errors.New("want process or hyperv")
		}
		n.Handlers = []string{handler}
		return nil
	})
	flag.Parse()
	if err := run(ctx, n, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// size says how long to soak.
type size struct {
	Execs, Pods, Containers int
	Handlers                []string // a runtime handler for each mode
}

var bothModes = []string{lab.HandlerProcess, lab.HandlerHyperV}

// operator is the program that asks a shim about itself.
const operator = `C:\isolctl.exe`

// soak is a lab that is measured.
type soak struct {
	lab    *lab.Lab
	client *cri.Client
	out    io.Writer
}

// run soaks a lab of its own.
func run(ctx context.Context, n size, out io.Writer) (err error) {
	shim, err := lab.BuildIsolShim(ctx, nil)
	if err != nil {
		return err
	}
	guests := 0
	if slices.Contains(n.Handlers, lab.HandlerHyperV) {
		// One for each VM of a crowd: one boots slower than the emulator waits for it.
		// They come up while the first pod is probed.
		guests = n.Pods
	}
	l, err := lab.Start(ctx, lab.Config{Shims: map[string]string{lab.IsolShim: shim}, CRI: true, Guests: guests, Out: out})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := l.Build(ctx, `C:\`, "./cmd/isolctl"); err != nil {
		return err
	}
	s := &soak{lab: l, out: out}
	if s.client, err = cri.Start(l); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.client.Close()) }()
	for _, handler := range n.Handlers {
		if err := s.execs(ctx, handler, n.Execs); err != nil {
			return fmt.Errorf("execs, %s: %w", handler, err)
		}
		if err := s.crowd(ctx, handler, n); err != nil {
			return fmt.Errorf("pods, %s: %w", handler, err)
		}
	}
	ledger, err := l.Ledger()
	if err == nil && !ledger.Empty() {
		err = fmt.Errorf("left behind:\n%s", ledger.Leaks())
	}
	return err
}
