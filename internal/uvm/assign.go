package uvm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/Microsoft/go-winio/pkg/guid"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// buildNUMAAffinity is the first build whose assigned devices tell the guest
// their NUMA node (runhcs: uvm.AssignDevice).
const buildNUMAAffinity = 26100

// function is a function of a PCI device of the host.
type function struct {
	instance string // device instance path: PCI\VEN_8086&DEV_1520\3&11583659&0&A0
	virtual  uint16
}

// parseFunction cuts the number of a virtual function off a device's path, as
// runhcs takes it: PCI\…\3&…&A0\2.
func parseFunction(id string) function {
	if cut := strings.LastIndexAny(id, `\/`); cut > 0 {
		if n, err := strconv.ParseUint(id[cut+1:], 10, 16); err == nil {
			return function{instance: id[:cut], virtual: uint16(n)}
		}
	}
	return function{instance: id}
}

func (f function) key() function { return function{strings.ToLower(f.instance), f.virtual} }

// Assign gives a device of the host to the VM and returns the location paths
// of what the guest then finds: containers in the VM are given those. Users
// are counted, the last one's release takes the device away. Errors:
// FailedPrecondition without the guest program, AlreadyExists and others of
// HCS for a device that another VM has.
//
// The device appears in the guest below a VMBus channel of a GUID that the
// host chooses, so the guest's device tree says what belongs to it (runhcs:
// devices.AddDevice).
func (u *UVM) Assign(ctx context.Context, id string) ([]string, Release, error) {
	f := parseFunction(id)
	_, err := u.devices.acquire(ctx, f.key(), func(int) error { return u.plugDevice(ctx, f) })
	if err != nil {
		return nil, nothing, &fault.Error{Op: "assign device", Subject: id, Err: err,
			Hint: "Get-PnpDevice names it; it must be dismounted from the host (Dismount-VMHostAssignableDevice) and free"}
	}
	release := func(ctx context.Context) error {
		return u.released(u.devices.release(f.key(), func(int) error { return u.unplugDevice(ctx, f) }))
	}
	u.mu.Lock()
	locations := u.assigned[f.key()].locations
	u.mu.Unlock()
	return locations, release, nil
}

// assignment is a device that the VM has.
type assignment struct {
	channel   string // GUID of the VMBus channel
	locations []string
}

func (u *UVM) plugDevice(ctx context.Context, f function) error {
	channel, err := guid.NewV4()
	if err != nil {
		return err
	}
	device := &schema.VirtualPCIDevice{Functions: []schema.VirtualPCIFunction{{DeviceInstancePath: f.instance, VirtualFunction: f.virtual}}}
	if u.cfg.HostBuild >= buildNUMAAffinity {
		yes := true
		device.PropagateNUMAAffinity = &yes
	}
	path := schema.PathPCI(channel.String())
	if err := u.modify(ctx, &schema.ModificationRequest{RequestType: schema.RequestAdd, ResourcePath: path, Settings: device}); err != nil {
		return err
	}
	a := assignment{channel: channel.String()}
	if a.locations, err = u.locate(ctx, a.channel); err != nil {
		return errors.Join(err, u.undo(func(ctx context.Context) error {
			return u.modify(ctx, &schema.ModificationRequest{RequestType: schema.RequestRemove, ResourcePath: path})
		}))
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.assigned[f.key()] = a
	return nil
}

func (u *UVM) unplugDevice(ctx context.Context, f function) error {
	u.mu.Lock()
	channel := u.assigned[f.key()].channel
	u.mu.Unlock()
	err := u.modify(ctx, &schema.ModificationRequest{RequestType: schema.RequestRemove, ResourcePath: schema.PathPCI(channel)})
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.assigned, f.key())
	return nil
}

// channelType is the VMBus channel type of assigned devices (runhcs:
// controller/device/vpci).
const channelType = "{44c4f61d-4444-4400-9d52-802e27ede19f}"

