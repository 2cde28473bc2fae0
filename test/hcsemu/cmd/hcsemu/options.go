package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/isolrun/isol/test/hcsemu"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	machine     hcsemu.Config // but Runner, Disk, Record and Kill
	record      string        // file for the calls, "" for none
	faults      []hcsemu.Fault
	parentStdin bool
	verbose     bool
	guests      string // folder of the guests for virtual machines, "" for machines in which nothing runs
}

// parseServe reads the flags of serve and the fault plan that they name.
func parseServe(args []string) (serveOptions, error) {
	var o serveOptions
	var build uint64
	var edition, plan string
	flags := newFlags("serve")
	flags.Uint64Var(&build, "build", 20348, "Windows build")
	flags.StringVar(&edition, "edition", "server", "server or client")
	flags.BoolVar(&o.machine.Hypervisor, "hypervisor", false, "a hypervisor is present")
	flags.StringVar(&o.guests, "guests", "", "folder of guests for virtual machines (test/hcsemu/vm)")
	flags.IntVar(&o.machine.CPUs, "cpus", 2, "processors")
	flags.Uint64Var(&o.machine.MemoryMB, "memory", 8192, "memory in MB")
	flags.StringVar(&o.record, "record", "", "file to append each call to, as a line of JSON")
	flags.StringVar(&plan, "faults", "", "file with a fault plan")
	flags.BoolVar(&o.parentStdin, "parent-stdin", false, "end when the standard input ends")
	flags.BoolVar(&o.verbose, "verbose", false, "log to the standard error")
	if err := parse(flags, args, 0); err != nil {
		return o, err
	}
	if build < 14393 || build > 99999 {
		return o, fmt.Errorf("serve: --build %d is no Windows build, 17763 to 26200 are tested", build)
	}
	o.machine.Build = uint32(build)
	switch edition {
	case "server":
		o.machine.Edition = hcsemu.Server
	case "client":
		o.machine.Edition = hcsemu.Desktop
	default:
		return o, fmt.Errorf("serve: --edition %q, server or client is allowed", edition)
	}
	if plan == "" {
		return o, nil
	}
	text, err := os.ReadFile(plan)
	if err == nil {
		o.faults, err = hcsemu.ParseFaults(text)
	}
	if err != nil {
		return o, fmt.Errorf("serve: fault plan: %w", err)
	}
	return o, nil
}

func newFlags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

// parse reads flags after which exactly want arguments are left.
func parse(flags *flag.FlagSet, args []string, want int) error {
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%s: %w", flags.Name(), err)
	}
	if flags.NArg() != want {
		return fmt.Errorf("%s: %d arguments, want %d", flags.Name(), flags.NArg(), want)
	}
	return nil
}
