// Command vmwp is the worker process of one virtual machine of the emulator,
// in the host's prefix, as Windows has one vmwp.exe per machine. The emulator's
// service starts it:
//
//	vmwp RUNTIME-ID ADDRESS POOL
//
// ADDRESS is where the service waits for it, POOL the folder with the guests.
// The machine's id is there for who reads process lists. See test/hcsemu/vm.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/isolrun/isol/test/hcsemu/vm"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: vmwp RUNTIME-ID ADDRESS POOL")
		os.Exit(2)
	}
	if err := vm.Work(context.Background(), os.Args[2], vm.Pool(os.Args[3])); err != nil {
		fmt.Fprintln(os.Stderr, "vmwp:", err)
		os.Exit(1)
	}
}
