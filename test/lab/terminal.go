package lab

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"time"
)

// terminal is a pseudo terminal: Wine makes a Windows console of it for the
// program that has it as its standard streams. A nil terminal is none.
type terminal struct {
	master, slave *os.File
	drained       chan struct{} // closed when no more output will come
}

// newTerminal makes cmd run on a terminal of its own. What it prints goes to
// out, what c.Stdin holds is typed.
func newTerminal(cmd *exec.Cmd, c Command, out io.Writer) (*terminal, error) {
	master, slave, err := openTerminal()
	if err != nil {
		return nil, err
	}
	rows, columns := c.Rows, c.Columns
	if rows == 0 || columns == 0 {
		rows, columns = 24, 80
	}
	if err := resizeTerminal(master, rows, columns); err != nil {
		return nil, errors.Join(err, slave.Close(), master.Close())
	}
	onTerminal(cmd, slave)
	t := &terminal{master: master, slave: slave, drained: make(chan struct{})}
	go func() {
		io.Copy(out, master) // ends with EIO when the last slave closes: that is the end of the output
		close(t.drained)
	}()
	if c.Stdin != nil {
		go io.Copy(master, c.Stdin) // ends with the input or with the terminal
	}
	return t, nil
}

// started gives up our copy of the program's side, so that the output ends
// with the program.
func (t *terminal) started() {
	if t != nil {
		t.slave.Close()
	}
}

// close waits for the last output, but not for a child that lives on with the
// terminal open, and gives the terminal up.
func (t *terminal) close() {
	if t == nil {
		return
	}
	t.slave.Close()
	select {
	case <-t.drained:
	case <-time.After(2 * time.Second):
	}
	t.master.Close()
	<-t.drained
}
