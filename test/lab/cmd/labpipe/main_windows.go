// Command labpipe joins its standard input and output to a named pipe. The lab
// runs it in the emulated Windows so that tests on the Linux side can talk to
// containerd and to shims: see [github.com/isolrun/isol/test/lab.Lab.Dial].
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/Microsoft/go-winio"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, `usage: labpipe \\.\pipe\NAME`)
		os.Exit(2)
	}
	if err := join(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "labpipe:", err)
		os.Exit(1)
	}
}

// join copies both ways until the pipe's server or our owner hangs up.
func join(pipe string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := winio.DialPipeContext(ctx, pipe)
	if err != nil {
		return fmt.Errorf("open %s: %w", pipe, err)
	}
	done := make(chan error, 2)
	go func() {
		_, err := io.Copy(conn, os.Stdin)
		done <- err
	}()
	go func() {
		_, err := io.Copy(os.Stdout, conn)
		done <- err
	}()
	err = <-done
	conn.Close()
	return err
}
