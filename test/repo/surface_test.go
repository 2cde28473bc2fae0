package repo

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// descriptor begins a security descriptor in SDDL that allows somebody something.
var descriptor = regexp.MustCompile(`^[OGDS]:.*\(A;`)

// docs/attack-surface.md is what an operator reads before trusting isol with a
// node: a descriptor or a pipe that the code has and the page does not would
// make it a lie.
func TestAttackSurfaceIsDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "attack-surface.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, files := goFiles(t)
	found := 0
	for _, f := range files {
		if f.test || !strings.HasPrefix(f.path, "internal/") && !strings.HasPrefix(f.path, "cmd/") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil || !descriptor.MatchString(text) && !strings.HasPrefix(text, `\\.\pipe\`) {
				return true
			}
			found++
			if want := strings.TrimSuffix(text, `\`); !strings.Contains(string(page), want) {
				t.Errorf("%s: docs/attack-surface.md does not have %s", f.path, text)
			}
			return true
		})
	}
	if found < 4 {
		t.Errorf("only %d descriptors and pipes found: the search is broken", found)
	}
}
