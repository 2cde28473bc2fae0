package guest

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/test/hcsemu"
)

// sharePrefix is where a Windows guest finds the host's shares (runhcs:
// uvm.vsmbSharePrefix).
const sharePrefix = `\\?\VMSMB\VSMB-{dcc079ae-60ba-4d07-847c-3493609c0870}\`

// Hardware is what the host has plugged into the machine. The emulator's side
// writes it, the agent reads it.
type Hardware struct {
	// Seen says where the guest finds a file of the host; nil is for a guest
	// in the host's own process. It is set before anything else is done.
	Seen func(host string) string

	mu     sync.Mutex
	disks  map[int]string    // LUN of controller 0 to disk file; guarded by mu
	shares map[string]string // name to folder; guarded by mu
	pci    map[string]string // GUID of the VMBus channel to the device of the host; guarded by mu

	drivers []string // folders whose drivers were installed; guarded by mu
}

// NewHardware returns what a machine is created with.
func NewHardware(doc *schema.VirtualMachine) *Hardware {
	h := &Hardware{disks: map[int]string{}, shares: map[string]string{}, pci: map[string]string{}}
	if doc == nil || doc.Devices == nil {
		return h
	}
	for _, controller := range doc.Devices.SCSI {
		for lun, disk := range controller.Attachments {
			if n, err := strconv.Atoi(lun); err == nil {
				h.disks[n] = disk.Path
			}
		}
	}
	if doc.Devices.VirtualSMB != nil {
		for _, s := range doc.Devices.VirtualSMB.Shares {
			h.shares[s.Name] = s.Path
		}
	}
	return h
}

// Share is a share that was added, or removed if Path is empty.
func (h *Hardware) Share(name, path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if path == "" {
		delete(h.shares, name)
		return
	}
	h.shares[name] = path
}

// Disk is a disk that was attached, or detached if file is empty.
func (h *Hardware) Disk(lun int, file string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if file == "" {
		delete(h.disks, lun)
		return
	}
	h.disks[lun] = file
}

// Device is a device of the host that was assigned, or taken away if instance
// is empty.
func (h *Hardware) Device(channel, instance string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if instance == "" {
		delete(h.pci, channel)
		return
	}
	h.pci[channel] = instance
}

// disk returns the file of an attached disk.
func (h *Hardware) disk(lun int) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	file, ok := h.disks[lun]
	if !ok {
		return "", fmt.Errorf("%w: no disk at LUN %d", hcsemu.EElementNotFound, lun)
	}
	return h.seen(file), nil
}

func (h *Hardware) seen(host string) string {
	if h.Seen == nil {
		return host
	}
	return h.Seen(host)
}

// resolve returns where the guest finds what it knows by a path in a share.
func (h *Hardware) resolve(path string) (string, error) {
	rest, ok := strings.CutPrefix(path, sharePrefix)
	if !ok {
		return path, nil // the guest's own
	}
	name, inside, _ := strings.Cut(rest, `\`)
	h.mu.Lock()
	defer h.mu.Unlock()
	folder, ok := h.shares[name]
	if !ok {
		return "", fmt.Errorf("%w: no share %s", hcsemu.EPathNotFound, name)
	}
	return filepath.Join(h.seen(folder), filepath.FromSlash(strings.ReplaceAll(inside, `\`, "/"))), nil
}
