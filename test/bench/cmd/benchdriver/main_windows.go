package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/containerd/ttrpc"

	"github.com/isolrun/isol/test/bench/driver"
	"github.com/isolrun/isol/test/standin"
)

// limit bounds one operation: a shim that hangs shall not hang the benchmark.
const limit = 2 * time.Minute

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "benchdriver:", err)
		os.Exit(1)
	}
}

func run() error {
	exits, err := serveEvents()
	if err != nil {
		return err
	}
	d := &drive{exits: exits, shims: map[string]*ttrpc.Client{}, inits: map[string]*running{}, logs: map[string]*logged{}}
	return standin.Serve(os.Stdin, os.Stdout, d.do)
}

// drive does what the other half asks, one thing at a time. A crowd's tasks it
// drives side by side.
type drive struct {
	exits *exits

	mu    sync.Mutex
	shims map[string]*ttrpc.Client // by task id; guarded by mu
	inits map[string]*running      // by task id; guarded by mu
	logs  map[string]*logged       // by task id; guarded by mu
}

// shim returns the connection to a task's shim.
func (d *drive) shim(id string) (*ttrpc.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	client, ok := d.shims[id]
	if !ok {
		return nil, fmt.Errorf("no shim was started for %q", id)
	}
	return client, nil
}

// note keeps what was made for a task.
func note[T any](d *drive, all map[string]T, id string, made T) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all[id] = made
}

// take returns what was kept for a task and keeps it no more.
func take[T any](d *drive, all map[string]T, id string) T {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := all[id]
	delete(all, id)
	return kept
}

func (d *drive) do(r driver.Request) (*driver.Reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	m := newMarks()
	var err error
	switch r.Op {
	case driver.Start:
		err = d.start(ctx, r, m)
	case driver.Direct:
		err = d.direct(ctx, r, m)
	case driver.Clean:
		err = clean(ctx, r, m)
	case driver.Native:
		err = native(r, m)
	case driver.Launch:
		err = launch(ctx, r, m)
	case driver.Log:
		m.Log, err = d.log(r.ID).wait(ctx, r.Text)
	case driver.Crowd:
		err = d.crowd(ctx, r, m)
	case driver.Disperse:
		err = d.disperse(ctx, r, m)
	default:
		var client *ttrpc.Client
		if client, err = d.shim(r.ID); err == nil {
			err = d.call(ctx, client, r, m)
		}
	}
	return &m.Reply, err
}

func (d *drive) call(ctx context.Context, client *ttrpc.Client, r driver.Request, m *marks) error {
	switch r.Op {
	case driver.Create:
		return d.create(ctx, client, r, m)
	case driver.Exec:
		return d.exec(ctx, client, r, m)
	case driver.Call:
		return calls(ctx, client, r, m)
	case driver.Finish:
		return d.finish(ctx, client, r, m)
	case driver.Shutdown:
		return d.shutdown(ctx, client, r, m)
	}
	return fmt.Errorf("unknown operation %q", r.Op)
}

// marks collects a reply.
type marks struct{ driver.Reply }

func newMarks() *marks { return &marks{driver.Reply{Marks: map[driver.Mark]time.Time{}}} }

// at notes that a moment is now.
func (m *marks) at(mark driver.Mark) { m.Marks[mark] = time.Now() }

// was notes that a moment has been.
func (m *marks) was(mark driver.Mark, t time.Time) { m.Marks[mark] = t }
