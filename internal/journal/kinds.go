package journal

import (
	"fmt"
	"path"
	"strings"

	"github.com/Microsoft/go-winio/pkg/guid"

	"github.com/isolrun/isol/internal/fault"
)

// Kind is what a record undoes.
type Kind string

// The kinds: see the table below for what each record holds.
const (
	KindComputeSystem Kind = "compute-system"
	KindLayerMount    Kind = "layer-mount"
	KindNamespace     Kind = "namespace"
	KindVMScratch     Kind = "vm-scratch"
	KindVMAccess      Kind = "vm-access"
	KindUser          Kind = "user"
	KindVolumeFolder  Kind = "volume-folder"
	KindJob           Kind = "job"

	KindCredentialGuard Kind = "credential-guard"
)

// kind is one row of the table: all that this package knows of a kind.
type kind struct {
	// durable kinds survive a restart of the machine, so their records are
	// flushed to the disk.
	durable bool
	// allowed says what isol makes, for the error that refuses anything else.
	allowed string
	// made reports whether isol would have made r for the task id.
	made func(id string, r Record) bool
}

// kinds is the table of kinds. To add one: a constant above, a row here, its
// undo in internal/undo, and Acquire before the thing is acquired. Tests fail
// until all four are there, and the lab's ledger tells the fourth.
var kinds = map[Kind]kind{
	// Name: system id.
	KindComputeSystem: {
		allowed: "the task's id, and the same with " + vmSuffix,
		made:    func(id string, r Record) bool { return r.System == "" && (r.Name == id || r.Name == id+vmSuffix) },
	},
	// Name: folder of the scratch that is mounted on the host.
	KindLayerMount: {
		allowed: "an absolute path below a folder, without ..",
		made:    func(_ string, r Record) bool { return r.System == "" && isPlainPath(r.Name) && depth(r.Name) >= 2 },
	},
	// Name: GUID of the HCN namespace.
	KindNamespace: {
		durable: true, allowed: "a GUID",
		made: func(_ string, r Record) bool { return r.System == "" && isGUID(r.Name) },
	},
	// Name: the VM's own scratch disk, which isol copies from the image's
	// template. System: the VM.
	KindVMScratch: {
		durable: true, allowed: `a file …\vm\sandbox.vhdx of the task's own ` + vmSuffix,
		made: func(id string, r Record) bool {
			return r.System == id+vmSuffix && isFilePath(r.Name) && strings.HasSuffix(slashed(r.Name), "/vm/sandbox.vhdx") && depth(r.Name) >= 3
		},
	},
	// Name: file that the VM's worker process may open. System: the VM. A
	// machine that restarts keeps the entry in the file's ACL, but nothing ever
	// runs again under the account that it names: it opens nothing.
	KindVMAccess: {
		allowed: "an absolute path without .., and the task's own " + vmSuffix,
		made:    func(id string, r Record) bool { return r.System == id+vmSuffix && isPlainPath(r.Name) },
	},
	// Name: id of the container whose credential guard instance it is; it lasts
	// as long as the compute service does.
	KindCredentialGuard: {
		allowed: "the task's id",
		made:    func(id string, r Record) bool { return r.System == "" && r.Name == id },
	},
	// Name: local user of a HostProcess container.
	KindUser: {
		durable: true, allowed: "a user " + userPrefix + "…",
		made: func(_ string, r Record) bool {
			return r.System == "" && strings.HasPrefix(r.Name, userPrefix) && len(r.Name) <= maxUserName
		},
	},
	// Name: folder of the host that the volume of a HostProcess container is
	// mounted on.
	KindVolumeFolder: {
		durable: true, allowed: "a folder of the task's id, below a folder",
		made: func(id string, r Record) bool {
			return r.System == "" && isFilePath(r.Name) && depth(r.Name) >= 2 && strings.HasSuffix(slashed(r.Name), "/"+strings.ToLower(id))
		},
	},
	// Name: HostProcess container whose processes are in a job object.
	KindJob: {
		allowed: "the task's id",
		made:    func(id string, r Record) bool { return r.System == "" && r.Name == id },
	},
}

// Kinds returns every kind that a record may have.
func Kinds() []Kind {
	all := make([]Kind, 0, len(kinds))
	for k := range kinds {
		all = append(all, k)
	}
	return all
}

// vmSuffix makes the id of a pod's utility VM from the pod's.
const vmSuffix = "@vm"

// userPrefix begins the names of the users that isol makes (internal/job): a
// journal can't make it remove another.
const userPrefix = "isol-"

// maxUserName is how long names of local users may be.
// https://learn.microsoft.com/windows/win32/api/lmaccess/ns-lmaccess-user_info_1
const maxUserName = 20

// check refuses a record that isol would not have written for the task id:
// replaying it would touch what is not ours.
func check(id string, r Record) error {
	k, known := kinds[r.Kind]
	switch {
	case id == "":
		return refuse(r, "the journal names no task")
	case !known:
		return refuse(r, "the kind is unknown")
	case r.Name == "" || strings.ContainsFunc(r.Name+r.System, func(c rune) bool { return c < ' ' }):
		return refuse(r, "a name is empty or holds control characters")
	case !k.made(id, r):
		return refuse(r, "for task "+id+" allowed is "+k.allowed)
	}
	return nil
}

func refuse(r Record, why string) error {
	subject := fmt.Sprintf("%q", r.Name)
	if r.System != "" {
		subject += fmt.Sprintf(" of %q", r.System)
	}
	return &fault.Error{Kind: fault.InvalidArgument, Op: "undo " + string(r.Kind), Subject: subject,
		Detail: "refused, since isol does not make this: " + why}
}

// slashed is p in lower case with one kind of separator: how Windows compares paths.
func slashed(p string) string { return strings.ToLower(strings.ReplaceAll(p, `\`, "/")) }

// depth is how many names p has below its root.
func depth(p string) int {
	n := len(strings.FieldsFunc(slashed(p), func(r rune) bool { return r == '/' }))
	switch {
	case len(p) > 1 && p[1] == ':':
		return n - 1 // the drive
	case strings.HasPrefix(slashed(p), "//"):
		return n - 2 // server and share
	}
	return n
}

// isPlainPath reports whether p is absolute, for Windows or for this system,
// and names no parent folder.
func isPlainPath(p string) bool {
	s := slashed(p)
	drive := len(s) > 2 && 'a' <= s[0] && s[0] <= 'z' && s[1] == ':' && s[2] == '/'
	if !drive && !path.IsAbs(s) {
		return false
	}
	if device, ok := strings.CutPrefix(s, "//./"); ok {
		s = device
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == ".." || part == "." {
			return false
		}
	}
	return true
}

// isFilePath reports whether p is a plain path that Windows takes by the
// letter: no device path, no stream of a file, no name that ends in a dot or a
// space, which Windows drops.
// https://learn.microsoft.com/windows/win32/fileio/naming-a-file#naming-conventions
func isFilePath(p string) bool {
	s := slashed(p)
	if !isPlainPath(p) || strings.HasPrefix(s, "//?/") || strings.HasPrefix(s, "//./") {
		return false
	}
	if len(s) > 2 && s[1] == ':' {
		s = s[2:]
	}
	for part := range strings.SplitSeq(s, "/") {
		if strings.Contains(part, ":") || strings.TrimRight(part, ". ") != part {
			return false
		}
	}
	return true
}

func isGUID(s string) bool {
	_, err := guid.FromString(strings.TrimSuffix(strings.TrimPrefix(s, "{"), "}"))
	return err == nil
}
