package uvm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/gcs"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/doc"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// sharePrefix is where a Windows guest finds its shares (runhcs: uvm.vsmbSharePrefix).
const sharePrefix = `\\?\VMSMB\VSMB-{dcc079ae-60ba-4d07-847c-3493609c0870}\`

// Release gives back one use of a device. It must be called once.
type Release = func(context.Context) error

// nothing is the Release of what was not acquired.
func nothing(context.Context) error { return nil }

type shareKey struct {
	path     string
	readOnly bool
	layer    bool
}

// fold makes one key of the spellings that Windows takes for one file.
func fold(path string) string { return strings.ToLower(filepath.Clean(path)) }

// ShareLayer shares a layer's folder and returns its path in the guest. The
// guest maps its files into memory, and taking such a share away pulls them
// from under whoever still has them open: so it stays until the VM ends, and
// the next container with this layer finds it there (runhcs: uvm.removeVSMB).
func (u *UVM) ShareLayer(ctx context.Context, folder string) (string, error) {
	key := shareKey{path: fold(folder), readOnly: true, layer: true}
	n, err := u.shares.acquire(ctx, key, func(n int) error {
		return u.addShare(ctx, schema.VirtualSMBShare{Name: shareName(n), Path: filepath.Clean(folder), Options: doc.LayerShareOptions(u.cfg.Plan.NoDirectMap)})
	})
	if err != nil {
		return "", fault.Wrap(u.noShare(err), "share layer", folder)
	}
	return sharePrefix + shareName(n), nil
}

// Share shares a host directory or a single file and returns its path in the
// guest. These shares are never mapped directly, so the last user's Release
// removes them. Errors: PermissionDenied if the plan forbids writable shares,
// NotFound if there is nothing at path.
func (u *UVM) Share(ctx context.Context, path string, readOnly bool) (string, Release, error) {
	if !readOnly && u.cfg.Plan.NoWritableShare {
		return "", nothing, &fault.Error{
			Kind: fault.PermissionDenied, Op: "share", Subject: path, Detail: "writable shares are forbidden in this utility VM",
			Hint: "mount it read-only, or allow writable shares",
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", nothing, &fault.Error{Kind: fault.NotFound, Op: "share", Subject: path, Err: err}
	}
	path = filepath.Clean(path)
	key := shareKey{path: fold(path), readOnly: readOnly}
	share := schema.VirtualSMBShare{Path: path, Options: doc.ShareOptions(readOnly, true)}
	suffix := ""
	if !info.IsDir() {
		// The share is of the folder, and lets the guest see this file alone.
		share.Path, suffix = filepath.Dir(path), `\`+filepath.Base(path)
		share.AllowedFiles = []string{path}
		share.Options.RestrictFileAccess, share.Options.SingleFileMapping = true, true
	}
	n, err := u.shares.acquire(ctx, key, func(n int) error {
		share.Name = shareName(n)
		return u.addShare(ctx, share)
	})
	if err != nil {
		return "", nothing, fault.Wrap(u.noShare(err), "share", path)
	}
	release := func(ctx context.Context) error {
		return u.released(u.shares.release(key, func(n int) error { return u.removeShare(ctx, shareName(n)) }))
	}
	return sharePrefix + shareName(n) + suffix, release, nil
}

// noShare says how many shares there are where the host gives no more. Microsoft
// publishes no number, and runhcs has none.
func (u *UVM) noShare(err error) error {
	if !errors.Is(err, hcs.ErrNoResources) {
		return err
	}
	return &fault.Error{
		Detail: fmt.Sprintf("the utility VM has %d shares of layers and mounts, and the host gives it no more", u.shares.count()), Err: err,
		Hint: "use fewer mounts and images in this pod: one mount of a folder does for all that is in it",
	}
}

func shareName(n int) string { return fmt.Sprintf("s%x", n) }

func (u *UVM) addShare(ctx context.Context, s schema.VirtualSMBShare) error {
	return u.modify(ctx, &schema.ModificationRequest{RequestType: schema.RequestAdd, ResourcePath: schema.PathVMSMBShares, Settings: &s})
}

func (u *UVM) removeShare(ctx context.Context, name string) error {
	return u.modify(ctx, &schema.ModificationRequest{
		RequestType: schema.RequestRemove, ResourcePath: schema.PathVMSMBShares, Settings: &schema.VirtualSMBShare{Name: name},
	})
}

// released takes the end of the VM for the release of all that was in it.
func (u *UVM) released(err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-u.done:
		return nil
	default:
		return err
	}
}

// diskKey tells writable users of a disk from read-only ones: HCS refuses the
// second kind, where one attachment for both would give it what it did not ask.
type diskKey struct {
	path     string
	readOnly bool
}

// Attach attaches a disk and mounts it in the guest, and returns the mount's
// path. Errors: ResourceExhausted if all LUNs are in use, FailedPrecondition for
// a disk that an earlier user could only take off by half.
func (u *UVM) Attach(ctx context.Context, disk schema.Attachment) (string, Release, error) {
	key := diskKey{fold(disk.Path), disk.ReadOnly}
	lun, err := u.disks.acquire(ctx, key, func(lun int) error { return u.addDisk(ctx, disk, lun) })
	if err != nil {
		return "", nothing, fault.Wrap(err, "attach", disk.Path)
	}
	done := u.removalOf(key)
	release := func(ctx context.Context) error {
		return u.released(u.disks.release(key, func(lun int) error {
			err := u.removeDisk(ctx, disk, lun, done)
			if err == nil {
				u.forgetRemoval(key) // the disk may come anew
			}
			return err
		}))
	}
	if *done != (removal{}) {
		// Its mount point is an empty folder of the guest's own disk.
		err := &fault.Error{Kind: fault.FailedPrecondition, Op: "attach", Subject: disk.Path,
			Detail: "an earlier container's use of it could only be taken back by half", Hint: "delete that container again"}
		return "", nothing, errors.Join(err, release(ctx))
	}
	return guestMount(lun), release, nil
}

// removalOf is what of removing a disk is done. All its users share it: while
// one has the disk, nobody changes it.
func (u *UVM) removalOf(key diskKey) *removal {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.removals[key] == nil {
		u.removals[key] = new(removal)
	}
	return u.removals[key]
}

func (u *UVM) forgetRemoval(key diskKey) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.removals, key)
}

// guestMount is where the disk at a LUN is mounted (runhcs: guestpath, with a
// counter where the LUN serves here: one disk is mounted once).
func guestMount(lun int) string { return fmt.Sprintf(`c:\mounts\scsi\m%d`, lun) }

// isFile reports whether the disk is a file, or device, that the worker process
// opens and must be let: a storage provider opens its own (as runhcs does).
func isFile(disk schema.Attachment) bool { return disk.Type != schema.AttachmentExtensible }

func (u *UVM) addDisk(ctx context.Context, disk schema.Attachment, lun int) error {
	revoke := func(context.Context) error { return nil }
	if isFile(disk) {
		if err := u.grant(ctx, disk.Path); err != nil {
			return err
		}
		revoke = func(ctx context.Context) error { return u.revoke(ctx, disk.Path) }
	}
	err := u.modify(ctx, &schema.ModificationRequest{
		RequestType: schema.RequestAdd, ResourcePath: schema.PathSCSI(doc.SCSIController, uint8(lun)), Settings: &disk,
	})
	if err != nil {
		return errors.Join(err, u.undo(revoke))
	}
	err = u.guest.Modify(ctx, diskModification(gcs.RequestAdd, lun))
	if err != nil {
		return errors.Join(err, u.undo(func(ctx context.Context) error { return u.detach(ctx, disk, lun, new(removal)) }))
	}
	return nil
}

func diskModification(do gcs.RequestType, lun int) *gcs.Modification {
	return &gcs.Modification{
		ResourceType: gcs.ResourceMappedVirtualDisk, RequestType: do,
		Settings: gcs.MappedVirtualDisk{ContainerPath: guestMount(lun), Lun: int32(lun)},
	}
}

// removal is what of removing a disk is done, for a second try: a guest refuses
// to unmount what is not mounted, and the host to detach what is not attached.
type removal struct{ unmounted, detached bool }

// removeDisk unmounts and detaches.
func (u *UVM) removeDisk(ctx context.Context, disk schema.Attachment, lun int, done *removal) error {
	if !done.unmounted {
		if err := u.guest.Modify(ctx, diskModification(gcs.RequestRemove, lun)); err != nil {
			return err
		}
		done.unmounted = true
	}
	return u.detach(ctx, disk, lun, done)
}

// detach takes a disk from the VM, and the access to its file back.
func (u *UVM) detach(ctx context.Context, disk schema.Attachment, lun int, done *removal) error {
	if !done.detached {
		err := u.modify(ctx, &schema.ModificationRequest{RequestType: schema.RequestRemove, ResourcePath: schema.PathSCSI(doc.SCSIController, uint8(lun))})
		if err != nil {
			return err
		}
		done.detached = true
	}
	if !isFile(disk) {
		return nil
	}
	return u.revoke(ctx, disk.Path)
}

// readAtMost reads text to its end, or to limit.
func readAtMost(r io.Reader, limit int64) string {
	if r == nil {
		return ""
	}
	text, _ := io.ReadAll(io.LimitReader(r, limit)) // what was read before a failure says why the program ended
	return string(text)
}

// undo runs one step back on a deadline of its own: the step forward may have
// failed because its caller's time was up.
func (u *UVM) undo(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), u.cfg.Deadlines.Undo)
	defer cancel()
	return u.released(f(ctx))
}

// SharePipe shares a named pipe of the host and returns its path in the guest.
func (u *UVM) SharePipe(ctx context.Context, hostPath string) (string, Release, error) {
	request := func(do schema.RequestType) *schema.ModificationRequest {
		return &schema.ModificationRequest{RequestType: do, ResourcePath: schema.PathPipe(hostPath)}
	}
	_, err := u.pipes.acquire(ctx, hostPath, func(int) error { return u.modify(ctx, request(schema.RequestAdd)) })
	if err != nil {
		return "", nothing, fault.Wrap(err, "share pipe", hostPath)
	}
	release := func(ctx context.Context) error {
		return u.released(u.pipes.release(hostPath, func(int) error { return u.modify(ctx, request(schema.RequestRemove)) }))
	}
	const pipePrefix = `\\.\pipe\`
	return sharePrefix + `IPC$\` + hostPath[min(len(pipePrefix), len(hostPath)):], release, nil
}
