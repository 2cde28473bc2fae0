package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/wire"
)

// call is one request while its arguments are read.
type call struct {
	link     *link
	client   *hcsemu.Client
	function string
}

// work is a call that is ready to run. The values are those of the reply.
type work func(ctx context.Context) ([]wire.Value, error)

// handler reads a call's arguments, in the order of arrival, and returns the
// rest of it. Arguments that are not as the function has them are seen by the
// caller of the handler ([wire.Args.End]).
type handler func(c *call, a *wire.Args) work

// The shapes of the core's calls.
type (
	textCall   = func(*hcsemu.Client, context.Context, string) error
	textAsk    = func(*hcsemu.Client, context.Context, string) (string, error)
	pairCall   = func(*hcsemu.Client, context.Context, string, string) error
	tripleCall = func(*hcsemu.Client, context.Context, string, string, string) error
	handleCall = func(*hcsemu.Client, context.Context, hcsemu.Handle, string) error
	handleAsk  = func(*hcsemu.Client, context.Context, hcsemu.Handle, string) (string, error)
	handleDrop = func(*hcsemu.Client, hcsemu.Handle) error
)

type client = hcsemu.Client

// handlers returns the table of all functions that the DLL fronts call.
func handlers() map[string]handler {
	table := map[string]handler{}
	for _, part := range []map[string]handler{
		computeHandlers(), layerHandlers(), storageHandlers(), networkHandlers(), filterHandlers(), hostHandlers(),
	} {
		for name, h := range part {
			table[name] = h
		}
	}
	return table
}

func computeHandlers() map[string]handler {
	return map[string]handler{
		"HcsEnumerateComputeSystems":       asksText((*client).EnumerateSystems),
		"HcsCreateComputeSystem":           createSystem,
		"HcsOpenComputeSystem":             openSystem,
		"HcsCloseComputeSystem":            drops((*client).CloseSystem),
		"HcsStartComputeSystem":            onHandle((*client).StartSystem),
		"HcsShutDownComputeSystem":         onHandle((*client).ShutDownSystem),
		"HcsTerminateComputeSystem":        onHandle((*client).TerminateSystem),
		"HcsCrashComputeSystem":            onHandle((*client).CrashSystem),
		"HcsPauseComputeSystem":            onHandle((*client).PauseSystem),
		"HcsResumeComputeSystem":           onHandle((*client).ResumeSystem),
		"HcsSaveComputeSystem":             onHandle((*client).SaveSystem),
		"HcsGetComputeSystemProperties":    asksHandle((*client).SystemProperties),
		"HcsModifyComputeSystem":           onHandle((*client).ModifySystem),
		"HcsSetComputeSystemCallback":      subscribe,
		"HcsRegisterComputeSystemCallback": subscribe,
		"HcsWaitForComputeSystemExit":      waitForExit,
		"HcsCreateProcess":                 createProcess,
		"HcsOpenProcess":                   openProcess,
		"HcsCloseProcess":                  drops((*client).CloseProcess),
		"HcsTerminateProcess":              onHandle((*client).TerminateProcess),
		"HcsSignalProcess":                 onHandle((*client).SignalProcess),
		"HcsGetProcessInfo":                processInfo,
		"HcsGetProcessProperties":          asksHandle((*client).ProcessProperties),
		"HcsModifyProcess":                 onHandle((*client).ModifyProcess),
		"HcsSetProcessCallback":            subscribe,
		"HcsRegisterProcessCallback":       subscribe,
		"HcsWaitForProcessExit":            waitForExit,
		"HcsCancelOperation":               cancelOperation,
		"HcsGetServiceProperties":          asksText((*client).ServiceProperties),
		"HcsModifyServiceSettings":         asksText((*client).ModifyService),
		"HcsGrantVmAccess":                 onPair((*client).GrantVMAccess),
		"HcsRevokeVmAccess":                onPair((*client).RevokeVMAccess),
		"GrantVmAccess":                    onPair((*client).GrantVMAccess),
		"HNSCall":                          hnsCall,
	}
}

// ---- the shapes

func onText(f textCall) handler {
	return func(c *call, a *wire.Args) work {
		text := a.Text()
		return func(ctx context.Context) ([]wire.Value, error) { return nil, f(c.client, ctx, text) }
	}
}

func asksText(f textAsk) handler {
	return func(c *call, a *wire.Args) work {
		text := a.Text()
		return func(ctx context.Context) ([]wire.Value, error) {
			answer, err := f(c.client, ctx, text)
			return []wire.Value{optional(answer)}, err
		}
	}
}

func onPair(f pairCall) handler {
	return func(c *call, a *wire.Args) work {
		first, second := a.Text(), a.Text()
		return func(ctx context.Context) ([]wire.Value, error) { return nil, f(c.client, ctx, first, second) }
	}
}

func onTriple(f tripleCall) handler {
	return func(c *call, a *wire.Args) work {
		first, second, third := a.Text(), a.Text(), a.Text()
		return func(ctx context.Context) ([]wire.Value, error) { return nil, f(c.client, ctx, first, second, third) }
	}
}

func onHandle(f handleCall) handler {
	return func(c *call, a *wire.Args) work {
		h, text := c.link.handle(a.Number()), a.Text()
		return func(ctx context.Context) ([]wire.Value, error) { return nil, f(c.client, ctx, h, text) }
	}
}

func asksHandle(f handleAsk) handler {
	return func(c *call, a *wire.Args) work {
		h, text := c.link.handle(a.Number()), a.Text()
		return func(ctx context.Context) ([]wire.Value, error) {
			answer, err := f(c.client, ctx, h, text)
			return []wire.Value{optional(answer)}, err
		}
	}
}

