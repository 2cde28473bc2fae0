package oci

import (
	"math"
	"strings"
	"testing"

	"github.com/containerd/typeurl/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/isolrun/isol/internal/fault"
)

// TestProcess copies what was asked for.
func TestProcess(t *testing.T) {
	got, err := ProcessFromSpec(&specs.Process{
		Args: []string{"cmd.exe", "/c", "echo"}, Cwd: `C:\app`, Env: []string{"A=", "B=c=d"},
		User: specs.User{Username: "ContainerAdministrator"}, Terminal: true, ConsoleSize: &specs.Box{Height: 25, Width: 80},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &Process{
		Args: []string{"cmd.exe", "/c", "echo"}, Cwd: `C:\app`, Env: []string{"A=", "B=c=d"},
		User: "ContainerAdministrator", Terminal: true, ConsoleSize: ConsoleSize{Height: 25, Width: 80},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("process (-want +got):\n%s", diff)
	}
	got, err = ProcessFromSpec(&specs.Process{CommandLine: "cmd /c dir", Args: []string{"other"}, ConsoleSize: &specs.Box{Height: 1, Width: 1}})
	if err != nil {
		t.Fatal(err)
	}
	// A console size without a terminal is ignored, as the runtime spec demands.
	if diff := cmp.Diff(&Process{CommandLine: "cmd /c dir"}, got); diff != "" {
		t.Errorf("process with a command line (-want +got):\n%s", diff)
	}
}

// TestWorkingFolder: images are built on Linux too, and HostProcess pods name
// their root by a variable.
func TestWorkingFolder(t *testing.T) {
	for cwd, ok := range map[string]bool{
		"": true, `C:\`: true, `C:/app`: true, `\app`: true, "/app": true, `\\?\Volume{1}\`: true, "C:": true,
		`$CONTAINER_SANDBOX_MOUNT_POINT\bin`: true, `%CONTAINER_SANDBOX_MOUNT_POINT%\bin`: true, `$env:CONTAINER_SANDBOX_MOUNT_POINT/bin`: true,
		"app": false, `.\app`: false, "C:app": false, "%TEMP%": false, "C:\\\x00": false,
	} {
		_, err := ProcessFromSpec(&specs.Process{Args: []string{"x"}, Cwd: cwd})
		if (err == nil) != ok {
			t.Errorf("%q: %v, want allowed: %v", cwd, err, ok)
		}
	}
}

// TestProcessErrors by their text.
func TestProcessErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		p    *specs.Process
		text string
	}{
		{"none", nil, "read spec process: is missing"},
		{"nothing to run", &specs.Process{Cwd: `C:\`}, "read spec process: neither commandLine nor args says what to run"},
		{"empty program", &specs.Process{Args: []string{"", "x"}}, "read spec process: neither commandLine nor args says what to run"},
		{"NUL in the command line", &specs.Process{CommandLine: "a\x00"}, "read spec process.commandLine: has a NUL in it"},
		{"NUL in an argument", &specs.Process{Args: []string{"a", "\x00"}}, "read spec process.args[1]: has a NUL in it"},
		{"relative folder", &specs.Process{Args: []string{"a"}, Cwd: "app"}, `read spec process.cwd: "app" is not absolute (write it with its drive: C:\folder)`},
		{"environment without a value", &specs.Process{Args: []string{"a"}, Env: []string{"A=b", "PATH"}}, `read spec process.env[1]: "PATH" is not NAME=value`},
		{"environment without a name", &specs.Process{Args: []string{"a"}, Env: []string{"=C:=x"}}, `read spec process.env[0]: "=C:=x" is not NAME=value`},
		{"console of a giant", &specs.Process{Args: []string{"a"}, Terminal: true, ConsoleSize: &specs.Box{Height: math.MaxInt16 + 1, Width: 80}},
			"read spec process.consoleSize: 80 by 32768 characters: at most 32767 each way"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ProcessFromSpec(tc.p)
			wantError(t, err, fault.InvalidArgument, tc.text)
			if tc.p == nil {
				return
			}
			if _, err := Parse(windows(func(s *specs.Spec) { s.Process = tc.p }), nil); err == nil || err.Error() != tc.text {
				t.Errorf("as a container's: %v", err)
			}
		})
	}
}

// TestLine: a program must get the arguments that were meant, whatever is in
// them. The expected lines are those of Go's own syscall.EscapeArg.
func TestLine(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"cmd.exe", "/c", "dir"}, `cmd.exe /c dir`},
		{[]string{`C:\Program Files\x.exe`, ""}, `"C:\Program Files\x.exe" ""`},
		{[]string{"a\tb"}, "\"a\tb\""},
		{[]string{`say "hi"`}, `"say \"hi\""`},
		{[]string{`a"b`}, `a\"b`},
		{[]string{`C:\dir\`}, `C:\dir\`},
		{[]string{`C:\my dir\`}, `"C:\my dir\\"`},
		{[]string{`a\\"b c`}, `"a\\\\\"b c"`},
		{[]string{`a\b c`}, `"a\b c"`},
	} {
		if got := (&Process{Args: tc.args}).Line(); got != tc.want {
			t.Errorf("%q: %s, want %s", tc.args, got, tc.want)
		}
	}
	if got := (&Process{CommandLine: `a "b`, Args: []string{"x"}}).Line(); got != `a "b` {
		t.Errorf("a command line is changed: %s", got)
	}
}

// split is CommandLineToArgvW's rule for all but the program name, written from
// its documentation.
func split(line string) []string {
	var args []string
	var arg strings.Builder
	in, quoted, backslashes := false, false, 0
	flush := func(n int) { arg.WriteString(strings.Repeat(`\`, n)); backslashes = 0 }
	for i := range len(line) {
		switch c := line[i]; {
		case c == '\\':
			in = true
			backslashes++
		case c == '"':
			odd := backslashes%2 == 1
			flush(backslashes / 2)
			in = true
			if odd {
				arg.WriteByte('"')
			} else {
				quoted = !quoted
			}
		case (c == ' ' || c == '\t') && !quoted:
			flush(backslashes)
			if in {
				args = append(args, arg.String())
				arg.Reset()
				in = false
			}
		default:
			flush(backslashes)
			in = true
			arg.WriteByte(c)
		}
	}
	flush(backslashes)
	if in {
		args = append(args, arg.String())
	}
	return args
}

// FuzzLine: arguments come back as they were, whatever is in them.
func FuzzLine(f *testing.F) {
	f.Add("a b", `c\"d\\`, "")
	f.Add(`\\`, `" "`, "\t")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		args := []string{a, b, c}
		if got := split((&Process{Args: args}).Line()); !cmp.Equal(args, got) {
			t.Errorf("%q come back as %q by %s", args, got, (&Process{Args: args}).Line())
		}
	})
}

// TestExecFromAny decodes what containerd's client sends for an exec.
func TestExecFromAny(t *testing.T) {
	typeurl.Register(&specs.Process{}, "types.containerd.io", "opencontainers/runtime-spec", "1", "Process")
	sent, err := typeurl.MarshalAny(&specs.Process{Args: []string{"hostname"}, Cwd: `C:\`})
	if err != nil {
		t.Fatal(err)
	}
	p, err := ProcessFromAny(sent.GetTypeUrl(), sent.GetValue())
	if err != nil || p.Line() != "hostname" {
		t.Fatalf("got %+v, %v", p, err)
	}
	for _, tc := range []struct {
		name, typeURL, value, text string
	}{
		{"other type", "runtimeoptions.v1.Options", "{}", `read process: type "runtimeoptions.v1.Options", want opencontainers/runtime-spec/1/Process`},
		{"no type", "", "{}", `read process: type "", want opencontainers/runtime-spec/1/Process`},
		{"no JSON", sent.GetTypeUrl(), "{", `read process types.containerd.io/opencontainers/runtime-spec/1/Process: line 1, column 1: unexpected end of JSON input`},
		{"wrong field", sent.GetTypeUrl(), `{"args":1}`, `read process types.containerd.io/opencontainers/runtime-spec/1/Process: line 1, column 9: args is a JSON number, which is not a []string`},
		{"nothing to run", sent.GetTypeUrl(), `{}`, `read spec process: neither commandLine nor args says what to run`},
		{"too large", sent.GetTypeUrl(), strings.Repeat(" ", MaxSpecSize+1), `read process types.containerd.io/opencontainers/runtime-spec/1/Process: larger than 16 MiB`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ProcessFromAny(tc.typeURL, []byte(tc.value))
			wantError(t, err, fault.InvalidArgument, tc.text)
		})
	}
}
