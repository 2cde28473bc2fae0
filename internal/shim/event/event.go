// Package event brings the pod's events to containerd: each once, in order,
// also across a restart of containerd.
//
//	pod ──Publish──▶ Queue ──Forward──▶ containerd's ttrpc events service
//	                  │  ▲
//	                  └──┘ again after a pause, until it is taken
//
// Publish never blocks. One goroutine sends, oldest first, and sends the same
// event until containerd has taken it; so order holds also when a send fails,
// which is what containerd's own publisher does not promise (it queues a failed
// event behind later ones and drops it after five tries).
//
// # Failure rules
//
// A send that fails on the way is repeated with pauses from 100 ms to 5 s, for
// ever. An event that containerd itself refuses (InvalidArgument) is dropped and
// logged, or it would hold up all that follow. An event whose send failed after
// containerd took it arrives twice; containerd's readers know that.
//
// # Memory
//
// At most [Limit] events wait. Nobody can create tasks while containerd is
// away, so only the ends of what already ran can pile up. Beyond the limit the
// oldest event that is not an exit is dropped, or the oldest, and the loss is
// logged.
package event

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/containerd/containerd/api/types"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/pod"
)

// Limit is how many events wait at most.
const Limit = 4096

// The pauses between two sends of one event.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
	sendLimit  = 5 * time.Second // one send
)

// Forwarder sends one event to containerd.
type Forwarder interface {
	// Forward returns nil once containerd has taken e. An error that wraps
	// ErrRefused means that it never will; after any other error the same
	// event may be sent again.
	Forward(ctx context.Context, e *types.Envelope) error
	// Close gives up the connection. It is idempotent.
	Close() error
}

// ErrRefused is wrapped by a Forwarder when containerd refuses the event
// itself.
var ErrRefused = errors.New("containerd refused the event")

// Queue implements pod.Publisher. All methods may be called from any goroutine.
type Queue struct {
	namespace string
	to        Forwarder
	log       *slog.Logger

	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	done   chan struct{} // closed when the sender has ended

	mu      sync.Mutex
	waiting []*types.Envelope // guarded by mu; the first may be under way
	sending bool              // guarded by mu: the first is under way
	change  chan struct{}     // guarded by mu: closed and replaced when waiting changes
}

// NewQueue returns a queue that sends to to, which it owns from now on.
func NewQueue(namespace string, to Forwarder, log *slog.Logger) *Queue {
	q := &Queue{namespace: namespace, to: to, log: log, done: make(chan struct{}), change: make(chan struct{})}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	go q.run()
	return q
}

// Publish takes e; it implements pod.Publisher. After Close events are dropped
// and logged.
func (q *Queue) Publish(e pod.Event) {
	env, err := encode(q.namespace, e, time.Now())
	if err != nil {
		q.log.Error("an event cannot be encoded and is lost", "task", e.TaskID(), "error", err)
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ctx.Err() != nil {
		q.log.Error("an event came after the end and is lost", "task", e.TaskID(), "topic", env.Topic)
		return
	}
	if len(q.waiting) >= Limit {
		q.dropLocked()
	}
	q.waiting = append(q.waiting, env)
	q.changedLocked()
}

// dropLocked makes room for one event.
func (q *Queue) dropLocked() {
	first := 0
	if q.sending {
		first = 1
	}
	victim := first
	for i := first; i < len(q.waiting); i++ {
		if q.waiting[i].Topic != topicExit {
			victim = i
			break
		}
	}
	q.log.Error("too many events wait for containerd: one is lost", "topic", q.waiting[victim].Topic, "limit", Limit)
	q.waiting = append(q.waiting[:victim], q.waiting[victim+1:]...)
}

func (q *Queue) changedLocked() {
	close(q.change)
	q.change = make(chan struct{})
}

// Flush returns when all events published before have been taken, or when ctx
// ends, with an error that says how many still wait.
func (q *Queue) Flush(ctx context.Context) error {
	for {
		q.mu.Lock()
		left, change := len(q.waiting), q.change
		q.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-change:
		case <-q.done:
			return fault.New(fault.Canceled, "flush events: closed while %d waited", left)
		case <-ctx.Done():
			return fault.Wrap(fmt.Errorf("%d events wait: %w", left, ctx.Err()), "flush events", "")
		}
	}
}

// Close ends the queue; what still waits is lost and logged. It is idempotent.
func (q *Queue) Close() error {
	q.cancel()
	<-q.done
	return q.to.Close()
}

func (q *Queue) run() {
	defer close(q.done)
	pause := firstPause
	for {
		env := q.next()
		if env == nil {
			q.reportLeft()
			return
		}
		err := q.send(env)
		switch {
		case err == nil:
			pause = firstPause
			q.taken()
		case errors.Is(err, ErrRefused):
			q.log.Error("an event is lost", "topic", env.Topic, "error", err)
			q.taken()
		default:
			q.log.Warn("sending an event failed, trying again", "topic", env.Topic, "pause", pause, "error", err)
			select {
			case <-time.After(pause):
			case <-q.ctx.Done():
			}
			pause = min(2*pause, lastPause)
		}
	}
}

func (q *Queue) send(env *types.Envelope) error {
	ctx, cancel := context.WithTimeout(q.ctx, sendLimit)
	defer cancel()
	return q.to.Forward(ctx, env)
}

// next waits for an event and leaves it at the head; nil means the end.
func (q *Queue) next() *types.Envelope {
	for {
		q.mu.Lock()
		change := q.change
		if q.ctx.Err() == nil && len(q.waiting) > 0 {
			q.sending = true
			env := q.waiting[0]
			q.mu.Unlock()
			return env
		}
		q.mu.Unlock()
		select {
		case <-change:
		case <-q.ctx.Done():
			return nil
		}
	}
}

func (q *Queue) taken() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
	if len(q.waiting) == 0 {
		q.waiting = nil // give the backing array of a burst back
	}
	q.sending = false
	q.changedLocked()
}

func (q *Queue) reportLeft() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.waiting); n > 0 {
		q.log.Error("events are lost at the end", "count", n)
	}
}
