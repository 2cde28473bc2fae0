package guest

import (
	"context"
	"fmt"
	"strings"

	"github.com/isolrun/isol/test/hcsemu"
)

// machineSilo runs what the host asks of the machine itself. Programs come from
// shares of the host, as they do in a real guest; what a guest's Plug and Play
// answers is played, since nothing here has a device tree.
type machineSilo struct {
	hcsemu.Silo
	played   hcsemu.Silo
	hardware *Hardware
}

func newMachineSilo(ctx context.Context, runner hcsemu.Runner, hardware *Hardware, id string) (hcsemu.Silo, error) {
	real, err := runner.NewSilo(ctx, hcsemu.SiloSpec{ID: id})
	if err != nil {
		return nil, err
	}
	programs := hcsemu.NewScripted()
	programs.Handle("pnputil", hardware.pnputil)
	programs.Handle("isol-guest", hardware.devices)
	played, err := programs.NewSilo(ctx, hcsemu.SiloSpec{ID: id})
	if err != nil {
		return nil, err
	}
	return &machineSilo{Silo: real, played: played, hardware: hardware}, nil
}

// Start implements [hcsemu.Silo].
func (s *machineSilo) Start(ctx context.Context, spec hcsemu.ProcessSpec) (hcsemu.RunningProcess, error) {
	line := strings.ToLower(spec.CommandLine)
	if strings.Contains(line, `\pnputil.exe `) || strings.Contains(line, `isol-guest.exe devices `) {
		return s.played.Start(ctx, spec)
	}
	if rest, ok := strings.CutPrefix(spec.CommandLine, sharePrefix); ok {
		program, arguments, _ := strings.Cut(rest, " ")
		seen, err := s.hardware.resolve(sharePrefix + program)
		if err != nil {
			return nil, err
		}
		spec.CommandLine = strings.TrimSpace(`"` + seen + `" ` + arguments)
	}
	return s.Silo.Start(ctx, spec)
}

// pnputil installs drivers from a share: pnputil.exe /add-driver FOLDER\*.inf
// /subdirs /install. What it was given is in [Hardware.Drivers].
func (h *Hardware) pnputil(p *hcsemu.Exec) uint32 {
	const noMoreItems, notFound = 259, 2
	if len(p.Args) != 5 || p.Args[1] != "/add-driver" {
		fmt.Fprintln(p.Stdout, "usage: pnputil /add-driver FOLDER\\*.inf /subdirs /install")
		return 1
	}
	folder, err := h.resolve(strings.TrimSuffix(p.Args[2], `\*.inf`))
	if err != nil {
		fmt.Fprintln(p.Stdout, err)
		return notFound
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.drivers {
		if d == folder {
			fmt.Fprintln(p.Stdout, "Driver package is up-to-date on the system.")
			return noMoreItems
		}
	}
	h.drivers = append(h.drivers, folder)
	return 0
}

// devices is the guest program's list of what lies below a VMBus channel: one
// function for each device that is plugged in there.
func (h *Hardware) devices(p *hcsemu.Exec) uint32 {
	if len(p.Args) != 3 || p.Args[1] != "devices" {
		return 2
	}
	channel := strings.ToLower(p.Args[2][strings.LastIndexByte(p.Args[2], '\\')+1:])
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.pci[strings.Trim(channel, "{}")]; !ok {
		fmt.Fprintf(p.Stderr, "there is no device %s\n", p.Args[2])
		return 1
	}
	fmt.Fprintf(p.Stdout, "PCIROOT(%s)#PCI(0000)\n", strings.ToUpper(channel[1:5]))
	return 0
}

// Drivers returns the folders whose drivers were installed.
func (h *Hardware) Drivers() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.drivers...)
}
