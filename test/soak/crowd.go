package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/isolrun/isol/test/cri"
)

// maxPerContainer is what a shim may grow by with each further container, as the
// mean of a crowd. In a small one the moment at which Go collects decides.
const (
	maxPerContainer = 300 << 10
	maxInSmallCrowd = 1 << 20
	smallCrowd      = 10
)

// member is a pod of a crowd with what its shim costs.
type member struct {
	pod        *cri.Pod
	containers []string

	one, all, back sample // with one container, with all, with one again
}

// crowd runs pods at once, then takes their further containers away, then the
// pods.
func (s *soak) crowd(ctx context.Context, handler string, n size) (err error) {
	fmt.Fprintf(s.out, "\n%s: %d pods at once, %d containers each\n", handler, n.Pods, n.Containers)
	members := make([]*member, n.Pods)
	for i := range members {
		members[i] = &member{}
	}
	defer func() {
		err = errors.Join(err, each(members, func(_ int, m *member) error {
			if m.pod == nil {
				return nil
			}
			return m.pod.Remove(context.WithoutCancel(ctx))
		}))
	}()
	began := time.Now()
	err = each(members, func(i int, m *member) (err error) {
		if m.pod, err = s.client.RunPod(ctx, handler, cri.PodConfig(fmt.Sprint("crowd-", i))); err != nil {
			return err
		}
		return m.run(ctx, n.Containers)
	})
	if err != nil {
		return err
	}
	took := time.Since(began)
	err = each(members, func(_ int, m *member) (err error) {
		// What the first containers make once is not what each of them costs: their
		// successors are measured.
		if err = m.end(ctx); err == nil {
			m.one, err = s.measure(m.pod.ID)
		}
		if err == nil {
			err = m.run(ctx, n.Containers)
		}
		if err == nil {
			m.all, err = s.measure(m.pod.ID)
		}
		if err == nil {
			err = m.end(ctx)
		}
		if err == nil {
			m.back, err = s.measure(m.pod.ID)
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.report(members, n, took)
}

// run runs containers until the pod has n.
func (m *member) run(ctx context.Context, n int) error {
	for len(m.containers) < n {
		id, err := m.pod.Run(ctx, fmt.Sprint("app", len(m.containers)), "ping", "-t", "localhost")
		if err != nil {
			return err
		}
		m.containers = append(m.containers, id)
	}
	return nil
}

// end ends all containers but the first.
func (m *member) end(ctx context.Context) (err error) {
	for _, id := range m.containers[1:] {
		err = errors.Join(err, m.pod.End(ctx, id))
	}
	m.containers = m.containers[:1]
	return err
}

// report prints the means of a crowd and holds them against the limits.
func (s *soak) report(members []*member, n size, took time.Duration) error {
	mean := func(of func(*member) sample) sample {
		var sum sample
		for _, m := range members {
			x := of(m)
			sum.memory, sum.threads, sum.files, sum.handles = sum.memory+x.memory, sum.threads+x.threads, sum.files+x.files, x.handles
		}
		k := len(members)
		return sample{sum.memory / k, sum.threads / k, sum.files / k, sum.handles / k}
	}
	one, all, back := mean(func(m *member) sample { return m.one }), mean(func(m *member) sample { return m.all }), mean(func(m *member) sample { return m.back })
	grown := (all.memory - one.memory) / max(1, n.Containers-1)
	fmt.Fprintf(s.out, "  up in %s, %.2f pods/s\n", took.Round(time.Millisecond), float64(n.Pods)/took.Seconds())
	fmt.Fprintf(s.out, "  shim with one container    %s\n", one)
	fmt.Fprintf(s.out, "  shim with %d containers     %s\n", n.Containers, all)
	fmt.Fprintf(s.out, "  shim with one again        %s\n", back)
	fmt.Fprintf(s.out, "  %d KB for each further container\n", grown/1000)
	limit := maxPerContainer
	if n.Pods < smallCrowd {
		limit = maxInSmallCrowd
	}
	if grown > limit {
		return fmt.Errorf("a shim grows by %d bytes for each further container, at most %d", grown, limit)
	}
	return nil
}

// each does f for all members at once.
func each(members []*member, f func(i int, m *member) error) error {
	results := make([]error, len(members))
	var all sync.WaitGroup
	for i, m := range members {
		all.Go(func() { results[i] = f(i, m) })
	}
	all.Wait()
	return errors.Join(results...)
}
