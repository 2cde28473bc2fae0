package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/dll"
	"github.com/isolrun/isol/test/hcsemu/service"
	"github.com/isolrun/isol/test/hcsemu/wire"
)

// EmulatorExe is the emulator: its service and the commands that query it.
const EmulatorExe = labFolder + `\hcsemu.exe`

const system32 = `C:\windows\system32`

// buildOurs builds what this tree gives to a lab: programs and the emulator's
// DLLs. It is built anew each time, which costs little where nothing changed.
// The result maps places in a lab to files, which stay as they are until
// release is called. With cri it has the programs for pods too.
func buildOurs(ctx context.Context, cache string, cri bool, progress func(string)) (files map[string]string, release func(), err error) {
	root, err := sourceRoot(ctx)
	if err != nil {
		return nil, nil, err
	}
	dir := filepath.Join(cache, "ours", digest([]byte(root)))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, fmt.Errorf("lab: %w", err)
	}
	unlock, err := lockFile(ctx, dir+".lock")
	if err != nil {
		return nil, nil, err
	}
	err = goBuild(ctx, root, dir, "the lab's own programs", progress, "./test/lab/cmd/labpipe",
		"./test/hcsemu/cmd/hcsemu", "./test/hcsemu/cmd/vmwp", "./test/hcsemu/cmd/guest")
	if err == nil && cri {
		err = errors.Join(goBuild(ctx, root, dir, "the lab's CNI plugin", progress, "./test/lab/cmd/labcni"),
			goBuild(ctx, filepath.Join(root, "test", "cri", "caller"), dir, "the CRI client", progress, "."))
	}
	if err == nil {
		err = dll.Build(ctx, dir)
	}
	if err != nil {
		unlock()
		return nil, nil, fmt.Errorf("lab: %w", err)
	}
	files = map[string]string{
		pipeExe:     filepath.Join(dir, "labpipe.exe"),
		EmulatorExe: filepath.Join(dir, "hcsemu.exe"),
		workerExe:   filepath.Join(dir, "vmwp.exe"),
		guestExe:    filepath.Join(dir, "guest.exe"),
	}
	if cri {
		files[CallerExe] = filepath.Join(dir, "caller.exe")
		files[cniExe] = filepath.Join(dir, "labcni.exe")
	}
	for _, name := range dll.Names() {
		// Go programs load DLLs by name from system32 only: x/sys/windows.NewLazySystemDLL.
		files[system32+`\`+name] = filepath.Join(dir, name)
	}
	return files, unlock, nil
}

// startEmulator starts the emulator's service and connects to it.
func (l *Lab) startEmulator(ctx context.Context) error {
	edition := "client"
	if l.Windows.Server {
		edition = "server"
	}
	args := []string{EmulatorExe, "serve", "--verbose", "--build", strconv.Itoa(l.Windows.Build), "--edition", edition}
	var err error
	l.emulator, err = l.startServer(ctx, "emulator", "serving", append(args, l.guests.serveFlags()...)...)
	if err != nil {
		return err
	}
	conn, err := l.Dial(l.ctx, wire.PipeName)
	if err != nil {
		return err
	}
	// One process of the lab holds one session: a number that no Windows process has.
	l.admin, err = wire.NewClient(conn, wire.Hello{Token: 1, PID: 1, DLL: "lab", Exe: "lab"})
	if err != nil {
		return errors.Join(fmt.Errorf("lab: connect to the emulator: %w", err), conn.Close())
	}
	return nil
}

// ask makes an administration request of the emulator, such as
// [service.AdminLedger], and decodes its answer if out is not nil.
func (l *Lab) ask(name, argument string, out any) error {
	ctx, cancel := context.WithTimeout(l.ctx, 30*time.Second)
	defer cancel()
	reply, err := l.admin.Call(ctx, name, wire.String(argument))
	if err != nil {
		return fmt.Errorf("lab: %s: %w", name, err)
	}
	answer := ""
	if len(reply.Outs) > 0 {
		answer = reply.Outs[0].Text
	}
	if int32(reply.Result) < 0 {
		return fmt.Errorf("lab: %s: 0x%08x %s", name, reply.Result, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal([]byte(answer), out); err != nil {
		return fmt.Errorf("lab: %s: %w", name, err)
	}
	return nil
}

// Ledger returns what the emulated services have handed out and not had back.
func (l *Lab) Ledger() (hcsemu.Ledger, error) {
	var ledger hcsemu.Ledger
	err := l.ask(service.AdminLedger, "", &ledger)
	return ledger, err
}

// Calls returns the recorded calls that the filter selects, in order.
func (l *Lab) Calls(filter hcsemu.CallFilter) ([]hcsemu.Call, error) {
	argument, err := json.Marshal(filter)
	if err != nil {
		return nil, fmt.Errorf("lab: call filter: %w", err)
	}
	var calls []hcsemu.Call
	err = l.ask(service.AdminCalls, string(argument), &calls)
	return calls, err
}

// Faults replaces the fault plan. With none, nothing goes wrong any more.
func (l *Lab) Faults(faults ...hcsemu.Fault) error {
	if faults == nil {
		faults = []hcsemu.Fault{}
	}
	plan, err := json.Marshal(faults)
	if err != nil {
		return fmt.Errorf("lab: fault plan: %w", err)
	}
	return l.ask(service.AdminFaults, string(plan), nil)
}

// HostProcess is a row of the emulated machine's process list.
type HostProcess struct {
	PID    uint32 `json:"pid"`
	Parent uint32 `json:"parent"`
	Name   string `json:"name"` // of its program: "ping.exe"
}

// Processes lists the processes of the emulated machine, as its kernel has them.
func (l *Lab) Processes(ctx context.Context) ([]HostProcess, error) {
	r, err := l.Run(ctx, EmulatorExe, "ps")
	if err != nil {
		return nil, err
	}
	var processes []HostProcess
	if err := json.Unmarshal([]byte(r.Stdout), &processes); err != nil {
		return nil, fmt.Errorf("lab: hcsemu ps: exit %d: %w: %s%s", r.ExitCode, err, r.Stdout, r.Stderr)
	}
	return processes, nil
}

// Hanging returns how many calls a hang of that name holds.
func (l *Lab) Hanging(name string) (n int, err error) {
	err = l.ask(service.AdminHanging, name, &n)
	return n, err
}

// Release lets the calls go on that a hang of that name holds, and returns how many.
func (l *Lab) Release(name string) (n int, err error) {
	err = l.ask(service.AdminRelease, name, &n)
	return n, err
}

// Crash ends a compute system as a failure of its kernel does.
func (l *Lab) Crash(systemID string) error { return l.ask(service.AdminCrash, systemID, nil) }

// Disconnect takes the compute service down, until Restore.
func (l *Lab) Disconnect() error { return l.ask(service.AdminDisconnect, "", nil) }

// Restore brings the compute service back after Disconnect.
func (l *Lab) Restore() error { return l.ask(service.AdminRestore, "", nil) }
