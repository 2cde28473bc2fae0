package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/containerd/containerd/api/types"

	"github.com/isolrun/isol/test/bench/driver"
	"github.com/isolrun/isol/test/bench/figure"
)

// size is how much of everything a round does.
type size struct {
	rounds   int
	execs    int
	calls    int
	polls    int
	launches int
	spew     int64 // bytes
	settle   time.Duration
	crowd    int // shims at once
}

var (
	fullSize  = size{rounds: 5, execs: 10, calls: 20, polls: 1000, launches: 4, spew: 128 << 20, settle: 2 * time.Second, crowd: 50}
	shortSize = size{rounds: 1, execs: 2, calls: 3, polls: 20, launches: 2, spew: 16 << 20, settle: 200 * time.Millisecond, crowd: 2}
)

// task is one shim with its one container.
type task struct {
	*bench
	ctx    context.Context
	shim   shim
	id     string
	guest  bool // it runs in a utility VM
	bundle string
	rootfs []*types.Mount
	pid    uint32 // of the shim, in the lab
	linux  int    // and on this machine
	took   []taken
}

// taken is a span of which the own share is wanted.
type taken struct {
	figure string
	span   driver.Span
	ended  time.Time // the container's process in it, if any
}

// crowd starts many shims at once.
func (b *bench) crowd(ctx context.Context, s shim) (err error) {
	request := driver.Request{Op: driver.Crowd, Exe: s.exe, Legacy: s.legacy}
	for range b.size.crowd {
		b.count++
		m := driver.Member{ID: fmt.Sprintf("bench-%d-%s", b.count, s.name)}
		if m.Bundle, m.Rootfs, err = b.prepare(ctx, m.ID, container{args: []string{"probe", "sleep"}}); err != nil {
			return err
		}
		request.Crowd = append(request.Crowd, m)
	}
	reply, err := b.driver.Do(request)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	span, err := reply.Span(driver.Begin, driver.Started)
	if err != nil {
		return err
	}
	b.samples.Add("crowd", s.name, length(span).Seconds())
	total := 0.0
	for _, m := range request.Crowd {
		pid, err := findProcess(base(s.exe), m.ID)
		if err != nil {
			return err
		}
		bytes, err := privateMemory(pid)
		if err != nil {
			return err
		}
		total += megabytes(bytes)
	}
	b.samples.Add("crowd.memory", s.name, total)
	request.Op = driver.Disperse
	_, err = b.driver.Do(request)
	return err
}

func (b *bench) newTask(ctx context.Context, s shim, c container) (*task, error) {
	b.count++
	t := &task{bench: b, ctx: ctx, shim: s, id: fmt.Sprintf("bench-%d-%s", b.count, s.name), guest: c.isolated}
	var err error
	if t.bundle, t.rootfs, err = b.prepare(ctx, t.id, c); err != nil {
		return nil, err
	}
	reply, err := b.driver.Do(driver.Request{Op: driver.Start, ID: t.id, Bundle: t.bundle, Exe: s.exe, Legacy: s.legacy})
	if err != nil {
		return nil, err
	}
	if err := t.note("start", reply, driver.Begin, driver.Connected); err != nil {
		return nil, err
	}
	t.launched("start.own", s.name, reply.Marks[driver.Connected].Sub(reply.Marks[driver.Begin]))
	t.pid = reply.ShimPID
	t.linux, err = findProcess(base(s.exe), t.id)
	return t, err
}

// do asks the driver for something about this task.
func (t *task) do(r driver.Request) (*driver.Reply, error) {
	r.ID, r.Bundle, r.Rootfs, r.Guest = t.id, t.bundle, t.rootfs, t.guest
	return t.driver.Do(r)
}

// note takes a span as a sample.
func (t *task) note(figure string, r *driver.Reply, from, to driver.Mark) error {
	span, err := r.Span(from, to)
	if err == nil {
		t.samples.Add(figure, t.shim.name, milliseconds(length(span)))
	}
	return err
}

