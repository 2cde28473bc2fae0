package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	criapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/isolrun/isol/internal/shim/diagnostics"
	"github.com/isolrun/isol/test/cri"
)

// What a shim may have grown by between the first tenth of the probes and the
// last one. Go's heap breathes by about a megabyte between collections. Its
// runtime makes a thread where native calls block at once, and Wine holds four
// files for each: a leak of one file per probe is far beyond that.
const (
	maxMemoryGrowth = 2 << 20
	maxThreadGrowth = 4
	maxFileGrowth   = 4*maxThreadGrowth + 8

	// A probe has several goroutines: one that stays for each is far beyond this.
	maxGoroutineGrowth = 8
)

// execs probes a container and holds the shim at the end against what it was
// after the first tenth, when its pools are warm.
func (s *soak) execs(ctx context.Context, handler string, n int) (err error) {
	p, err := s.client.RunPod(ctx, handler, cri.PodConfig("probed"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Remove(context.WithoutCancel(ctx))) }()
	id, err := p.Run(ctx, "app", "ping", "-t", "localhost")
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\n%s: %d execs in one container\n", handler, n)
	var warm, last sample
	var before, after diagnostics.Shim
	began := time.Now()
	for i := range n {
		r, err := s.client.ExecSync(ctx, &criapi.ExecSyncRequest{ContainerId: id, Cmd: []string{"probe", "exit", "0"}, Timeout: 60})
		if err != nil || r.GetExitCode() != 0 {
			return fmt.Errorf("exec %d: exit code %d, %w", i+1, r.GetExitCode(), err)
		}
		if (i+1)%max(1, n/10) != 0 {
			continue
		}
		if last, err = s.measure(p.ID); err == nil {
			after, err = s.ask(ctx, p.ID)
		}
		if err != nil {
			return err
		}
		if warm == (sample{}) {
			warm, before = last, after
		}
		fmt.Fprintf(s.out, "  %6d execs  %s  %3d goroutines  heap %.2f MB  %.1f execs/s\n",
			i+1, last, after.Goroutines, float64(after.HeapBytes)/1e6, float64(i+1)/time.Since(began).Seconds())
	}
	if last.memory > warm.memory+maxMemoryGrowth || last.threads > warm.threads+maxThreadGrowth ||
		last.files > warm.files+maxFileGrowth || last.handles > warm.handles || after.Goroutines > before.Goroutines+maxGoroutineGrowth {
		err = fmt.Errorf("the shim has grown from\n  %s, %d goroutines, to\n  %s, %d goroutines", warm, before.Goroutines, last, after.Goroutines)
	}
	return err
}

// ask lets the shim of a pod say what an operator sees of it.
func (s *soak) ask(ctx context.Context, pod string) (diagnostics.Shim, error) {
	r, err := s.lab.Run(ctx, operator, "show", "--format", "json", pod)
	if err == nil && r.ExitCode != 0 {
		err = errors.New(r.Stderr)
	}
	var report diagnostics.Report
	if err == nil {
		err = json.Unmarshal([]byte(r.Stdout), &report)
	}
	if err != nil {
		return diagnostics.Shim{}, fmt.Errorf("isolctl show %s: %w", pod, err)
	}
	return report.Shim, nil
}
