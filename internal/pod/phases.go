package pod

import (
	"context"
	"log/slog"

	"github.com/isolrun/isol/internal/hcs"
)

// spans returns the phases that the task has gone through, with those of the VM
// that was booted for it. The two have one phase in common: connecting, which
// ends with the network.
func (t *task) spans() []hcs.Span {
	spans := t.init.phases.Spans()
	if t.container == nil || t.container.machine() == nil {
		return spans
	}
	sum := map[hcs.Phase]hcs.Span{}
	for _, s := range append(t.container.machine().Phases(), spans...) {
		have := sum[s.Phase]
		sum[s.Phase] = hcs.Span{Phase: s.Phase, Took: have.Took + s.Took, Waited: have.Waited + s.Waited}
	}
	var all []hcs.Span
	for _, phase := range hcs.Phases() {
		if s, ok := sum[phase]; ok {
			all = append(all, s)
		}
	}
	return all
}

// logPhases writes one line for programs to read: how long each phase of the
// task took, and how much of that was isol's own share.
func (t *task) logPhases(ctx context.Context) {
	t.log.LogAttrs(ctx, slog.LevelInfo, "phases", hcs.PhaseAttrs(t.spans())...)
}
