package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"unsafe"

	"github.com/Microsoft/go-winio"
	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/service"
	"github.com/isolrun/isol/test/hcsemu/silo"
	"github.com/isolrun/isol/test/hcsemu/vm"
	"github.com/isolrun/isol/test/hcsemu/wire"
	"golang.org/x/sys/windows"
)

func dial(ctx context.Context) (io.ReadWriteCloser, error) {
	return winio.DialPipeContext(ctx, wire.PipeName)
}

// serve runs the service until it is asked to stop.
func serve(o serveOptions, in io.Reader, out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if o.parentStdin {
		go func() {
			_, _ = io.Copy(io.Discard, in) // its end is the news
			stop()
		}()
	}
	listener, err := winio.ListenPipe(wire.PipeName, nil)
	if err != nil {
		return fmt.Errorf("serve: %w (does another emulator run in this prefix?)", err)
	}
	if o.record != "" {
		file, err := os.OpenFile(o.record, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return errors.Join(fmt.Errorf("serve: record: %w", err), listener.Close())
		}
		defer file.Close()
		o.machine.Record = file
	}
	pipes := silo.NewPipes()
	var machines service.Machines
	if o.machine.Runner, machines, err = newRunner(o, pipes); err != nil {
		return errors.Join(fmt.Errorf("serve: %w", err), listener.Close())
	}
	o.machine.Disk = hcsemu.OSDisk{}
	o.machine.Kill = kill
	o.machine.ImageBuild = silo.ImageBuild
	o.machine.Folders = silo.Folders{}
	emulator := hcsemu.New(o.machine)
	defer emulator.Close()
	if err := emulator.AddFaults(o.faults...); err != nil {
		return errors.Join(fmt.Errorf("serve: faults: %w", err), listener.Close())
	}
	server := service.New(service.Config{Emulator: emulator, Exporter: pipes, Machines: machines, Log: o.log()})
	if _, err := fmt.Fprintln(out, "serving"); err != nil {
		return errors.Join(err, listener.Close())
	}
	err = server.Serve(ctx, listener)
	return errors.Join(err, emulator.RecordError())
}

// log is where the service says what it does.
func (o serveOptions) log() *slog.Logger {
	if !o.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, nil))
}

// newRunner returns the runner of containers and, if there is a folder of
// guests, of virtual machines.
func newRunner(o serveOptions, pipes *silo.Pipes) (hcsemu.Runner, service.Machines, error) {
	host := &silo.Runner{Pipes: pipes}
	if o.guests == "" {
		return host, nil, nil
	}
	own, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	// Wine sets WINECONFIGDIR: the prefix as an NT path on drive Z:, the file
	// system below Wine, which guests have, too.
	drive := strings.TrimPrefix(os.Getenv("WINECONFIGDIR"), `\??\`) + `\drive_c`
	sockets, ok := strings.CutPrefix(os.Getenv("ISOL_HVSOCK_DIR"), "C:")
	if !ok {
		return nil, nil, errors.New("guests need ISOL_HVSOCK_DIR, a folder on C:, in the environment")
	}
	runner := vm.NewRunner(vm.Config{
		Host: host, Worker: filepath.Join(filepath.Dir(own), "vmwp.exe"), Pool: vm.Pool(o.guests),
		Build: o.machine.Build, HostDrive: drive, Sockets: drive + sockets, Log: o.log(),
	})
	return runner, runner, nil
}

// kill ends a caller as kill -9 does, for fault plans.
func kill(c hcsemu.Caller) {
	process, err := windows.OpenProcess(windows.PROCESS_TERMINATE, false, c.PID)
	if err != nil {
		return // it has ended
	}
	_ = windows.TerminateProcess(process, 137) // fails if it is ending
	_ = windows.CloseHandle(process)
}

// hostProcess is one row of the host's process list.
type hostProcess struct {
	PID    uint32 `json:"pid"`
	Parent uint32 `json:"parent"`
	Name   string `json:"name"` // of the program: "ping.exe"
}

// ps prints the host's process list.
func ps(args []string, out io.Writer) error {
	flags := newFlags("ps")
	table := flags.Bool("table", false, "print a table in place of JSON")
	if err := parse(flags, args, 0); err != nil {
		return err
	}
	list, err := processes()
	if err != nil {
		return fmt.Errorf("ps: %w", err)
	}
	if !*table {
		return json.NewEncoder(out).Encode(list)
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "%8s %8s  %s\n", "PID", "PARENT", "PROGRAM")
	for _, p := range list {
		fmt.Fprintf(&text, "%8d %8d  %s\n", p.PID, p.Parent, p.Name)
	}
	_, err = out.Write(text.Bytes())
	return err
}

// processes lists the host's processes.
// https://learn.microsoft.com/windows/win32/toolhelp/taking-a-snapshot-and-viewing-processes
func processes() ([]hostProcess, error) {
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(snapshot)
	var list []hostProcess
	var entry windows.ProcessEntry32
	entry.Size = uint32(unsafe.Sizeof(entry))
	for err = windows.Process32First(snapshot, &entry); err == nil; err = windows.Process32Next(snapshot, &entry) {
		list = append(list, hostProcess{
			PID: entry.ProcessID, Parent: entry.ParentProcessID, Name: windows.UTF16ToString(entry.ExeFile[:]),
		})
	}
	if !errors.Is(err, windows.ERROR_NO_MORE_FILES) {
		return nil, err
	}
	return list, nil
}
