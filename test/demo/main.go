// Command demo is `make demo`: it boots the lab, has the real containerd.exe
// run Windows containers with isol's shim, and prints each step with what it
// proves. Its last line is
//
//	demo: N checks passed, 0 leaked
//
// and its exit code is 0 only then.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demo is one walk through the lab.
type demo struct {
	ctx    context.Context
	lab    *lab.Lab
	out    io.Writer
	passed int
	failed int
}

func run(ctx context.Context, out io.Writer) (err error) {
	d := &demo{ctx: ctx, out: out}
	d.title("Boot", "a Windows machine of Wine, the emulated compute service, and the real containerd.exe")
	shim, err := lab.BuildIsolShim(ctx, d.progress)
	if err != nil {
		return err
	}
	began := time.Now()
	if d.lab, err = lab.Start(ctx, lab.Config{Shims: map[string]string{lab.IsolShim: shim}, CRI: true, Guests: 2, Out: out}); err != nil {
		return err
	}
	defer func() {
		if d.failed > 0 {
			fmt.Fprintln(out, d.lab.Logs())
		}
		err = errors.Join(err, d.lab.Close())
	}()
	fmt.Fprintf(out, "    up after %s\n", time.Since(began).Round(time.Millisecond))
	for _, step := range []func() error{d.boot, d.process, d.exec, d.metrics, d.kill, d.exitCode, d.virtualMachine, d.pods, d.refusal} {
		if err := step(); err != nil {
			return err
		}
	}
	return d.end()
}

func (d *demo) progress(line string) { fmt.Fprintln(d.out, "lab: "+line) }

// title opens a step.
func (d *demo) title(name, what string) { fmt.Fprintf(d.out, "\n== %s: %s\n", name, what) }

// check prints and counts one thing that was shown.
func (d *demo) check(ok bool, format string, args ...any) {
	mark := "ok  "
	if ok {
		d.passed++
	} else {
		d.failed++
		mark = "FAIL"
	}
	fmt.Fprintf(d.out, "    %s  %s\n", mark, fmt.Sprintf(format, args...))
}

// ctr runs ctr and shows it.
func (d *demo) ctr(args ...string) (lab.Result, error) {
	ctx, cancel := context.WithTimeout(d.ctx, time.Minute)
	defer cancel()
	fmt.Fprintln(d.out, "  $ ctr "+strings.Join(args, " "))
	r, err := d.lab.Ctr(ctx, args...)
	d.show(r.Stdout + r.Stderr)
	if err != nil {
		return r, fmt.Errorf("ctr %s: %w", strings.Join(args, " "), err)
	}
	return r, nil
}

func (d *demo) show(text string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n "); line != "" {
			fmt.Fprintln(d.out, "    "+line)
		}
	}
}

func (d *demo) boot() error {
	r, err := d.ctr("version")
	if err != nil {
		return err
	}
	d.check(r.ExitCode == 0 && strings.Contains(r.Stdout, "Server:"), "containerd.exe answers")
	r, err = d.ctr("images", "ls", "-q")
	d.check(r.ExitCode == 0 && strings.Contains(r.Stdout, d.lab.Image()), "it has a Windows image")
	return err
}

const runtime = "io.containerd.isol.v1"

// process is the first half of the isolation walk-through.
func (d *demo) process() error {
	d.title("Process isolation", "a container's process is a process of the host, with the same id")
	r, err := d.ctr("run", "-d", "--runtime", runtime, d.lab.Image(), "pinger", "ping", "-t", "localhost")
	if err != nil {
		return err
	}
	d.check(r.ExitCode == 0, "containerd-shim-isol-v1.exe runs it")
	if r, err = d.ctr("task", "ps", "pinger"); err != nil {
		return err
	}
	pids := map[string]bool{}
	for line := range strings.Lines(r.Stdout) {
		if f := strings.Fields(line); len(f) > 0 && f[0] != "PID" {
			pids[f[0]] = true
		}
	}
	d.check(len(pids) > 0, "the container knows its processes")
	host, err := d.lab.Processes(d.ctx)
	if err != nil {
		return err
	}
	same := ""
	for _, p := range host {
		if pids[fmt.Sprint(p.PID)] && strings.EqualFold(p.Name, "ping.exe") {
			same = fmt.Sprint(p.PID)
		}
	}
	d.lists(r.Stdout, host)
	d.check(same != "", "the host sees ping.exe with the same process id, %s", same)
	return nil
}

