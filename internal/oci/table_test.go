package oci

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/Microsoft/hcsshim/pkg/annotations"

	"github.com/isolrun/isol/internal/fault"
)

// constants returns the string constants of the Go files in dir: value to name.
func constants(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no Go files in %s: %v", dir, err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for i, v := range spec.Values {
				if lit, ok := v.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					s, err := strconv.Unquote(lit.Value)
					if err != nil {
						t.Fatal(err)
					}
					out[s] = spec.Names[i].Name
				}
			}
			return true
		})
	}
	return out
}

// TestTableHasAllOfHcsshim: an annotation that runhcs takes and isol does not
// know would be an unknown key to its users. The constants are those of the
// hcsshim version in go.mod, so an update of it shows what is new.
func TestTableHasAllOfHcsshim(t *testing.T) {
	// The go command finds it however the test was built; go/build needs GOROOT,
	// which -trimpath takes away.
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/Microsoft/hcsshim/pkg/annotations").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimSpace(string(out))
	public := constants(t, dir)
	if len(public) != 96 {
		t.Errorf("hcsshim has %d annotations, the table was made from 96", len(public))
	}
	internal := constants(t, filepath.Join(dir, "..", "..", "internal", "annotations"))
	for key, name := range public {
		if a, ok := Lookup(key); !ok || a.Origin == OriginIsol || a.Origin == OriginInternal {
			t.Errorf("%s = %q: row %+v", name, key, a)
		}
	}
	for key, name := range internal {
		if a, ok := Lookup(key); !ok || a.Origin != OriginInternal {
			t.Errorf("internal %s = %q: row %+v", name, key, a)
		}
	}
	for _, g := range Table() {
		for _, a := range g.Rows {
			_, inPublic := public[a.Key]
			_, inInternal := internal[a.Key]
			if ours := a.Origin == OriginIsol; ours != strings.HasPrefix(a.Key, "io.isol.") || ours == (inPublic || inInternal) {
				t.Errorf("%s: origin %v, but hcsshim has it: %v", a.Key, a.Origin, inPublic || inInternal)
			}
		}
	}
}

// TestExpansion: disable-unsafe-operations disables what it does in runhcs.
func TestExpansion(t *testing.T) {
	want := annotations.AnnotationExpansionMap()
	if got := want[keyDisableUnsafe]; len(want) != 1 || !slices.Equal(got, expansion) {
		t.Errorf("hcsshim expands %v, isol %s to %v", want, keyDisableUnsafe, expansion)
	}
}

// TestTableIsSound: a row with a hole in it is a hole in the documentation or
// a value that is read wrongly.
func TestTableIsSound(t *testing.T) {
	seen := make(map[string]bool)
	for _, g := range Table() {
		if g.Name == "" || len(g.Rows) == 0 {
			t.Errorf("group %q has %d rows", g.Name, len(g.Rows))
		}
		for _, a := range g.Rows {
			if seen[a.Key] {
				t.Errorf("%s: twice", a.Key)
			}
			seen[a.Key] = true
			for what, wrong := range map[string]bool{
				"no sentence":                         !strings.HasSuffix(a.Doc, "."),
				"feeds nothing that is named":         a.Feeds == "",
				"in no mode":                          a.Modes == 0,
				"refused or ignored without a reason": (a.Status != StatusHonoured) != (a.Why != ""),
				"number without a most":               (a.Type == TypeUint || a.Type == TypeUintCSV) != (a.Max != 0),
				"least above most":                    a.Min > a.Max && a.Max != 0,
				"one of nothing":                      a.Type == TypeEnum && len(a.Allowed) < 2,
				"bool without a default":              a.Type == TypeBool && a.Default == "" && a.Key != keyDisableUnsafe && !strings.HasSuffix(a.Key, "hcl-enabled"),
				"since before the oldest host":        a.Since != 0 && a.Since <= 17763,
			} {
				if wrong {
					t.Errorf("%s: %s", a.Key, what)
				}
			}
		}
	}
}

// TestKeysFitTheirType: a typed key whose row has another type would always
// read as not said.
func TestKeysFitTheirType(t *testing.T) {
	fits := map[string][]Type{
		"BoolKey":     {TypeBool, TypeExactBool},
		"UintKey":     {TypeUint},
		"StringKey":   {TypeString, TypePath, TypeEnum, TypeGUID, TypeBase64},
		"ListKey":     {TypeCSV},
		"UintListKey": {TypeUintCSV},
		"RegistryKey": {TypeRegistry},
	}
	f, err := parser.ParseFile(token.NewFileSet(), "keys.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(f, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		key, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		a, ok := Lookup(key)
		if !ok {
			t.Errorf("%s: %q is not in the table", spec.Names[0], key)
		} else if kind, typed := spec.Type.(*ast.Ident); typed {
			n++
			if !slices.Contains(fits[kind.Name], a.Type) {
				t.Errorf("%s is a %s, its row a %v", spec.Names[0], kind.Name, a.Type)
			}
		}
		return true
	})
	if n < 30 {
		t.Errorf("only %d typed keys found", n)
	}
}

