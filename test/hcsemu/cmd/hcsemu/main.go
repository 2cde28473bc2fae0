// Command hcsemu is the emulator's service and the tool to ask it: a Windows
// program that runs in the lab's Wine prefix.
//
//	hcsemu serve [--build N] [--edition server|client] [--hypervisor] [--cpus N]
//	             [--memory MB] [--guests DIR] [--record FILE] [--faults FILE]
//	hcsemu ping [--timeout 5s]
//	hcsemu ledger [--json] [--all]
//	hcsemu calls [--function NAME] [--exe NAME] [--system ID] [--after SEQ]
//	hcsemu faults FILE | add FILE | clear
//	hcsemu release NAME | hanging NAME
//	hcsemu crash SYSTEM
//	hcsemu vm list | VERB SYSTEM
//	hcsemu disconnect | restore
//	hcsemu ps [--table]
//	hcsemu stop
//
// serve prints "serving" on a line once it takes calls, and ends with stop, with
// Ctrl-C, or, with --parent-stdin, when its input ends. ledger exits with 3 if
// something has leaked, ping with 1 if no service answers.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// errLeaked makes the exit code 3.
var errLeaked = errors.New("something is still handed out")

func main() {
	err := run(os.Args[1:], os.Stdin, os.Stdout)
	switch {
	case err == nil:
	case errors.Is(err, errLeaked):
		os.Exit(3)
	default:
		fmt.Fprintln(os.Stderr, "hcsemu:", err)
		os.Exit(1)
	}
}

// run carries out one command line.
func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("which command? serve, ping, ledger, calls, faults, release, hanging, crash, vm, disconnect, restore, ps or stop")
	}
	name, args := args[0], args[1:]
	switch name {
	case "serve":
		options, err := parseServe(args)
		if err != nil {
			return err
		}
		return serve(options, in, out)
	case "ps":
		return ps(args, out)
	}
	return query(name, args, out, dial)
}
