package vm

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"slices"
	"sync"

	"github.com/isolrun/isol/test/hcsemu"
)

// Config is what a Runner needs.
type Config struct {
	Host      hcsemu.Runner // of the host's own containers
	Worker    string        // the program vmwp.exe
	Pool      Pool          // of guests
	Build     uint32        // of the guests' Windows
	HostDrive string        // where a guest finds the host's C:
	Sockets   string        // the folder with the hvsockets' ports, as a guest finds it
	Log       *slog.Logger  // nil discards
}

// Runner runs containers on the host and virtual machines beside it. All
// methods may be called from any goroutine.
type Runner struct {
	hcsemu.Runner // of the host
	config        Config

	mu       sync.Mutex
	machines map[string]*machine // that run, by id; guarded by mu
	ended    []Status            // guarded by mu
}

var _ hcsemu.MachineRunner = (*Runner)(nil)

// NewRunner returns a runner without machines.
func NewRunner(config Config) *Runner {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	return &Runner{Runner: config.Host, config: config, machines: map[string]*machine{}}
}

// Reserve implements [hcsemu.Reserver] for a host that has something to reserve.
func (r *Runner) Reserve(id string) (func(), error) {
	if host, ok := r.Runner.(hcsemu.Reserver); ok {
		return host.Reserve(id)
	}
	return func() {}, nil
}

// NewMachine implements [hcsemu.MachineRunner]: it starts a worker process,
// which takes a guest. The machine ends by itself if no guest comes.
func (r *Runner) NewMachine(ctx context.Context, spec hcsemu.MachineSpec) (hcsemu.Machine, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("%w: listen for the worker process: %w", hcsemu.EFail, err)
	}
	var words bytes.Buffer
	worker := exec.Command(r.config.Worker, string(spec.RuntimeID), listener.Addr().String(), string(r.config.Pool))
	worker.Stderr = &words
	if err := worker.Start(); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("%w: start the worker process: %w", hcsemu.EFail, err)
	}
	m := newMachine(spec, worker.Process)
	m.send(Order{Boot: &Boot{
		ID: spec.ID, RuntimeID: string(spec.RuntimeID), Build: r.config.Build, Document: spec.Document,
		HostDrive: r.config.HostDrive, Sockets: r.config.Sockets,
	}})
	r.mu.Lock()
	r.machines[spec.ID] = m
	r.mu.Unlock()
	go m.listen(listener)
	go func() {
		err := worker.Wait()
		if err != nil && words.Len() > 0 {
			err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(words.Bytes()))
		}
		_ = listener.Close()
		m.finish(err)
		r.log(m)
	}()
	return m, nil
}

// log moves a machine that has ended to the others.
func (r *Runner) log(m *machine) {
	status := m.status()
	r.mu.Lock()
	if r.machines[m.id] == m {
		delete(r.machines, m.id)
	}
	r.ended = append(r.ended, status)
	r.mu.Unlock()
	level := slog.LevelInfo
	if status.Error != "" {
		level = slog.LevelWarn
	}
	r.config.Log.Log(context.Background(), level, "machine ended", "id", m.id, "crashed", status.Crashed, "left", status.Left, "err", status.Error)
}

// Status is one machine, as seen by a test.
type Status struct {
	ID        string   `json:"id"`
	WorkerPID uint32   `json:"workerPID"`
	Running   bool     `json:"running"`
	Crashed   bool     `json:"crashed,omitempty"`
	Ended     Verb     `json:"ended,omitempty"` // what the guest was told at its end: Off, ShutDown, Bugcheck
	Left      []string `json:"left,omitempty"`  // in the guest at the machine's end; unknown after a crash
	Error     string   `json:"error,omitempty"` // of the worker process
}

// List implements service.Machines with Status.
func (r *Runner) List() any { return r.Status() }

// Status lists the machines: those that have ended in the order of their ends,
// then those that run by their ids.
func (r *Runner) Status() []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Clone(r.ended)
	for _, m := range r.machines {
		all = append(all, m.status())
	}
	slices.SortStableFunc(all[len(r.ended):], func(a, b Status) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Do carries out a verb on the running machine with that id. It implements
// service.Machines. [Left] returns what the guest has left as []string, other
// verbs nothing.
func (r *Runner) Do(ctx context.Context, verb, id string) (any, error) {
	r.mu.Lock()
	m := r.machines[id]
	r.mu.Unlock()
	if m == nil {
		return nil, fmt.Errorf("%w: no virtual machine %q runs", hcsemu.ESystemNotFound, id)
	}
	switch verb := Verb(verb); verb {
	case Crash, Bugcheck, Off, ShutDown: // nothing answers any more
		m.send(Order{Do: verb})
		return nil, nil
	case Left:
		report, err := m.ask(ctx, Order{Do: verb})
		return append([]string{}, report.Left...), err
	case Hang, Resume, CloseBridge, Garbage:
		_, err := m.ask(ctx, Order{Do: verb})
		return nil, err
	}
	return nil, fmt.Errorf("%w: verb %q: crash, bugcheck, hang, resume, close-bridge, garbage, left, shutdown or off is allowed", hcsemu.EInvalidArg, verb)
}
