package hcs

import (
	"context"
	"errors"

	"github.com/isolrun/isol/internal/fault"
)

// End ends a compute system that this process has no handle to, and returns
// when it has ended or ctx has. It is idempotent: a system that is not there is
// no error.
func End(ctx context.Context, host Host, id string) (err error) {
	sys, err := host.Open(ctx, id)
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() {
		if e := sys.Close(); !errors.Is(e, ErrClosed) {
			err = errors.Join(err, e)
		}
	}()
	if err = sys.Terminate(ctx); gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	select {
	case <-sys.Done():
		return nil
	case <-ctx.Done():
		return &fault.Error{Op: "terminate", Subject: id, Detail: "it did not end in time", Err: context.Cause(ctx)}
	}
}

func gone(err error) bool { return errors.Is(err, ErrNotFound) || errors.Is(err, ErrAlreadyStopped) }
