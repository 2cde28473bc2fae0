package schema

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// ValidationError says what of a document is wrong, and where.
type ValidationError struct {
	Path    string // JSON path: $.Container.Memory.SizeInMB
	Problem string
}

// Error returns the path and the problem.
func (e *ValidationError) Error() string { return e.Path + ": " + e.Problem }

// Validate checks doc as a T of the given Windows build, as a closed world: a
// field that T does not have, a field given twice, a value of another type or
// out of its range, a value that an enumeration does not have, and anything
// newer than build is an error that names its JSON path. The settings of a
// [ModificationRequest] and of a [ServiceModification] are checked as the type
// that their path or property calls for. The error is a [*ValidationError].
//
// The service itself is more forgiving; a document that passes here is one that
// every reader of the published schema agrees about.
func Validate[T any](doc []byte, build uint32) error {
	if err := validate(doc, "$", reflect.TypeFor[T](), build); err != nil {
		return err
	}
	switch any(*new(T)).(type) {
	case ModificationRequest:
		return validateModification(doc, build)
	case ServiceModification:
		return validateServiceModification(doc, build)
	}
	return nil
}

func validateModification(doc []byte, build uint32) error {
	var req struct {
		ResourcePath string
		Settings     json.RawMessage
	}
	if err := json.Unmarshal(doc, &req); err != nil {
		return problem("$", "%v", err)
	}
	r, ok := resourceAt(req.ResourcePath)
	switch {
	case !ok:
		return problem("$.ResourcePath", "no resource has the path %q", req.ResourcePath)
	case r.since > build:
		return problem("$.ResourcePath", "%q needs Windows build %d, this is %d", req.ResourcePath, r.since, build)
	case len(req.Settings) == 0:
		return nil
	case r.settings == nil:
		return problem("$.Settings", "%q takes no settings", req.ResourcePath)
	}
	return validate(req.Settings, "$.Settings", r.settings, build)
}

func validateServiceModification(doc []byte, build uint32) error {
	var req struct {
		PropertyType ServicePropertyType
		Settings     struct {
			Operation        CredentialGuardOperation
			OperationDetails json.RawMessage
		}
	}
	var raw struct{ Settings json.RawMessage }
	if err := errors.Join(json.Unmarshal(doc, &req), json.Unmarshal(doc, &raw)); err != nil {
		return problem("$", "%v", err)
	}
	if req.PropertyType != ServicePropertyContainerCredentialGuard || len(raw.Settings) == 0 {
		return nil
	}
	if err := validate(raw.Settings, "$.Settings", reflect.TypeFor[CredentialGuardRequest](), build); err != nil {
		return err
	}
	details := reflect.TypeFor[CredentialGuardAddInstance]()
	if req.Settings.Operation == CredentialGuardOpRemoveInstance {
		details = reflect.TypeFor[CredentialGuardRemoveInstance]()
	}
	return validate(req.Settings.OperationDetails, "$.Settings.OperationDetails", details, build)
}

func validate(doc []byte, path string, t reflect.Type, build uint32) error {
	w := &walker{dec: json.NewDecoder(bytes.NewReader(doc)), build: build}
	w.dec.UseNumber()
	if err := w.value(path, t); err != nil {
		return err
	}
	if _, err := w.dec.Token(); !errors.Is(err, io.EOF) {
		return problem(path, "more follows the document")
	}
	return nil
}

// walker reads a document token by token beside its type.
type walker struct {
	dec   *json.Decoder
	build uint32
}

// value checks the next value as a t.
func (w *walker) value(path string, t reflect.Type) error {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Interface || t == reflect.TypeFor[json.RawMessage]() {
		var any json.RawMessage
		if err := w.dec.Decode(&any); err != nil {
			return problem(path, "%v", err)
		}
		return nil
	}
	tok, err := w.dec.Token()
	if err != nil {
		return problem(path, "%v", err)
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return text(path, tok, "a date and time (RFC 3339)", func(s string) error {
			_, err := time.Parse(time.RFC3339, s)
			return err
		})
	case t == reflect.TypeFor[[]byte]():
		return text(path, tok, "base64", func(s string) error {
			_, err := base64.StdEncoding.DecodeString(s)
			return err
		})
	case t.Kind() == reflect.Struct, t.Kind() == reflect.Map:
		return w.object(path, tok, t)
	case t.Kind() == reflect.Slice:
		return w.array(path, tok, t)
	}
	return w.scalar(path, tok, t)
}

