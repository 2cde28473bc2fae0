package silo

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/isolrun/isol/test/hcsemu"
)

// tree is a host's files; folders end in a backslash.
func tree(paths ...string) View {
	has := func(path string) bool {
		return slices.ContainsFunc(paths, func(p string) bool {
			return strings.EqualFold(strings.TrimRight(p, `\`), strings.TrimRight(path, `\`))
		})
	}
	isDir := func(path string) bool {
		return slices.ContainsFunc(paths, func(p string) bool {
			return strings.HasSuffix(p, `\`) && strings.EqualFold(strings.TrimRight(p, `\`), strings.TrimRight(path, `\`))
		})
	}
	return View{
		Roots:       []string{`D:\scratch`, `D:\app`, `D:\base`},
		Directories: []hcsemu.MappedDirectory{{HostPath: `E:\vol`, ContainerPath: `C:\data`}, {HostPath: `E:\deep`, ContainerPath: `c:\data\deep\`}},
		Host:        map[string]string{"SYSTEMROOT": `C:\windows`, "SECRET": "of the host"},
		Exists:      has, IsDir: isDir,
	}
}

// Images bring programs of their own: the topmost layer wins, the prefix's
// own programs come last.
func TestProgram(t *testing.T) {
	v := tree(
		`C:\`, `D:\base\Files\`,
		`D:\base\Files\Windows\System32\ping.exe`, `D:\app\Files\windows\system32\ping.exe`,
		`C:\Windows\System32\ping.exe`, `C:\Windows\System32\cmd.exe`,
		`D:\app\Files\tools\t.exe`, `D:\app\Files\work\`, `D:\app\Files\work\here.exe`,
		`E:\vol\mounted.exe`, `E:\deep\x.exe`, `D:\app\Files\data\mounted.exe`, `D:\app\Files\folder.exe\`,
	)
	cases := []struct {
		name, line, cwd string
		path            string
		want            string // "" is not found
	}{
		{name: "name in the topmost layer", line: "ping -t localhost", want: `D:\app\Files\Windows\System32\ping.exe`},
		{name: "name with extension", line: "PING.EXE", want: `D:\app\Files\Windows\System32\PING.EXE`},
		{name: "name of the host", line: `cmd /c "echo a"`, want: `C:\Windows\System32\cmd.exe`},
		{name: "path", line: `C:\tools\t.exe -x`, want: `D:\app\Files\tools\t.exe`},
		{name: "path without extension", line: `C:\tools\t`, want: `D:\app\Files\tools\t.exe`},
		{name: "path with slashes", line: `c:/tools/t.exe`, want: `D:\app\Files\tools\t.exe`},
		{name: "path without drive", line: `\tools\t.exe`, want: `D:\app\Files\tools\t.exe`},
		{name: "quoted path", line: `"C:\tools\t.exe" "a b"`, want: `D:\app\Files\tools\t.exe`},
		{name: "working directory", line: `here`, cwd: `C:\work`, want: `D:\app\Files\work\here.exe`},
		{name: "relative path", line: `.\here.exe`, cwd: `C:\work`, want: `D:\app\Files\work\here.exe`},
		{name: "path upwards", line: `..\..\tools\t.exe`, cwd: `C:\work`, want: `D:\app\Files\tools\t.exe`},
		{name: "relative path below", line: `work\here.exe`, cwd: `C:\`, want: `D:\app\Files\work\here.exe`},
		{name: "image's search path", line: "t", path: `C:\tools;relative`, want: `D:\app\Files\tools\t.exe`},
		{name: "mapped directory", line: `C:\data\mounted.exe`, want: `E:\vol\mounted.exe`},
		{name: "deepest mapping", line: `C:\DATA\deep\x.exe`, want: `E:\deep\x.exe`},
		{name: "mapping hides layers", line: `C:\data\t.exe`, want: ""},
		{name: "folder", line: `C:\folder.exe`, want: ""},
		{name: "nowhere", line: "nonesuch", want: ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			spec := hcsemu.ProcessSpec{CommandLine: c.line, WorkingDirectory: c.cwd}
			if c.path != "" {
				spec.Environment = map[string]string{"Path": c.path}
			}
			l, err := v.Launch(spec, "")
			if c.want == "" {
				if !errors.Is(err, hcsemu.EFileNotFound) {
					t.Fatalf("Launch = %+v, %v; want EFileNotFound", l, err)
				}
				return
			}
			if err != nil || !strings.EqualFold(l.Application, c.want) || l.CommandLine != c.line {
				t.Errorf("Launch = %+v, %v; want %s", l, err, c.want)
			}
		})
	}
}

// A process starts where the container says, in whichever layer that is.
func TestDirectory(t *testing.T) {
	v := tree(`C:\`, `C:\Windows\System32\cmd.exe`, `D:\base\Files\app\`, `E:\vol\`, `C:\Users\`)
	for cwd, want := range map[string]string{
		"": `C:\`, `C:\app`: `D:\base\Files\app`, `c:/app`: `D:\base\Files\app`,
		`C:\data`: `E:\vol\`, `C:\Users`: `C:\Users`, `C:\none`: "",
	} {
		l, err := v.Launch(hcsemu.ProcessSpec{CommandLine: "cmd", WorkingDirectory: cwd}, "")
		if want == "" {
			if !errors.Is(err, hcsemu.EDirectory) {
				t.Errorf("%q: %+v, %v; want EDirectory", cwd, l, err)
			}
		} else if err != nil || !strings.EqualFold(l.Directory, want) {
			t.Errorf("%q: %q, %v; want %q", cwd, l.Directory, err, want)
		}
	}
}

// A container's process must see its own variables and not the host's.
func TestEnvironment(t *testing.T) {
	v := tree(`C:\`, `C:\Windows\System32\cmd.exe`)
	l, err := v.Launch(hcsemu.ProcessSpec{
		CommandLine: "cmd", Environment: map[string]string{"Greeting": "hello", "SystemRoot": `C:\other`},
	}, "web-1")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.Join(l.Environment, " "), "COLUMNS=") {
		t.Errorf("a size without a console: %v", l.Environment)
	}
	want := []string{"COMPUTERNAME=WEB-1", "GREETING=hello", "PATH=" + defaultPath, `SYSTEMROOT=C:\other`}
	if d := cmp.Diff(want, l.Environment); d != "" {
		t.Errorf("environment (-want +got):\n%s", d)
	}
}

// A program with a console learns its size.
func TestConsoleSize(t *testing.T) {
	v := tree(`C:\`, `C:\Windows\System32\cmd.exe`)
	l, err := v.Launch(hcsemu.ProcessSpec{CommandLine: "cmd", Console: true, Rows: 40, Columns: 132}, "")
	if err != nil || !slices.Contains(l.Environment, "LINES=40") || !slices.Contains(l.Environment, "COLUMNS=132") {
		t.Errorf("environment %v, %v", l.Environment, err)
	}
}

// HCS takes a program's name apart from its command line.
func TestApplicationName(t *testing.T) {
	v := tree(`C:\`, `C:\Windows\System32\cmd.exe`)
	l, err := v.Launch(hcsemu.ProcessSpec{ApplicationName: `C:\Windows\System32\cmd.exe`}, "")
	if err != nil || l.CommandLine != `"C:\Windows\System32\cmd.exe"` {
		t.Errorf("Launch = %+v, %v", l, err)
	}
	if _, err := v.Launch(hcsemu.ProcessSpec{CommandLine: "  "}, ""); !errors.Is(err, hcsemu.EInvalidArg) {
		t.Errorf("empty command line: %v, want EInvalidArg", err)
	}
}
