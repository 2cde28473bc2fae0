package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/nearest"
)

const opAnnotation = "read annotation"

// annotationReader collects what annotations say.
type annotationReader struct {
	// memoryLimit and cpuCount are the spec's own, 0 for none: they tell
	// nerdctl's spellings from mistakes.
	memoryLimit uint64
	cpuCount    uint64

	values    map[string]given
	notes     []Note
	overruled []Overruled
	errs      []error
}

func annotationSource(key string) Source { return Source("annotation " + key) }

const defaultPrefix = "option default_container_annotations["

func defaultSource(key string) Source { return Source(defaultPrefix + key + "]") }

// isDefault reports whether the runtime's options gave the value.
func (s Source) isDefault() bool { return strings.HasPrefix(string(s), defaultPrefix) }

// readAnnotations reads the spec's annotations, then the weaker defaults, then
// what some of them imply, and checks that they agree. All wrong annotations
// are reported, not only the first.
func readAnnotations(r *annotationReader, annotations, defaults map[string]string) error {
	r.values = make(map[string]given, len(annotations))
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		r.read(key, annotations[key], annotationSource(key), r.values)
	}
	r.readDefaults(defaults)
	r.expand()
	for _, key := range slices.Sorted(maps.Keys(r.values)) {
		r.checkStatus(key, r.values[key])
	}
	r.checkConflicts()
	return errors.Join(r.errs...)
}

// read parses one annotation into dst; keys of other name spaces are not ours
// to read.
func (r *annotationReader) read(key, text string, source Source, dst map[string]given) {
	a := row(key)
	if a == nil {
		if owned(key) {
			r.errs = append(r.errs, unknownKey(key, text, source))
		}
		return
	}
	v, err := r.parse(a, text, source)
	if err != nil {
		r.errs = append(r.errs, &fault.Error{
			Kind: fault.InvalidArgument, Op: "read", Subject: string(source),
			Detail: fmt.Sprintf("%q %s", shorten(text), err), Hint: r.hint(a, text),
		})
		return
	}
	name, err := canonical(a, key)
	if err != nil {
		r.errs = append(r.errs, &fault.Error{Kind: fault.InvalidArgument, Op: "read", Subject: string(source), Err: err})
		return
	}
	if n, ok := v.(uint64); ok && n == 0 && a.ZeroOff && a.Min > 0 {
		r.notes = append(r.notes, Note{source, "0 is read as not said"})
		return
	}
	if old, twice := dst[name]; twice {
		r.errs = append(r.errs, contradiction(old.source, old.text, source, text, "they are the same key"))
		return
	}
	dst[name] = given{v: v, text: text, source: source}
}

// canonical returns the name under which a value is kept: the key, with the
// GUID of a service entry in one spelling.
func canonical(a *Annotation, key string) (string, error) {
	if !a.Prefix {
		return a.Key, nil
	}
	g, ok := parseGUID(key[len(a.Key):])
	if !ok {
		return "", fmt.Errorf("%q at the end of the key is not a GUID", shorten(key[len(a.Key):]))
	}
	return a.Key + g, nil
}

// parse reads one value, with the spellings of nerdctl that are wrong by the
// table but tell plainly what is meant because the spec says it as well.
func (r *annotationReader) parse(a *Annotation, text string, source Source) (any, error) {
	switch a.Key {
	case keyMemoryMB, string(KeyUVMMemoryMB):
		n, err := strconv.ParseUint(text, 10, 64)
		if err == nil && n >= mib && n == r.memoryLimit {
			r.notes = append(r.notes, Note{source, fmt.Sprintf(
				"%d equals spec.windows.resources.memory.limit, so it is bytes and not MB: read as %d MB", n, n/mib)})
			return n / mib, nil
		}
	case keyProcessorCount, string(KeyUVMProcessorCount):
		if whole, ok := fraction(text); ok && whole > 0 && whole == r.cpuCount {
			r.notes = append(r.notes, Note{source, fmt.Sprintf(
				"%s is not whole; read as %d, which is what spec.windows.resources.cpu.count says", text, whole)})
			return whole, nil
		}
	}
	return a.parse(text)
}

// hint explains the values that nerdctl and docker users write.
func (r *annotationReader) hint(a *Annotation, text string) string {
	switch a.Key {
	case keyMemoryMB, string(KeyUVMMemoryMB):
		if n, err := strconv.ParseUint(text, 10, 64); err == nil && n > maxMB {
			return fmt.Sprintf("that many MB do not exist, it looks like bytes: write %d", n/mib)
		}
		return "write the number of MB without a unit"
	case keyProcessorCount, string(KeyUVMProcessorCount):
		if _, ok := fraction(text); ok {
			return "processors are counted whole; for a part of their time set " + limitOf(a.Key)
		}
	}
	return ""
}

func limitOf(countKey string) string {
	if countKey == keyProcessorCount {
		return keyProcessorLimit
	}
	return string(KeyUVMProcessorLimit)
}

// fraction returns the whole part of a decimal fraction such as 1.5.
func fraction(text string) (uint64, bool) {
	before, after, found := strings.Cut(text, ".")
	if !found {
		return 0, false
	}
	if _, err := strconv.ParseUint(after, 10, 64); err != nil {
		return 0, false
	}
	whole, err := strconv.ParseUint(before, 10, 31)
	return whole, err == nil
}

