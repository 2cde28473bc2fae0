package shim

import (
	"context"
	"errors"
	"sync"
	"time"
)

// endLimit bounds what a shim does between the word that it shall end and its
// end: the events that are left, the log file.
const endLimit = 5 * time.Second

// ending is the end of a shim: it begins once, whoever wants it first, and
// then everything that was registered is given up side by side.
type ending struct {
	done chan struct{} // closed when all is given up

	mu    sync.Mutex
	begun bool                          // guarded by mu
	steps []func(context.Context) error // guarded by mu
	err   error                         // of the steps; valid once done is closed
}

func newEnding() *ending { return &ending{done: make(chan struct{})} }

// include adds a step. One that comes after the beginning is not done: the end
// of the process gives it up.
func (e *ending) include(step func(context.Context) error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.steps = append(e.steps, step)
}

// begin begins the end and returns at once.
func (e *ending) begin() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.begun {
		e.begun = true
		go e.run(e.steps)
	}
}

func (e *ending) run(steps []func(context.Context) error) {
	defer close(e.done)
	ctx, cancel := context.WithTimeout(context.Background(), endLimit)
	defer cancel()
	results := make(chan error, len(steps))
	for _, step := range steps {
		go func() { results <- step(ctx) }()
	}
	for range steps {
		select {
		case err := <-results:
			e.err = errors.Join(e.err, err)
		case <-ctx.Done():
			e.err = errors.Join(e.err, ctx.Err())
			return
		}
	}
}
