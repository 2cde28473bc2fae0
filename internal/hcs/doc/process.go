package doc

import (
	"strings"

	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/oci"
)

// Pipes says which of a process's streams get a pipe.
type Pipes struct {
	Stdin, Stdout, Stderr bool
}

// Process returns the parameters of a process in a Windows container. A console
// has one output: the service ignores a pipe for errors beside it, so none is
// asked for. Variables with an empty value are kept; runhcs drops them.
func Process(p *oci.Process, io Pipes) *schema.ProcessParameters {
	params := &schema.ProcessParameters{
		CommandLine:      p.Line(),
		User:             p.User,
		WorkingDirectory: p.Cwd,
		Environment:      environment(p.Env),
		EmulateConsole:   p.Terminal,
		CreateStdInPipe:  io.Stdin,
		CreateStdOutPipe: io.Stdout,
		CreateStdErrPipe: io.Stderr && !p.Terminal,
	}
	if p.Terminal && p.ConsoleSize != (oci.ConsoleSize{}) {
		params.ConsoleSize = []uint16{p.ConsoleSize.Height, p.ConsoleSize.Width}
	}
	return params
}

// environment makes a map of NAME=value. Windows does not tell names apart by
// case: of two the later wins, as it does in a list.
func environment(env []string) map[string]string {
	out := make(map[string]string, len(env))
	spelt := make(map[string]string, len(env)) // upper case to the name in out
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		upper := strings.ToUpper(name)
		if before, ok := spelt[upper]; ok {
			delete(out, before)
		}
		spelt[upper] = name
		out[name] = value
	}
	return out
}

// InGuest makes params those of a process of a HostProcess container in a
// utility VM. As runhcs does (handleProcessArgsForIsolatedJobContainer): the
// guest starts it from outside of the silo, where only cmd is sure to be found,
// and who inherits the user of the guest's agent is SYSTEM.
func InGuest(params *schema.ProcessParameters, inheritUser bool) {
	params.CommandLine = ThroughCmd(params.CommandLine)
	if inheritUser {
		params.User = `NT AUTHORITY\SYSTEM`
	}
}

// ThroughCmd makes cmd run a command line; one that begins with cmd stays.
func ThroughCmd(line string) string {
	first, _, _ := strings.Cut(strings.TrimSpace(line), " ")
	first = strings.Trim(first, `"`)
	switch strings.ToLower(first[strings.LastIndexAny(first, `\/`)+1:]) {
	case "cmd", "cmd.exe":
		return line
	}
	return "cmd /c " + line
}
