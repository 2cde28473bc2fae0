package isolation

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/isolrun/isol/internal/oci"
)

// The prefixes of mount sources that are no path of the host.
const (
	pipePrefix      = `\\.\pipe\`
	sandboxPrefix   = "sandbox://"
	uvmPrefix       = "uvm://"
	hugePagesPrefix = "hugepages://"
)

var diskTypes = []string{"physical-disk", "virtual-disk", "extensible-virtual-disk"}

// mounts checks each mount and says how it crosses the boundary. Whether a
// source exists, and what a link points to, is found when it is applied.
func (d *decision) mounts() error {
	seen := make(map[string]int, len(d.req.Mounts))
	for _, m := range d.req.Mounts {
		if m.Source == "" || m.Destination == "" {
			return d.badMount(m, "it needs both a source and a destination", "")
		}
		var err error
		if d.plan.Guest == GuestLinux {
			err = d.linuxMount(m)
		} else {
			err = d.windowsMount(m)
		}
		if err != nil {
			return err
		}
		key := d.destinationKey(m)
		if first, dup := seen[key]; dup {
			return d.badMount(m, fmt.Sprintf("mounts[%d] has the same destination", first), "remove one of the two")
		}
		seen[key] = m.Index
	}
	return nil
}

// destinationKey is the same for two destinations that are the same place.
func (d *decision) destinationKey(m oci.Mount) string {
	if d.plan.Guest == GuestLinux {
		return path.Clean(m.Destination)
	}
	if dst, err := d.destination(m); err == nil {
		return strings.ToLower(dst)
	}
	return strings.ToLower(slashed(m.Destination)) // a pipe
}

// badMount names a mount by its index, source and destination.
func (d *decision) badMount(m oci.Mount, detail, hint string) error {
	return d.invalid(hint, "mounts[%d] (%s to %s): %s", m.Index, orNothing(m.Source), orNothing(m.Destination), detail)
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

func (d *decision) windowsMount(m oci.Mount) error {
	src, dst := slashed(m.Source), slashed(m.Destination)
	switch typ := strings.ToLower(m.Type); {
	case typ != "" && typ != "bind" && !slices.Contains(diskTypes, typ):
		return d.badMount(m, fmt.Sprintf("type %q is not one of bind, %s", m.Type, strings.Join(diskTypes, ", ")),
			"leave the type out for a file, directory or pipe")
	case strings.HasPrefix(m.Source, hugePagesPrefix):
		return d.badMount(m, "huge pages are for Linux guests", "")
	case strings.HasPrefix(m.Source, uvmPrefix):
		return d.guestPipe(m)
	case isPipe(src) || isPipe(dst):
		return d.pipe(m, src, dst)
	case strings.HasPrefix(m.Source, sandboxPrefix):
		return d.sandboxDir(m)
	case slices.Contains(diskTypes, typ):
		return d.disk(m)
	}
	return d.hostPath(m)
}

// where names a mount as the source of a crossing.
func where(m oci.Mount) string { return fmt.Sprintf("mounts[%d]", m.Index) }

func (d *decision) pipe(m oci.Mount, src, dst string) error {
	if !isPipe(src) || !isPipe(dst) {
		return d.badMount(m, `a named pipe needs \\.\pipe\NAME as source and as destination`, "")
	}
	name := dst[len(pipePrefix):]
	if name == "" || len(src) == len(pipePrefix) {
		return d.badMount(m, "the pipe has no name", "")
	}
	if d.plan.Mode == ModeHostProcess {
		return d.badMount(m, "a HostProcess container has no pipes of its own", "open "+src+" directly: it is there")
	}
	if d.in.Node.Policy.ForbidPipes {
		return d.in.Node.Deny(fmt.Sprintf("pipe %s (%s)", src, where(m)), "forbid_pipes")
	}
	d.plan.Container.Pipes = append(d.plan.Container.Pipes, Pipe{HostPath: src, ContainerName: name})
	d.cross(Crossing{Kind: CrossPipe, Host: src, Inside: dst, Write: true, Source: where(m)})
	return nil
}

// guestPipe is uvm://\\.\pipe\NAME, a pipe of the utility VM. Nothing of the
// host is opened.
func (d *decision) guestPipe(m oci.Mount) error {
	src, dst := slashed(strings.TrimPrefix(m.Source, uvmPrefix)), slashed(m.Destination)
	switch {
	case !d.plan.InVM() || d.plan.Mode == ModeHostProcess:
		return d.badMount(m, "uvm:// is of a utility VM, and this container has "+d.plan.Mode.String()+" isolation", "")
	case !isPipe(src) || !isPipe(dst) || len(dst) == len(pipePrefix) || len(src) == len(pipePrefix):
		return d.badMount(m, `of the utility VM only pipes can be mounted: uvm://\\.\pipe\NAME to \\.\pipe\NAME`, "")
	}
	// The guest keeps each pod's pipes below the pod's id, as runhcs has it
	// (uvm.ParseNamedPipe).
	inGuest := pipePrefix + strings.TrimSuffix(d.vm().ID, vmSuffix) + `\` + src[len(pipePrefix):]
	d.plan.Container.Pipes = append(d.plan.Container.Pipes,
		Pipe{HostPath: inGuest, ContainerName: dst[len(pipePrefix):], Guest: true})
	return nil
}

// sandboxDir is sandbox://PATH, a directory of the utility VM that the
// containers of the pod share. Nothing of the host is opened.
func (d *decision) sandboxDir(m oci.Mount) error {
	if d.plan.Mode != ModeHyperV {
		return d.badMount(m, "sandbox:// is a directory of a utility VM, and this container has "+d.plan.Mode.String()+" isolation", "mount a directory of the host")
	}
	rel := strings.Trim(strings.ReplaceAll(strings.TrimPrefix(m.Source, sandboxPrefix), `\`, "/"), "/")
	if rel == "" || path.Clean("/"+rel) != "/"+rel || strings.Contains(rel, ":") {
		return d.badMount(m, "sandbox:// needs a plain path without . and .. elements", "")
	}
	dst, err := d.destination(m)
	if err != nil {
		return err
	}
	d.addMount(m, strings.ReplaceAll(rel, "/", `\`), dst, MechanismSandbox)
	return nil
}

func (d *decision) disk(m oci.Mount) error {
	if !d.plan.InVM() || d.plan.Mode == ModeHostProcess {
		return d.badMount(m, fmt.Sprintf("type %s attaches a disk to a utility VM, and this container has %s isolation", m.Type, d.plan.Mode), "use Hyper-V isolation, or mount a directory")
	}
	src := m.Source
	switch strings.ToLower(m.Type) {
	case "extensible-virtual-disk":
		kind, rest, ok := strings.Cut(strings.TrimPrefix(src, "evd://"), "/")
		if !strings.HasPrefix(src, "evd://") || !ok || kind == "" || rest == "" {
			return d.badMount(m, "the source of an extensible virtual disk is evd://TYPE/PATH", "")
		}
	case "physical-disk":
		if src = slashed(src); !strings.HasPrefix(src, `\\.\`) || len(src) == 4 {
			return d.badMount(m, `the source of a physical disk is its device, as in \\.\PHYSICALDRIVE1`, "")
		}
	default:
		var ok bool
		if src, ok = cleanWindows(src); !ok {
			return d.badMount(m, "the source is not an absolute path", "give the path of a .vhd or .vhdx file")
		}
	}
	src, err := d.resolved(where(m), src, !m.ReadOnly)
	if err != nil {
		return err
	}
	dst, err := d.destination(m)
	if err != nil {
		return err
	}
	d.addMount(m, src, dst, MechanismSCSI)
	d.cross(Crossing{Kind: CrossDisk, Host: src, Inside: dst, Write: !m.ReadOnly, Source: where(m)})
	return nil
}

func (d *decision) hostPath(m oci.Mount) error {
	src, ok := cleanWindows(m.Source)
	if !ok {
		return d.badMount(m, "the source is not an absolute path", `give a drive as in C:\data, a share as in \\server\share, or a volume as in \\?\Volume{GUID}\`)
	}
	src, err := d.resolved(where(m), src, !m.ReadOnly)
	if err != nil {
		return err
	}
	dst, err := d.destination(m)
	if err != nil {
		return err
	}
	mech := MechanismBind
	if d.plan.InVM() {
		mech = MechanismVSMB
	}
	d.addMount(m, src, dst, mech)
	d.cross(Crossing{Kind: pathKind(src), Host: src, Inside: dst, Write: !m.ReadOnly, Source: where(m)})
	return nil
}

// resolved returns where a path of the host leads. The policy is asked about
// the path as it is written and about where it leads: a link in an allowed
// folder opens nothing that is not allowed.
func (d *decision) resolved(where, path string, write bool) (string, error) {
	if err := d.hostPathAllowed(where, path, write); err != nil {
		return "", err
	}
	s, looked := d.in.Sources[path]
	if !looked || strings.EqualFold(strings.TrimSuffix(s.Path, `\`), strings.TrimSuffix(path, `\`)) {
		return path, nil
	}
	real, ok := cleanWindows(s.Path)
	if !ok {
		return "", d.invalid("name a directory or file", "%s: %s leads to %s, which is none of a file system", where, path, s.Path)
	}
	if err := d.hostPathAllowed(where+", to which "+path+" leads", real, write); err != nil {
		return "", err
	}
	d.reason("source = "+real, where, path+" leads there")
	return real, nil
}

// HostPaths returns the paths of the host that the request names and that may
// be links: those of mounts and disks, cleaned, each once.
func HostPaths(r *oci.Request) []string {
	var paths []string
	for _, m := range r.Mounts {
		path, ok := cleanWindows(m.Source)
		if !ok || isPipe(slashed(m.Source)) || strings.Contains(m.Source, "://") || slices.Contains(paths, path) {
			continue
		}
		paths = append(paths, path)
	}
	return paths
}

// linuxMount classifies a mount of a Linux guest. What is not of the host is
// the guest's to make: proc, sysfs, tmpfs and their like.
func (d *decision) linuxMount(m oci.Mount) error {
	if !strings.HasPrefix(m.Destination, "/") {
		return d.badMount(m, "the destination is not an absolute Linux path", "begin it with /")
	}
	typ := strings.ToLower(m.Type)
	switch {
	case strings.HasPrefix(m.Source, hugePagesPrefix):
		d.addMount(m, m.Source, m.Destination, MechanismHugePages)
		return nil
	case strings.HasPrefix(m.Source, sandboxPrefix), strings.HasPrefix(m.Source, "sandbox-tmp://"), strings.HasPrefix(m.Source, uvmPrefix),
		typ != "" && typ != "bind" && !slices.Contains(diskTypes, typ):
		d.addMount(m, m.Source, m.Destination, MechanismGuest)
		return nil
	}
	src, ok := cleanWindows(m.Source)
	kind, mech := pathKind(src), MechanismPlan9
	if slices.Contains(diskTypes, typ) {
		kind, mech = CrossDisk, MechanismSCSI
		if !ok {
			src, ok = slashed(m.Source), typ != "virtual-disk"
		}
	}
	if !ok {
		return d.badMount(m, "the source is not an absolute path of the host", `give a drive as in C:\data`)
	}
	if err := d.hostPathAllowed(where(m), src, !m.ReadOnly); err != nil {
		return err
	}
	d.addMount(m, src, m.Destination, mech)
	d.cross(Crossing{Kind: kind, Host: src, Inside: m.Destination, Write: !m.ReadOnly, Source: where(m)})
	return nil
}

func (d *decision) addMount(m oci.Mount, src, dst string, mech Mechanism) {
	d.plan.Container.Mounts = append(d.plan.Container.Mounts,
		Mount{Source: src, Destination: dst, ReadOnly: m.ReadOnly, Mechanism: mech, Type: m.Type})
}

// destination returns where a Windows container sees a mount: an absolute path
// with its drive. One that begins with a backslash is on C:, as containerd's
// CRI has it; drive C: itself is the container's own.
func (d *decision) destination(m oci.Mount) (string, error) {
	dst := slashed(m.Destination)
	if strings.HasPrefix(dst, `\`) && !strings.HasPrefix(dst, `\\`) {
		dst = "C:" + dst
	}
	clean, ok := cleanWindows(dst)
	if !ok || strings.HasPrefix(clean, `\\`) {
		return "", d.badMount(m, "the destination is not an absolute path", `give one as in C:\data`)
	}
	if strings.EqualFold(strings.TrimSuffix(clean, `\`), "C:") {
		return "", d.badMount(m, "drive C: is the container's own file system", `mount to a directory of it`)
	}
	if d.onHost() && (containsFold(reservedFolders, clean) || strings.EqualFold(clean, d.plan.Container.HostProcess.RootfsFolder)) {
		return "", d.badMount(m, "a HostProcess container needs what is there", "mount to a directory of its own")
	}
	return clean, nil
}

// CleanDestination spells a destination as plans do; one that no plan has stays
// as it is.
func CleanDestination(path string) string {
	d := &decision{plan: &Plan{}, req: &oci.Request{}}
	if clean, err := d.destination(oci.Mount{Destination: path}); err == nil {
		return clean
	}
	return path
}

func isPipe(p string) bool {
	return len(p) >= len(pipePrefix) && strings.EqualFold(p[:len(pipePrefix)], pipePrefix)
}

func slashed(p string) string { return strings.ReplaceAll(p, "/", `\`) }

// volumePrefix begins the paths of a volume that has no drive letter.
const volumePrefix = `\\?\Volume{`

func pathKind(p string) CrossingKind {
	switch {
	case strings.HasPrefix(strings.ToLower(p), strings.ToLower(volumePrefix)):
		return CrossVolume
	case strings.HasPrefix(p, `\\`):
		return CrossShare
	}
	return CrossHostPath
}

// cleanWindows returns p as HCS wants it: absolute, with backslashes, without
// . and .. elements and without the \\?\ prefix (volumes keep it). It reports
// false for a path that is relative or of a device.
func cleanWindows(p string) (string, bool) {
	p = slashed(p)
	if isVolume := pathKind(p) == CrossVolume; !isVolume {
		if len(p) >= 8 && strings.EqualFold(p[:8], `\\?\UNC\`) {
			p = `\\` + p[8:]
		} else {
			p = strings.TrimPrefix(p, `\\?\`)
		}
	}
	root, rest, ok := splitRoot(p)
	if !ok {
		return "", false
	}
	rest = path.Clean("/" + strings.ReplaceAll(rest, `\`, "/"))
	if rest == "/" && pathKind(p) == CrossShare {
		rest = "" // a share is its own root; a drive or volume is not without the backslash
	}
	return root + strings.ReplaceAll(rest, "/", `\`), true
}

// splitRoot cuts the drive, share or volume off an absolute path.
func splitRoot(p string) (root, rest string, ok bool) {
	switch {
	case strings.HasPrefix(p, `\\.\`), strings.HasPrefix(p, `\\?\`) && pathKind(p) != CrossVolume:
		return "", "", false
	case pathKind(p) == CrossVolume:
		i := strings.Index(p, "}")
		if i < 0 || len(p) > i+1 && p[i+1] != '\\' {
			return "", "", false
		}
		return p[:i+1], p[i+1:], true
	case strings.HasPrefix(p, `\\`):
		parts := strings.SplitN(p[2:], `\`, 3)
		if len(parts) < 2 || strings.Trim(parts[0], ".") == "" || strings.Trim(parts[1], ".") == "" {
			return "", "", false
		}
		return `\\` + parts[0] + `\` + parts[1], strings.Join(parts[2:], `\`), true
	}
	if len(p) < 2 || p[1] != ':' || !isLetter(p[0]) || len(p) > 2 && p[2] != '\\' {
		return "", "", false
	}
	return p[:2], p[2:], true
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