// locate asks the guest for the location paths of what lies below a channel.
func (u *UVM) locate(ctx context.Context, channel string) ([]string, error) {
	out, err := u.runTool(ctx, "devices", `VMBUS\`+channelType+`\{`+channel+`}`)
	if err != nil {
		return nil, err
	}
	locations := strings.Fields(out)
	if len(locations) == 0 {
		return nil, fault.New(fault.FailedPrecondition, "the guest finds nothing on the device's channel: it has no driver for it, or the device does not start")
	}
	return locations, nil
}

// InstallDrivers installs the drivers in a folder of the host, and those below
// it, in the guest. The folder stays shared until the release. Whatever the
// spec calls it, the guest's program is told the share's path, and no shell
// reads the line.
func (u *UVM) InstallDrivers(ctx context.Context, folder string) (Release, error) {
	shared, release, err := u.Share(ctx, folder, true)
	if err != nil {
		return nothing, err
	}
	out, code, err := u.run(ctx, `C:\Windows\System32\pnputil.exe /add-driver `+shared+`\*.inf /subdirs /install`)
	switch {
	case err != nil:
	case code == errorNoMoreItems:
		// What the folder holds is there already, or ranks below what is: the
		// second container of a pod finds it so.
		u.cfg.Log.Info("the guest has these drivers, or better ones", "vm", u.ID(), "folder", folder)
	case code != 0:
		err = fault.New(fault.FailedPrecondition, "pnputil in the guest ended with %d: %s", code, strings.TrimSpace(out))
	}
	if err != nil {
		return nothing, errors.Join(fault.Wrap(err, "install drivers of", folder), u.undo(release))
	}
	return release, nil
}

// errorNoMoreItems is ERROR_NO_MORE_ITEMS, with which pnputil ends when it had
// nothing to do: https://learn.microsoft.com/windows-hardware/drivers/devtest/pnputil-return-values
const errorNoMoreItems = 259

// sandboxRoot is where the directories lie that the containers of a pod share
// (runhcs: guestpath.WCOWSandboxMountPath).
const sandboxRoot = `C:\SandboxMounts\`

// SandboxDirectory makes a directory in the guest that all containers of the
// pod see under the same name, and returns its path there. It goes with the
// VM. Errors: FailedPrecondition without the guest program.
func (u *UVM) SandboxDirectory(ctx context.Context, name string) (string, error) {
	path := sandboxRoot + name
	if _, err := u.runTool(ctx, "mkdir", path); err != nil {
		return "", fault.Wrap(err, "make directory in the utility VM", path)
	}
	return path, nil
}

// Tool is the name of the program that isol runs in guests, which lies beside
// the shim: see cmd/isol-guest.
const Tool = "isol-guest.exe"

// FindTool returns where the program lies if it was installed: beside this one.
func FindTool() string {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0] // the folder that containerd started it from
	}
	return filepath.Join(filepath.Dir(self), Tool)
}

// runTool runs the guest program with the given arguments and returns what it
// prints. It is shared with the guest for as long as it runs.
func (u *UVM) runTool(ctx context.Context, verb, argument string) (_ string, err error) {
	if u.cfg.Tool == "" {
		return "", fault.New(fault.Unimplemented, "this isol has no program for guests")
	}
	if _, err := os.Stat(u.cfg.Tool); err != nil {
		return "", &fault.Error{Kind: fault.FailedPrecondition, Op: "run in the guest", Subject: Tool, Err: err,
			Hint: "install it beside the shim: it comes with it"}
	}
	shared, release, err := u.Share(ctx, u.cfg.Tool, true)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, u.undo(release)) }()
	out, code, err := u.run(ctx, shared+" "+verb+` "`+argument+`"`)
	if err == nil && code != 0 {
		err = fault.New(fault.Internal, "%s %s in the guest ended with %d: %s", Tool, verb, code, strings.TrimSpace(out))
	}
	return out, err
}

// maxOutput is more than any of the programs prints that run says.
const maxOutput = 64 << 10

// run runs a program of the VM itself and returns what it printed and its exit
// code. It ends with ctx.
func (u *UVM) run(ctx context.Context, commandLine string) (string, uint32, error) {
	ctx, cancel := context.WithTimeout(ctx, u.cfg.Deadlines.Call)
	defer cancel()
	p, err := u.guest.CreateProcess(ctx, &schema.ProcessParameters{CommandLine: commandLine, CreateStdOutPipe: true})
	if err != nil {
		return "", 0, err
	}
	stop := context.AfterFunc(ctx, func() { _ = p.Close() }) // ends the read below
	defer stop()
	text := readAtMost(p.Stdout(), maxOutput)
	select {
	case <-p.Done():
	case <-ctx.Done():
		return "", 0, errors.Join(fmt.Errorf("%s: %w", commandLine, context.Cause(ctx)), p.Close())
	}
	code, err := p.ExitCode()
	return text, code, errors.Join(err, closed(p.Close()))
}
