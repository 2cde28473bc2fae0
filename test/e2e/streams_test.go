package e2e

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/lab"
)

// A person at a keyboard: a console of the terminal's size, what is typed goes
// in, what is printed comes out, and the exit code. That the console follows
// the terminal is below: Wine 8's own console does not tell ctr of a new size.
func TestTerminal(t *testing.T) {
	l := shared.of(t)
	m := emulated{l}
	must(t, m, "run", "-d", "--null-io", "--runtime", isol, m.Image(), "tty1", "ping", "-t", "localhost")
	defer remove(t, m, "tty1")
	const program = "set /p line=& echo got it& exit 5"
	for _, tc := range []struct {
		name, id string
		sized    bool // ctr tells the size of the terminal at the start
		args     []string
	}{
		{"run", "tty2", true, []string{"run", "--rm", "--tty", "--runtime", isol, m.Image(), "tty2", "cmd", "/c", program}},
		{"exec", "tty1", false, []string{"task", "exec", "--tty", "--exec-id", "t1", "tty1", "cmd", "/c", program}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			in, keyboard := io.Pipe()
			p, err := l.StartProcess(ctx, lab.Command{
				Args: append([]string{lab.CtrExe}, tc.args...), Stdin: in, Terminal: true, Rows: 40, Columns: 100,
			})
			if err != nil {
				t.Fatal(err)
			}
			var console string
			until(t, "a process with a console", func() bool {
				calls, err := l.Calls(hcsemu.CallFilter{Function: "HcsCreateProcess", System: tc.id})
				if err != nil {
					t.Fatal(err)
				}
				if len(calls) > 0 {
					console = fmt.Sprint(calls[len(calls)-1].Args)
				}
				return strings.Contains(console, "EmulateConsole:true")
			})
			if tc.sized && !strings.Contains(console, "ConsoleSize:[40 100]") {
				t.Errorf("the console has not the terminal's size: %s", console)
			}
			fmt.Fprint(keyboard, "typed\r\n")
			r, err := p.Wait()
			if err != nil || r.ExitCode != 5 || !strings.Contains(r.Stdout, "got it") {
				t.Errorf("exit %d, %v, %q", r.ExitCode, err, r.Stdout)
			}
		})
	}
}

// A console is resized by clients right after start returned (moby#50402): it
// must be accepted then, or the first screen has the wrong size.
func TestResizeRightAfterStart(t *testing.T) {
	l := shared.of(t)
	c := connect(t, l)
	s := spec("ping", "-t", "localhost")
	s.Process.Terminal = true
	request := c.container("size1", packed(t, specURL, s), nil)
	request.Terminal = true
	ctx, cancel := c.within(time.Minute)
	defer cancel()
	if _, err := c.tasks.Create(ctx, request); err != nil {
		t.Fatal(err)
	}
	if _, err := c.tasks.Start(ctx, &tasksapi.StartRequest{ContainerID: "size1"}); err != nil {
		t.Fatal(err)
	}
	for _, width := range []uint32{80, 200} {
		if _, err := c.tasks.ResizePty(ctx, &tasksapi.ResizePtyRequest{ContainerID: "size1", Width: width, Height: 50}); err != nil {
			t.Errorf("resize to %d: %v", width, err)
		}
	}
	calls, err := l.Calls(hcsemu.CallFilter{Function: "HcsModifyProcess", System: "size1"})
	if err != nil || len(calls) != 2 || !strings.Contains(fmt.Sprint(calls[1].Args), "200") {
		t.Errorf("what HCS was told: %v, %v", calls, err)
	}
}

// A build log, an archive, a database dump: every byte, in order, and the end.
func TestMuchOutput(t *testing.T) {
	l := shared.of(t)
	const size = 64 << 20
	out := spew{bad: -1}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	p, err := l.StartProcess(ctx, lab.Command{Stdout: &out, Args: []string{
		lab.CtrExe, "run", "--rm", "--runtime", isol, l.Image(), "spew1", "probe", "spew", fmt.Sprint(size)}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Wait()
	if err != nil || r.ExitCode != 0 || out.n != size || out.bad >= 0 {
		t.Errorf("%d bytes of %d, the first wrong one at %d, exit %d, %v: %s", out.n, size, out.bad, r.ExitCode, err, r.Stderr)
	}
}

// spew checks what "probe spew" prints: blocks of 64 KiB that are all alike.
type spew struct {
	n   int // bytes so far
	bad int // where the first wrong one is; -1 for nowhere
}

// Write checks a piece.
func (s *spew) Write(piece []byte) (int, error) {
	for _, b := range piece {
		i := s.n % (64 << 10)
		want := byte('a' + i%26)
		if i%64 == 63 {
			want = '\n'
		}
		if b != want && s.bad < 0 {
			s.bad = s.n
		}
		s.n++
	}
	return len(piece), nil
}

// A log that mixes up output and errors, or loses one, is of no use.
func TestOutputAndErrorsApart(t *testing.T) {
	m := machine(t)
	const program = "echo out1& echo err1>&2& echo out2& echo err2>&2"
	must(t, m, "run", "-d", "--null-io", "--runtime", isol, m.Image(), "apart1", "ping", "-t", "localhost")
	defer remove(t, m, "apart1")
	for _, args := range [][]string{
		{"run", "--rm", "--runtime", isol, m.Image(), "apart2", "cmd", "/c", program},
		{"task", "exec", "--exec-id", "e1", "apart1", "cmd", "/c", program},
	} {
		r := ctr(t, m, args...)
		if out, errs := strings.Fields(r.Stdout), strings.Fields(r.Stderr); fmt.Sprint(out, errs) != "[out1 out2] [err1 err2]" {
			t.Errorf("%s: output %q, errors %q", args[0], r.Stdout, r.Stderr)
		}
	}
}

// Liveness probes run for months: what each leaves adds up.
func TestManyExecs(t *testing.T) {
	l := shared.of(t)
	c := connect(t, l)
	c.run("many1", "ping", "-t", "localhost")
	ctx, cancel := c.within(2 * time.Minute)
	defer cancel()
	before, err := l.Ledger()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if err := c.exec(ctx, "many1", fmt.Sprintf("e%d", i), process("probe", "exit", "0")); err != nil {
			t.Fatalf("exec %d: %v", i, err)
		}
	}
	after, err := l.Ledger()
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(before) {
		t.Errorf("held before:\n%s\nand after:\n%s", before, after)
	}
}
