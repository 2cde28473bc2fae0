// Command benchidle is the least that a Go program costs: it says that it is up
// and waits for the end of its input. With -relay it is the least that a relay
// costs: it copies its input to its output and does nothing else. What it takes
// no shim can do without.
package main

import (
	"io"
	"os"
	"slices"
)

func main() {
	do := idle
	if slices.Contains(os.Args[1:], "-relay") {
		do = relay
	}
	if err := do(); err != nil {
		os.Exit(1)
	}
}

func idle() error {
	if _, err := os.Stdout.WriteString("up\n"); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// piece is as much as isol relays at once.
const piece = 128 << 10

// relay copies by plain reads and writes of a piece each: neither a poller nor a
// second thread is in what it takes. What files can do beyond that is hidden,
// since io would do it in pieces of its own size.
func relay() error {
	_, err := io.CopyBuffer(struct{ io.Writer }{os.Stdout}, struct{ io.Reader }{os.Stdin}, make([]byte, piece))
	return err
}
