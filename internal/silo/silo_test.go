package silo

import (
	"testing"
	"unsafe"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/isolation"
)

// The kernel reads an array of GROUP_AFFINITY: 16 bytes each, the group after
// the mask. Another layout pins to processors that nobody asked for.
func TestLayout(t *testing.T) {
	var a GroupAffinity
	if size, at := unsafe.Sizeof(a), unsafe.Offsetof(a.group); size != 16 || at != 8 {
		t.Errorf("%d bytes, the group at %d; want 16 and 8", size, at)
	}
	list, err := Affinities([]isolation.AffinityMask{{Mask: 3}, {Mask: 1 << 63, Group: 1}})
	if err != nil || len(list) != 2 || list[1] != (GroupAffinity{mask: 1 << 63, group: 1}) {
		t.Errorf("%+v, %v", list, err)
	}
	if jobName("web") != `\Container_web` {
		t.Errorf("job %s", jobName("web"))
	}
}

// What no machine has must not become what the kernel makes of it: the group
// is 16 bits wide there.
func TestNoSuchProcessors(t *testing.T) {
	for name, masks := range map[string][]isolation.AffinityMask{
		"no processor": {{Mask: 0}}, "group beyond 16 bits": {{Mask: 1, Group: 1 << 16}},
	} {
		if err := (Affinity{}).SetAffinity(t.Context(), "web", masks); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
