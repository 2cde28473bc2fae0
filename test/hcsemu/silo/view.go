package silo

import (
	pathpkg "path"
	"sort"
	"strconv"
	"strings"

	"github.com/isolrun/isol/test/hcsemu"
)

// View is how a container's processes see files: which path of the host
// stands behind a path of the container.
type View struct {
	Roots       []string                 // folders that hold Files\, topmost first
	Directories []hcsemu.MappedDirectory // host folders at container paths
	Host        map[string]string        // the host's environment, names in upper case
	Exists      func(path string) bool   // any file or folder of the host
	IsDir       func(path string) bool
}

// Launch is a process as CreateProcess takes it.
type Launch struct {
	Application string // path of the program on the host
	CommandLine string
	Directory   string // on the host
	Environment []string
}

// defaultPath is the search path of a container whose image sets none.
const defaultPath = `C:\Windows\System32;C:\Windows`

// inherited are the host's variables that a container's process gets: those
// without which Windows programs do not run.
var inherited = []string{
	"SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "TEMP", "TMP", "OS",
	"NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE", "USERNAME", "USERPROFILE", "PROGRAMDATA",
}

// Launch works out how to start the process that spec describes. Errors:
// EFileNotFound, EDirectory, EInvalidArg.
func (v View) Launch(spec hcsemu.ProcessSpec, hostname string) (Launch, error) {
	env := v.environment(spec, hostname)
	directory, err := v.directory(spec.WorkingDirectory)
	if err != nil {
		return Launch{}, err
	}
	program := spec.ApplicationName
	if program == "" {
		program = firstArgument(spec.CommandLine)
	}
	if program == "" {
		return Launch{}, &hcsemu.Error{Code: hcsemu.EInvalidArg, Message: "the command line names no program"}
	}
	path, ok := v.program(program, spec.WorkingDirectory, env["PATH"])
	if !ok {
		return Launch{}, &hcsemu.Error{
			Code:    hcsemu.EFileNotFound,
			Message: "no program " + program + " in the container's layers or search path",
		}
	}
	line := spec.CommandLine
	if line == "" {
		line = `"` + program + `"`
	}
	return Launch{Application: path, CommandLine: line, Directory: directory, Environment: block(env)}, nil
}

// environment is what a container's process gets: the image's and caller's
// variables over the few that every process needs. Names are in upper case
// because Windows takes no notice of their case.
func (v View) environment(spec hcsemu.ProcessSpec, hostname string) map[string]string {
	env := map[string]string{"PATH": defaultPath}
	for _, name := range inherited {
		if value, ok := v.Host[name]; ok {
			env[name] = value
		}
	}
	if hostname != "" {
		env["COMPUTERNAME"] = strings.ToUpper(hostname)
	}
	if spec.Console { // see Console in the package comment
		env["LINES"], env["COLUMNS"] = strconv.Itoa(int(spec.Rows)), strconv.Itoa(int(spec.Columns))
	}
	for name, value := range spec.Environment {
		env[strings.ToUpper(name)] = value
	}
	return env
}

// block lists variables in the order that CreateProcess wants.
func block(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	sort.Strings(list)
	return list
}

// directory returns the host's folder for a container's working directory.
// None means the container's root.
func (v View) directory(path string) (string, error) {
	if path == "" {
		path = `C:\`
	}
	for _, candidate := range v.candidates(path) {
		if v.IsDir(candidate) {
			return candidate, nil
		}
	}
	return "", &hcsemu.Error{Code: hcsemu.EDirectory, Message: "no working directory " + path + " in the container"}
}

// program finds the host's file for a program as CreateProcess names it: a
// path, or a name that is looked for in the working directory and the search path.
func (v View) program(name, workingDirectory, searchPath string) (string, bool) {
	name = strings.ReplaceAll(name, "/", `\`)
	if strings.Contains(name, `\`) || strings.Contains(name, ":") {
		if !isAbsolute(name) {
			name = join(workingDirectory, name)
		}
		return v.executable(name)
	}
	folders := append([]string{workingDirectory}, strings.Split(searchPath, ";")...)
	folders = append(folders, strings.Split(defaultPath, ";")...)
	for _, folder := range folders {
		if folder == "" || !isAbsolute(folder) {
			continue
		}
		if path, ok := v.executable(join(folder, name)); ok {
			return path, true
		}
	}
	return "", false
}

// executable finds the host's file for a container's path; ".exe" may be left out.
func (v View) executable(path string) (string, bool) {
	names := []string{path}
	if !strings.Contains(path[strings.LastIndex(path, `\`)+1:], ".") {
		names = []string{path + ".exe", path}
	}
	for _, name := range names {
		for _, candidate := range v.candidates(name) {
			if v.Exists(candidate) && !v.IsDir(candidate) {
				return candidate, true
			}
		}
	}
	return "", false
}

// candidates lists where on the host a container's absolute path may be, best
// first: a mapped directory hides everything else, then the layers, then the host.
func (v View) candidates(path string) []string {
	path = clean(path)
	if mapped, ok := v.mapped(path); ok {
		return []string{mapped}
	}
	var list []string
	if drive, rest := splitDrive(path); drive == "" || strings.EqualFold(drive, "C:") {
		for _, root := range v.Roots {
			list = append(list, join(join(root, "Files"), rest))
		}
	}
	return append(list, path)
}

// mapped returns the host's path for one in or below a mapped directory; the
// deepest mapping counts.
func (v View) mapped(path string) (string, bool) {
	best, found := "", false
	deepest := -1
	for _, d := range v.Directories {
		at := strings.TrimRight(strings.ReplaceAll(d.ContainerPath, "/", `\`), `\`)
		if len(at) <= deepest || len(path) < len(at) || !strings.EqualFold(path[:len(at)], at) {
			continue
		}
		if rest := path[len(at):]; rest == "" || rest[0] == '\\' {
			best, found, deepest = join(d.HostPath, rest), true, len(at)
		}
	}
	return best, found
}

func splitDrive(path string) (drive, rest string) {
	if len(path) >= 2 && path[1] == ':' {
		return path[:2], path[2:]
	}
	return "", path
}

// clean takes "." and ".." out of an absolute path.
func clean(path string) string {
	drive, rest := splitDrive(strings.ReplaceAll(path, `\`, "/"))
	return drive + strings.ReplaceAll(pathpkg.Clean(rest), "/", `\`)
}

func isAbsolute(path string) bool {
	_, rest := splitDrive(path)
	return strings.HasPrefix(rest, `\`)
}

func join(folder, name string) string {
	folder, name = strings.TrimRight(folder, `\`), strings.TrimLeft(name, `\`)
	switch {
	case folder == "":
		return `C:\` + name
	case name == "":
		return folder + `\`
	}
	return folder + `\` + name
}

// firstArgument is the program's name in a command line: up to the closing
// quote if it starts with one, else up to white space, as CreateProcess reads it
// (https://learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-createprocessw).
func firstArgument(line string) string {
	line = strings.TrimLeft(line, " \t")
	if rest, quoted := strings.CutPrefix(line, `"`); quoted {
		name, _, _ := strings.Cut(rest, `"`)
		return name
	}
	if end := strings.IndexAny(line, " \t"); end >= 0 {
		return line[:end]
	}
	return line
}