// TestTableIsACopy: a caller cannot change how the next container is read.
func TestTableIsACopy(t *testing.T) {
	Table()[0].Rows[0].Key = "x"
	if Table()[0].Rows[0].Key == "x" {
		t.Error("Table shares its rows")
	}
}

// TestDocumentation: docs/annotations.md is what go generate writes.
func TestDocumentation(t *testing.T) {
	got, err := os.ReadFile(filepath.Join("..", "..", "docs", "annotations.md"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(Markdown()) {
		t.Error("docs/annotations.md is not current: run go generate ./internal/oci")
	}
}

func honouredRows() []Annotation {
	var out []Annotation
	for _, g := range groups {
		for _, a := range g.Rows {
			if a.Status == StatusHonoured {
				out = append(out, a)
			}
		}
	}
	return out
}

const testGUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"

// good returns values that the row takes, boundaries among them.
func good(a *Annotation) []string {
	switch a.Type {
	case TypeBool:
		return []string{"true", "false", "1", "0", "T", "False"}
	case TypeExactBool:
		return []string{"true", "false", "False", "0"}
	case TypeUint:
		out := []string{fmt.Sprint(max(a.Min, a.Step)), fmt.Sprint(a.Max - a.Max%max(a.Step, 1))}
		if a.ZeroOff || a.Min == 0 {
			out = append(out, "0")
		}
		return out
	case TypePath:
		return []string{`C:\x`, `c:/x y`, `\\server\share`, `\\?\Volume{1}\`}
	case TypeEnum:
		return a.Allowed
	case TypeGUID:
		return []string{testGUID, "{" + strings.ToUpper(testGUID) + "}"}
	case TypeCSV:
		if len(a.Allowed) > 0 {
			return []string{a.Allowed[0], strings.Join(a.Allowed, ",")}
		}
		return []string{`C:\a`, `C:\a,C:\b`, `C:\a, C:\b`}
	case TypeUintCSV:
		return []string{"0", "1,2", fmt.Sprintf("1, %d", a.Max)}
	case TypeBase64:
		return []string{"eA==", "eyJ4IjoxfQ=="}
	case TypeRegistry:
		return []string{
			`[]`,
			`[{"Key":{"Hive":"Software","Name":"A"},"Name":"v","Type":"String","StringValue":"x"}]`,
			`[{"Key":{"Hive":"System","Name":"CurrentControlSet\\Services\\gns"},"Name":"v","Type":"DWord","DWordValue":4294967295},{"Key":{"Hive":"System","Name":"software\\x"},"Name":"v","Type":"Binary","BinaryValue":"eA=="}]`,
		}
	case TypeServiceEntry:
		return []string{`{}`, `{"AllowWildcardBinds": true, "BindSecurityDescriptor":"D:P(A;;FA;;;SY)"}`}
	}
	return []string{"x", "a b", `\\.\pipe\x`}
}

// bad returns values that the row refuses, with the end of each error.
func bad(a *Annotation) map[string]string {
	switch a.Type {
	case TypeBool:
		return map[string]string{"": "is neither", "yes": "is neither", "tRue": "is neither", " true": "is neither"}
	case TypeExactBool:
		return map[string]string{"": "is neither", "yes": "is neither", "True": "write true in small letters", "1": "write true in small letters"}
	case TypeUint:
		out := map[string]string{"": "is not", "-1": "is not", "+1": "is not", "0x10": "is not", "1k": "is not", "99999999999999999999": "is not", " 1": "is not"}
		if a.Max < math.MaxInt64 {
			out[fmt.Sprint(a.Max+1)] = fmt.Sprintf("from %d to %d", a.Min, a.Max)
		}
		if a.Min > 0 && !a.ZeroOff {
			out["0"] = "is not a whole number from"
		}
		if a.Step > 1 {
			out[fmt.Sprint(a.Step+1)] = fmt.Sprintf("is not a multiple of %d", a.Step)
		}
		return out
	case TypePath:
		return map[string]string{"": "absolute", "x": "absolute", `C:x`: "absolute", `\x`: "absolute", "C:\\\x00": "absolute"}
	case TypeEnum:
		return map[string]string{"": "is none of", strings.ToUpper(a.Allowed[0]) + "x": "is none of " + a.Allowed[0]}
	case TypeGUID:
		return map[string]string{"": "is not a GUID", testGUID[1:]: "is not a GUID", "{" + testGUID: "is not a GUID", strings.Replace(testGUID, "-", "0", 1): "is not a GUID", "g" + testGUID[1:]: "is not a GUID"}
	case TypeCSV:
		return map[string]string{"": "empty item", "a,": "", ",a": ""}
	case TypeUintCSV:
		return map[string]string{"": "item", "1,": "item", "a": `item "a"`, "-1": "item", "1,18446744073709551616": "item"}
	case TypeBase64:
		return map[string]string{"": "base64", "e": "base64", "eA": "padded"}
	case TypeRegistry:
		return badRegistry
	case TypeServiceEntry:
		return map[string]string{"": "EOF", "null": "null", "[]": "", `{"X":1}`: `unknown field "X"`, `{} {}`: "follows"}
	}
	return map[string]string{"": "is not a text", "a\x00": "is not a text"}
}

var badRegistry = map[string]string{
	"": "EOF", "{}": "", "[1]": "", `[{"X":1}]`: `unknown field "X"`, "[]x": "",
	`[{"Name":"v","Type":"String"}]`:                                                                                             "[0]: Key.Name and Name are needed",
	`[{"Key":{"Hive":"Software","Name":"A"},"Name":"v","Type":"None"}]`:                                                          `Type "None" is none of`,
	`[{"Key":{"Hive":"Software","Name":"A"},"Name":"v","Type":"DWord","StringValue":"x"}]`:                                       "Type DWord goes with DWordValue alone",
	`[{"Key":{"Hive":"Software","Name":"A"},"Name":"v","Type":"String","StringValue":"x","QWordValue":1}]`:                       "goes with StringValue alone",
	`[{"Key":{"Hive":"Sam","Name":"A"},"Name":"v","Type":"String"}]`:                                                             `the key Sam\A may not be set`,
	`[{"Key":{"Hive":"System","Name":"CurrentControlSet\\ServicesX"},"Name":"v","Type":"String"}]`:                               "may not be set",
	`[{"Key":{"Hive":"Software","Name":"A"},"Name":"v","Type":"DWord","DWordValue":4294967296}]`:                                 "",
	`[{"Key":{"Hive":"Software","Name":"A"},"Name":"v","Type":"String"},{"Key":{"Hive":"Software"},"Name":"v","Type":"String"}]`: "[1]: Key.Name",
}

// TestEveryAnnotation takes each row's good and boundary values and refuses its
// bad ones by name. A bad value that gets through becomes a default silently.
func TestEveryAnnotation(t *testing.T) {
	for _, g := range groups {
		for i := range g.Rows {
			a := &g.Rows[i]
			t.Run(a.Key, func(t *testing.T) {
				key := a.Key
				if a.Prefix {
					key += strings.ToUpper(testGUID)
				}
				for _, v := range good(a) {
					checkGood(t, a, key, v)
				}
				for v, end := range bad(a) {
					var r annotationReader
					err := readAnnotations(&r, map[string]string{key: v}, nil)
					if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), end) || !strings.HasPrefix(err.Error(), fmt.Sprintf("read annotation %s: %q ", key, shorten(v))) {
						t.Errorf("%q: got %v, want an error about %q", v, err, end)
					}
				}
			})
		}
	}
}

// checkGood: a value that the row takes is there afterwards, or refused because
// isol does not do it and it is not the default.
func checkGood(t *testing.T, a *Annotation, key, v string) {
	t.Helper()
	var r annotationReader
	err := readAnnotations(&r, map[string]string{key: v}, nil)
	if a.Status == StatusRefused {
		if err == nil && v != a.Default && v != "false" && v != "0" && v != "1" && v != "T" && v != "true" && v != "False" {
			t.Errorf("%q: taken, though isol does not do it", v)
		}
		if err != nil && !fault.Is(err, fault.Unimplemented) {
			t.Errorf("%q: %v", v, err)
		}
		if v == a.Default && err != nil {
			t.Errorf("%q is the default, which asks for nothing: %v", v, err)
		}
		return
	}
	if err != nil {
		t.Errorf("%q: %v", v, err)
		return
	}
	values := Values{m: r.values}
	if v == "0" && a.ZeroOff && a.Min > 0 {
		if len(values.Keys()) != 0 || len(r.notes) == 0 {
			t.Errorf("0 is kept as %v, notes %v", values.Keys(), r.notes)
		}
		return
	}
	if a.Prefix {
		key = a.Key + testGUID
	}
	if !slices.Contains(values.Keys(), key) {
		t.Errorf("%q is not kept: %v", v, values.Keys())
	}
}
