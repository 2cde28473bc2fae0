package oci

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/isolrun/isol/internal/fault"
)

// processType is the end of the type URL under which containerd sends the
// process of an exec; typeurl puts types.containerd.io/ before it.
const processType = "opencontainers/runtime-spec/1/Process"

// maxConsole is the most characters each way: Windows counts them in a COORD
// of two signed 16-bit numbers, https://learn.microsoft.com/windows/console/coord-str
const maxConsole = math.MaxInt16

// Process is what to run: the init process of a container or an exec.
type Process struct {
	CommandLine string   // Windows: the whole line; wins over Args
	Args        []string // used when CommandLine is empty
	Cwd         string   // empty: the system's choice
	Env         []string // NAME=value; an empty value is kept
	User        string   // Windows account; empty: the image's default
	Terminal    bool
	ConsoleSize ConsoleSize // zero: the system's choice
}

// ConsoleSize is the size of a console in characters.
type ConsoleSize struct {
	Height uint16
	Width  uint16
}

// Line returns the Windows command line: CommandLine as it is, or Args joined
// so that a program that splits by the rules of CommandLineToArgvW gets them
// back: https://learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments
func (p *Process) Line() string {
	if p.CommandLine != "" {
		return p.CommandLine
	}
	var b strings.Builder
	for i, arg := range p.Args {
		if i > 0 {
			b.WriteByte(' ')
		}
		quoteArg(&b, arg)
	}
	return b.String()
}

// quoteArg writes one argument. Backslashes count only before a quote: there
// they are doubled, and one more makes the quote a letter.
func quoteArg(b *strings.Builder, arg string) {
	quotes := arg == "" || strings.ContainsAny(arg, " \t")
	if quotes {
		b.WriteByte('"')
	}
	backslashes := 0
	for i := range len(arg) {
		switch arg[i] {
		case '\\':
			backslashes++
		case '"':
			b.WriteString(strings.Repeat(`\`, backslashes+1))
			backslashes = 0
		default:
			backslashes = 0
		}
		b.WriteByte(arg[i])
	}
	if quotes {
		b.WriteString(strings.Repeat(`\`, backslashes))
		b.WriteByte('"')
	}
}

// ProcessFromSpec checks and copies the process section of a spec, or the
// process of an exec. Errors are fault.InvalidArgument.
func ProcessFromSpec(p *specs.Process) (*Process, error) {
	if p == nil {
		return nil, invalid("process", "is missing", "")
	}
	if p.CommandLine == "" && (len(p.Args) == 0 || p.Args[0] == "") {
		return nil, invalid("process", "neither commandLine nor args says what to run", "")
	}
	out := &Process{
		CommandLine: p.CommandLine,
		Cwd:         p.Cwd,
		Env:         slices.Clone(p.Env),
		User:        p.User.Username,
		Terminal:    p.Terminal,
	}
	if p.CommandLine == "" {
		out.Args = slices.Clone(p.Args)
	}
	if err := out.check(); err != nil {
		return nil, err
	}
	if p.Terminal && p.ConsoleSize != nil {
		if p.ConsoleSize.Height > maxConsole || p.ConsoleSize.Width > maxConsole {
			return nil, invalid("process.consoleSize", fmt.Sprintf("%d by %d characters: at most %d each way",
				p.ConsoleSize.Width, p.ConsoleSize.Height, maxConsole), "")
		}
		out.ConsoleSize = ConsoleSize{Height: uint16(p.ConsoleSize.Height), Width: uint16(p.ConsoleSize.Width)}
	}
	return out, nil
}

// check refuses what no process can be started with.
func (p *Process) check() error {
	if strings.ContainsRune(p.CommandLine, 0) {
		return invalid("process.commandLine", "has a NUL in it", "")
	}
	for i, a := range p.Args {
		if strings.ContainsRune(a, 0) {
			return invalid(fmt.Sprintf("process.args[%d]", i), "has a NUL in it", "")
		}
	}
	if !goodCwd(p.Cwd) {
		return invalid("process.cwd", fmt.Sprintf("%q is not absolute", shorten(p.Cwd)), `write it with its drive: C:\folder`)
	}
	for i, e := range p.Env {
		if strings.IndexByte(e, '=') < 1 || strings.ContainsRune(e, 0) {
			return invalid(fmt.Sprintf("process.env[%d]", i), fmt.Sprintf("%q is not NAME=value", shorten(e)), "")
		}
	}
	return nil
}

// mountPointVariable is the variable that HostProcess containers name their
// root file system by; a working folder may begin with it, as
// https://kubernetes.io/docs/tasks/configure-pod-container/create-hostprocess-pod/
// tells their users to write.
const mountPointVariable = "CONTAINER_SANDBOX_MOUNT_POINT"

// goodCwd reports whether a working folder is absolute, or empty. The path may
// leave out the drive: images built on Linux say /app.
func goodCwd(cwd string) bool {
	return cwd == "" || isRooted(cwd) ||
		strings.HasPrefix(cwd, "$"+mountPointVariable) ||
		strings.HasPrefix(cwd, "$env:"+mountPointVariable) ||
		strings.HasPrefix(cwd, "%"+mountPointVariable+"%")
}

// ProcessFromAny decodes the process that an Exec request carries: JSON of the
// type opencontainers/runtime-spec/1/Process.
func ProcessFromAny(typeURL string, value []byte) (*Process, error) {
	const op = "read process"
	switch {
	case !strings.HasSuffix(typeURL, processType):
		return nil, &fault.Error{
			Kind: fault.InvalidArgument, Op: op,
			Detail: fmt.Sprintf("type %q, want %s", shorten(typeURL), processType),
		}
	case len(value) > MaxSpecSize:
		return nil, &fault.Error{
			Kind: fault.InvalidArgument, Op: op, Subject: typeURL,
			Detail: fmt.Sprintf("larger than %d MiB", MaxSpecSize>>20),
		}
	}
	var p specs.Process
	if err := json.Unmarshal(value, &p); err != nil {
		return nil, jsonError(op, typeURL, value, err)
	}
	return ProcessFromSpec(&p)
}
