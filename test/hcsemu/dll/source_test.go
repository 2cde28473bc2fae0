package dll

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/isolrun/isol/test/hcsemu/wire"
)

func source(t *testing.T, name string) string {
	t.Helper()
	b, err := sources.ReadFile(path.Join("src", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A function that is written but not exported is missing for its callers, and
// Go programs panic on some that are missing.
func TestExportsAreComplete(t *testing.T) {
	written := regexp.MustCompile(`(?m)^(?:static )?[A-Za-z][\w ]*\*?WINAPI (\w+)\(`)
	stated := regexp.MustCompile(`(?m)^NOT_EMULATED\((\w+)\)`)
	for _, p := range products {
		var want []string
		for _, name := range p.sources {
			text := source(t, name)
			for _, pattern := range []*regexp.Regexp{written, stated} {
				for _, m := range pattern.FindAllStringSubmatch(text, -1) {
					if !strings.HasPrefix(m[0], "static ") {
						want = append(want, m[1])
					}
				}
			}
			for _, m := range regexp.MustCompile(`(?m)^OBJECT\((\w+), (\w+)\)`).FindAllStringSubmatch(text, -1) {
				want = append(want, "HcnEnumerate"+m[2], "HcnOpen"+m[1], "HcnModify"+m[1],
					"HcnQuery"+m[1]+"Properties", "HcnDelete"+m[1], "HcnClose"+m[1])
			}
			for _, m := range regexp.MustCompile(`(?m)^CREATED_ALONE\((\w+)\)`).FindAllStringSubmatch(text, -1) {
				want = append(want, "HcnCreate"+m[1])
			}
		}
		want = slices.DeleteFunc(want, func(name string) bool { return name == "DllMain" || name == "name" })
		_, list, found := strings.Cut(source(t, p.name+".def"), "EXPORTS\n")
		if !found {
			t.Errorf("%s.def has no EXPORTS", p.name)
		}
		got := strings.Fields(list)
		slices.Sort(want)
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s.def (-written +exported):\n%s", p.name, d)
		}
	}
}

// The header repeats the protocol's constants; a difference would look like a
// service that is not there.
func TestHeaderAgrees(t *testing.T) {
	header := source(t, "transport.h")
	if want := strconv.Quote(wire.PipeName); !strings.Contains(header, "WIRE_PIPE_NAME L"+want) {
		t.Errorf("transport.h: WIRE_PIPE_NAME is not L%s", want)
	}
	for name, want := range map[string]uint64{
		"VERSION": wire.Version, "MAX_FRAME": wire.MaxFrame >> 20,
		"KIND_HELLO": uint64(wire.KindHello), "KIND_REQUEST": uint64(wire.KindRequest),
		"KIND_REPLY": uint64(wire.KindReply), "KIND_EVENT": uint64(wire.KindEvent),
		"TAG_NULL": uint64(wire.TagNull), "TAG_NUMBER": uint64(wire.TagNumber),
		"TAG_STRING": uint64(wire.TagString), "TAG_BLOB": uint64(wire.TagBlob),
		"ROLE_CALLS": uint64(wire.RoleCalls), "ROLE_EVENTS": uint64(wire.RoleEvents),
	} {
		m := regexp.MustCompile(`#define WIRE_` + name + ` \(?(\d+)u?( << 20\))?\n`).FindStringSubmatch(header)
		if m == nil || m[1] != strconv.FormatUint(want, 10) {
			t.Errorf("transport.h: WIRE_%s is %q, wire has %d", name, m, want)
		}
	}
}

// Every source belongs to a DLL, or it is dead.
func TestSourcesAreUsed(t *testing.T) {
	used := map[string]bool{}
	for _, p := range products {
		used[p.name+".def"] = true
		for _, name := range p.sources {
			used[name] = true
		}
	}
	err := fs.WalkDir(sources, "src", func(name string, d fs.DirEntry, err error) error {
		if base := path.Base(name); err == nil && !d.IsDir() && path.Ext(base) != ".h" && !used[base] {
			t.Errorf("%s is in no DLL", base)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
