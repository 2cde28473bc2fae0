package oci

import (
	"maps"
	"slices"
)

// Each kind of annotation has a key type of its own, so that asking for a
// number under the key of a switch does not compile.
type (
	BoolKey     string // a switch
	UintKey     string // a whole number
	StringKey   string // text, path, GUID (lower case, no braces), one of a list, base64
	ListKey     string // values between commas
	UintListKey string // whole numbers between commas
	RegistryKey string // a JSON list of registry values
)

// Values holds the annotations that a request gave, parsed. The zero Values
// is empty.
type Values struct {
	m map[string]given
}

// given is one parsed annotation; text is how it was written.
type given struct {
	v      any
	text   string
	source Source
}

// Bool returns the value of a switch; its Source is empty when nobody gave it.
func (v Values) Bool(k BoolKey) Value[bool] { return value[bool](v, string(k)) }

// Uint returns a number; its Source is empty when nobody gave it.
func (v Values) Uint(k UintKey) Value[uint64] { return value[uint64](v, string(k)) }

// String returns a text; its Source is empty when nobody gave it.
func (v Values) String(k StringKey) Value[string] { return value[string](v, string(k)) }

// List returns a list; its Source is empty when nobody gave it.
func (v Values) List(k ListKey) Value[[]string] { return value[[]string](v, string(k)) }

// UintList returns a list of numbers; its Source is empty when nobody gave it.
func (v Values) UintList(k UintListKey) Value[[]uint64] { return value[[]uint64](v, string(k)) }

// Registry returns registry values; its Source is empty when nobody gave them.
func (v Values) Registry(k RegistryKey) Value[[]RegistryValue] {
	return value[[]RegistryValue](v, string(k))
}

// Keys returns the keys that were given, sorted.
func (v Values) Keys() []string { return slices.Sorted(maps.Keys(v.m)) }

func value[T any](v Values, key string) Value[T] {
	g := v.m[key]
	t, ok := g.v.(T)
	if !ok {
		return Value[T]{}
	}
	return Value[T]{V: t, Source: g.source}
}

// RegistryValue is one registry value to set in a container or a utility VM.
type RegistryValue struct {
	Hive  string // System, Software, Security, Sam
	Key   string
	Name  string
	Type  string // String, ExpandedString, MultiString, Binary, DWord, QWord
	Str   string
	DWord uint32
	QWord uint64
	Bin   []byte
}
