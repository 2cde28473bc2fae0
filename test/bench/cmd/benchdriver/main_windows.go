package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/containerd/ttrpc"

	"github.com/isolrun/isol/test/bench/driver"
)

// limit bounds one operation: a shim that hangs shall not hang the benchmark.
const limit = 2 * time.Minute

const namespace = "default"

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
	d := &drive{exits: exits, shims: map[string]*ttrpc.Client{}, inits: map[string]*running{}}
	return driver.Serve(os.Stdin, os.Stdout, d.do)
}

// drive does what the other half asks, one thing at a time.
type drive struct {
	exits *exits
	shims map[string]*ttrpc.Client // by task id
	inits map[string]*running      // by task id
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
	default:
		client, ok := d.shims[r.ID]
		if !ok {
			return nil, errors.New("no shim was started for it")
		}
		err = d.call(ctx, client, r, m)
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