// noteOwn takes a span as a sample, and keeps it so that its own share follows.
func (t *task) noteOwn(figure string, r *driver.Reply, from, to driver.Mark) error {
	span, err := r.Span(from, to)
	if err != nil {
		return err
	}
	if t.trace != nil {
		fmt.Fprintf(t.trace, "%s %s:", t.shim.name, figure)
		for _, m := range slices.SortedFunc(maps.Keys(r.Marks), func(a, b driver.Mark) int { return r.Marks[a].Compare(r.Marks[b]) }) {
			fmt.Fprintf(t.trace, " %s %s", m, r.Marks[m].Local().Format("05.0000"))
		}
		fmt.Fprintln(t.trace)
	}
	t.samples.Add(figure, t.shim.name, milliseconds(length(span)))
	t.took = append(t.took, taken{figure: figure, span: span, ended: r.Marks[driver.Ended]})
	return nil
}

// own gets the own shares of what noteOwn has kept.
func (t *task) own() error {
	calls, err := t.emulatorCalls(base(t.shim.exe))
	if err != nil {
		return err
	}
	others := slices.Concat(t.spans(calls, t.pid), guestWaits(calls, t.pid))
	for _, took := range t.took {
		others := others
		if !took.ended.IsZero() {
			others = slices.Concat(others, lives(t.creates(calls, t.pid), took))
		}
		own := figure.Own(figure.Span(took.span), others)
		t.samples.Add(took.figure+".own", t.shim.name, milliseconds(own))
	}
	return nil
}

// lives is the life of the container's process: from when the emulator had
// made it until its end.
func lives(creates []figure.Span, took taken) []figure.Span {
	for _, c := range creates {
		if !c.Begin.Before(took.span.Begin) && !c.End.After(took.ended) {
			return []figure.Span{{Begin: c.End, End: took.ended}}
		}
	}
	return nil
}

// memory lets the shim come to rest and reads its memory.
func (t *task) memory(figure string) error {
	select {
	case <-time.After(t.size.settle):
	case <-t.ctx.Done():
		return t.ctx.Err()
	}
	bytes, err := privateMemory(t.linux)
	if err == nil {
		t.samples.Add(figure, t.shim.name, megabytes(bytes))
	}
	return err
}

