package job

import (
	"strings"

	"github.com/isolrun/isol/internal/isolation"
)

// layout is where a container's files are.
type layout struct {
	silo   bool   // bound for the container alone; else on a folder of the host
	root   string // as the container sees it, without a backslash at the end
	folder string // of the host, to mount the volume on; empty in a silo
}

// layoutOf decides the layout. As runhcs does: the same root in every silo,
// and on an older host a folder of the container's id below it.
func layoutOf(id string, hp *isolation.HostProcess, silos bool) layout {
	base := strings.TrimRight(hp.RootfsFolder, `\/`)
	if silos {
		return layout{silo: true, root: base}
	}
	folder := base + `\` + id
	return layout{root: folder, folder: folder}
}

// inRoot returns where a path of the container's drive is below its root: a
// mount's place in the older layout, and the working folder's.
func (l layout) inRoot(path string) string {
	return l.root + `\` + withoutDrive(path)
}

// withoutDrive cuts the drive off, and the separators that follow it.
func withoutDrive(path string) string {
	if len(path) >= 2 && path[1] == ':' {
		path = path[2:]
	}
	return strings.TrimLeft(path, `\/`)
}

// RootVariable is the variable that tells a process where its container's
// files are. As runhcs does: it is set in every process, with a backslash at
// the end, and its name in commands, folders and values is replaced.
const RootVariable = "CONTAINER_SANDBOX_MOUNT_POINT"

// expand replaces the variable's name, as cmd, PowerShell and Kubernetes'
// documentation spell it, by the root without the backslash. It reports
// whether there was one.
func (l layout) expand(s string) (string, bool) {
	if !strings.Contains(s, RootVariable) {
		return s, false
	}
	out := strings.NewReplacer(
		"%"+RootVariable+"%", l.root,
		"${env:"+RootVariable+"}", l.root,
		"$env:"+RootVariable, l.root,
		"$"+RootVariable, l.root,
	).Replace(s)
	return out, out != s
}

// workFolder returns the folder that a process starts in. In a silo the spec's
// is taken as it is. In the older layout it is one of the container's drive,
// so below the root, unless it names the root itself.
func (l layout) workFolder(cwd string) string {
	if cwd == "" {
		return l.root + `\`
	}
	out, named := l.expand(strings.ReplaceAll(cwd, "/", `\`))
	switch {
	case named:
		return out
	case !l.silo:
		return l.inRoot(out)
	case len(out) < 2 || out[1] != ':': // images built on Linux say /app
		return l.inRoot(out)
	}
	return out
}
