// Package deadline is the end of patience with a call of Windows that takes no
// context: nothing breaks such a call off, but whoever asked need not hang with it.
//
//	          f ends first
//	waiting ───────────────▶ answered: the caller gets what f returned
//	   │ ctx ends first                            f ends
//	   └────────────────────▶ given up ────────────────────▶ late: after undoes it
//
// Exactly one of the two happens to a call, also where both ends come at once.
// There are no locks: the first to say so decides.
package deadline

import (
	"context"
	"sync/atomic"

	"github.com/isolrun/isol/internal/fault"
)

// Call runs f in a goroutine of its own and returns what it returns, or an error
// that service did not answer in time when ctx ends first: DeadlineExceeded or
// Canceled. After, which may be nil, is called when f has ended, with what it
// returned. Late says that the caller was told otherwise before: what f has made
// is nobody's then.
func Call[T any](ctx context.Context, service string, f func() (T, error), after func(v T, err error, late bool)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var decided atomic.Bool // whoever sets it first, f or ctx, decides the outcome
	done := make(chan answer, 1)
	go func() {
		v, err := f()
		late := !decided.CompareAndSwap(false, true)
		if after != nil {
			after(v, err, late)
		}
		done <- answer{v, err}
	}()
	var a answer
	select {
	case a = <-done:
	case <-ctx.Done():
		if decided.CompareAndSwap(false, true) {
			a.err = &fault.Error{Detail: service + " did not answer in time", Err: context.Cause(ctx)}
		} else {
			a = <-done
		}
	}
	return a.value, a.err
}
