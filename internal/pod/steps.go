package pod

import (
	"context"
	"log/slog"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
)

// steps runs the named steps of one transaction, each with a deadline of its
// own, and remembers how long each took: an operator who waits for a container
// sees in one log line where the time went.
type steps struct {
	ctx  context.Context
	what string // of the whole: "create task"
	id   string
	took []slog.Attr

	phases *hcs.PhaseRecord // nil: those of nothing
}

// in runs one step as a part of a phase.
func (s *steps) in(phase hcs.Phase, name string, limit time.Duration, f func(ctx context.Context) error) error {
	return s.do(name, limit, func(ctx context.Context) error {
		if s.phases == nil {
			return f(ctx)
		}
		return s.phases.Run(ctx, phase, name, f)
	})
}

// do runs one step. Its error names the whole and the step.
func (s *steps) do(name string, limit time.Duration, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	start := time.Now()
	err := f(ctx)
	s.took = append(s.took, slog.Duration(name, time.Since(start)))
	if err == nil {
		return nil
	}
	if cause := context.Cause(s.ctx); cause != nil && fault.KindOf(err) != fault.KindOf(cause) {
		// A call that was broken off says so in many ways; what broke it off counts.
		err = &fault.Error{Kind: fault.KindOf(cause), Err: err}
	}
	return fault.Wrap(err, s.what+" "+s.id, name)
}

// attrs returns the durations for the log.
func (s *steps) attrs() slog.Attr { return slog.Attr{Key: "steps", Value: slog.GroupValue(s.took...)} }

// bounded returns a context for work that must end by itself and that no
// caller can end: teardown, delivery of a signal.
func bounded(limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), limit)
}
