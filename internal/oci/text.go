package oci

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// parse reads text as the row's type. The error is a phrase that follows the
// value: "is not a whole number from 1 to 10000".
func (a *Annotation) parse(text string) (any, error) {
	switch a.Type {
	case TypeBool:
		return parseBool(text)
	case TypeExactBool:
		return parseExactBool(text)
	case TypeUint:
		return a.parseUint(text)
	case TypePath:
		if !isAbs(text) {
			return nil, fmt.Errorf(`is not an absolute Windows path such as C:\folder`)
		}
		return text, nil
	case TypeEnum:
		if !slices.Contains(a.Allowed, text) {
			return nil, fmt.Errorf("is none of %s", oneOf(a.Allowed))
		}
		return text, nil
	case TypeGUID:
		g, ok := parseGUID(text)
		if !ok {
			return nil, fmt.Errorf("is not a GUID such as 3f2504e0-4f89-11d3-9a0c-0305e82c3301")
		}
		return g, nil
	case TypeCSV:
		return a.parseCSV(text)
	case TypeUintCSV:
		return a.parseUintCSV(text)
	case TypeBase64:
		if b, err := base64.StdEncoding.DecodeString(text); err != nil || len(b) == 0 {
			return nil, fmt.Errorf("is not base64 (standard alphabet, padded)")
		}
		return text, nil
	case TypeRegistry:
		return parseRegistry(text)
	case TypeServiceEntry:
		return parseServiceEntry(text)
	}
	if text == "" || strings.ContainsRune(text, 0) {
		return nil, fmt.Errorf("is not a text: empty, or with a NUL in it")
	}
	return text, nil
}

func parseBool(text string) (any, error) {
	b, err := strconv.ParseBool(text)
	if err != nil {
		return nil, fmt.Errorf("is neither true nor false")
	}
	return b, nil
}

// parseExactBool mirrors runhcs, in which only the exact text "true" makes a
// HostProcess container, but refuses the other spellings of yes that runhcs
// takes for no: a container that silently is not what was asked for is worse
// than an error.
func parseExactBool(text string) (any, error) {
	if text == "true" {
		return true, nil
	}
	b, err := strconv.ParseBool(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("is neither true nor false")
	case b:
		return nil, fmt.Errorf("is not the exact text true, which alone switches this on: write true in small letters")
	}
	return false, nil
}

func (a *Annotation) parseUint(text string) (any, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	switch {
	case err != nil, !a.inRange(n):
		return nil, fmt.Errorf("is not %s", a.rangeWords())
	case a.Step > 1 && n%a.Step != 0:
		return nil, fmt.Errorf("is not a multiple of %d", a.Step)
	}
	return n, nil
}

func (a *Annotation) inRange(n uint64) bool {
	return n >= a.Min && n <= a.Max || n == 0 && a.ZeroOff
}

// rangeWords says which numbers the row takes.
func (a *Annotation) rangeWords() string {
	s := fmt.Sprintf("a whole number from %d to %d", a.Min, a.Max)
	if a.Unit != "" {
		s += " (" + a.Unit + ")"
	}
	if a.ZeroOff && a.Min > 0 {
		s += ", or 0 for not said"
	}
	return s
}

func (a *Annotation) parseCSV(text string) (any, error) {
	parts := strings.Split(text, ",")
	for i, p := range parts {
		parts[i] = strings.TrimSpace(p)
		if parts[i] == "" {
			return nil, fmt.Errorf("has an empty item: items stand between commas")
		}
		if len(a.Allowed) > 0 && !slices.Contains(a.Allowed, parts[i]) {
			return nil, fmt.Errorf("has the item %q, which is none of %s", parts[i], oneOf(a.Allowed))
		}
	}
	return parts, nil
}

func (a *Annotation) parseUintCSV(text string) (any, error) {
	var out []uint64
	for p := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseUint(strings.TrimSpace(p), 10, 64)
		if err != nil || !a.inRange(n) {
			return nil, fmt.Errorf("has the item %q, which is not %s", shorten(p), a.rangeWords())
		}
		out = append(out, n)
	}
	return out, nil
}

// registryJSON is the RegistryValue of the HCS schema:
// https://learn.microsoft.com/virtualization/api/hcs/schemareference#RegistryValue
type registryJSON struct {
	Key *struct {
		Hive string
		Name string
	}
	Name        string
	Type        string
	StringValue string
	BinaryValue []byte
	DWordValue  uint32
	QWordValue  uint64
}

// registryTypes are the value types of the HCS schema that carry a value, with
// the one member that holds it.
var registryTypes = map[string]string{
	"String": "StringValue", "ExpandedString": "StringValue", "MultiString": "StringValue",
	"Binary": "BinaryValue", "DWord": "DWordValue", "QWord": "QWordValue",
}

