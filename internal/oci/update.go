package oci

import (
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
