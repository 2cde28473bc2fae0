package job

import (
	"slices"
	"strings"
)

// morePath is added to every PATH, as runhcs does: most HostProcess containers
// run PowerShell, and images seldom name its folder.
const morePath = `C:\WINDOWS\System32\WindowsPowerShell\v1.0\;C:\WINDOWS\System32\Wbem`

// environment puts a process's environment together: what the user has by
// itself, over that the spec's variables, over that the root's variable. Names
// differ by more than case. The result is sorted by name, as CreateProcess
// wants it:
// https://learn.microsoft.com/windows/win32/procthread/changing-environment-variables
func environment(user []string, spec map[string]string, l layout) []string {
	type variable struct{ name, value string }
	vars := map[string]variable{} // by the name in capitals
	for _, entry := range user {
		// The first letter may be "=": cmd keeps folders of drives so.
		if i := strings.IndexByte(entry[min(1, len(entry)):], '='); i >= 0 {
			name := entry[:i+1]
			vars[strings.ToUpper(name)] = variable{name, entry[i+2:]}
		}
	}
	for name, value := range spec {
		value, _ = l.expand(value)
		vars[strings.ToUpper(name)] = variable{name, value}
	}
	vars[RootVariable] = variable{RootVariable, l.root + `\`}
	path := vars["PATH"]
	if path.name == "" {
		path.name = "PATH"
	}
	vars["PATH"] = variable{path.name, searchPath(path.value, l)}

	keys := make([]string, 0, len(vars))
	for k := range vars {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := make([]string, 0, len(keys))
	for _, k := range keys {
		out = append(out, vars[k].name+"="+vars[k].value)
	}
	return out
}

// searchPath adds the root to a PATH, so that what lies in the root of the
// image runs by its name, and the folders of morePath.
func searchPath(path string, l layout) string {
	if path = strings.TrimRight(path, ";"); path != "" {
		path += ";"
	}
	return path + l.root + `\;` + morePath
}

// valueOf returns a variable of an environment.
func valueOf(env []string, name string) string {
	for _, entry := range env {
		if len(entry) > len(name) && entry[len(name)] == '=' && strings.EqualFold(entry[:len(name)], name) {
			return entry[len(name)+1:]
		}
	}
	return ""
}
