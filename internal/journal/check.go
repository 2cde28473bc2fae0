package journal

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/isolrun/isol/internal/fault"
)

// vmSuffix makes the id of a pod's utility VM from the pod's.
const vmSuffix = "@vm"

// maxUserName is how long names of local users may be, so isol cuts the id
// there. https://learn.microsoft.com/windows/win32/api/lmaccess/ns-lmaccess-user_info_1
const maxUserName = 20

// check refuses a record that isol would not have written for the task id into
// the journal at path: replaying it would touch what is not ours.
func check(path, id string, r Record) error {
	if id == "" {
		return refuse(r, "the journal names no task")
	}
	if r.Name == "" || strings.ContainsAny(r.Name, "\x00\r\n") {
		return refuse(r, "the name is empty or holds control characters")
	}
	switch r.Kind {
	case KindComputeSystem:
		return allow(r, r.Name == id || r.Name == id+vmSuffix, "allowed is "+id+" and "+id+vmSuffix)
	case KindUser:
		return allow(r, r.Name == id[:min(len(id), maxUserName)], "allowed is the first 20 characters of "+id)
	case KindNamespace:
		return allow(r, isGUID(r.Name), "allowed is a GUID")
	case KindLayerMount:
		return allow(r, isPlainPath(r.Name), "allowed is an absolute path without ..")
	case KindScratch:
		inBundle := filepath.Dir(r.Name) == filepath.Dir(path) && filepath.Base(r.Name) != FileName
		return allow(r, inBundle && isPlainPath(r.Name), "allowed is a file in "+filepath.Dir(path))
	case KindAttachment, KindShare:
		if !isPlainPath(r.Name) {
			return refuse(r, "allowed is an absolute path without ..")
		}
		// The VM is the pod's, whose id a workload's journal does not know.
		return allow(r, strings.HasSuffix(r.System, vmSuffix), "it must belong to a system …"+vmSuffix)
	}
	return refuse(r, "the kind is unknown")
}

func allow(r Record, ok bool, allowed string) error {
	if ok {
		return nil
	}
	return refuse(r, allowed)
}

func refuse(r Record, why string) error {
	return &fault.Error{Kind: fault.InvalidArgument, Op: "undo " + string(r.Kind), Subject: fmt.Sprintf("%q", r.Name),
		Detail: "isol does not make this: " + why}
}

// isPlainPath reports whether p is absolute, for Windows or for this system,
// and names no parent folder.
func isPlainPath(p string) bool {
	windows := len(p) > 2 && (p[1] == ':' && (p[2] == '\\' || p[2] == '/') || p[0] == '\\' && p[1] == '\\')
	if !windows && !filepath.IsAbs(p) {
		return false
	}
	for _, part := range strings.FieldsFunc(p, func(r rune) bool { return r == '\\' || r == '/' }) {
		if part == ".." {
			return false
		}
	}
	return true
}

func isGUID(s string) bool {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "{"), "}")
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hex := '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
		if dash != (c == '-') || !dash && !hex {
			return false
		}
	}
	return true
}
