package deadline

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isolrun/isol/internal/fault"
)

// What a service makes after nobody waits any more must be undone, and what the
// caller has must not be.
func TestCall(t *testing.T) {
	refused := errors.New("refused")
	for _, tc := range []struct {
		name  string
		takes time.Duration
		err   error
		late  bool
	}{
		{"in time", time.Second, nil, false},
		{"in time, refused", time.Second, refused, false},
		{"late", time.Minute, nil, true},
		{"late, refused", time.Minute, refused, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				ended := 0
				v, err := Call(ctx, "the service", func() (string, error) {
					time.Sleep(tc.takes)
					return "made", tc.err
				}, func(v string, err error, late bool) {
					ended++
					if v != "made" || !errors.Is(err, tc.err) || late != tc.late {
						t.Errorf("after: %q, %v, late %t", v, err, late)
					}
				})
				switch {
				case tc.late && (v != "" || !fault.Is(err, fault.DeadlineExceeded) || !strings.Contains(err.Error(), "the service did not answer in time")):
					t.Errorf("%q, %v", v, err)
				case !tc.late && (v != "made" || !errors.Is(err, tc.err)):
					t.Errorf("%q, %v", v, err)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if ended != 1 {
					t.Errorf("after was called %d times", ended)
				}
			})
		})
	}
}

// An answer and the end of the context at one moment: what the caller is told and
// what after is told must not both say that the thing is theirs, nor neither.
func TestOneOwner(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			undone := false
			_, err := Call(ctx, "the service", func() (int, error) { time.Sleep(time.Second); return 1, nil },
				func(_ int, _ error, late bool) { undone = late })
			synctest.Wait()
			if undone != (err != nil) {
				t.Errorf("the caller has %v, undone %t", err, undone)
			}
		})
	}
}
