package hcsemu

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// standardPrograms are the programs that every scripted container has:
//
//	cmd /c COMMAND         runs COMMAND: echo, exit, set, cd, or one of the programs below
//	cmd                    a prompt: runs each line of its input until "exit"
//	ping [-t] [-n N] HOST  a line every second, four without -n, endless with -t
//	more                   copies its input to its output
//	exit N                 ends with N
//	flood N                writes N bytes as fast as they are read
//	ignore                 takes no notice of control events; only a kill ends it
//	trap                   prints each control event's name; ends with 42 after CtrlShutdown or CtrlC
//	size                   prints the console's size now and at each change until its input ends
//	pause                  waits for a line of input
//	forever                does nothing until it is ended
//	whoami, hostname       print the user, the host's name
//	stderr TEXT            writes TEXT to the standard error
func standardPrograms() map[string]Program {
	return map[string]Program{
		"cmd": runCmd, "ping": runPing, "more": runMore, "cat": runMore, "exit": runExit, "flood": runFlood,
		"ignore": runIgnore, "trap": runTrap, "size": runSize, "pause": runPause, "whoami": runWhoami,
		"hostname": runHostname, "stderr": runStderr, "echo": runEcho, "set": runSet, "cd": runCd,
		"forever": runForever,
	}
}

// splitCommandLine splits as Windows programs do, without backslash escapes:
// words between spaces, quotes keep spaces. Source:
// https://learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments
func splitCommandLine(line string) []string {
	var args []string
	var word strings.Builder
	quoted, any := false, false
	for _, r := range line {
		switch {
		case r == '"':
			quoted, any = !quoted, true
		case (r == ' ' || r == '\t') && !quoted:
			if any {
				args = append(args, word.String())
				word.Reset()
				any = false
			}
		default:
			word.WriteRune(r)
			any = true
		}
	}
	if any {
		args = append(args, word.String())
	}
	return args
}

func runCmd(x *Exec) uint32 {
	if len(x.Args) > 1 && strings.EqualFold(x.Args[1], "/c") {
		return x.shell(x.Args[2:])
	}
	in := bufio.NewScanner(x.Stdin)
	for {
		fmt.Fprint(x.Stdout, `C:\>`)
		if !in.Scan() {
			return 0
		}
		args := splitCommandLine(in.Text())
		if len(args) > 0 && strings.EqualFold(args[0], "exit") {
			return exitArg(args)
		}
		x.shell(args)
	}
}

// shell runs one command and returns its code; 1 is cmd's for "not recognised".
func (x *Exec) shell(args []string) uint32 {
	if len(args) == 0 {
		return 0
	}
	program := x.process.silo.runner.find(args)
	if program == nil {
		fmt.Fprintf(x.Stderr, "'%s' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n", args[0])
		return 1
	}
	inner := *x
	inner.Args = args
	return program(&inner)
}

func runEcho(x *Exec) uint32 {
	fmt.Fprintf(x.Stdout, "%s\r\n", strings.Join(x.Args[1:], " "))
	return 0
}

func exitArg(args []string) uint32 {
	if len(args) < 2 {
		return 0
	}
	n, err := strconv.ParseInt(args[len(args)-1], 0, 64)
	if err != nil {
		return 1
	}
	return uint32(n)
}

func runExit(x *Exec) uint32 { return exitArg(x.Args) }

func runPing(x *Exec) uint32 {
	count := 4
	for i, a := range x.Args {
		switch strings.ToLower(a) {
		case "-t":
			count = -1
		case "-n":
			if i+1 < len(x.Args) {
				n, err := strconv.Atoi(x.Args[i+1])
				if err != nil {
					fmt.Fprintf(x.Stdout, "Bad value for option -n, valid range is from 1 to 4294967295.\r\n")
					return 1
				}
				count = n
			}
		}
	}
	for i := 0; count < 0 || i < count; i++ {
		if i > 0 && !x.Sleep(time.Second) {
			return 1
		}
		if _, err := fmt.Fprint(x.Stdout, "Reply from 127.0.0.1: bytes=32 time<1ms TTL=128\r\n"); err != nil {
			return 1
		}
	}
	return 0
}

func runMore(x *Exec) uint32 {
	if _, err := io.Copy(x.Stdout, x.Stdin); err != nil {
		return 1
	}
	return 0
}

func runFlood(x *Exec) uint32 {
	left, err := strconv.Atoi(x.Args[len(x.Args)-1])
	if err != nil {
		return 1
	}
	chunk := []byte(strings.Repeat("0123456789abcde\n", 1024))
	for left > 0 {
		n, err := x.Stdout.Write(chunk[:min(left, len(chunk))])
		if err != nil {
			return 1
		}
		left -= n
	}
	return 0
}

func runIgnore(x *Exec) uint32 {
	signals := x.Signals()
	fmt.Fprint(x.Stdout, "ready\r\n")
	for {
		select {
		case <-signals:
		case <-x.Killed:
			return exitTerminated
		}
	}
}

func runForever(x *Exec) uint32 {
	<-x.Killed
	return exitTerminated
}

func runTrap(x *Exec) uint32 {
	signals := x.Signals()
	fmt.Fprint(x.Stdout, "ready\r\n")
	for {
		select {
		case s := <-signals:
			fmt.Fprintf(x.Stdout, "%s\r\n", s)
			if s == CtrlShutdown || s == CtrlC {
				return 42
			}
		case <-x.Killed:
			return exitTerminated
		}
	}
}

func runSize(x *Exec) uint32 {
	fmt.Fprintf(x.Stdout, "%dx%d\r\n", x.Spec.Rows, x.Spec.Columns)
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = io.Copy(io.Discard, x.Stdin) // only its end matters
	}()
	for {
		select {
		case s := <-x.Resized:
			fmt.Fprintf(x.Stdout, "%dx%d\r\n", s[0], s[1])
		case <-over:
			return 0
		case <-x.Killed:
			return exitTerminated
		}
	}
}

func runPause(x *Exec) uint32 {
	fmt.Fprint(x.Stdout, "Press any key to continue . . . ")
	if !bufio.NewScanner(x.Stdin).Scan() {
		return 1
	}
	return 0
}

func runWhoami(x *Exec) uint32 {
	user := x.Spec.User
	if user == "" {
		user = "ContainerUser"
	}
	fmt.Fprintf(x.Stdout, "user manager\\%s\r\n", strings.ToLower(baseName(user)))
	return 0
}

func runHostname(x *Exec) uint32 {
	fmt.Fprintf(x.Stdout, "%s\r\n", x.Silo.Hostname)
	return 0
}

func runStderr(x *Exec) uint32 {
	fmt.Fprintf(x.Stderr, "%s\r\n", strings.Join(x.Args[1:], " "))
	return 0
}

func runSet(x *Exec) uint32 {
	for _, name := range slices.Sorted(maps.Keys(x.Spec.Environment)) {
		fmt.Fprintf(x.Stdout, "%s=%s\r\n", name, x.Spec.Environment[name])
	}
	return 0
}

func runCd(x *Exec) uint32 {
	fmt.Fprintf(x.Stdout, "%s\r\n", x.Spec.WorkingDirectory)
	return 0
}
