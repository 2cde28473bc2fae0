package hcsemu

import (
	"context"
	"strings"
	"time"
)

// volumeFolder is a folder of the host on which a volume is mounted. It is
// guarded by the emulator's mu.
type volumeFolder struct {
	folder, volume string
	owner          Caller
	since          time.Time
}

// FolderMounter shows a volume's files in a folder of the host: the lab's
// service implements it by making copies. roots are the folders whose files
// make up the volume, topmost first.
type FolderMounter interface {
	MountFolder(folder string, roots []string) error
	UnmountFolder(folder string) error

	// Link shows target at link, which lies below a mounted folder.
	Link(target, link string) error
}

// SetVolumeMountPoint mounts the volume of a prepared layer on a folder.
// https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-setvolumemountpointw
func (c *Client) SetVolumeMountPoint(ctx context.Context, folder, volume string) error {
	req := request{function: "SetVolumeMountPointW", args: Args{"folder": folder, "volume": volume}, offline: true}
	return c.simple(ctx, req, func(context.Context) error {
		if !strings.HasSuffix(folder, `\`) || !strings.HasSuffix(volume, `\`) {
			return fail(EInvalidArg, "folder and volume end with a backslash, not %q and %q", folder, volume)
		}
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		key := normalPath(folder)
		if c.e.folders[key] != nil {
			return fail(EInvalidArg, "%s is a mount point", folder)
		}
		roots := c.e.rootsLocked(volume)
		if len(roots) == 0 {
			return fail(EFileNotFound, "there is no volume %s", volume)
		}
		if m := c.e.config.Folders; m != nil {
			if err := m.MountFolder(strings.TrimRight(folder, `\`), roots); err != nil {
				return fail(EFail, "%v", err)
			}
		}
		c.e.folders[key] = &volumeFolder{folder: folder, volume: volume, owner: c.caller, since: c.e.config.Now()}
		return nil
	})
}

// rootsLocked returns the folders of a prepared layer's volume, nil for none.
func (e *Emulator) rootsLocked(volume string) []string {
	for _, l := range e.layers {
		if l.state == layerPrepared && strings.EqualFold(l.volume, volume) {
			roots := []string{l.path}
			for _, p := range l.parents {
				roots = append(roots, p.Path)
			}
			return roots
		}
	}
	return nil
}

// DeleteVolumeMountPoint undoes SetVolumeMountPoint.
// https://learn.microsoft.com/windows/win32/api/fileapi/nf-fileapi-deletevolumemountpointw
func (c *Client) DeleteVolumeMountPoint(ctx context.Context, folder string) error {
	req := request{function: "DeleteVolumeMountPointW", args: Args{"folder": folder}, offline: true}
	return c.simple(ctx, req, func(context.Context) error {
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		key := normalPath(folder)
		if c.e.folders[key] == nil {
			return fail(EInvalidArg, "%s is no mount point", folder)
		}
		if m := c.e.config.Folders; m != nil {
			if err := m.UnmountFolder(strings.TrimRight(folder, `\`)); err != nil {
				return fail(EFail, "%v", err)
			}
		}
		delete(c.e.folders, key)
		return nil
	})
}

// CreateSymbolicLink makes a link below a folder on which a volume is mounted.
// https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-createsymboliclinkw
func (c *Client) CreateSymbolicLink(ctx context.Context, link, target string) error {
	req := request{function: "CreateSymbolicLinkW", args: Args{"link": link, "target": target}, offline: true}
	return c.simple(ctx, req, func(context.Context) error {
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		below := false
		for key := range c.e.folders {
			below = below || strings.HasPrefix(normalPath(link), key+`\`)
		}
		if !below {
			return fail(EPathNotFound, "%s is not below a folder with a volume", link)
		}
		if m := c.e.config.Folders; m != nil {
			if err := m.Link(target, link); err != nil {
				return fail(EFail, "%v", err)
			}
		}
		return nil
	})
}