func parseRegistry(text string) (any, error) {
	var in []registryJSON
	if err := strictJSON(text, &in); err != nil {
		return nil, fmt.Errorf("is not a JSON list of registry values: %w", err)
	}
	out := make([]RegistryValue, len(in))
	for i, v := range in {
		if err := v.check(); err != nil {
			return nil, fmt.Errorf("has a wrong value at [%d]: %w", i, err)
		}
		out[i] = RegistryValue{
			Hive: v.Key.Hive, Key: v.Key.Name, Name: v.Name, Type: v.Type,
			Str: v.StringValue, DWord: v.DWordValue, QWord: v.QWordValue, Bin: v.BinaryValue,
		}
	}
	return out, nil
}

func (v *registryJSON) check() error {
	if v.Key == nil || v.Key.Name == "" || v.Name == "" {
		return fmt.Errorf("Key.Name and Name are needed")
	}
	holder, ok := registryTypes[v.Type]
	if !ok {
		return fmt.Errorf("Type %q is none of String, ExpandedString, MultiString, Binary, DWord, QWord", v.Type)
	}
	if holder != "StringValue" && v.StringValue != "" || holder != "BinaryValue" && len(v.BinaryValue) > 0 ||
		holder != "DWordValue" && v.DWordValue != 0 || holder != "QWordValue" && v.QWordValue != 0 {
		return fmt.Errorf("Type %s goes with %s alone", v.Type, holder)
	}
	if !registryAllowed(v.Key.Hive, v.Key.Name) {
		return fmt.Errorf(`the key %s\%s may not be set: allowed are Software, and of System CurrentControlSet\Services, CurrentControlSet\Policies and Software`, v.Key.Hive, v.Key.Name)
	}
	return nil
}

// registryAllowed holds the keys that an annotation may set, as runhcs does: a
// container or VM whose registry can be set at will can be made to do anything.
// Unlike there a key must lie below the path, not only begin like it.
func registryAllowed(hive, key string) bool {
	if hive == "Software" {
		return true
	}
	if hive != "System" {
		return false
	}
	key = strings.ToLower(key) + `\`
	for _, p := range []string{`currentcontrolset\services\`, `currentcontrolset\policies\`, `software\`} {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

// serviceJSON is the HvSocketServiceConfig of the HCS schema:
// https://learn.microsoft.com/virtualization/api/hcs/schemareference#HvSocketServiceConfig
type serviceJSON struct {
	BindSecurityDescriptor    string
	ConnectSecurityDescriptor string
	AllowWildcardBinds        bool
	Disabled                  bool
}

func parseServiceEntry(text string) (any, error) {
	var in *serviceJSON
	if err := strictJSON(text, &in); err != nil {
		return nil, fmt.Errorf("is not a JSON HvSocketServiceConfig: %w", err)
	}
	if in == nil {
		return nil, fmt.Errorf("is not a JSON HvSocketServiceConfig: null")
	}
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		return nil, fmt.Errorf("is not a JSON HvSocketServiceConfig: %w", err)
	}
	return json.RawMessage(b.Bytes()), nil
}

// strictJSON decodes all of text into v and refuses unknown members.
func strictJSON(text string, v any) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return fmt.Errorf("something follows the value")
	}
	return nil
}

// parseGUID returns text as a GUID in lower case without braces.
func parseGUID(text string) (string, bool) {
	if len(text) == 38 && text[0] == '{' && text[37] == '}' {
		text = text[1:37]
	}
	if len(text) != 36 {
		return "", false
	}
	for i := range len(text) {
		switch c := text[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return "", false
			}
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
		default:
			return "", false
		}
	}
	return strings.ToLower(text), true
}

func isSlash(c byte) bool { return c == '\\' || c == '/' }

// isAbs reports whether p is absolute on Windows: X:\…, \\server\share…, \\?\…
// or \\.\…. Unlike path/filepath it knows so on every operating system.
func isAbs(p string) bool {
	if strings.ContainsRune(p, 0) {
		return false
	}
	if len(p) >= 3 && isDrive(p) && isSlash(p[2]) {
		return true
	}
	return len(p) > 2 && isSlash(p[0]) && isSlash(p[1])
}

// isDrive reports whether p begins with a drive letter and a colon.
func isDrive(p string) bool {
	return len(p) >= 2 && p[1] == ':' && (p[0] >= 'a' && p[0] <= 'z' || p[0] >= 'A' && p[0] <= 'Z')
}

// isRooted reports whether p is absolute, or begins at the root of a drive
// that it does not name, or is a bare drive.
func isRooted(p string) bool {
	if strings.ContainsRune(p, 0) {
		return false
	}
	return isAbs(p) || len(p) > 0 && isSlash(p[0]) || len(p) == 2 && isDrive(p)
}

// oneOf joins words for a sentence.
func oneOf(words []string) string { return strings.Join(words, ", ") }

// shorten cuts a value that an error shows: some are whole files.
func shorten(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
