// Command isol-guest runs in a Windows utility VM on behalf of the shim, which
// shares it with the guest for as long as it runs. It does what the guest's own
// programs do only through a shell, or not at all; each argument is one word of
// the command line and is never read by a shell.
//
//	isol-guest mkdir PATH      makes a directory and those above it
//	isol-guest devices PARENT  prints the location path of each device below
//	                           the device instance PARENT, one a line
package main

import (
	"fmt"
	"io"
	"os"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout)) }

// run does what the arguments say. What went wrong is printed, as the shim
// reads one stream only, and the exit code is 1; 2 for wrong arguments.
func run(args []string, out io.Writer) int {
	verbs := map[string]func(string, io.Writer) error{
		"mkdir":   func(path string, _ io.Writer) error { return os.MkdirAll(path, 0o700) },
		"devices": printDevices,
	}
	if len(args) != 2 || verbs[args[0]] == nil || args[1] == "" {
		fmt.Fprintln(out, "usage: isol-guest mkdir PATH | devices PARENT")
		return 2
	}
	if err := verbs[args[0]](args[1], out); err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	return 0
}