func (w *walker) object(path string, tok json.Token, t reflect.Type) error {
	if tok != json.Delim('{') {
		return mismatch(path, tok, "an object")
	}
	seen := map[string]bool{}
	for w.dec.More() {
		tok, err := w.dec.Token()
		if err != nil {
			return problem(path, "%v", err)
		}
		name, _ := tok.(string) // a key is always a string, else Token had failed
		at := path + "." + name
		if seen[name] {
			return problem(at, "given twice")
		}
		seen[name] = true
		elem, err := w.member(at, name, t)
		if err != nil {
			return err
		}
		if err := w.value(at, elem); err != nil {
			return err
		}
	}
	return w.end(path)
}

// member returns the type of t's member name.
func (w *walker) member(at, name string, t reflect.Type) (reflect.Type, error) {
	if t.Kind() == reflect.Map {
		return t.Elem(), nil
	}
	near := ""
	for f := range t.Fields() {
		known, since := fieldName(f), fieldSince(f)
		if strings.EqualFold(known, name) {
			near = "; did you mean " + known + "?"
		}
		if known != name {
			continue
		}
		if since > w.build {
			return nil, problem(at, "needs Windows build %d, this is %d", since, w.build)
		}
		return f.Type, nil
	}
	return nil, problem(at, "%s has no such field%s", t.Name(), near)
}

func (w *walker) array(path string, tok json.Token, t reflect.Type) error {
	if tok != json.Delim('[') {
		return mismatch(path, tok, "an array")
	}
	for i := 0; w.dec.More(); i++ {
		if err := w.value(fmt.Sprintf("%s[%d]", path, i), t.Elem()); err != nil {
			return err
		}
	}
	return w.end(path)
}

// end consumes the closing delimiter.
func (w *walker) end(path string) error {
	if _, err := w.dec.Token(); err != nil {
		return problem(path, "%v", err)
	}
	return nil
}

func (w *walker) scalar(path string, tok json.Token, t reflect.Type) error {
	switch t.Kind() {
	case reflect.String:
		s, ok := tok.(string)
		if !ok {
			return mismatch(path, tok, "a string")
		}
		if e, ok := reflect.Zero(t).Interface().(enumeration); ok {
			return w.oneOf(path, s, t.Name(), e.values())
		}
	case reflect.Bool:
		if _, ok := tok.(bool); !ok {
			return mismatch(path, tok, "true or false")
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, ok := tok.(json.Number)
		if _, err := strconv.ParseInt(n.String(), 10, t.Bits()); !ok || err != nil {
			return mismatch(path, tok, "an integer of "+t.Kind().String())
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, ok := tok.(json.Number)
		if _, err := strconv.ParseUint(n.String(), 10, t.Bits()); !ok || err != nil {
			return mismatch(path, tok, "an integer of "+t.Kind().String())
		}
	default:
		return problem(path, "has the Go type %v, for which there is no rule", t)
	}
	return nil
}

// oneOf checks that s is one value of an enumeration.
func (w *walker) oneOf(path, s, name string, values []value) error {
	var allowed []string
	for _, v := range values {
		if v.text == s && v.since <= w.build {
			return nil
		}
		if v.text == s {
			return problem(path, "%s %q needs Windows build %d, this is %d", name, s, v.since, w.build)
		}
		if v.text != "" && v.since <= w.build {
			allowed = append(allowed, v.text)
		}
	}
	return problem(path, "%s %q is not one of %s", name, s, strings.Join(allowed, ", "))
}

func text(path string, tok json.Token, what string, parse func(string) error) error {
	s, ok := tok.(string)
	if !ok || parse(s) != nil {
		return mismatch(path, tok, what)
	}
	return nil
}

func mismatch(path string, tok json.Token, want string) error {
	switch tok := tok.(type) {
	case nil:
		return problem(path, "is null, want %s", want)
	case json.Delim:
		kind := map[json.Delim]string{'{': "an object", '[': "an array"}[tok]
		return problem(path, "is %s, want %s", kind, want)
	case string:
		return problem(path, "is %q, want %s", tok, want)
	default:
		return problem(path, "is %v, want %s", tok, want)
	}
}

func problem(path, format string, args ...any) error {
	return &ValidationError{Path: path, Problem: fmt.Sprintf(format, args...)}
}

// fieldName is the name of f in JSON.
func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// fieldSince is the build that brought f. A tag that does not parse is caught
// by the package's tests.
func fieldSince(f reflect.StructField) uint32 {
	n, err := strconv.ParseUint(f.Tag.Get("since"), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}
