// Command lab boots an emulated Windows machine for a developer.
//
//	go run ./test/lab/cmd/lab [flags] -- ctr version     runs one program there
//	go run ./test/lab/cmd/lab [flags] shell              a shell with ctr and hcsemu on its PATH
//
// The machine ends with the program or the shell. isol's shim, built from the
// tree, and Microsoft's lie beside containerd.exe.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/isolrun/isol/test/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// run boots the lab and runs what the arguments say. The exit code is that of
// the program.
func run(ctx context.Context, args []string) (code int, err error) {
	flags := flag.NewFlagSet("lab", flag.ExitOnError)
	version := flags.String("windows", "server2022", "the Windows version to show")
	noShim := flags.Bool("no-shim", false, "do not build isol's shim")
	cri := flags.Bool("cri", false, "a node for pods: handlers, a CNI network, a pause image, caller")
	guests := flags.Int("guests", 0, "with a hypervisor, and so many guests waiting for utility VMs")
	logs := flags.Bool("logs", false, "print the logs of emulator and containerd at the end")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: lab [flags] -- PROGRAM [ARGUMENT...]\n       lab [flags] shell")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return 2, err
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return 2, nil
	}
	l, err := start(ctx, *version, *noShim, *cri, *guests)
	if err != nil {
		return 1, err
	}
	defer func() {
		if *logs {
			fmt.Fprint(os.Stderr, l.Logs())
		}
		if e := l.Close(); e != nil && err == nil {
			code, err = 1, e
		}
	}()
	if flags.NArg() == 1 && flags.Arg(0) == "shell" {
		return 0, shell(ctx, l)
	}
	command := flags.Args()
	command[0] = windowsPath(command[0])
	p, err := l.StartProcess(ctx, lab.Command{Args: command, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr})
	if err != nil {
		return 1, err
	}
	result, err := p.Wait()
	return result.ExitCode, err
}

// start boots a lab with the shims that there are.
func start(ctx context.Context, version string, noShim, cri bool, guests int) (*lab.Lab, error) {
	w, err := lab.Preset(version)
	if err != nil {
		return nil, err
	}
	cfg := lab.Config{Windows: w, CRI: cri, Guests: guests, Out: os.Stderr}
	if !noShim {
		progress := func(line string) { fmt.Fprintln(os.Stderr, "lab: "+line) }
		shim, err := lab.BuildIsolShim(ctx, progress)
		if err != nil {
			return nil, err
		}
		cfg.Shims = map[string]string{lab.IsolShim: shim}
	}
	return lab.Start(ctx, cfg)
}

// windowsPath finds the programs that the lab installed by their short names.
func windowsPath(name string) string {
	switch name {
	case "ctr", "containerd":
		return lab.ProgramFolder + `\` + name + ".exe"
	case "hcsemu":
		return lab.EmulatorExe
	case "caller":
		return lab.CallerExe
	}
	return name
}

// shell runs the user's shell with a script per program of the lab on its PATH.
func shell(ctx context.Context, l *lab.Lab) error {
	bin, err := os.MkdirTemp("", "isol-lab-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	for _, name := range []string{"ctr", "hcsemu", "caller", "wine"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(l.Script(windowsPath(name))), 0o755); err != nil {
			return err
		}
	}
	path := os.Getenv("SHELL")
	if path == "" {
		path = "/bin/sh"
	}
	fmt.Fprintf(os.Stderr, "%s is up, image %s; ctr, hcsemu, caller and wine are on the PATH; exit ends it\n", l.Windows.ProductName, l.Image())
	cmd := exec.CommandContext(ctx, path)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil && !strings.HasPrefix(err.Error(), "exit status") {
		return err
	}
	return nil
}
