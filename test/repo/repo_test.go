package repo

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const (
	root          = "../.."
	module        = "github.com/isolrun/isol/"
	maxFileLines  = 700
	maxFuncLines  = 100
	maxOwnImports = 8
)

// file is one hand-written Go file of the tree.
type file struct {
	path      string // slash-separated, relative to the root
	src       []byte
	ast       *ast.File
	generated bool
	test      bool
}

var generatedLine = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

func goFiles(t *testing.T) (*token.FileSet, []file) {
	t.Helper()
	fset := token.NewFileSet()
	var files []file
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", "bin", "out", "testdata":
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		tree, err := parser.ParseFile(fset, p, src, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		files = append(files, file{
			path: filepath.ToSlash(rel), src: src, ast: tree,
			generated: generatedLine.Match(src), test: strings.HasSuffix(p, "_test.go"),
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d Go files found below %s: the walk is broken", len(files), root)
	}
	return fset, files
}

// A reader who opens a folder must learn from its doc comment what the package is for.
func TestEveryPackageHasOneDoc(t *testing.T) {
	_, files := goFiles(t)
	docs := map[string][]string{}
	for _, f := range files {
		if f.test {
			continue
		}
		dir := path.Dir(f.path)
		if _, ok := docs[dir]; !ok {
			docs[dir] = nil
		}
		if f.ast.Doc != nil && !strings.HasPrefix(f.ast.Doc.Text(), "go:build") {
			docs[dir] = append(docs[dir], f.path)
		}
	}
	for dir, where := range docs {
		if len(where) != 1 {
			t.Errorf("%s: package comment in %d files %v, want exactly one", dir, len(where), where)
		}
	}
}

// An exported name without a comment leaves its contract to guessing.
func TestExportedNamesAreDocumented(t *testing.T) {
	fset, files := goFiles(t)
	for _, f := range files {
		if f.generated || f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			for _, name := range undocumented(d) {
				t.Errorf("%s: exported %s has no comment", fset.Position(d.Pos()), name)
			}
		}
	}
}

func undocumented(d ast.Decl) []string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) && !wellKnown[d.Name.Name] {
			return []string{d.Name.Name}
		}
	case *ast.GenDecl:
		var names []string
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
					names = append(names, s.Name.Name)
				}
			case *ast.ValueSpec:
				if s.Names[0].IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
					names = append(names, s.Names[0].Name)
				}
			}
		}
		return names
	}
	return nil
}

// wellKnown are methods whose contract is that of a standard interface.
var wellKnown = map[string]bool{
	"Error": true, "String": true, "Unwrap": true, "Is": true, "Read": true, "Write": true, "Close": true,
	"Len": true, "Less": true, "Swap": true, "MarshalJSON": true, "UnmarshalJSON": true,
	"MarshalText": true, "UnmarshalText": true,
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	if s, ok := t.(*ast.StarExpr); ok {
		t = s.X
	}
	if ix, ok := t.(*ast.IndexExpr); ok {
		t = ix.X
	}
	id, ok := t.(*ast.Ident)
	return ok && id.IsExported()
}

// A file or function that outgrows these limits is two things.
func TestFilesAndFunctionsStayShort(t *testing.T) {
	fset, files := goFiles(t)
	for _, f := range files {
		if f.generated || f.test {
			continue
		}
		if n := bytes.Count(f.src, []byte("\n")); n > maxFileLines {
			t.Errorf("%s: %d lines, at most %d", f.path, n, maxFileLines)
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1
			if n > maxFuncLines {
				t.Errorf("%s: func %s has %d lines, at most %d", f.path, fn.Name.Name, n, maxFuncLines)
			}
		}
	}
}

// wiring are the packages whose job is to import everything.
var wiring = map[string]bool{
	"cmd/containerd-shim-isol-v1": true,
	"cmd/isolctl":                 true,
	"internal/shim":               true,
}

// forbidden lists imports that would turn the dependency order of
// docs/architecture.md around, each with the reason.
var forbidden = []struct{ from, to, why string }{
	{"internal/isolation", "internal/hcs", "the decision knows no system calls and no documents"},
	{"internal/isolation", "internal/pod", "the decision stands below the pod"},
	{"internal/oci", "internal/isolation", "reading stands below deciding"},
	{"internal/hcs/schema", "internal/", "documents are plain data"},
	{"internal/hcs/doc", "internal/pod", "documents are built from the plan alone"},
	{"internal/pod", "internal/shim", "the pod never sees RPC types"},
	{"internal/pod", "internal/hcs/computecore", "the pod knows the port, not the adapter"},
	{"internal/pod", "internal/options", "options end in the plan"},
	{"internal/fault", "internal/", "every package leans on fault"},
	{"internal/", "test/", "the product never needs the lab"},
	{"cmd/", "test/", "the product never needs the lab"},
}

