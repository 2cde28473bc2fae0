package hcs

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Phase names a phase of bringing a container up. There are seven; a container
// on the host's kernel, and the second one of a pod, go through fewer.
type Phase string

// The phases, in their order.
const (
	PhaseDocument  Phase = "document"  // what the VM is made of: boot files, scratch, access, the document itself
	PhaseCreate    Phase = "create"    // HcsCreateComputeSystem of the VM
	PhaseStart     Phase = "start"     // HcsStartComputeSystem of the VM
	PhaseConnect   Phase = "connect"   // its guest dials, negotiates and is set up; its network
	PhaseLayers    Phase = "layers"    // the container's root file system and mounts
	PhaseContainer Phase = "container" // its document, create and start: by HCS on the host, by the guest in a VM
	PhaseProcess   Phase = "process"   // its first process
)

// Phases lists the phases in their order.
func Phases() []Phase {
	return []Phase{PhaseDocument, PhaseCreate, PhaseStart, PhaseConnect, PhaseLayers, PhaseContainer, PhaseProcess}
}

// Span is how long a phase took: its own time and that in which it waited for
// somebody else: the compute service, the layer store or a guest. Whoever makes such a call says
// so with [Waiting]; the context carries the phase.
type Span struct {
	Phase  Phase         `json:"phase"`
	Took   time.Duration `json:"took"`
	Waited time.Duration `json:"waited"` // of Took: for the compute service, the layer store and the guest
}

// Own is isol's share.
func (s Span) Own() time.Duration { return max(0, s.Took-s.Waited) }

// PhaseRecord is the phases that one VM or container has gone through. Its zero
// value is empty. Its methods may be called from any goroutine.
type PhaseRecord struct {
	Log *slog.Logger // each phase's begin and end, at debug level; nil: not logged

	mu    sync.Mutex
	spans map[Phase]Span // guarded by mu
}

// atWork is a phase at work, as a context carries it.
type atWork struct{ waited atomic.Int64 }

type phaseKey struct{}

// Run runs f as a part of a phase and adds its time, also if it fails. A phase
// may have several parts.
func (r *PhaseRecord) Run(ctx context.Context, phase Phase, part string, f func(context.Context) error) error {
	if r.Log != nil {
		r.Log.Debug("phase begins", "phase", phase, "part", part)
	}
	w := &atWork{}
	begin := time.Now()
	err := f(context.WithValue(ctx, phaseKey{}, w))
	took, waited := time.Since(begin), time.Duration(w.waited.Load())
	r.mu.Lock()
	if r.spans == nil {
		r.spans = map[Phase]Span{}
	}
	s := r.spans[phase]
	r.spans[phase] = Span{Phase: phase, Took: s.Took + took, Waited: s.Waited + waited}
	r.mu.Unlock()
	if r.Log != nil {
		r.Log.Debug("phase ends", "phase", phase, "part", part, "took", took, "waited", waited, "failed", err != nil)
	}
	return err
}

// Spans returns the phases that have run, in their order.
func (r *PhaseRecord) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Span
	for _, phase := range Phases() {
		if s, ok := r.spans[phase]; ok {
			all = append(all, s)
		}
	}
	return all
}

// Own is isol's share of the phases that have run.
func (r *PhaseRecord) Own() time.Duration {
	var own time.Duration
	for _, s := range r.Spans() {
		own += s.Own()
	}
	return own
}

// Waiting says that the caller waits for somebody else from now until it calls
// done: the time counts as waited in the phase that ctx carries. Two waits of
// one phase must not overlap.
func Waiting(ctx context.Context) (done func()) {
	w, ok := ctx.Value(phaseKey{}).(*atWork)
	if !ok {
		return func() {}
	}
	begin := time.Now()
	return func() { w.waited.Add(int64(time.Since(begin))) }
}

// PhaseAttrs returns the spans for a log line that programs read: one duration per
// phase by its name, then their total, how much of it was waiting, and isol's
// own share.
func PhaseAttrs(spans []Span) []slog.Attr {
	var all []slog.Attr
	var sum Span
	for _, s := range spans {
		all = append(all, slog.Duration(string(s.Phase), s.Took))
		sum.Took, sum.Waited = sum.Took+s.Took, sum.Waited+s.Waited
	}
	return append(all, slog.Duration("total", sum.Took), slog.Duration("waited", sum.Waited), slog.Duration("own", sum.Own()))
}