// drops closes a handle. The second value, always null, is what handles' calls
// of the fronts send.
func drops(f handleDrop) handler {
	return func(c *call, a *wire.Args) work {
		number := a.Number()
		a.Rest()
		return func(context.Context) ([]wire.Value, error) { return nil, f(c.client, c.link.remove(number)) }
	}
}

// ---- systems and processes

func createSystem(c *call, a *wire.Args) work {
	number := a.Number()
	req := hcsemu.CreateSystem{ID: a.Text(), Document: a.Text(), Handle: c.link.reserve(number, c.client)}
	return func(ctx context.Context) ([]wire.Value, error) {
		_, err := c.client.CreateSystem(ctx, req)
		return nil, err
	}
}

func openSystem(c *call, a *wire.Args) work {
	number, id := a.Number(), a.Text()
	return func(ctx context.Context) ([]wire.Value, error) {
		h, err := c.client.OpenSystem(ctx, id)
		if err == nil {
			c.link.put(number, h)
		}
		return nil, err
	}
}

func createProcess(c *call, a *wire.Args) work {
	req := hcsemu.CreateProcess{System: c.link.handle(a.Number())}
	number := a.Number()
	req.Parameters = a.Text()
	req.Handle = c.link.reserve(number, c.client)
	return func(ctx context.Context) ([]wire.Value, error) {
		info, err := c.client.CreateProcess(ctx, req)
		if err != nil {
			return nil, err
		}
		values, err := c.export(info)
		if err != nil { // the caller can't have what it asked for, so it has nothing
			kill := c.client.TerminateProcess(context.WithoutCancel(ctx), info.Handle, "")
			return nil, errors.Join(err, kill, c.client.CloseProcess(c.link.remove(number)))
		}
		return values, nil
	}
}

func processInfo(c *call, a *wire.Args) work {
	h := c.link.handle(a.Number())
	a.Rest()
	return func(ctx context.Context) ([]wire.Value, error) {
		info, err := c.client.ProcessInfo(ctx, h)
		if err != nil {
			return nil, err
		}
		return c.export(info)
	}
}

// export returns the values of a HCS_PROCESS_INFORMATION.
func (c *call) export(info hcsemu.ProcessInformation) ([]wire.Value, error) {
	in, out, errs, err := c.link.server.config.Exporter.Export(c.link.hello.PID, info.Stdio)
	if err != nil {
		return nil, fmt.Errorf("give process %d the pipes of process %d: %w", c.link.hello.PID, info.PID, err)
	}
	return []wire.Value{{}, wire.Number(uint64(info.PID)), wire.Number(in), wire.Number(out), wire.Number(errs)}, nil
}

func openProcess(c *call, a *wire.Args) work {
	system, number, pid := c.link.handle(a.Number()), a.Number(), a.Uint32()
	return func(ctx context.Context) ([]wire.Value, error) {
		h, err := c.client.OpenProcess(ctx, system, pid)
		if err == nil {
			c.link.put(number, h)
		}
		return nil, err
	}
}

func cancelOperation(c *call, a *wire.Args) work {
	id := a.Number()
	return func(context.Context) ([]wire.Value, error) {
		c.link.cancelCall(id)
		return nil, nil
	}
}

// ---- events

// subscribe makes the handle's events go to the link's events connection.
func subscribe(c *call, a *wire.Args) work {
	number := a.Number()
	return func(context.Context) ([]wire.Value, error) {
		cancel, err := c.client.Subscribe(c.link.handle(number), func(ev hcsemu.Event) {
			c.link.push(wire.Event{Subscription: number, Type: uint32(ev.Type), Status: uint32(ev.Status), Data: ev.Data})
		})
		if err != nil {
			return nil, err
		}
		return nil, c.link.keepSubscription(number, cancel)
	}
}

// keepSubscription remembers how to end a subscription. The front sees to it
// that a handle has one at a time; what is left of an earlier one goes.
func (l *link) keepSubscription(number uint64, cancel func()) error {
	l.mu.Lock()
	old, ended := l.cancels[number], l.cancels == nil
	if !ended {
		l.cancels[number] = cancel
	}
	l.mu.Unlock()
	if ended {
		cancel()
		return hcsemu.EServiceDisconnect
	}
	if old != nil {
		old()
	}
	return nil
}

// infinite is INFINITE of the Windows headers.
const infinite = 0xffffffff

// waitForExit returns the exit's document, which is the exit event's data.
func waitForExit(c *call, a *wire.Args) work {
	h, milliseconds := c.link.handle(a.Number()), a.Uint32()
	return func(ctx context.Context) ([]wire.Value, error) {
		if milliseconds != infinite {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Duration(milliseconds)*time.Millisecond)
			defer cancel()
		}
		exits := make(chan hcsemu.Event, 1)
		cancel, err := c.client.Subscribe(h, func(ev hcsemu.Event) {
			switch ev.Type {
			case hcsemu.EventSystemExited, hcsemu.EventProcessExited, hcsemu.EventServiceDisconnect:
				select {
				case exits <- ev:
				default:
				}
			}
		})
		if err != nil {
			return nil, err
		}
		defer cancel()
		select {
		case ev := <-exits:
			if ev.Type == hcsemu.EventServiceDisconnect {
				return nil, hcsemu.EServiceDisconnect
			}
			return []wire.Value{optional(ev.Data)}, nil
		case <-ctx.Done():
			return nil, hcsemu.EOperationTimeout
		}
	}
}

func hnsCall(c *call, a *wire.Args) work {
	method, path, body := a.Text(), a.Text(), a.Text()
	return func(ctx context.Context) ([]wire.Value, error) {
		answer, err := c.client.HNSCall(ctx, method, path, body)
		return []wire.Value{optional(answer)}, err
	}
}
