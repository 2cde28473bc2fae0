package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/isolrun/isol/test/bench/driver"
	"github.com/isolrun/isol/test/bench/figure"
	"github.com/isolrun/isol/test/lab"
)

// floor measures what no shim can do better: the way of a native call, programs
// that do nothing, and one that writes to the client's pipe itself.
func (b *bench) floor(ctx context.Context) error {
	return steps(
		b.nativeFloor,
		b.launchFloor,
		func() error { return b.idleFloor(ctx) },
		func() error { return b.directFloor(ctx) },
	)
}

func (b *bench) nativeFloor() error {
	native, err := b.driver.Do(driver.Request{Op: driver.Native, Count: 10 * b.size.calls})
	if err != nil {
		return err
	}
	var way []float64
	for _, span := range native.Calls {
		way = append(way, milliseconds(length(span)))
	}
	b.way = time.Duration(figure.Summarize(way).Median * 1e6)
	b.samples.Add("native", figure.Without, milliseconds(b.way))
	return nil
}

func (b *bench) launchFloor() error {
	launched, err := b.driver.Do(driver.Request{Op: driver.Launch, Exe: idleExe, Count: b.size.launches})
	if err != nil {
		return err
	}
	for i, life := range launched.Calls {
		b.samples.Add("launch", figure.Without, milliseconds(length(life)))
		b.samples.Add("launch.up", figure.Without, milliseconds(length(launched.Ups[i])))
	}
	return nil
}

// net is a time without what the emulator took of it, but with what it takes to
// bring up programs in it.
type net struct {
	figure, shim string
	took         time.Duration
}

// launched keeps a time until it is known what bringing up programs takes.
func (b *bench) launched(figure, shim string, took time.Duration) {
	b.nets = append(b.nets, net{figure, shim, took})
}

// takeAwayLaunches notes the times that were kept without what bringing up a Go
// program that does nothing takes: start is a program that runs to its end and
// one that comes up, delete a program that runs to its end, a shim one that
// comes up and waits.
func (b *bench) takeAwayLaunches() {
	floor := func(id string) float64 { return figure.Summarize(b.samples[id][figure.Without]).Median }
	less := map[string]float64{"start.own": floor("launch") + floor("launch.up"), "delete.own": floor("launch"), "cpu.own": floor("cpu")}
	for _, n := range b.nets {
		b.samples.Add(n.figure, n.shim, max(0, milliseconds(n.took)-less[n.figure]))
	}
	b.nets = nil
}

// idleFloor measures what a Go program that waits has taken.
func (b *bench) idleFloor(ctx context.Context) (err error) {
	b.count++
	id := fmt.Sprintf("bench-%d-idle", b.count)
	in, stdin := io.Pipe()
	up, stdout := io.Pipe()
	p, err := b.lab.StartProcess(ctx, lab.Command{Args: []string{idleExe, "-id", id}, Stdin: in, Stdout: stdout})
	if err != nil {
		return err
	}
	go func() { <-p.Done(); stdout.Close() }()
	defer func() {
		go func() { _, _ = io.Copy(io.Discard, up) }()
		_, ended := p.Wait()
		err = errors.Join(err, ended)
	}()
	defer stdin.Close()
	if _, err := up.Read(make([]byte, 16)); err != nil {
		return fmt.Errorf("%s said nothing: %w", idleExe, err)
	}
	pid, err := findProcess(base(idleExe), id)
	if err != nil {
		return err
	}
	all, err := privateMemory(pid)
	if err != nil {
		return err
	}
	own, err := ownMemory(pid)
	if err != nil {
		return err
	}
	busy, err := processorTime(pid)
	if err != nil {
		return err
	}
	b.samples.Add("cpu", figure.Without, milliseconds(busy))
	b.samples.Add("memory.container", figure.Without, megabytes(all))
	b.samples.Add("memory.own", figure.Without, megabytes(own))
	return nil
}

// directFloor measures how fast an output comes that no shim relays: straight
// from the program that writes it, and through one that only copies it.
func (b *bench) directFloor(ctx context.Context) error {
	b.count++
	id := fmt.Sprintf("bench-%d", b.count)
	_, rootfs, err := b.prepare(ctx, id, container{})
	if err != nil {
		return err
	}
	program, err := imageFile(rootfs, `Windows\System32\probe.exe`)
	if err != nil {
		return err
	}
	for figureID, relay := range map[string]string{"stdout": "", "relayed": idleExe} {
		direct, err := b.driver.Do(driver.Request{
			Op: driver.Direct, ID: id + "-" + figureID, Exe: relay, Args: []string{program, "spew", strconv.FormatInt(b.size.spew, 10)},
		})
		if err == nil {
			err = b.throughput(figureID, figure.Without, direct)
		}
		if err != nil {
			return fmt.Errorf("%s without a shim: %w", figureID, err)
		}
	}
	return nil
}

// throughput notes how fast an output came. The figure stands even if some of
// it was lost, which shims do that wait a second for a guest without processors;
// that is told.
func (b *bench) throughput(figure, shim string, r *driver.Reply) error {
	if lost := b.size.spew - r.Bytes; lost != 0 {
		fmt.Fprintf(b.progress, "bench: %s of %s: of %d bytes written, %d have not arrived\n", figure, shim, b.size.spew, lost)
	}
	span, err := r.Span(driver.FirstByte, driver.LastByte)
	if err == nil {
		b.samples.Add(figure, shim, megabytes(float64(r.Bytes))/length(span).Seconds())
	}
	return err
}
