package shim

import (
	"context"
	"log/slog"

	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/job"
	"github.com/isolrun/isol/internal/pod"
)

// jobs makes HostProcess containers with internal/job.
type jobs struct{ *job.Host }

// newJobs returns nil, not a nil pointer in an interface, for a machine without.
func newJobs(system job.System, log *slog.Logger) pod.Jobs {
	if system == nil {
		return nil
	}
	return jobs{job.NewHost(system, log)}
}

// Prepare implements pod.Jobs.
func (j jobs) Prepare(ctx context.Context, plan *isolation.Plan, user string) (pod.Job, error) {
	p, err := j.Host.Prepare(ctx, plan, user)
	if err != nil {
		return nil, err
	}
	return p, nil
}