// An import against the order makes the pure core depend on effects.
func TestImportsPointDownwards(t *testing.T) {
	_, files := goFiles(t)
	own := map[string]map[string]bool{}
	for _, f := range files {
		if f.test {
			continue
		}
		dir := path.Dir(f.path)
		for _, imp := range f.ast.Imports {
			p, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			to, ok := strings.CutPrefix(p, module)
			if !ok {
				continue
			}
			if own[dir] == nil {
				own[dir] = map[string]bool{}
			}
			own[dir][to] = true
			for _, r := range forbidden {
				if strings.HasPrefix(dir+"/", strings.TrimSuffix(r.from, "/")+"/") && strings.HasPrefix(to+"/", strings.TrimSuffix(r.to, "/")+"/") &&
					!(r.from == dir && to == dir) {
					t.Errorf("%s imports %s: %s", f.path, to, r.why)
				}
			}
		}
	}
	for dir, set := range own {
		if len(set) > maxOwnImports && !wiring[dir] && !strings.HasPrefix(dir, "test/") {
			t.Errorf("%s imports %d packages of this module, at most %d", dir, len(set), maxOwnImports)
		}
	}
}

// Annotations decide isolation and sizes: a second reader of them would be a
// second decision. Only internal/oci may name one; elsewhere they are typed values.
func TestAnnotationsAreReadInOnePlace(t *testing.T) {
	_, files := goFiles(t)
	key := regexp.MustCompile(`^"(io\.microsoft\.|io\.isol\.|io\.kubernetes\.cri\.|microsoft\.com/)[a-z]`)
	for _, f := range files {
		if f.test || f.generated || !strings.HasPrefix(f.path, "internal/") && !strings.HasPrefix(f.path, "cmd/") ||
			strings.HasPrefix(f.path, "internal/oci/") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && key.MatchString(lit.Value) {
				t.Errorf("%s names the annotation %s: use the typed value of internal/oci", f.path, lit.Value)
			}
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Annotations" {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "spec" {
					t.Errorf("%s reads spec.Annotations", f.path)
				}
			}
			return true
		})
	}
}

// Platform code outside *_windows.go leaves can't be tested on Linux.
func TestPlatformCodeIsInLeaves(t *testing.T) {
	_, files := goFiles(t)
	for _, f := range files {
		if f.generated || strings.HasPrefix(f.path, "test/") || strings.HasSuffix(f.path, "_windows.go") || strings.HasSuffix(f.path, "_windows_test.go") {
			continue
		}
		for _, imp := range f.ast.Imports {
			switch p := strings.Trim(imp.Path.Value, `"`); p {
			case "golang.org/x/sys/windows", "golang.org/x/sys/windows/registry":
				t.Errorf("%s imports %s: only *_windows.go files may", f.path, p)
			}
		}
	}
}

// A path of one machine or the name of a registry host in the tree works for nobody else.
func TestNoPathsOfOneMachine(t *testing.T) {
	out, err := exec.Command("git", "-C", root, "grep", "-nIE",
		`(^|[^a-zA-Z0-9_.])/(work|farm|root|tmp/bash_jobs)/|proxy\.golang\.org|deb\.debian\.org`,
		"--", ".", ":!go.sum", ":!*/go.sum", ":!test/repo/repo_test.go").CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		t.Errorf("the tree names paths or hosts of one machine:\n%s", out)
	case !asExit(err, &exit) || exit.ExitCode() != 1:
		t.Skipf("git grep does not run here: %v\n%s", err, out)
	}
}

func asExit(err error, target **exec.ExitError) bool {
	e, ok := err.(*exec.ExitError)
	*target = e
	return ok
}

// Names that say nothing collect everything.
func TestNoVaguePackageNames(t *testing.T) {
	_, files := goFiles(t)
	for _, f := range files {
		switch name := f.ast.Name.Name; name {
		case "util", "utils", "common", "helper", "helpers", "misc", "shared":
			t.Errorf("%s: package %s says nothing", f.path, name)
		}
	}
}