// readDefaults reads the annotations of the runtime's options; the spec's own
// win, and what loses is recorded.
func (r *annotationReader) readDefaults(defaults map[string]string) {
	weaker := make(map[string]given, len(defaults))
	for _, key := range slices.Sorted(maps.Keys(defaults)) {
		if key == keyContainerType || key == keySandboxID {
			r.errs = append(r.errs, &fault.Error{
				Kind: fault.InvalidArgument, Op: "read", Subject: string(defaultSource(key)),
				Detail: "the pod of a container is not a default", Hint: "remove it from the runtime's options",
			})
			continue
		}
		r.read(key, defaults[key], defaultSource(key), weaker)
	}
	for _, key := range slices.Sorted(maps.Keys(weaker)) {
		w := weaker[key]
		if s, both := r.values[key]; both {
			if s.text != w.text {
				r.overruled = append(r.overruled, Overruled{Input: w.source, Said: w.text, By: s.source})
			}
			continue
		}
		r.values[key] = w
	}
}

// expansion lists what disable-unsafe-operations gives its value to, as
// hcsshim's AnnotationExpansionMap does.
var expansion = []string{
	string(KeyGMSADisable), string(KeyUVMNoWritableShares), string(KeyUVMNoDirectMap), keyDisableHostProcess,
}

// expand applies disable-unsafe-operations. One that already says otherwise is
// an error, also when it is a default: which of the two is meant to be safe is
// not ours to guess.
func (r *annotationReader) expand() {
	from, ok := r.values[keyDisableUnsafe]
	if !ok {
		return
	}
	for _, key := range expansion {
		if to, there := r.values[key]; there && to.v != from.v {
			r.errs = append(r.errs, contradiction(from.source, from.text, to.source, to.text,
				"the first gives its value to the second"))
			continue
		}
		r.values[key] = given{v: from.v, text: from.text, source: from.source}
	}
}

// checkStatus refuses what isol does not do and tells of what has no effect.
func (r *annotationReader) checkStatus(key string, g given) {
	a := row(key)
	switch a.Status {
	case StatusRefused:
		if a.isDefault(g) {
			return
		}
		r.errs = append(r.errs, &fault.Error{
			Kind: fault.Unimplemented, Op: "read", Subject: string(g.source),
			Detail: fmt.Sprintf("%q: isol does not do this: %s", shorten(g.text), a.Why),
			Hint:   "remove it, or run this container with a runtime that does",
		})
	case StatusIgnored:
		r.notes = append(r.notes, Note{g.source, "has no effect: " + a.Why})
	}
}

// isDefault reports whether a value is what holds without it.
func (a *Annotation) isDefault(g given) bool {
	if a.Default == "" {
		return false
	}
	d, err := a.parse(a.Default)
	if err != nil {
		return false
	}
	switch v := g.v.(type) {
	case bool, uint64, string:
		return v == d
	}
	return false
}

// checkConflicts refuses annotations that cannot all be meant.
func (r *annotationReader) checkConflicts() {
	for _, c := range []struct {
		a, b   string
		va, vb any // nil: any value
		why    string
	}{
		{keyDisableHostProcess, keyHostProcess, true, true, "one forbids what the other asks for"},
		{string(KeyUVMCPUGroup), string(KeyUVMPartition), nil, nil, "a resource partition has a CPU group of its own"},
		{string(KeyUVMDeferredCommit), string(KeyUVMOvercommit), true, false, "memory is committed later or from the start, not both"},
		{string(KeyUVMPhysical), string(KeyUVMOvercommit), true, true, "physically backed memory is not overcommitted"},
		{string(KeyUVMPhysical), string(KeyUVMDeferredCommit), true, true, "physically backed memory is committed from the start"},
	} {
		a, okA := r.values[c.a]
		b, okB := r.values[c.b]
		if okA && okB && (c.va == nil || a.v == c.va) && (c.vb == nil || b.v == c.vb) {
			r.errs = append(r.errs, contradiction(a.source, a.text, b.source, b.text, c.why))
		}
	}
	if _, there := r.values[string(KeyDumpLocation)]; there {
		return
	}
	for _, key := range []string{string(KeyDumpType), string(KeyDumpCount)} {
		if g, there := r.values[key]; there {
			r.notes = append(r.notes, Note{g.source, "has no effect without " + string(KeyDumpLocation)})
		}
	}
}

func contradiction(a Source, saidA string, b Source, saidB, why string) error {
	return &fault.Error{
		Kind: fault.InvalidArgument, Op: opAnnotation,
		Detail: fmt.Sprintf("%s = %q and %s = %q contradict each other: %s", a, shorten(saidA), b, shorten(saidB), why),
		Hint:   "remove one of them",
	}
}

func unknownKey(key, text string, source Source) error {
	e := &fault.Error{
		Kind: fault.InvalidArgument, Op: "read", Subject: string(source),
		Detail: fmt.Sprintf("unknown annotation, value %q", shorten(text)),
		Hint:   "docs/annotations.md lists all that isol knows",
	}
	if n := nearest.Word(key, knownKeys()); n != "" {
		e.Hint = "did you mean " + n + "?"
	}
	return e
}

// ServiceTable returns the hvsocket services that annotations add: service
// GUID (lower case) to the JSON of its HvSocketServiceConfig.
func (v Values) ServiceTable() map[string]Value[json.RawMessage] {
	out := make(map[string]Value[json.RawMessage])
	for key := range v.m {
		if guid, ok := strings.CutPrefix(key, keyServiceTable); ok {
			out[guid] = value[json.RawMessage](v, key)
		}
	}
	return out
}
