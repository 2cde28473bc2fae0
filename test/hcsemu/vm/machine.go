package vm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/test/hcsemu"
)

// plugTimeout bounds how long a guest may take to see a device. Hyper-V itself
// does not wait for a guest to look.
const plugTimeout = 5 * time.Second

// machine is the service's side of one machine.
type machine struct {
	id     string
	bridge func(context.Context, hcsemu.Message, func(context.Context) (any, error)) error
	worker *os.Process
	done   chan struct{}
	off    sync.Once

	mu     sync.Mutex
	line   *line                  // nil until the worker has connected; guarded by mu
	queue  []Order                // given before that; guarded by mu
	seq    uint64                 // last used; guarded by mu
	asked  map[uint64]chan Report // answers that are awaited; guarded by mu
	up     bool                   // a guest has become the machine; guarded by mu
	killed bool                   // the worker was, by us; guarded by mu
	ended  Verb                   // what the guest said at its end; guarded by mu
	left   []string               // with ended; guarded by mu
	crash  []uint64               // with ended: parameters of the guest's bugcheck; guarded by mu
	err    error                  // of the worker process, once done; guarded by mu

	reports sync.WaitGroup // the goroutine that reads them
}

func newMachine(spec hcsemu.MachineSpec, worker *os.Process) *machine {
	m := &machine{id: spec.ID, bridge: spec.Bridge, worker: worker, done: make(chan struct{}), asked: map[uint64]chan Report{}}
	m.reports.Add(1)
	return m
}

// listen waits for the worker to connect and reads what the guest reports.
func (m *machine) listen(listener net.Listener) {
	defer m.reports.Done()
	conn, err := listener.Accept()
	_ = listener.Close() // one worker only
	if err != nil {
		return // the worker has ended before it connected
	}
	defer conn.Close()
	l := newLine(conn)
	m.mu.Lock()
	m.line = l
	queue := m.queue
	m.queue = nil
	for _, o := range queue {
		_ = l.send(o) // a lost connection ends the worker, and so the machine
	}
	m.mu.Unlock()
	for {
		var r Report
		if err := l.receive(&r); err != nil {
			return
		}
		if r.Message != nil {
			go m.carry(*r.Message)
			continue
		}
		m.take(r)
	}
}

// carry lets the guest handle a message of the host, and then answer it.
func (m *machine) carry(msg Message) {
	err := m.bridge(context.Background(), msg.Message, func(ctx context.Context) (any, error) {
		r, err := m.ask(ctx, Order{Handle: msg.Number})
		return r.Result, err
	})
	reply := &Reply{Number: msg.Number}
	if err != nil {
		reply.Error, reply.Code = describe(err)
	}
	m.send(Order{Reply: reply})
}

func (m *machine) take(r Report) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.up = m.up || r.Up
	if r.Ended != "" {
		m.ended, m.left, m.crash = r.Ended, r.Left, r.Crash
	}
	if answer := m.asked[r.Seq]; answer != nil {
		delete(m.asked, r.Seq)
		answer <- r
	}
}

// send gives an order, or keeps it until the worker has connected.
func (m *machine) send(o Order) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sendLocked(o)
}

func (m *machine) sendLocked(o Order) {
	if m.line == nil {
		m.queue = append(m.queue, o)
		return
	}
	_ = m.line.send(o) // see listen
}

// ask gives an order and waits for the answer.
func (m *machine) ask(ctx context.Context, o Order) (Report, error) {
	answer := make(chan Report, 1)
	m.mu.Lock()
	m.seq++
	o.Seq = m.seq
	m.asked[o.Seq] = answer
	m.sendLocked(o)
	m.mu.Unlock()
	var err error
	select {
	case r := <-answer:
		if r.Error != "" {
			return r, &hcsemu.Error{Code: hcsemu.HRESULT(r.Code), Message: r.Error}
		}
		return r, nil
	case <-m.done:
		err = fmt.Errorf("%w: the machine has ended", hcsemu.ESystemAlreadyStopped)
	case <-ctx.Done():
		err = ctx.Err()
	}
	m.mu.Lock()
	delete(m.asked, o.Seq)
	m.mu.Unlock()
	return Report{}, err
}

// finish is called when the worker has ended, with the error of its end.
func (m *machine) finish(err error) {
	m.reports.Wait()
	m.mu.Lock()
	m.err = err
	m.mu.Unlock()
	close(m.done)
}

func (m *machine) status() Status {
	s := Status{ID: m.id, WorkerPID: m.WorkerPID(), Running: true}
	select {
	case <-m.done:
		s.Running, s.Crashed = false, m.Crashed()
	default:
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s.Ended, s.Left = m.ended, m.left
	if m.err != nil {
		s.Error = m.err.Error()
	}
	return s
}

// WorkerPID implements [hcsemu.Machine].
func (m *machine) WorkerPID() uint32 { return uint32(m.worker.Pid) }

// Done implements [hcsemu.Machine].
func (m *machine) Done() <-chan struct{} { return m.done }

// Crashed implements [hcsemu.Machine].
func (m *machine) Crashed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return (m.ended == "" || m.ended == Bugcheck) && !m.killed
}

// Bugcheck implements [hcsemu.Machine].
func (m *machine) Bugcheck() []uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.crash
}

// ShutDown implements [hcsemu.Machine].
func (m *machine) ShutDown() { m.send(Order{Do: ShutDown}) }

// Terminate implements [hcsemu.Machine]. A machine that has no guest yet, or
// one that does not end in time, loses its worker.
func (m *machine) Terminate() {
	m.off.Do(func() {
		m.mu.Lock()
		up := m.up
		m.sendLocked(Order{Do: Off})
		m.mu.Unlock()
		if !up {
			m.kill()
			return
		}
		go func() {
			select {
			case <-m.done:
			case <-time.After(endTimeout):
				m.kill()
			}
		}()
	})
}

func (m *machine) kill() {
	m.mu.Lock()
	m.killed = true
	m.mu.Unlock()
	_ = m.worker.Kill() // fails if it has ended
}

// Close implements [hcsemu.Machine].
func (m *machine) Close() { m.Terminate() }

// Modify implements [hcsemu.Machine]: the guest has seen what was plugged or
// unplugged when it returns, if it is up and answers in time.
func (m *machine) Modify(ctx context.Context, req schema.ModificationRequest) error {
	if !strings.HasPrefix(req.ResourcePath, "VirtualMachine/Devices/") {
		return nil // no guest looks for it
	}
	ctx, cancel := context.WithTimeout(ctx, plugTimeout)
	defer cancel()
	_, err := m.ask(ctx, Order{Plug: &req})
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, hcsemu.ESystemAlreadyStopped) {
		return nil
	}
	return err
}
