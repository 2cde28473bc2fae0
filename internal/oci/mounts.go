package oci

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// kernelMounts are mount types that are made by the Linux kernel and have no
// counterpart in Windows.
var kernelMounts = map[string]Feature{
	"shm": FeatureSharedMemory, "mqueue": FeatureIPCNamespace,
	"tmpfs": FeatureKernelMount, "proc": FeatureKernelMount, "sysfs": FeatureKernelMount,
	"cgroup": FeatureKernelMount, "cgroup2": FeatureKernelMount, "devpts": FeatureKernelMount,
	"devtmpfs": FeatureKernelMount, "hugetlbfs": FeatureSharedMemory,
}

// objectFolders are folders of the kernel's object namespace that processes
// share sections, events and mutexes through: such a folder is not a file
// system, and Windows containers have one each.
var objectFolders = []string{`\basenamedobjects`, `\sessions\`}

// readMounts copies the mounts; what each source is (a folder, a disk, a pipe)
// and how it can cross the boundary is internal/isolation's to say.
func (r *Request) readMounts(spec *specs.Spec) error {
	for i, m := range spec.Mounts {
		where := fmt.Sprintf("mounts[%d]", i)
		readOnly, err := r.mountOptions(where, m.Options)
		if err != nil {
			return err
		}
		if feature, foreign := foreignMount(m); foreign && !r.Linux {
			r.ask(feature, where, strings.TrimSpace(m.Type+" "+m.Source+" on "+m.Destination))
			continue
		}
		if m.Destination == "" || m.Source == "" {
			return invalid(where, fmt.Sprintf("source %q, destination %q: both are needed", m.Source, m.Destination), "")
		}
		if !r.Linux {
			if err := checkMountPaths(where, m); err != nil {
				return err
			}
		}
		r.Mounts = append(r.Mounts, Mount{
			Index: i, Source: m.Source, Destination: m.Destination, Type: m.Type,
			ReadOnly: readOnly, Options: slices.Clone(m.Options),
		})
	}
	return nil
}

// mountOptions reads the options of a mount: only ro and rw mean something in
// Windows, in any case of letters as runhcs reads them. What else stands there
// is noted for a Windows container; a Linux guest gets all of them.
func (r *Request) mountOptions(where string, options []string) (readOnly bool, err error) {
	var readWrite bool
	for _, o := range options {
		switch l := strings.ToLower(o); {
		case l == "ro":
			readOnly = true
		case l == "rw":
			readWrite = true
		case r.Linux, slices.Contains(bindOptions, l):
		default:
			r.note(Source(where), fmt.Sprintf("option %q has no effect in Windows", shorten(o)))
		}
	}
	if readOnly && readWrite {
		return false, invalid(where, "options ro and rw contradict each other", "remove one of them")
	}
	return readOnly, nil
}

// bindOptions say what each mount of Windows is anyway.
var bindOptions = []string{"bind", "rbind", "private", "rprivate"}

// foreignMount reports whether the mount asks for something that only Linux
// has, or that no container of Windows may share.
func foreignMount(m specs.Mount) (Feature, bool) {
	destination := strings.ReplaceAll(m.Destination, `\`, "/")
	switch {
	case destination == "/dev/shm" || strings.HasPrefix(destination, "/dev/shm/"):
		return FeatureSharedMemory, true
	case destination == "/dev/mqueue":
		return FeatureIPCNamespace, true
	}
	if f, ok := kernelMounts[strings.ToLower(m.Type)]; ok {
		return f, true
	}
	source := strings.ToLower(strings.ReplaceAll(m.Source, "/", `\`))
	for _, p := range []string{`\\?\globalroot`, `\\.\globalroot`, `\global??`} {
		source = strings.TrimPrefix(source, p)
	}
	for _, p := range objectFolders {
		if strings.HasPrefix(source, p) {
			return FeatureIPCNamespace, true
		}
	}
	return "", false
}

// checkMountPaths refuses paths whose meaning would depend on the shim's
// current folder.
func checkMountPaths(where string, m specs.Mount) error {
	if !isRooted(m.Destination) {
		return invalid(where, fmt.Sprintf("destination %q is not absolute", shorten(m.Destination)), `write it with its drive: C:\folder`)
	}
	if !isAbs(m.Source) && !strings.Contains(m.Source, "://") {
		return invalid(where, fmt.Sprintf("source %q is not absolute", shorten(m.Source)), `write it with its drive: C:\folder`)
	}
	return nil
}
