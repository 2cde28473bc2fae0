package hcs

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Whoever looks for where the time of a start went must see isol's share apart
// from that of Hyper-V.
func TestPhaseRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := &PhaseRecord{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
		work := func(own, waited time.Duration, err error) func(context.Context) error {
			return func(ctx context.Context) error {
				time.Sleep(own)
				done := Waiting(ctx)
				time.Sleep(waited)
				done()
				return err
			}
		}
		bad := errors.New("no")
		for _, p := range []struct {
			name        Phase
			own, waited time.Duration
			err         error
		}{
			{PhaseProcess, 1, 2, nil}, {PhaseDocument, 3, 0, nil}, {PhaseDocument, 4, 5, nil}, {PhaseCreate, 6, 70, bad},
		} {
			if err := r.Run(t.Context(), p.name, "part", work(p.own*time.Millisecond, p.waited*time.Millisecond, p.err)); err != p.err {
				t.Errorf("%s: %v", p.name, err)
			}
		}
		want := []Span{
			{PhaseDocument, 12 * time.Millisecond, 5 * time.Millisecond},
			{PhaseCreate, 76 * time.Millisecond, 70 * time.Millisecond},
			{PhaseProcess, 3 * time.Millisecond, 2 * time.Millisecond},
		}
		if diff := cmp.Diff(want, r.Spans()); diff != "" {
			t.Error(diff)
		}
		if own := r.Spans()[0].Own(); own != 7*time.Millisecond {
			t.Errorf("own share %v", own)
		}
		attrs := slog.GroupValue(PhaseAttrs(r.Spans())...).String()
		if attrs != "[document=12ms create=76ms process=3ms total=91ms waited=77ms own=14ms]" {
			t.Errorf("attrs %s", attrs)
		}
		if n := strings.Count(log.String(), "phase begins"); n != 4 || !strings.Contains(log.String(), "failed=true") {
			t.Errorf("log:\n%s", log.String())
		}
	})
}

// A wait outside of every phase, as at the end of a container, counts nowhere
// and does not panic; waits that seem longer than their phase leave no share
// below zero.
func TestWaitWithoutPhase(t *testing.T) {
	Waiting(t.Context())()
	if own := (Span{Took: 1, Waited: 2}).Own(); own != 0 {
		t.Errorf("own share %v", own)
	}
	if spans := new(PhaseRecord).Spans(); len(spans) != 0 {
		t.Errorf("spans of nothing: %v", spans)
	}
}
