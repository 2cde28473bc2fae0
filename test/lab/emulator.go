package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

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
// release is called.
func buildOurs(ctx context.Context, cache string, progress func(string)) (files map[string]string, release func(), err error) {
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
	err = goBuild(ctx, root, dir, "the lab's own programs", progress, "./test/lab/cmd/labpipe", "./test/hcsemu/cmd/hcsemu")
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
	}
	for _, name := range dll.Names() {
		// DLLs come from system32 only: fact 7 of docs/lab.md.
		files[system32+`\`+name] = filepath.Join(dir, name)
	}
	return files, unlock, nil
}

// startEmulator starts the emulator's service and connects to it.
func (l *Lab) startEmulator(ctx context.Context) error {
	var err error
	if l.emulator, err = l.startServer(ctx, "emulator", "serving", EmulatorExe, "serve"); err != nil {
		return err
	}
	conn, err := l.Dial(l.ctx, wire.PipeName)
	if err != nil {
		return err
	}
	if l.admin, err = newAdmin(conn); err != nil {
		return errors.Join(fmt.Errorf("lab: connect to the emulator: %w", err), conn.Close())
	}
	return nil
}

// admin is a connection to the emulator for the requests of
// [service.AdminLedger] and its like, one at a time.
type admin struct {
	mu   sync.Mutex
	conn net.Conn // guarded by mu
	last uint64   // guarded by mu: the last request's id
}

// newAdmin introduces itself to the emulator on conn.
func newAdmin(conn net.Conn) (*admin, error) {
	a := &admin{conn: conn}
	hello := wire.Hello{Token: uint64(os.Getpid()) << 32, Role: wire.RoleCalls, DLL: "lab", Exe: "lab"}
	_, err := a.exchange(hello.Frame())
	return a, err
}

// exchange sends a frame and reads its reply.
func (a *admin) exchange(f *wire.Frame) ([]wire.Value, error) {
	if err := wire.Write(a.conn, f); err != nil {
		return nil, err
	}
	answer, err := wire.Read(a.conn)
	if err != nil {
		return nil, err
	}
	reply, err := wire.ParseReply(answer)
	if err == nil && reply.Result != 0 {
		err = &hcsemu.Error{Code: hcsemu.HRESULT(reply.Result), Message: "the emulator refused"}
	}
	return reply.Outs, err
}

// ask makes an administration request and decodes its answer, if there is one
// and out is not nil.
func (a *admin) ask(name, argument string, out any) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	request := wire.Request{Call: a.last, Name: name, Args: []wire.Value{wire.String(argument)}}
	outs, err := a.exchange(request.Frame())
	if err == nil && out != nil {
		if len(outs) != 1 {
			return fmt.Errorf("lab: %s: %d values in the answer, 1 was expected", name, len(outs))
		}
		err = json.Unmarshal([]byte(outs[0].Text), out)
	}
	if err != nil {
		return fmt.Errorf("lab: %s: %w", name, err)
	}
	return nil
}

// Ledger returns what the emulated services have handed out and not had back.
func (l *Lab) Ledger() (hcsemu.Ledger, error) {
	var ledger hcsemu.Ledger
	err := l.admin.ask(service.AdminLedger, "", &ledger)
	return ledger, err
}

// Calls returns the recorded calls that the filter selects, in order.
func (l *Lab) Calls(filter hcsemu.CallFilter) ([]hcsemu.Call, error) {
	argument, err := json.Marshal(filter)
	if err != nil {
		return nil, fmt.Errorf("lab: call filter: %w", err)
	}
	var calls []hcsemu.Call
	err = l.admin.ask(service.AdminCalls, string(argument), &calls)
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
	return l.admin.ask(service.AdminFaults, string(plan), nil)
}

// Hanging returns how many calls a hang of that name holds.
func (l *Lab) Hanging(name string) (n int, err error) {
	err = l.admin.ask(service.AdminHanging, name, &n)
	return n, err
}

// Release lets the calls go on that a hang of that name holds, and returns how many.
func (l *Lab) Release(name string) (n int, err error) {
	err = l.admin.ask(service.AdminRelease, name, &n)
	return n, err
}

// Crash ends a compute system as a failure of its kernel does.
func (l *Lab) Crash(systemID string) error { return l.admin.ask(service.AdminCrash, systemID, nil) }

// Disconnect takes the compute service down, until Restore.
func (l *Lab) Disconnect() error { return l.admin.ask(service.AdminDisconnect, "", nil) }

// Restore brings the compute service back after Disconnect.
func (l *Lab) Restore() error { return l.admin.ask(service.AdminRestore, "", nil) }
