package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/service"
	"github.com/isolrun/isol/test/hcsemu/wire"
)

// queryTimeout bounds every question to the service.
const queryTimeout = 30 * time.Second

// dialer connects to the service.
type dialer func(ctx context.Context) (io.ReadWriteCloser, error)

// query asks the running service.
func query(name string, args []string, out io.Writer, dial dialer) error {
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	ask := func(function, argument string) (string, error) { return ask(ctx, dial, function, argument) }
	switch name {
	case "ping":
		return ping(ctx, args, dial)
	case "ledger":
		return ledger(args, out, ask)
	case "calls":
		return calls(args, out, ask)
	case "faults":
		return faults(args, ask)
	case "disconnect":
		return simple(name, args, 0, out, service.AdminDisconnect, ask)
	case "restore":
		return simple(name, args, 0, out, service.AdminRestore, ask)
	case "stop":
		return stop(ctx, args, dial)
	case "vm":
		return machine(args, out, ask)
	case "crash":
		return simple(name, args, 1, out, service.AdminCrash, ask)
	case "release":
		return simple(name, args, 1, out, service.AdminRelease, ask)
	case "hanging":
		return simple(name, args, 1, out, service.AdminHanging, ask)
	}
	return fmt.Errorf("there is no command %q", name)
}

// stop ends the service and returns when it has gone.
func stop(ctx context.Context, args []string, dial dialer) error {
	if err := parse(newFlags("stop"), args, 0); err != nil {
		return err
	}
	// The connection may end before the answer.
	if _, err := ask(ctx, dial, service.AdminStop, ""); err != nil && !errors.Is(err, wire.ErrLost) {
		return err
	}
	for {
		conn, err := dial(ctx)
		if err != nil {
			return context.Cause(ctx)
		}
		_ = conn.Close() // nothing was said on it
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// machine lists the virtual machines, or does something to one.
func machine(args []string, out io.Writer, ask asker) error {
	if len(args) == 1 && args[0] == "list" {
		return simple("vm list", nil, 0, out, service.AdminMachines, ask)
	}
	if len(args) != 2 {
		return errors.New("vm: list, or a verb (crash, bugcheck, hang, resume, close-bridge, garbage, left, shutdown, off) and an id is allowed")
	}
	answer, err := ask(service.AdminMachine, args[0]+" "+args[1])
	if err == nil && answer != "" {
		_, err = fmt.Fprintln(out, answer)
	}
	return err
}

type asker func(function, argument string) (string, error)

// ask sends one administration request.
func ask(ctx context.Context, dial dialer, function, argument string) (string, error) {
	conn, err := dial(ctx)
	if err != nil {
		return "", fmt.Errorf("no emulator answers on %s: %w", wire.PipeName, err)
	}
	exe, err := os.Executable()
	if err != nil {
		exe = "hcsemu"
	}
	token := uint64(os.Getpid())<<32 ^ uint64(time.Now().UnixNano())
	client, err := wire.NewClient(conn, wire.Hello{Token: token, PID: uint32(os.Getpid()), DLL: "hcsemu", Exe: exe})
	if err != nil {
		return "", err
	}
	defer client.Close()
	reply, err := client.Call(ctx, function, wire.String(argument))
	if err != nil {
		return "", err
	}
	answer := ""
	if len(reply.Outs) > 0 {
		answer = reply.Outs[0].Text
	}
	if int32(reply.Result) < 0 {
		return "", fmt.Errorf("%s: 0x%08x %s", function, reply.Result, answer)
	}
	return answer, nil
}

// ping waits until a service answers.
func ping(ctx context.Context, args []string, dial dialer) error {
	flags := newFlags("ping")
	timeout := flags.Duration("timeout", 5*time.Second, "how long to try")
	if err := parse(flags, args, 0); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	for {
		_, err := ask(ctx, dial, service.AdminHanging, "")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func simple(name string, args []string, want int, out io.Writer, function string, ask asker) error {
	flags := newFlags(name)
	if err := parse(flags, args, want); err != nil {
		return err
	}
	answer, err := ask(function, flags.Arg(0))
	if err == nil && answer != "" {
		_, err = fmt.Fprintln(out, answer)
	}
	return err
}

// ledger prints what is handed out: leaks only, or all with --all. The error
// for leaks is errLeaked.
func ledger(args []string, out io.Writer, ask asker) error {
	flags := newFlags("ledger")
	asJSON := flags.Bool("json", false, "print JSON")
	all := flags.Bool("all", false, "print what may outlive a container, too")
	if err := parse(flags, args, 0); err != nil {
		return err
	}
	text, err := ask(service.AdminLedger, "")
	if err != nil {
		return err
	}
	var entries hcsemu.Ledger
	if err := json.Unmarshal([]byte(text), &entries); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	shown := entries.Leaks()
	if *all {
		shown = entries
	}
	if *asJSON {
		if shown == nil {
			shown = hcsemu.Ledger{}
		}
		err = json.NewEncoder(out).Encode(shown)
	} else if len(shown) > 0 {
		_, err = fmt.Fprintln(out, shown)
	}
	if err == nil && !entries.Empty() {
		err = errLeaked
	}
	return err
}

// calls prints the recorded calls, one line of JSON each.
func calls(args []string, out io.Writer, ask asker) error {
	var filter hcsemu.CallFilter
	flags := newFlags("calls")
	flags.StringVar(&filter.Function, "function", "", "only calls of this function")
	flags.StringVar(&filter.Exe, "exe", "", "only calls of this program")
	flags.StringVar(&filter.System, "system", "", "only calls about this compute system")
	flags.IntVar(&filter.After, "after", 0, "only calls with a greater number")
	if err := parse(flags, args, 0); err != nil {
		return err
	}
	question, err := json.Marshal(filter)
	if err != nil {
		return err
	}
	text, err := ask(service.AdminCalls, string(question))
	if err != nil {
		return err
	}
	var lines []json.RawMessage
	if err := json.Unmarshal([]byte(text), &lines); err != nil {
		return fmt.Errorf("calls: %w", err)
	}
	for _, line := range lines {
		if _, err := fmt.Fprintf(out, "%s\n", line); err != nil {
			return err
		}
	}
	return nil
}

// faults sets, adds to or clears the fault plan.
func faults(args []string, ask asker) error {
	function := service.AdminFaults
	if len(args) == 2 && args[0] == "add" {
		function, args = service.AdminAddFaults, args[1:]
	}
	if len(args) != 1 {
		return errors.New("faults: FILE, add FILE or clear is allowed")
	}
	plan := ""
	if args[0] != "clear" {
		text, err := os.ReadFile(args[0])
		if err != nil {
			return fmt.Errorf("faults: %w", err)
		}
		plan = string(text)
	}
	_, err := ask(function, plan)
	return err
}
