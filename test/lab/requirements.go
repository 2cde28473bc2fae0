package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// installCommand is what gets a Debian machine everything that MissingError can name.
const installCommand = "apt-get install -y --no-install-recommends wine64 wine gcc-mingw-w64-x86-64"

// MissingError names the programs that a lab needs and this machine lacks.
type MissingError struct {
	Programs []string
}

// Error is one line: what is missing and the command that installs it.
func (e *MissingError) Error() string {
	return fmt.Sprintf("lab: missing %s: run %q as root, or test/lab/install.sh",
		strings.Join(e.Programs, ", "), installCommand)
}

// tools are the programs of this machine that a lab runs.
type tools struct {
	wine       string // the 64-bit loader
	wineserver string
	gcc        string // a C compiler for windows/amd64
	windres    string
}

// Debian's wine64 package puts its loader here and nothing on PATH; the second
// and third are where WineHQ's packages put theirs.
var wineFolders = []string{"/usr/lib/wine", "/opt/wine-stable/bin", "/opt/wine-devel/bin"}

// findTools looks for the programs a lab needs. The error is a *MissingError.
func findTools() (tools, error) {
	var t tools
	var missing []string
	find := func(what string, candidates ...string) string {
		for _, c := range candidates {
			if path, err := exec.LookPath(c); err == nil {
				return path
			}
		}
		missing = append(missing, what)
		return ""
	}
	inFolders := func(names ...string) []string {
		var all []string
		for _, name := range names {
			all = append(all, name)
			for _, dir := range wineFolders {
				all = append(all, filepath.Join(dir, name))
			}
		}
		return all
	}
	t.wine = find("wine64", inFolders("wine64", "wine")...)
	t.wineserver = find("wineserver", inFolders("wineserver64", "wineserver")...)
	t.gcc = find("x86_64-w64-mingw32-gcc", "x86_64-w64-mingw32-gcc")
	t.windres = find("x86_64-w64-mingw32-windres", "x86_64-w64-mingw32-windres")
	find("go", "go")
	if !supported {
		missing = []string{"Linux"}
	}
	if len(missing) > 0 {
		return tools{}, &MissingError{Programs: missing}
	}
	return t, nil
}

// wineVersion is what the loader says of itself: "wine-8.0 (Debian 8.0~repack-4)".
func (t tools) wineVersion(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, t.wine, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("lab: ask %s for its version: %w", t.wine, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Check says whether this machine can run a lab: nil or a [*MissingError].
func Check() error {
	_, err := findTools()
	return err
}

// Require skips a test that needs a lab where there can be none: in short mode
// and where a program is missing. With ISOL_LAB=required in the environment, as
// in `make test`, a missing program fails the test instead, so that a machine
// that lost its packages does not look green.
func Require(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("lab: skipped in short mode")
	}
	if err := Check(); err != nil {
		if os.Getenv("ISOL_LAB") == "required" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}
