package oci

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/isolrun/isol/internal/fault"
)

// UpdateCPUGroup reads the annotations of an update of a running container. One
// can be changed while its utility VM runs: the CPU group, as runhcs has it. It
// returns the group's id, empty if the update names none. Errors: InvalidArgument
// for a value that is no GUID, Unimplemented for another annotation.
func UpdateCPUGroup(annotations map[string]string) (string, error) {
	var others []string
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if key != string(KeyUVMCPUGroup) {
			others = append(others, fmt.Sprintf("%q", key))
		}
	}
	if len(others) > 0 {
		return "", &fault.Error{Kind: fault.Unimplemented, Detail: "annotations of a running container cannot be changed: " + strings.Join(others, ", "),
			Hint: "create it anew; " + string(KeyUVMCPUGroup) + " alone can be changed"}
	}
	text, given := annotations[string(KeyUVMCPUGroup)]
	if !given {
		return "", nil
	}
	group, ok := parseGUID(text)
	if !ok {
		return "", &fault.Error{Kind: fault.InvalidArgument, Op: "read", Subject: string(annotationSource(string(KeyUVMCPUGroup))),
			Detail: fmt.Sprintf("%q is not a GUID such as 3f2504e0-4f89-11d3-9a0c-0305e82c3301", shorten(text)),
			Hint:   "the null GUID takes the VM out of its group"}
	}
	return group, nil
}

// UpdateUnmount reads the annotations of an update that carries a mount, and
// reports whether the mount is to be taken away. Errors: InvalidArgument for a
// value that is no bool, Unimplemented for another annotation.
func UpdateUnmount(annotations map[string]string) (bool, error) {
	r := annotationReader{values: map[string]given{}}
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if key != string(KeyUnmount) {
			return false, &fault.Error{Kind: fault.Unimplemented, Op: "read", Subject: string(annotationSource(key)),
				Detail: "the annotation cannot be changed by a mount", Hint: string(KeyUnmount) + " alone goes with one"}
		}
		r.read(key, annotations[key], annotationSource(key), r.values)
	}
	return Values{m: r.values}.Bool(KeyUnmount).V, errors.Join(r.errs...)
}

// MountOf checks a mount that an update adds or takes away, as Parse checks
// those of a spec. Errors are fault.InvalidArgument.
func MountOf(source, destination, kind string, readOnly bool) (Mount, error) {
	const where = "mount of the update"
	if source == "" || destination == "" {
		return Mount{}, invalid(where, fmt.Sprintf("source %q, destination %q: both are needed", source, destination), "")
	}
	return Mount{Source: source, Destination: destination, Type: kind, ReadOnly: readOnly}, nil
}
