// Command guest is what runs in a utility VM of the emulator: a Windows program
// in a Wine prefix of its own. The lab starts it:
//
//	guest POOL NAME
//
// It offers itself in the folder POOL under NAME, becomes the machine that
// takes it, and ends with it. See test/hcsemu/vm.
package main

import (
	"fmt"
	"os"

	"github.com/isolrun/isol/test/hcsemu/vm"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: guest POOL NAME")
		os.Exit(2)
	}
	if err := run(vm.Pool(os.Args[1]), os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}
