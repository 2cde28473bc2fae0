package launch

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// pipePrefix puts the pipe where only administrators can create one, so that
// no other user can serve a shim's name before the shim does. The whole path
// is what tools look for: as runhcs does.
const pipePrefix = `\\.\pipe\ProtectedPrefix\Administrators\containerd-shim-`

// LogPipe returns the path of the pipe on which containerd reads the log of a
// shim: its name is part of containerd's shim protocol.
func LogPipe(namespace, id string) string {
	return `\\.\pipe\containerd-shim-` + namespace + "-" + id + "-log"
}

// maxPath is the longest path of a named pipe:
// https://learn.microsoft.com/windows/win32/ipc/pipe-names
const maxPath = 256

// Address returns the path of the pipe that the shim of a task or pod serves.
// Errors: InvalidArgument if a pipe's name cannot hold the id.
func Address(namespace, id string) (string, error) {
	for _, part := range []struct{ what, s string }{{"namespace", namespace}, {"id", id}} {
		if part.s == "" {
			return "", invalid("the %s is empty", part.what)
		}
		if i := strings.IndexFunc(part.s, notInPipeName); i >= 0 {
			bad, _ := utf8.DecodeRuneInString(part.s[i:])
			return "", invalid("the %s %q holds %q, which the name of a pipe cannot hold: "+
				"allowed is every character but backslash, slash and control characters", part.what, part.s, bad)
		}
	}
	path := pipePrefix + namespace + "-" + id + "-pipe"
	if len(path) > maxPath {
		return "", invalid("namespace %q and id %q make a pipe's path of %d characters, and Windows takes %d: use shorter ones",
			namespace, id, len(path), maxPath)
	}
	return path, nil
}

// notInPipeName: the page above allows all but the backslash; Windows turns a
// slash after \\.\ into one; control characters no log line could show.
func notInPipeName(r rune) bool {
	return r == '\\' || r == '/' || unicode.IsControl(r) || r == unicode.ReplacementChar
}
