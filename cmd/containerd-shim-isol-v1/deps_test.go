package main

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// listing is the page that this test holds.
const listing = "../../docs/dependencies.md"

// list asks the Go command about everything that the binary links, as it is
// built for Windows.
func list(t *testing.T, format string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-f", format, ".")
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	lines := strings.Fields(string(out))
	slices.Sort(lines)
	return slices.Compact(lines)
}

// rows returns the first two columns of a table below a heading.
func rows(t *testing.T, heading string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(listing)
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(text), heading)
	if !ok {
		t.Fatalf("%s has no %q", listing, heading)
	}
	after, _, _ = strings.Cut(after, "\n## ")
	found := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([^ |]+[./][^ |]+|testing) \| (.*) \|$`).FindAllStringSubmatch(after, -1) {
		found[m[1]] = m[2]
	}
	if len(found) == 0 {
		t.Fatalf("%s: no table below %q", listing, heading)
	}
	return found
}

// Every pod pays for a module that slips in: it must be listed with a reason.
func TestModulesAreListedWithTheirReasons(t *testing.T) {
	listed := rows(t, "# Dependencies")
	linked := list(t, `{{with .Module}}{{.Path}}{{end}}`)
	for _, module := range linked {
		if listed[module] == "" {
			t.Errorf("module %s is linked into the shim: add it to %s with the reason, or get rid of it", module, listing)
		}
		delete(listed, module)
	}
	for module := range listed {
		t.Errorf("module %s is no longer linked: take it out of %s", module, listing)
	}
}

// What would blow the binary up must not come back unseen.
func TestForbiddenPackagesStayOut(t *testing.T) {
	linked := list(t, `{{.ImportPath}}`)
	for pkg, why := range rows(t, "## What must stay out") {
		if slices.Contains(linked, pkg) {
			t.Errorf("package %s is linked into the shim: %s", pkg, why)
		}
	}
}

// main names adapters; what decides anything belongs into a package with tests.
func TestMainStaysShort(t *testing.T) {
	text, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n > 100 {
		t.Errorf("main.go has %d lines", n)
	}
}
