package schema

// value is one allowed value of an enumeration and the first build that has it.
type value struct {
	text  string
	since uint32
}

// enumeration is implemented by every string type with a closed set of values.
type enumeration interface{ values() []value }

// from lists values that a build brought.
func from[T ~string](build uint32, texts ...T) []value {
	vs := make([]value, len(texts))
	for i, t := range texts {
		vs[i] = value{string(t), build}
	}
	return vs
}
