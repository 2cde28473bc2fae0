package vm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/guest"
)

// GuestConfig is what a guest needs before it is a machine's.
type GuestConfig struct {
	Name   string // in the pool
	Pool   Pool
	Runner hcsemu.Runner // of the guest's processes; their streams must be this process's own
}

// RunGuest offers a guest in the pool, becomes the machine that takes it, and
// returns when that has ended.
func RunGuest(ctx context.Context, config GuestConfig) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("guest: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	if err := config.Pool.Offer(config.Name, listener.Addr().String()); err != nil {
		return errors.Join(err, listener.Close())
	}
	conn, err := listener.Accept()
	_ = listener.Close() // one worker only
	if err != nil {
		return fmt.Errorf("guest: no machine took it: %w", err)
	}
	defer conn.Close()
	stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	g := &running{line: newLine(conn), runner: config.Runner, over: make(chan struct{}), messages: map[uint64]*message{}}
	defer g.agents.Wait()
	defer close(g.over)
	defer g.end()
	g.run()
	return nil
}

// running is a guest that is a machine.
type running struct {
	line     *line
	runner   hcsemu.Runner
	hardware *guest.Hardware
	over     chan struct{} // closed when no order is taken any more
	agents   sync.WaitGroup

	mu     sync.Mutex
	agent  *guest.Agent // nil until the host answered; guarded by mu
	ended  bool         // guarded by mu
	resume func()       // ends a hang, nil without one; guarded by mu

	messages map[uint64]*message // of the host, that are not answered yet; guarded by mu
	last     uint64              // of their numbers; guarded by mu
}

// run takes orders until the power goes.
func (g *running) run() {
	for {
		var o Order
		if err := g.line.receive(&o); err != nil {
			return // the worker has gone, and the power with it
		}
		if o.Do == Crash {
			return // without a word
		}
		if g.bridge(o) {
			continue
		}
		report, err := g.obey(o)
		if err != nil {
			report.Error, report.Code = describe(err)
		}
		if report.Ended != "" {
			report.Left = g.left()
			g.end() // what is reported as ended has ended
		}
		if o.Seq != 0 || report.Up || report.Ended != "" {
			report.Seq = o.Seq
			_ = g.line.send(report) // if it fails, so does the next receive
		}
		if report.Ended != "" {
			return
		}
	}
}

// obey carries out one order.
func (g *running) obey(o Order) (Report, error) {
	switch {
	case o.Boot != nil && g.hardware == nil:
		g.boot(o.Boot)
		return Report{Up: true}, nil
	case g.hardware == nil:
		return Report{}, fmt.Errorf("%w: an order before boot", hcsemu.EInvalidState)
	case o.Plug != nil:
		return Report{}, guest.Plug(g.hardware, *o.Plug)
	}
	switch o.Do {
	case Off, ShutDown:
		return Report{Ended: o.Do}, nil
	case Bugcheck:
		return Report{Ended: o.Do, Crash: manualCrash}, nil
	case Left:
		return Report{Left: g.left()}, nil
	}
	return Report{}, g.disturb(o.Do)
}

// manualCrash are the parameters of MANUALLY_INITIATED_CRASH, the bugcheck that
// an operator gives a Windows.
var manualCrash = []uint64{0xe2, 0, 0, 0, 0}

// disturb does to the bridge what a verb says.
func (g *running) disturb(verb Verb) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.agent == nil {
		return fmt.Errorf("%w: %s: the guest has no bridge yet", hcsemu.EInvalidState, verb)
	}
	switch verb {
	case Hang:
		if g.resume == nil {
			g.resume = g.agent.Bridge().Hold()
		}
	case Resume:
		if g.resume != nil {
			g.resume()
			g.resume = nil
		}
	case CloseBridge:
		return g.agent.Bridge().Close()
	case Garbage:
		return g.agent.Bridge().Garbage([]byte("this is no frame of the bridge"))
	default:
		return fmt.Errorf("%w: order %q", hcsemu.EInvalidArg, verb)
	}
	return nil
}

// boot makes the machine's hardware and lets its agent look for the host.
func (g *running) boot(b *Boot) {
	g.hardware = guest.NewHardware(b.Document)
	g.hardware.Seen = func(path string) string { return drivePath(b.HostDrive, path) }
	config := guest.Config{
		Build: b.Build, Runner: g.runner, Hardware: g.hardware,
		Dial: func(service string) (net.Conn, error) { return DialHost(b.Sockets, b.RuntimeID, service) },
		Gate: g.pass,
	}
	g.agents.Add(1)
	go func() {
		defer g.agents.Done()
		g.connect(config)
	}()
}

// connect serves the bridge as soon as the host listens for it.
func (g *running) connect(config guest.Config) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		agent, err := guest.Serve(config)
		if err == nil {
			g.mu.Lock()
			g.agent = agent
			if g.ended {
				agent.Close()
			}
			g.mu.Unlock()
			return
		}
		select {
		case <-g.over:
			return
		case <-tick.C:
		}
	}
}

func (g *running) left() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.agent == nil {
		return nil
	}
	return g.agent.Left()
}

// end ends all that the agent runs. It is idempotent.
func (g *running) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return
	}
	g.ended = true
	if g.agent != nil {
		g.agent.Close()
	}
	if g.resume != nil {
		g.resume() // what waits to be sent fails now
		g.resume = nil
	}
}