// lists prints the container's and the host's process lists side by side.
func (d *demo) lists(ps string, host []lab.HostProcess) {
	var inside []string
	for line := range strings.Lines(ps) {
		if f := strings.Fields(line); len(f) > 1 && f[0] != "PID" {
			name := strings.TrimSuffix(strings.TrimPrefix(f[1], `image_name:"`), `"`)
			inside = append(inside, fmt.Sprintf("%6s  %s", f[0], name))
		}
	}
	fmt.Fprintf(d.out, "    %-32s  %s\n", "in the container", "on the host")
	for i := range max(len(inside), len(host)) {
		left, right := "", ""
		if i < len(inside) {
			left = inside[i]
		}
		if i < len(host) {
			right = fmt.Sprintf("%6d  %s", host[i].PID, host[i].Name)
		}
		fmt.Fprintf(d.out, "    %-32s  %s\n", left, right)
	}
}

// virtualMachine is the second half of the isolation walk-through.
func (d *demo) virtualMachine() error {
	d.title("Hyper-V isolation", "a container in a utility VM is not in the host's process list; its VM's worker process is")
	before, err := d.lab.Processes(d.ctx)
	if err != nil {
		return err
	}
	r, err := d.ctr("run", "-d", "--isolated", "--runtime", runtime, d.lab.Image(), "vmpinger", "ping", "-t", "localhost")
	if err != nil {
		return err
	}
	d.check(r.ExitCode == 0, "containerd-shim-isol-v1.exe boots a VM and runs it there")
	if r, err = d.ctr("task", "ps", "vmpinger"); err != nil {
		return err
	}
	host, err := d.lab.Processes(d.ctx)
	if err != nil {
		return err
	}
	d.lists(r.Stdout, host)
	d.check(strings.Contains(r.Stdout, "ping.exe"), "the container knows its ping.exe")
	d.check(count(host, "ping.exe") == 0, "the host's process list has no ping.exe")
	d.check(count(host, "vmwp.exe") == count(before, "vmwp.exe")+1, "it has a vmwp.exe, the worker process of the VM")
	if r, err = d.ctr("task", "exec", "--exec-id", "e1", "vmpinger", "cmd", "/c", "echo hello from the VM"); err != nil {
		return err
	}
	d.check(r.ExitCode == 0 && strings.Contains(r.Stdout, "hello from the VM"), "an exec runs in the VM")
	if r, err = d.ctr("run", "--rm", "--isolated", "--runtime", runtime, d.lab.Image(), "vmseven", "cmd", "/c", "exit 7"); err != nil {
		return err
	}
	d.check(r.ExitCode == 7, "a container in a VM that exits with 7 reports %d", r.ExitCode)
	if _, err = d.ctr("task", "kill", "-s", "SIGKILL", "vmpinger"); err != nil {
		return err
	}
	if _, err = d.ctr("task", "delete", "-f", "vmpinger"); err != nil {
		return err
	}
	if _, err = d.ctr("container", "delete", "vmpinger"); err != nil {
		return err
	}
	if host, err = d.lab.Processes(d.ctx); err != nil {
		return err
	}
	d.check(count(host, "vmwp.exe") == 0 && count(host, "containerd-shim-isol-v1.exe") == 0, "neither the VM nor the shim is left")
	return nil
}

// count counts the processes of one program.
func count(host []lab.HostProcess, name string) int {
	n := 0
	for _, p := range host {
		if strings.EqualFold(p.Name, name) {
			n++
		}
	}
	return n
}

func (d *demo) exec() error {
	d.title("Exec", "more processes in the same container")
	r, err := d.ctr("task", "exec", "--exec-id", "e1", "pinger", "cmd", "/c", "echo hello from an exec")
	if err != nil {
		return err
	}
	d.check(r.ExitCode == 0 && strings.Contains(r.Stdout, "hello from an exec"), "its output arrives")
	return d.terminal()
}

