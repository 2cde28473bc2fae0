package guest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/isolrun/isol/internal/gcs"
	"github.com/isolrun/isol/internal/gcs/gcstest"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/test/hcsemu"
)

// Machines is a runner that also boots virtual machines, whose guests live in
// this process: for tests on Linux. The service that runs under Wine has one
// whose guests are kernels of their own.
type Machines struct {
	hcsemu.Runner // of the host and of each guest

	// Build is the guests' Windows build.
	Build uint32

	// Fault is each agent's Config.Fault.
	Fault func(proc gcs.Procedure, body []byte) (resp any, hang bool)

	// NoGuest makes machines whose guest never connects.
	NoGuest bool

	mu       sync.Mutex
	sockets  map[string]*gcstest.Sockets // by runtime id; guarded by mu
	machines []*machine                  // guarded by mu
}

var _ hcsemu.MachineRunner = (*Machines)(nil)

// Sockets returns the host's hvsockets of one machine.
func (m *Machines) Sockets(runtimeID string) (gcs.Listener, error) {
	return m.socketsOf(runtimeID), nil
}

func (m *Machines) socketsOf(runtimeID string) *gcstest.Sockets {
	key := strings.ToLower(strings.Trim(runtimeID, "{}"))
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sockets == nil {
		m.sockets = map[string]*gcstest.Sockets{}
	}
	if m.sockets[key] == nil {
		m.sockets[key] = gcstest.NewSockets()
	}
	return m.sockets[key]
}

// Listeners returns how many hvsocket services the host listens on: what is
// left at the end is a leak.
func (m *Machines) Listeners() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, s := range m.sockets {
		n += s.Open()
	}
	return n
}

// Agents returns the agents of all machines that were booted, the last one last.
func (m *Machines) Agents() []*Agent {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []*Agent
	for _, x := range m.machines {
		if x.agent != nil {
			all = append(all, x.agent)
		}
	}
	return all
}

// Crash makes the machine booted last end as if its worker process had crashed.
func (m *Machines) Crash() { m.last().end(true, nil) }

// Bugcheck makes the kernel of the guest of the machine booted last crash.
func (m *Machines) Bugcheck(parameters ...uint64) { m.last().end(true, parameters) }

// ShutDown makes the guest of the machine booted last shut down by itself.
func (m *Machines) ShutDown() { m.last().ShutDown() }

func (m *Machines) last() *machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machines[len(m.machines)-1]
}

// NewMachine implements hcsemu.MachineRunner.
func (m *Machines) NewMachine(_ context.Context, spec hcsemu.MachineSpec) (hcsemu.Machine, error) {
	x := &machine{hardware: NewHardware(spec.Document), done: make(chan struct{})}
	if !m.NoGuest {
		sockets := m.socketsOf(fmt.Sprint(spec.RuntimeID))
		agent, err := Serve(Config{
			Build: m.Build, Runner: m.Runner, Hardware: x.hardware, Fault: m.Fault,
			Dial: func(service string) (net.Conn, error) { return sockets.Dial(service) },
			Gate: func(msg hcsemu.Message, handle func() (any, error)) error {
				return spec.Bridge(context.Background(), msg, func(context.Context) (any, error) { return handle() })
			},
		})
		if err != nil {
			return nil, fmt.Errorf("%w: the guest cannot reach its host: %w", hcsemu.EConnectFailed, err)
		}
		x.agent = agent
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.machines = append(m.machines, x)
	return x, nil
}

// machine is a machine whose guest lives in this process.
type machine struct {
	hardware *Hardware
	agent    *Agent // nil without guest
	done     chan struct{}
	once     sync.Once
	crashed  bool     // written before done is closed
	bugcheck []uint64 // likewise
}

func (x *machine) end(crashed bool, bugcheck []uint64) {
	x.once.Do(func() {
		x.crashed, x.bugcheck = crashed, bugcheck
		if x.agent != nil {
			x.agent.Close()
		}
		close(x.done)
	})
}

func (x *machine) WorkerPID() uint32     { return 0 }
func (x *machine) Done() <-chan struct{} { return x.done }
func (x *machine) Crashed() bool         { return x.crashed }
func (x *machine) Bugcheck() []uint64    { return x.bugcheck }
func (x *machine) ShutDown()             { x.end(false, nil) }
func (x *machine) Terminate()            { x.end(false, nil) }
func (x *machine) Close()                { x.end(false, nil) }

func (x *machine) Modify(_ context.Context, req schema.ModificationRequest) error {
	return Plug(x.hardware, req)
}

// Plug applies a modification of a machine's devices to its hardware. Resources
// that guests do not look for are none of its business.
func Plug(h *Hardware, req schema.ModificationRequest) error {
	settings, err := json.Marshal(req.Settings)
	if err != nil {
		return err
	}
	remove := req.RequestType == schema.RequestRemove
	if req.ResourcePath == schema.PathVMSMBShares {
		share, err := decode[schema.VirtualSMBShare](settings)
		if err != nil {
			return err
		}
		if remove {
			share.Path = ""
		}
		h.Share(share.Name, share.Path)
		return nil
	}
	const devices = "VirtualMachine/Devices/VirtualPci/"
	if channel, ok := strings.CutPrefix(req.ResourcePath, devices); ok {
		device := &schema.VirtualPCIDevice{}
		if !remove {
			if device, err = decode[schema.VirtualPCIDevice](settings); err != nil {
				return err
			}
		}
		instance := ""
		for _, f := range device.Functions {
			instance = f.DeviceInstancePath
		}
		h.Device(strings.ToLower(channel), instance)
		return nil
	}
	const disks = "VirtualMachine/Devices/Scsi/"
	if !strings.HasPrefix(req.ResourcePath, disks) {
		return nil
	}
	lun, err := strconv.Atoi(req.ResourcePath[strings.LastIndexByte(req.ResourcePath, '/')+1:])
	if err != nil {
		return fmt.Errorf("%w: %s", hcsemu.EInvalidArg, req.ResourcePath)
	}
	disk := &schema.Attachment{}
	if !remove {
		if disk, err = decode[schema.Attachment](settings); err != nil {
			return err
		}
	}
	h.Disk(lun, disk.Path)
	return nil
}