// steps runs one after the other until one fails.
func steps(all ...func() error) error {
	for _, step := range all {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// round measures a shim once: with a container that stays, then with one that
// ends by itself.
func (b *bench) round(ctx context.Context, s shim) error {
	if err := b.stayingContainer(ctx, s); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	if err := b.endingContainer(ctx, s); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return nil
}

func (b *bench) stayingContainer(ctx context.Context, s shim) error {
	t, err := b.newTask(ctx, s, container{args: []string{"probe", "sleep"}})
	if err != nil {
		return err
	}
	return steps(
		func() error { return t.memory("memory.idle") },
		func() error { return t.create("create") },
		func() error { return t.memory("memory.container") },
		t.threads,
		func() error { return t.calls("Connect", "connect") },
		func() error { return t.calls("Stats", "stats") },
		func() error { return t.calls("Pids", "pids") },
		func() error {
			return t.working("exec.cpu", float64(t.size.execs), func() error { return t.execs("exec") })
		},
		func() error { return t.memory("memory.execs") },
		func() error {
			return t.working("stdout.cpu", megabytes(float64(t.size.spew)), func() error { return t.spew("stdout") })
		},
		t.own,
		t.poll,
		func() error { return t.memory("memory.polled") },
		func() error { return t.finish(true) },
		t.shutdown,
	)
}

func (b *bench) endingContainer(ctx context.Context, s shim) error {
	t, err := b.newTask(ctx, s, container{args: []string{"probe", "sleep", "0.05"}})
	if err != nil {
		return err
	}
	return steps(t.life, t.own, t.cpu, t.shutdown, t.clean)
}

func (t *task) create(figure string) error {
	r, err := t.do(driver.Request{Op: driver.Create, Streams: true})
	if err != nil {
		return err
	}
	return t.noteOwn(figure, r, driver.Begin, driver.Started)
}

// life is a container's from Create to Delete.
func (t *task) life() error {
	created, err := t.do(driver.Request{Op: driver.Create, Streams: true})
	if err != nil {
		return err
	}
	if err := t.noteOwn("create", created, driver.Begin, driver.Started); err != nil {
		return err
	}
	finished, err := t.do(driver.Request{Op: driver.Finish})
	if err != nil {
		return err
	}
	finished.Marks[driver.Begin] = created.Marks[driver.Begin]
	return t.noteOwn("life", finished, driver.Begin, driver.Deleted)
}

func (t *task) finish(kill bool) error {
	_, err := t.do(driver.Request{Op: driver.Finish, Kill: kill})
	return err
}

func (t *task) shutdown() error {
	_, err := t.do(driver.Request{Op: driver.Shutdown})
	return err
}

// clean is the delete action, which containerd runs when a shim is gone.
func (t *task) clean() error {
	r, err := t.do(driver.Request{Op: driver.Clean, Exe: t.shim.exe})
	if err != nil {
		return err
	}
	if err := t.note("delete", r, driver.Begin, driver.Answered); err != nil {
		return err
	}
	calls, err := t.emulatorCalls(base(t.shim.exe))
	if err != nil {
		return err
	}
	of := figure.Span{Begin: r.Marks[driver.Begin], End: r.Marks[driver.Answered]}
	t.launched("delete.own", t.shim.name, figure.Own(of, t.spans(calls, 0)))
	return nil
}

func (t *task) threads() error {
	n, err := threads(t.linux)
	if err != nil {
		return err
	}
	t.samples.Add("threads", t.shim.name, float64(n))
	own, err := ownMemory(t.linux)
	if err != nil {
		return err
	}
	t.samples.Add("memory.own", t.shim.name, megabytes(own))
	image, err := committedImage(t.linux)
	t.samples.Add("memory.image", t.shim.name, megabytes(image))
	return err
}

func (t *task) cpu() error {
	d, err := processorTime(t.linux)
	t.samples.Add("cpu", t.shim.name, milliseconds(d))
	t.launched("cpu.own", t.shim.name, d)
	return err
}

// working does something and notes the processor time that the shim needed for
// it, divided by share. Other than a time it does not depend on what else runs.
func (t *task) working(figure string, share float64, do func() error) error {
	before, err := processorTime(t.linux)
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	after, err := processorTime(t.linux)
	t.samples.Add(figure, t.shim.name, milliseconds(after-before)/share)
	return err
}

func (t *task) calls(method, figure string) error {
	r, err := t.do(driver.Request{Op: driver.Call, Method: method, Count: t.size.calls})
	if err != nil {
		return err
	}
	for _, span := range r.Calls {
		t.samples.Add(figure, t.shim.name, milliseconds(length(span)))
		if figure != "connect" {
			t.took = append(t.took, taken{figure: figure, span: span})
		}
	}
	return nil
}

func (t *task) poll() error {
	return t.working("stats.cpu", float64(t.size.polls), func() error {
		_, err := t.do(driver.Request{Op: driver.Call, Method: "Stats", Count: t.size.polls})
		return err
	})
}

func (t *task) execs(figure string) error {
	for i := range t.size.execs {
		r, err := t.do(driver.Request{
			Op: driver.Exec, Exec: fmt.Sprintf("e%d", i), Streams: true, Args: []string{"probe", "sleep", "0.02"},
		})
		if err != nil {
			return err
		}
		if err := t.noteOwn(figure, r, driver.Begin, driver.Exited); err != nil {
			return err
		}
	}
	return nil
}

func (t *task) spew(figure string) error {
	r, err := t.do(driver.Request{
		Op: driver.Exec, Exec: "spew", Streams: true, Args: []string{"probe", "spew", strconv.FormatInt(t.size.spew, 10)},
	})
	if err != nil {
		return err
	}
	return t.throughput(figure, t.shim.name, r)
}