// terminal runs an exec on a terminal. The emulated console is a pipe, so that
// what was asked of the compute service shows the console's size.
func (d *demo) terminal() error {
	fmt.Fprintln(d.out, "  $ ctr task exec --tty --exec-id e2 pinger cmd /c echo hello from a terminal")
	ctx, cancel := context.WithTimeout(d.ctx, time.Minute)
	defer cancel()
	p, err := d.lab.StartProcess(ctx, lab.Command{
		Args:     []string{lab.CtrExe, "task", "exec", "--tty", "--exec-id", "e2", "pinger", "cmd", "/c", "echo hello from a terminal"},
		Terminal: true, Rows: 30, Columns: 100,
	})
	if err != nil {
		return err
	}
	r, err := p.Wait()
	if err != nil {
		return err
	}
	d.check(r.ExitCode == 0 && strings.Contains(r.Stdout, "hello from a terminal"), "a terminal works")
	calls, err := d.lab.Calls(hcsemu.CallFilter{Function: "HcsCreateProcess"})
	if err != nil {
		return err
	}
	console := false
	for _, c := range calls {
		parameters, err := json.Marshal(c.Args)
		if err != nil {
			return err
		}
		console = console || strings.Contains(string(parameters), `"EmulateConsole":true`)
	}
	d.check(console, "the compute service was asked for a console")
	return nil
}

func (d *demo) metrics() error {
	d.title("Statistics", "in the types that Kubernetes wants")
	r, err := d.ctr("task", "metrics", "pinger")
	d.check(r.ExitCode == 0 && strings.Contains(strings.ToLower(r.Stdout), "commit"), "processor, memory and storage of the container")
	return err
}

func (d *demo) kill() error {
	d.title("Kill and delete", "nothing stays")
	r, err := d.ctr("task", "kill", "-s", "SIGKILL", "pinger")
	if err != nil {
		return err
	}
	d.check(r.ExitCode == 0, "killed")
	if r, err = d.ctr("task", "delete", "-f", "pinger"); err != nil {
		return err
	}
	d.check(!strings.Contains(r.Stderr, "fail"), "deleted")
	if _, err = d.ctr("container", "delete", "pinger"); err != nil {
		return err
	}
	host, err := d.lab.Processes(d.ctx)
	if err != nil {
		return err
	}
	left := ""
	for _, p := range host {
		if strings.EqualFold(p.Name, "ping.exe") || strings.HasPrefix(p.Name, "containerd-shim") {
			left += " " + p.Name
		}
	}
	d.check(left == "", "neither ping.exe nor the shim is left on the host%s", left)
	return nil
}

func (d *demo) exitCode() error {
	d.title("Exit code", "what the process says is what the client gets")
	r, err := d.ctr("run", "--rm", "--runtime", runtime, d.lab.Image(), "seven", "cmd", "/c", "exit 7")
	d.check(r.ExitCode == 7, "a container that exits with 7 reports %d", r.ExitCode)
	return err
}

// refusal shows an error that a person can act on.
func (d *demo) refusal() error {
	d.title("Refusal", "bad input is named, and leaves nothing")
	r, err := d.ctr("run", "--rm", "--runtime", runtime, "--cpu-count", "1", "--cpu-max", "5000", d.lab.Image(), "cpu", "cmd", "/c", "echo never")
	d.check(r.ExitCode != 0 && strings.Contains(r.Stderr, "exclu"), "two CPU settings that exclude each other are refused by name")
	if err != nil {
		return err
	}
	r, err = d.ctr("run", "--rm", "--runtime", runtime, d.lab.Image(), "nofile", "nosuchprogram.exe")
	d.check(r.ExitCode != 0 && strings.Contains(r.Stderr, "nosuchprogram.exe"), "a program that is not there is named")
	return err
}

// end looks at the ledger: what the emulated services handed out and did not
// get back.
func (d *demo) end() error {
	d.title("Ledger", "what the compute service and the layer store handed out and did not get back")
	ledger, err := d.lab.Ledger()
	if err != nil {
		return err
	}
	leaks := ledger.Leaks()
	if len(leaks) > 0 {
		d.show(leaks.String())
	} else {
		fmt.Fprintln(d.out, "    empty")
	}
	fmt.Fprintf(d.out, "\ndemo: %d checks passed, %d leaked\n", d.passed, len(leaks))
	if d.failed > 0 || len(leaks) > 0 {
		return fmt.Errorf("%d checks failed, %d things leaked", d.failed, len(leaks))
	}
	return nil
}
