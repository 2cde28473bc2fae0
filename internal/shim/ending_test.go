package shim

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Shutdown, the idle watch and a failure may all want the end: each step must
// be done once, and all of them even if one fails.
func TestEndingIsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnding()
		broken := errors.New("broken")
		done := make(chan string, 4)
		e.include(func(context.Context) error { done <- "a"; return broken })
		e.include(func(context.Context) error { done <- "b"; return nil })
		e.begin()
		e.begin()
		<-e.done
		if len(done) != 2 || !errors.Is(e.err, broken) {
			t.Errorf("%d steps done, error %v", len(done), e.err)
		}
	})
}

// A step that hangs must not keep the process.
func TestEndingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnding()
		hung := make(chan struct{})
		e.include(func(context.Context) error { <-hung; return nil })
		began := time.Now()
		e.begin()
		<-e.done
		if took := time.Since(began); took != endLimit || !errors.Is(e.err, context.DeadlineExceeded) {
			t.Errorf("ended after %v with %v", took, e.err)
		}
		close(hung)
	})
}
