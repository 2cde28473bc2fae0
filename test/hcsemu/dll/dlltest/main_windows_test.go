package dlltest

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"testing"
	"time"
)

// program is the first argument of this test binary when it plays a
// container's program.
const program = "program"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == program {
		os.Exit(play(os.Args[2], os.Args[3:]))
	}
	os.Exit(m.Run())
}

// play is what the containers of these tests run.
func play(name string, args []string) int {
	switch name {
	case "forever":
		time.Sleep(time.Hour)
	case "cat":
		if _, err := io.Copy(os.Stdout, os.Stdin); err != nil {
			return 1
		}
	case "exit":
		code, err := strconv.ParseUint(args[0], 10, 32)
		if err != nil {
			return 1
		}
		return int(uint32(code))
	case "echo":
		fmt.Println(args[0])
	case "echoerr":
		fmt.Fprintln(os.Stderr, args[0])
	case "flood": // as many MiB as asked for
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return 1
		}
		chunk := make([]byte, 64<<10)
		for range n * 16 {
			if _, err := os.Stdout.Write(chunk); err != nil {
				return 1
			}
		}
	case "environment":
		for _, entry := range os.Environ() {
			fmt.Println(entry)
		}
	case "interrupted": // ends with 5 on Ctrl-C or Ctrl-Break
		events := make(chan os.Signal, 1)
		signal.Notify(events, os.Interrupt)
		fmt.Println("waiting")
		<-events
		return 5
	}
	return 0
}

// command is the command line of a program above.
func command(name string, args ...string) string {
	exe, err := os.Executable()
	if err != nil {
		panic(err) // a test binary always has a path
	}
	line := fmt.Sprintf(`"%s" %s %s`, exe, program, name)
	for _, arg := range args {
		line += fmt.Sprintf(` "%s"`, arg)
	}
	return line
}
