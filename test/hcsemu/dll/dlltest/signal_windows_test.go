package dlltest

import (
	"bufio"
	"testing"
	"time"

	"github.com/isolrun/isol/internal/hcs/schema"
)

// A container's program that listens for Ctrl-C gets it and ends as it likes:
// a graceful stop is the program's own.
func TestSignalIsHandled(t *testing.T) {
	for _, signal := range []schema.Signal{schema.CtrlC, schema.CtrlBreak} {
		p := start(t, command("interrupted"), nil)
		if line, err := bufio.NewReader(p.Stdout()).ReadString('\n'); err != nil {
			t.Fatalf("%s: %q, %v", signal, line, err)
		}
		delivered, err := p.Signal(t.Context(), signal)
		if err != nil || !delivered {
			t.Fatalf("%s: %v, %v", signal, delivered, err)
		}
		select {
		case <-p.Done():
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: the program does not end", signal)
		}
		if code, err := p.ExitCode(); err != nil || code != 5 {
			t.Errorf("%s: exit code %#x, %v; want 5", signal, code, err)
		}
	}
}

// Ctrl-C typed at an attached console interrupts the program.
func TestControlCOfConsole(t *testing.T) {
	p := start(t, command("interrupted"), func(p *schema.ProcessParameters) {
		p.EmulateConsole, p.CreateStdInPipe, p.ConsoleSize = true, true, []uint16{40, 132}
	})
	if line, err := bufio.NewReader(p.Stdout()).ReadString('\n'); err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := p.Stdin().Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the program does not end")
	}
	if code, err := p.ExitCode(); err != nil || code != 5 {
		t.Errorf("exit code %#x, %v; want 5", code, err)
	}
}
