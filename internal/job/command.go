package job

import (
	"strings"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs/doc"
)

// run is a resolved command.
type run struct {
	program string // full path
	line    string
}

// resolve finds the program of a command line.
//
// In a silo that is always cmd.exe, which runs the line. As runhcs does:
// Windows looks for a program with the eyes of the process that starts it, and
// the shim does not see what is bound in the silo; cmd, once in it, does. A
// line that begins with cmd is left as it is.
//
// In the older layout all is visible, and the program is looked for in the
// working folder, the PATH and the system's folders.
func resolve(line, workFolder, path string, l layout, f Facts, isFile func(string) bool) (run, error) {
	line, _ = l.expand(strings.TrimSpace(line))
	if line == "" {
		return run{}, fault.New(fault.InvalidArgument, "the command is empty")
	}
	if l.silo {
		return run{program: join(f.SystemFolder, "cmd.exe"), line: doc.ThroughCmd(line)}, nil
	}
	folders := []string{workFolder}
	folders = append(folders, strings.Split(path, ";")...)
	folders = append(folders, f.SystemFolder, join(f.WindowsFolder, "System"), f.WindowsFolder)
	return search(line, folders, isFile)
}

// search finds the program by the rules of CreateProcess: a quoted name is
// taken as it is; of a line without quotes each beginning that ends at a space
// is tried, the shortest first, and quoted if it has spaces.
// https://learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-createprocessw
func search(line string, folders []string, isFile func(string) bool) (run, error) {
	if line[0] == '"' {
		name, _, closed := strings.Cut(line[1:], `"`)
		if !closed {
			return run{}, fault.New(fault.InvalidArgument, "the command %s has an opening quote and no closing one", line)
		}
		if program := find(name, folders, isFile); program != "" {
			return run{program, line}, nil
		}
		return run{}, notFound(name)
	}
	for end := 0; end < len(line); {
		next := strings.IndexByte(line[end+1:], ' ')
		if next < 0 {
			end = len(line)
		} else {
			end += 1 + next
		}
		name, rest := line[:end], line[end:]
		program := find(strings.TrimRight(name, " "), folders, isFile)
		if program == "" {
			continue
		}
		if strings.Contains(name, " ") {
			name = `"` + name + `"`
		}
		return run{program, name + rest}, nil
	}
	name, _, _ := strings.Cut(line, " ")
	return run{}, notFound(name)
}

func notFound(name string) error {
	return &CallError{Call: "find program", Subject: name, Code: codeFileNotFound,
		Err: fault.New(fault.NotFound, "not found in the container's files, its PATH or the host's system folders")}
}

// find returns the full path of a program, empty if there is none. A name with
// a path is looked for there, one without in the folders in turn; one without
// extension first with .exe and .com.
func find(name string, folders []string, isFile func(string) bool) string {
	name = strings.ReplaceAll(name, "/", `\`)
	switch {
	case isAbsolute(name):
		folders = []string{""}
	case strings.HasPrefix(name, `\`), len(name) > 1 && name[1] == ':':
		return "" // a root or a folder of the shim's own, which the spec can't know
	}
	endings := []string{""}
	if !strings.Contains(base(name), ".") {
		endings = []string{".exe", ".com", ""}
	}
	for _, folder := range folders {
		for _, ending := range endings {
			path := name + ending
			if folder != "" {
				path = join(folder, path)
			}
			if isAbsolute(path) && isFile(path) {
				return path
			}
		}
	}
	return ""
}

func isAbsolute(path string) bool {
	return len(path) > 2 && path[1] == ':' && path[2] == '\\' || strings.HasPrefix(path, `\\`)
}

func base(path string) string { return path[strings.LastIndexAny(path, `\/`)+1:] }

func join(folder, name string) string {
	return strings.TrimRight(folder, `\`) + `\` + name
}
